"""What a filter is: terms that a saga's summary fits or does not, and the one text that says them.

    status:compensating name:place_order customer:ann waiting>1h failed:reserve_payment

    status:  hold:  is:                words of a fixed list
    name:  key:  id:  step:  failed:   texts; `order-*` is a beginning, `*` is any text
    version:2  version>2               a whole number
    started  updated  ended  deadline  compared with < <= > >= to a date, or to an age: started<2h
    waiting  duration                  compared to a length of time: waiting>1h
    cause:"no money"                   a part of the text, in capitals or not
    customer:ann                       whatever else: a correlation key; `correlation.status:x` in full

Rules of this file:
  * a filter is data: terms that all hold at once, each with alternatives (`a,b`) or negated (`-`). What
    reads it (`stores.projection.matches`, the SQL of a store) is one small table each, and those agree.
  * `str(filter)` is canonical: `parse(str(filter)) == filter`. The parser is `filter_text.py`.
  * ages count from `Filter.now`, which is set once for a whole listing (`at`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import Enum
from typing import Literal, Union

from msgspec import Struct
from msgspec.structs import replace

from .summary import HOLDS
from .transitions import SagaStatus


class FieldKind(Enum):
    """What one may say of a field; the value is how an error explains it."""

    WORD = "is one of a fixed list of words"
    TEXT = "is a text; a beginning of it is written with a * at its end"
    PART = "is looked for a part of a text"
    NUMBER = "is a whole number"
    TIME = "is compared, with < or >, to a date such as 2026-11-01 or to an age such as 2h"
    LENGTH = "is compared, with < or >, to a length of time such as 90s, 5m or 24h"


K = FieldKind
FIELDS: dict[str, FieldKind] = {
    "status": K.WORD, "hold": K.WORD, "is": K.WORD,
    "name": K.TEXT, "key": K.TEXT, "id": K.TEXT, "step": K.TEXT, "failed": K.TEXT,
    "cause": K.PART, "version": K.NUMBER,
    "started": K.TIME, "updated": K.TIME, "ended": K.TIME, "deadline": K.TIME,
    "waiting": K.LENGTH, "duration": K.LENGTH,
}  # fmt: skip
FLAGS = ("ended", "waiting", "paused", "anomalous", "followup_failed", "turned_back", "manual", "intervened")
WORDS: dict[str, tuple[str, ...]] = {"status": tuple(SagaStatus), "hold": HOLDS, "is": FLAGS}
CORRELATION = "correlation"

Comparison = Literal["<", "<=", ">", ">="]
Unit = Literal["time", "length", "number"]
EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)
MOMENT_MIN = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MS
MOMENT_MAX = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MS


class Value(Struct, frozen=True):
    """One alternative of a Match: the text, or with `prefix` every text, but the empty one, that begins with it."""

    text: str
    prefix: bool = False


class Match(Struct, frozen=True, tag=True):
    """`field:value,value`: one of the values fits. `key` is the correlation key of field "correlation"."""

    field: str
    values: tuple[Value, ...]
    key: str = ""
    negated: bool = False


class Compare(Struct, frozen=True, tag=True):
    """`field<value`. `value` is in milliseconds, or a number; a saga without such a time fits no comparison.

    A "length" of a field that holds a time is its age, or for `deadline` how far ahead it is.
    """

    field: str
    op: Comparison
    value: int
    unit: Unit
    negated: bool = False


Term = Union[Match, Compare]


class Filter(Struct, frozen=True):
    """Which sagas a list holds: those that fit every term; without terms, all.

    Attributes:
        terms: what must hold.
        now: the moment that ages count from, in milliseconds; part of no text.
    """

    terms: tuple[Term, ...] = ()
    now: int = 0

    def at(self, now: int) -> Filter:
        """The same filter, its ages counted from `now`."""
        return replace(self, now=now)

    def __bool__(self) -> bool:
        """Whether it narrows anything."""
        return bool(self.terms)

    def __str__(self) -> str:
        """The canonical text."""
        return " ".join(_said(term) for term in self.terms)


def where(
    *, status: Iterable[str] = (), name: str = "", key: str = "", hold: str = "",
    correlation: Iterable[tuple[str, str]] = (), anomalous: bool | None = None, followup_failed: bool | None = None,
) -> Filter:  # fmt: skip
    """The filter of keyword arguments; those left empty do not narrow."""
    statuses = tuple(Value(str(each)) for each in status)
    terms: list[Term] = [Match("status", statuses)] if statuses else []
    terms += [Match(field, (Value(text),)) for field, text in (("name", name), ("key", key), ("hold", hold)) if text]
    terms += [Match(CORRELATION, (Value(text),), label) for label, text in correlation]
    flags = (("anomalous", anomalous), ("followup_failed", followup_failed))
    terms += [Match("is", (Value(flag),), negated=not on) for flag, on in flags if on is not None]
    return Filter(tuple(terms))


_FLIPPED: dict[Comparison, Comparison] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_AHEAD = frozenset({"deadline"})  # the one time that lies ahead


def bound_of(term: Compare, now: int) -> tuple[Comparison, int]:
    """What the field's own number must be: an age of more than an hour is a time of before an hour ago."""
    if term.unit != "length":
        return term.op, term.value
    assert now > 0, "an age needs a moment to count from: use Filter.at"
    if term.field == "duration":
        return term.op, term.value
    return (term.op, now + term.value) if term.field in _AHEAD else (_FLIPPED[term.op], now - term.value)


# --- texts ---------------------------------------------------------------------------------------

BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
BARE_VALUE = re.compile(r'[^\s,"*]+')
_SIZES = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


def resembled(name: str) -> str:
    """The field that a name is, or was probably meant to be; "" when it is like no field's."""
    return next(iter(get_close_matches(name, (*FIELDS, CORRELATION), n=1, cutoff=0.8)), "")


def _said(term: Term) -> str:
    minus = "-" if term.negated else ""
    if isinstance(term, Match):
        name = _key(term.key) if term.field == CORRELATION else term.field
        return f"{minus}{name}:{','.join(_value(value) for value in term.values)}"
    return f"{minus}{term.field}{term.op}{_UNITS[term.unit](term.value)}"


def _key(key: str) -> str:
    if not BARE_KEY.fullmatch(key):
        return f"{CORRELATION}.{_quoted(key)}"
    ours = key.startswith(f"{CORRELATION}.") or resembled(key)
    return f"{CORRELATION}.{key}" if ours else key


def _value(value: Value) -> str:
    bare = BARE_VALUE.fullmatch(value.text) or (value.prefix and not value.text)
    return (value.text if bare else _quoted(value.text)) + "*" * value.prefix


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _length(ms: int) -> str:
    return next((f"{ms // size}{unit}" for unit, size in _SIZES if ms and ms % size == 0), f"{ms}ms")


def _moment(ms: int) -> str:
    moment = EPOCH + ms * _MS
    if ms % 86_400_000 == 0:
        return moment.date().isoformat()
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


_UNITS: dict[Unit, Callable[[int], str]] = {"time": _moment, "length": _length, "number": str}


def successor(prefix: str) -> str:
    """The least text above every text that begins with `prefix`, by code points; "" when there is none."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at]) + 1
        if code == 0xD800:
            code = 0xE000  # no text holds half a surrogate pair
        if code <= 0x10FFFF:
            return prefix[:at] + chr(code)
    return ""


def fits(values: Sequence[Value], text: str) -> bool:
    """Whether one of the alternatives fits the text."""
    return any((text != "" and text.startswith(value.text)) if value.prefix else text == value.text for value in values)
