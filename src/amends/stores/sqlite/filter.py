"""A Filter as SQL conditions.

Rules of this file: the text is made of fixed fragments only; every value is bound. A field that does
not restrict adds nothing, so that an index can serve those that do.
"""

from __future__ import annotations

from ..base import Filter

_BY_CORRELATION = "saga_id IN (SELECT saga_id FROM amends_correlation WHERE key = ? AND value = ?)"


def conditions(which: Filter, before: str = "") -> tuple[str, list[str | int]]:
    """The conditions joined by AND, and their values in order."""
    parts: list[str] = ["true"]
    values: list[str | int] = []

    def add(part: str, *bound: str | int) -> None:
        parts.append(part)
        values.extend(bound)

    if before:
        add("saga_id < ?", before)
    if which.status:
        add(f"status IN ({', '.join('?' * len(which.status))})", *which.status)
    if which.name:
        add("name = ?", which.name)
    if which.key:
        add("key = ? AND key <> ''", which.key)
    if which.hold:
        add("hold = ? AND hold <> ''", which.hold)
    for key, value in which.correlation:
        add(_BY_CORRELATION, key, value)
    if which.anomalous is not None:
        add("anomalous = ?", which.anomalous)
    if which.followup_failed is not None:
        add("followup_failed = ?", which.followup_failed)
    return " AND ".join(parts), values
