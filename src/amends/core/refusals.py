"""`Refusals`: why alternatives of a `first_of` were given up, for the functions that come after.

def large_and_declined(order: Order, refusals: Refusals) -> bool:
    return order.total > 500 and any(each.cause == "rejected" for each in refusals)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One alternative that was given up.

    Attributes:
        first_of: the path of its first_of.
        alternative: its place among the alternatives, from 0.
        step: the path of the step, or wait, that failed.
        cause: "rejected", "failed" (without effect), "unknown" (and undone since), or "timeout" (of a wait).
        message: what was said, in one line.
    """

    first_of: str
    alternative: int
    step: str
    cause: str
    message: str


class Refusals(tuple[Refusal, ...]):
    """Every alternative that this saga has given up so far, oldest first; within an `each`, of this item.

    A parameter of any function of a saga that is annotated with it takes it.
    """

    __slots__ = ()
