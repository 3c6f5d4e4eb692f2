"""A Filter as SQL conditions.

Rules of this file: the text is made of fixed fragments only, and every value is bound. What each term
means is `stores.projection.matches`; a test compares the two on random filters. A beginning is a range
and no LIKE, so that an index can serve it, and `%` is a sign like any other. Values are marked with `?`; a
driver that wants another mark may replace it, for it stands nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.filters import CORRELATION, Compare, Filter, Match, Term, Value, bound_of, successor
from .base import GroupBy

Bound = list[str | int]

_COLUMNS = {"status": "status", "name": "name", "key": "key", "hold": "hold", "id": "saga_id", "step": "step"}
# The conditions of partial indexes, which hold whenever a text that is not empty is looked for.
_SPARSE = {"key": "key <> ''", "hold": "hold <> ''"}

_FLAGS = {
    "ended": "ended > 0",
    "waiting": "hold <> ''",
    "paused": "paused = 1",
    "anomalous": "anomalous = 1",
    "followup_failed": "followup_failed = 1",
    "turned_back": "turned_back = 1",
    "manual": "manual = 1",
    "intervened": "intervened = 1",
}

_NUMBERS = {
    "started": "started > 0 AND started {op} ?",
    "updated": "updated > 0 AND updated {op} ?",
    "ended": "ended > 0 AND ended {op} ?",
    "deadline": "deadline > 0 AND deadline {op} ?",
    "waiting": "saga_id IN (SELECT saga_id FROM amends_summaries WHERE waiting > 0 AND waiting {op} ?)",
    "duration": "started > 0 AND CASE WHEN ended > 0 THEN ended ELSE ? END - started {op} ?",
    "version": "version {op} ?",
}

_BY_FAILED = "saga_id IN (SELECT saga_id FROM amends_failed WHERE {values})"
_BY_CORRELATION = "saga_id IN (SELECT saga_id FROM amends_correlation WHERE key = ? AND {values})"

_GROUPS: dict[GroupBy, str] = {
    "name": "name", "version": "version", "status": "status", "hold": "hold", "step": "step",
}  # fmt: skip


CAUSE = "instr(lower(body ->> 'cause'), lower(?)) > 0"  # that the cause holds a text, as SQLite says it


def conditions(which: Filter, before: str = "", *, cause: str = CAUSE) -> tuple[str, Bound]:
    """The conditions joined by AND, and their values in order.

    Parameters:
        before: only sagas whose id is less; "" for all.
        cause: the database's way to say that the cause holds a text, with one mark.
    """
    parts = ["saga_id < ?"] if before else ["true"]
    values: Bound = [before] if before else []
    for term in which.terms:
        part, bound = _condition(term, which.now, cause)
        parts.append(f"NOT ({part})" if term.negated else part)
        values += bound
    return " AND ".join(parts), values


def grouping(by: Sequence[GroupBy]) -> str:
    """The columns of these fields, for SELECT and GROUP BY."""
    return ", ".join(_GROUPS[field] for field in by)


def _condition(term: Term, now: int, cause: str) -> tuple[str, Bound]:
    if isinstance(term, Compare):
        op, limit = bound_of(term, now)
        return _NUMBERS[term.field].replace("{op}", op), [now, limit] if term.field == "duration" else [limit]
    if term.field in _COLUMNS:
        part, bound = _texts(_COLUMNS[term.field], term.values)
        sparse = _SPARSE.get(term.field)
        return (f"{part} AND {sparse}" if sparse and all(map(_is_some, term.values)) else part), bound
    if term.field == "cause":
        return f"({' OR '.join([cause] * len(term.values))})", [value.text for value in term.values]
    return _SPECIAL[term.field](term)


def _is_some(value: Value) -> bool:
    return value.prefix or value.text != ""


def _texts(column: str, values: Sequence[Value]) -> tuple[str, Bound]:
    """That the column is one of the texts, or begins with one."""
    whole = [value.text for value in values if not value.prefix]
    parts = [f"{column} IN ({_marks(whole)})"] if whole else []
    bound: Bound = [*whole]
    for prefix in [value.text for value in values if value.prefix]:
        end = successor(prefix)
        parts.append(f"({column} >= ? AND {column} < ?)" if end else f"{column} {'>=' if prefix else '>'} ?")
        bound += [prefix, end] if end else [prefix]
    return (parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"), bound


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _flags(term: Match) -> tuple[str, Bound]:
    return f"({' OR '.join(_FLAGS[value.text] for value in term.values)})", []


def _failed(term: Match) -> tuple[str, Bound]:
    part, bound = _texts("step", term.values)
    return _BY_FAILED.replace("{values}", part), bound


def _correlation(term: Match) -> tuple[str, Bound]:
    part, bound = _texts("value", term.values)
    return _BY_CORRELATION.replace("{values}", part), [term.key, *bound]


def _version(term: Match) -> tuple[str, Bound]:
    return f"version IN ({_marks(term.values)})", [int(value.text) for value in term.values]


_SPECIAL: dict[str, Callable[[Match], tuple[str, Bound]]] = {
    "is": _flags,
    "failed": _failed,
    CORRELATION: _correlation,
    "version": _version,
}
