"""Which rows a timeline has: a step each, but for what would drown the rest.

    items of `each`    more than ITEMS_MAX of one node that are well share a row, by their status; so do those that
                       came to an end for the same reason; those that wait for a person have their own
    not reached        a long run of steps that the saga never came to is one row

Rules of this file: pure. No step is left out: each is in exactly one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..core.transitions import ENDS, StepStatus as S
from ..runtime.views import SagaView, StepView

ITEMS_MAX = 6
TROUBLES_MAX = 20  # rows of one node's items in trouble; the rest share one
AHEAD_MAX = 8  # steps in a row that a running saga has not reached; those of one that ended: LEFT_MAX
LEFT_MAX = 3
_ITEM = re.compile(r"\[\d+\]")
_ENDED = frozenset({S.REJECTED, S.FAILED, S.PASSED, S.TIMED_OUT})
_WELL = frozenset({S.PENDING, S.READY, S.RUNNING, S.SUCCEEDED, S.COMPENSATED, S.UNDO_READY, S.COMPENSATING, S.DROPPED})


@dataclass(frozen=True)
class Row:
    """One row: a step, or several of which the first stands for all."""

    name: str
    steps: tuple[StepView, ...]

    @property
    def step(self) -> StepView:
        """The one that is drawn."""
        return self.steps[0]


def grouped(view: SagaView) -> list[Row]:
    """The rows of a saga, in the order of its definition."""
    rows: list[Row] = []
    for _, steps in _by_node(view.steps):
        rows += _items(steps) if len(steps) > ITEMS_MAX else [Row(step.path, (step,)) for step in steps]
    most = LEFT_MAX if view.status in ENDS else AHEAD_MAX
    together: list[Row] = []
    for pending, run in groupby(rows, key=lambda row: row.step.status == S.PENDING):
        several = list(run)
        together += [_unreached(several)] if pending and len(several) > most else several
    return together


def _by_node(steps: Sequence[StepView]) -> Iterable[tuple[str, list[StepView]]]:
    """The steps by the node that they are items of; a node keeps the place of its first item."""
    nodes: dict[str, list[StepView]] = {}
    for step in steps:
        nodes.setdefault(_ITEM.sub("[]", step.path), []).append(step)
    return nodes.items()


def _items(steps: list[StepView]) -> list[Row]:
    """The items of one node: those that are well by their status, then those in trouble."""
    well = [step for step in steps if step.status in _WELL]
    rows = [_several(_of(well, status)) for status in dict.fromkeys(step.status for step in well)]
    troubled = _troubled(steps)
    rows += troubled[:TROUBLES_MAX]
    more = [step for row in troubled[TROUBLES_MAX:] for step in row.steps]
    return rows + [_several(_of(more, status)) for status in dict.fromkeys(step.status for step in more)]


def _troubled(steps: list[StepView]) -> list[Row]:
    """Those in trouble: one each, but for those that ended alike, of which one is told."""
    alike: dict[object, list[StepView]] = {}
    for step in steps:
        if step.status not in _WELL:
            ended = step.status in _ENDED
            alike.setdefault((step.status, step.error) if ended else step.path, []).append(step)
    return [_several(tuple(several)) for several in alike.values()]


def _of(steps: list[StepView], status: str) -> tuple[StepView, ...]:
    return tuple(step for step in steps if step.status == status)


def _several(steps: tuple[StepView, ...]) -> Row:
    name = _ITEM.sub("[]", steps[0].path) if len(steps) > 1 else steps[0].path
    return Row(f"{len(steps)}× {name}" if len(steps) > 1 else name, steps)  # the number is not cut off


def _unreached(rows: list[Row]) -> Row:
    steps = tuple(step for row in rows for step in row.steps)
    return Row(f"{len(steps)} steps", steps)
