r"""From the text of a filter to the filter.

    filter  = { term } separated by spaces, all of which must hold
    term    = ["-"] field ":" value { "," value }  |  ["-"] field ("<" | "<=" | ">" | ">=") value
    field   = a name of FIELDS  |  a correlation key  |  "correlation." key  |  'correlation."any key"'
    value   = bare ["*"]  |  '"' any text with \" and \\ '"' ["*"]

Rules of this file: pure. Every text either parses or raises `FilterError`, which shows the text with a
mark under what is wrong, and says what may stand there.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import NoReturn, cast

from ..errors import FilterError, UsageError
from ..limits import FILTER_CHARS_MAX, FILTER_TERMS_MAX, FILTER_VALUES_MAX
from ..policies.durations import milliseconds
from .filters import (
    BARE_KEY,
    BARE_VALUE,
    CORRELATION,
    EPOCH,
    FIELDS,
    WORDS,
    Compare,
    Comparison,
    FieldKind,
    Filter,
    Match,
    Term,
    Unit,
    Value,
    resembled,
)

_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"\S+")
_OPERATOR = re.compile(r":|<=?|>=?")
_LENGTH = re.compile(r"\d+(?:\.\d+)?(?:ms|s|m|h|d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}", re.ASCII)


def parse(text: str) -> Filter:
    """The filter that a text says; of an empty one, the filter without terms.

    Raises:
        FilterError: it is none, and where.
    """
    if not isinstance(text, str):
        raise FilterError(f"a filter is a text such as 'status:running', and not {text!r}", code="AM2030")
    if len(text) > FILTER_CHARS_MAX:
        raise FilterError(f"the filter has {len(text)} characters; at most {FILTER_CHARS_MAX} are read", code="AM2035")
    return Filter(tuple(_Parser(text).terms()))


class _Parser:
    """One pass over the text; `_at` is how far it has come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._values = 0

    def terms(self) -> list[Term]:
        half = _HALF.search(self._text)
        if half is not None:
            self._fail(half.start(), half.end(), "half a surrogate pair is no text", "AM2030")
        found: list[Term] = []
        self._scan(_SPACE)
        while self._at < len(self._text):
            if len(found) == FILTER_TERMS_MAX:
                self._fail(self._at, len(self._text), f"a filter has at most {FILTER_TERMS_MAX} terms", "AM2035")
            found.append(self._term())
            begin = self._at
            if not self._scan(_SPACE) and begin < len(self._text):
                self._fail(begin, begin + 1, "a space is missing between two terms", "AM2030")
        return found

    # --- one term ------------------------------------------------------------------------------------

    def _term(self) -> Term:
        begin = self._at
        negated = self._take("-")
        field, key = self._field(begin)
        name_ends = self._at
        op = self._scan(_OPERATOR)
        if not op:
            self._at = begin
            self._scan(_WORD)
            self._fail(begin, self._at, "this is no term; write field:value, as in name:place_order", "AM2030")
        if field == CORRELATION:
            if op != ":":
                self._fail(name_ends, self._at, f"{key} is a correlation key, which takes only ':'", "AM2034")
            return Match(CORRELATION, self._matches(FieldKind.TEXT, CORRELATION), key, negated)
        kind = FIELDS[field]
        if op == ":":
            if kind in (FieldKind.TIME, FieldKind.LENGTH):
                self._fail(name_ends, self._at, f"{field} {kind.value}", "AM2034")
            return Match(field, self._matches(kind, field), negated=negated)
        if kind not in (FieldKind.TIME, FieldKind.LENGTH, FieldKind.NUMBER):
            self._fail(name_ends, self._at, f"{field} {kind.value}, which takes only ':'", "AM2034")
        value, unit = self._measure(kind, field)
        return Compare(field, cast("Comparison", op), value, unit, negated)

    def _field(self, begin: int) -> tuple[str, str]:
        """The field's name, and for a correlation key that key."""
        name_begins = self._at
        name = self._scan(BARE_KEY)
        if name == f"{CORRELATION}." and self._text.startswith('"', self._at):
            key = self._quoted()
            if not key:
                self._fail(name_begins, self._at, "a correlation key is never empty", "AM2031")
            return CORRELATION, key
        if not name:
            end = self._at + 1
            self._fail(begin, end, "here a field must stand, as in status:running", "AM2030")
        if name in FIELDS:
            return name, ""
        if name.startswith(f"{CORRELATION}."):
            key = name.removeprefix(f"{CORRELATION}.")
            if not BARE_KEY.fullmatch(key):
                self._fail(name_begins, self._at, f'write the key in quotes: {CORRELATION}."{key}":value', "AM2031")
            return CORRELATION, key
        if name == CORRELATION:
            self._fail(name_begins, self._at, f"which key? Write {CORRELATION}.customer:ann", "AM2031")
        meant = resembled(name)
        if meant and _OPERATOR.match(self._text, self._at):
            full = f"{CORRELATION}.{name}:value"
            what = f"there is no field {name}; did you mean {meant}? (For the correlation key write {full})"
            self._fail(name_begins, self._at, what, "AM2031")
        return CORRELATION, name

    # --- values --------------------------------------------------------------------------------------

    def _matches(self, kind: FieldKind, field: str) -> tuple[Value, ...]:
        found: list[Value] = []
        while True:
            begin = self._at
            found.append(self._checked(self._value(field), kind, field, begin))
            self._values += 1
            if self._values > FILTER_VALUES_MAX:
                self._fail(begin, self._at, f"a filter has at most {FILTER_VALUES_MAX} values", "AM2035")
            if not self._take(","):
                return tuple(found)

    def _value(self, field: str) -> Value:
        begin = self._at
        quoted = self._text.startswith('"', begin)
        text = self._quoted() if quoted else self._scan(BARE_VALUE)
        prefix = self._take("*")
        if self._text.startswith("*", self._at) or (prefix and not self._ended()):
            what = "a * stands at the end of a value only; in quotes it is a sign like any other"
            self._fail(begin, self._at + 1, what, "AM2032")
        if not (quoted or text or prefix):
            self._fail(begin, begin + 1, f'a value of {field} is missing; an empty text is written ""', "AM2032")
        return Value(text, prefix)

    def _checked(self, value: Value, kind: FieldKind, field: str, begin: int) -> Value:
        if kind is FieldKind.WORD:
            words = WORDS[field]
            if value.prefix or value.text not in words:
                near = next(iter(get_close_matches(value.text, words, n=1)), "")
                hint = f"did you mean {near}? " if near else ""
                what = f"{field} is never that; {hint}There are: {', '.join(words)}"
                self._fail(begin, self._at, what, "AM2032")
        elif kind is FieldKind.NUMBER:
            if value.prefix or not _NUMBER.fullmatch(value.text):
                self._fail(begin, self._at, f"{field} {kind.value}", "AM2032")
            return Value(str(int(value.text)))
        elif kind is FieldKind.PART and (value.prefix or not value.text):
            self._fail(begin, self._at, f"{field} {kind.value}, which is not empty and has no *", "AM2032")
        return value

    def _measure(self, kind: FieldKind, field: str) -> tuple[int, Unit]:
        """What a comparison compares with."""
        begin = self._at
        said = self._scan(_WORD)
        if kind is FieldKind.NUMBER and _NUMBER.fullmatch(said):
            return int(said), "number"
        if kind is not FieldKind.NUMBER and _LENGTH.fullmatch(said):
            try:
                return milliseconds(said), "length"
            except UsageError as error:
                self._fail(begin, self._at, error.message, "AM2032")
        if kind is FieldKind.TIME and _DATE.fullmatch(said):
            moment = _moment(said)
            if moment is None:
                self._fail(begin, self._at, f"{said} is no day or no time of one", "AM2032")
            return moment, "time"
        return self._fail(begin, self._at, f"{field} {kind.value}", "AM2032")

    def _quoted(self) -> str:
        begin, text = self._at, self._text
        found: list[str] = []
        self._at += 1
        while self._at < len(text):
            sign = text[self._at]
            self._at += 1
            if sign == '"':
                return "".join(found)
            if sign == "\\":
                sign = text[self._at : self._at + 1]
                if sign not in ('"', "\\"):
                    what = 'within quotes a backslash stands before " or another backslash only; write \\\\ for one'
                    self._fail(self._at - 1, self._at + 1, what, "AM2033")
                self._at += 1
            found.append(sign)
        return self._fail(begin, len(text), "this quote is never closed", "AM2033")

    # --- scanning ------------------------------------------------------------------------------------

    def _scan(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _take(self, sign: str) -> bool:
        here = self._text.startswith(sign, self._at)
        self._at += here
        return here

    def _ended(self) -> bool:
        return self._at == len(self._text) or self._text[self._at] == "," or self._text[self._at].isspace()

    def _fail(self, begin: int, end: int, what: str, code: str) -> NoReturn:
        raise FilterError(what, pointer=_pointer(self._text, begin, max(end, begin + 1)), code=code)


def _moment(said: str) -> int | None:
    """An ISO date or time as milliseconds, in UTC unless it says otherwise; None when there is no such."""
    try:
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


_SHOWN = 30  # signs of the text that an error shows before and behind the place


def _pointer(text: str, begin: int, end: int) -> tuple[str, str]:
    """The text around a place, and a line that marks it; what cannot be printed is shown as `?`."""
    first = max(0, begin - _SHOWN)
    last = min(len(text), max(begin + _SHOWN, min(end, begin + 2 * _SHOWN)))
    shown = [sign if sign.isprintable() else "?" for sign in text[first:last]]
    marked = max(1, sum(_cells(sign) for sign in shown[begin - first : end - first]))
    before = "…" if first else ""
    pad = " " * (len(before) + sum(_cells(sign) for sign in shown[: begin - first]))
    return before + "".join(shown) + ("…" if last < len(text) else ""), pad + "^" * marked


def _cells(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
