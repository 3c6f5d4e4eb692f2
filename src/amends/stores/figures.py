"""The figures of a definition: what became of its sagas within a time.

A saga *settled* in the window when it ended in it, or stands in `requires_manual` since a moment of it. All
shares are of those; the lengths are of those that ended.

    started     in the window                    in flight   now, whatever the window; it has not ended
    completion, compensation                     by how it ended
    by hand     it stands in `requires_manual`, or has stood there, or a person retried, resolved or skipped
                something of it: so it may also count as completed or compensated, and a closed saga always does
    p50 ...     nearest rank: the least length that so many of a hundred do not exceed; exact
    fails most  the step that was rejected, failed, stayed unknown, was parked or owed in the most sagas, also
                when it was mended later; of several the first by name

Rules of this file: pure. A store computes the same in one query; the suite compares the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ..core.summary import Summary

PERCENTS = (50, 95, 99)


class Figures(Struct, frozen=True, kw_only=True):
    """One definition's version. Counts of sagas; lengths in milliseconds, None when none ended."""

    name: str
    version: int
    started: int = 0
    in_flight: int = 0
    completed: int = 0
    compensated: int = 0
    closed: int = 0
    standing: int = 0  # in requires_manual now
    by_hand: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None
    p99_ms: int | None = None
    failed_step: str = ""
    failed: int = 0  # settled sagas in which that step failed

    @property
    def settled(self) -> int:
        """What the shares are of."""
        return self.completed + self.compensated + self.closed + self.standing

    def share(self, count: int) -> float | None:
        """A count as a share of the settled sagas; None when there are none."""
        return count / self.settled if self.settled else None


def nearest_rank(lengths: list[int], percent: int) -> int | None:
    """The least of the lengths that `percent` of a hundred do not exceed; None of none."""
    return sorted(lengths)[(len(lengths) * percent + 99) // 100 - 1] if lengths else None


def figures_of(summaries: Iterable[Summary], since: int) -> list[Figures]:
    """The figures of these sagas, by name and version; those without any saga in the window are left out.

    Parameters:
        since: where the window begins, in milliseconds; 0 for always.
    """
    groups: dict[tuple[str, int], list[Summary]] = {}
    for summary in summaries:
        groups.setdefault((summary.name, summary.version), []).append(summary)
    found = [_figures(name, version, group, since) for (name, version), group in sorted(groups.items())]
    return [each for each in found if each.started or each.in_flight or each.settled]


def counted(
    ended: Iterable[Sequence[Any]], lengths: Mapping[tuple[str, int], Sequence[int]],
    still_open: Iterable[Sequence[Any]], failed: Iterable[Sequence[Any]],
) -> list[Figures]:  # fmt: skip
    """The figures from a database's counts.

    Parameters:
        ended: (name, version, all, started in the window, completed, compensated, closed, by hand) of those that
            ended in the window.
        lengths: theirs at PERCENTS, by (name, version).
        still_open: (name, version, all, started in the window, standing in the window).
        failed: (name, version, step, settled sagas in which it failed).
    """
    fields: dict[tuple[str, int], dict[str, Any]] = {}
    for name, version, _, started, completed, compensated, closed, by_hand in ended:
        p50, p95, p99 = lengths[name, version]
        fields[name, version] = {
            "started": started, "completed": completed, "compensated": compensated, "closed": closed,
            "by_hand": by_hand, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99,
        }  # fmt: skip
    for name, version, in_flight, started, standing in still_open:
        own = fields.setdefault((name, version), {})
        own |= {"in_flight": in_flight, "standing": standing}
        own["started"] = own.get("started", 0) + started
        own["by_hand"] = own.get("by_hand", 0) + standing
    for name, version, step, count in sorted(failed, key=lambda row: (-row[3], row[2])):
        fields[name, version].setdefault("failed_step", step)
        fields[name, version].setdefault("failed", count)
    return [
        Figures(name=name, version=version, **own)
        for (name, version), own in sorted(fields.items(), key=lambda item: item[0])
    ]


def _figures(name: str, version: int, group: list[Summary], since: int) -> Figures:
    ended = [each for each in group if each.ended and each.ended >= since]
    still_open = [each for each in group if not each.ended]
    standing = [each for each in group if each.status == "requires_manual" and each.waiting_since >= since]
    lengths = [each.ended - each.started for each in ended]
    failed = Counter(step for each in (*ended, *standing) for step in each.failed)
    step, times = min(failed.items(), key=lambda item: (-item[1], item[0]), default=("", 0))
    by_status = Counter(each.status for each in ended)
    return Figures(
        name=name, version=version,
        started=sum(each.started >= since for each in (*ended, *still_open)),
        in_flight=len(still_open),
        completed=by_status["completed"], compensated=by_status["compensated"], closed=by_status["closed"],
        standing=len(standing),
        by_hand=len(standing) + sum(each.manual or each.intervened for each in ended),
        p50_ms=nearest_rank(lengths, 50), p95_ms=nearest_rank(lengths, 95), p99_ms=nearest_rank(lengths, 99),
        failed_step=step, failed=times,
    )  # fmt: skip
