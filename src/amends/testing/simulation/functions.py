"""What the functions of simulated sagas do: call the participants, and tell the monitor what they were given.

Rules of this file: a function is made with the parameters that were drawn for it; the ones that decide
(predicates, items, inputs) depend on what they are given and on nothing else, but may raise.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from ...core.accepted import Accepted
from ...core.context import Context
from .participants import Participants, Spec, Taken, Token


@dataclass
class Order:
    """The input of every simulated saga, and of every called one."""

    number: int


@dataclass(frozen=True)
class Wired:
    """The parameters of one function, beside the Context: names with their types.

    Attributes:
        reads: earlier results, all of which may be missing.
        own: the step's own result, for a compensation.
        item: whether it stands in an each, and takes the item.
    """

    reads: dict[str, Any]
    own: dict[str, Any]
    item: bool

    def signature(self, returns: Any) -> inspect.Signature:
        """Of a function with these parameters."""
        wired: dict[str, Any] = {"order": Order, "ctx": Context}
        wired |= {name: kind | None for name, kind in self.reads.items()} | self.own
        if self.item:
            wired["item"] = int
        return inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in wired.items()],
            return_annotation=returns,
        )


def calls(
    participants: Participants, spec: Spec, wired: Wired, returns: Any, accepted: Callable[..., Accepted]
) -> Callable[..., Any]:
    """A function that calls the participants, and answers `Accepted` when they have only taken it.

    Parameters:
        accepted: makes the answer, of `poll=` and `token=`.
    """

    async def poll(ctx: Context) -> Any:
        answer = await participants.call(spec, ctx, {})
        return Accepted(every=2, token=answer.number) if isinstance(answer, Taken) else answer

    async def call(**given: Any) -> Any:
        answer = await participants.call(spec, given.pop("ctx"), given)
        return accepted(poll=poll, token=answer.number) if isinstance(answer, Taken) else answer

    call.__signature__ = wired.signature(returns)  # type: ignore[attr-defined]
    call.__name__ = spec.name
    return call


def rhythm(rng: Random) -> Callable[..., Accepted]:
    """How a step's participant is asked after: by a poll or by the call itself, how often, for how long."""
    every, until, by_poll = rng.choice([0.4, 1.5, 6]), rng.choice([7, 20, 60]), rng.random() < 0.7

    def accepted(poll: Callable[..., Any], token: int) -> Accepted:
        return Accepted(poll=poll if by_poll else None, every=every, until=until, token=token)

    return accepted


def result_of(returns: bool, *, probe: bool = False, slow: bool = False) -> Any:
    """The declared result of a function of a step that returns a Token, or nothing."""
    if probe:
        return Token | None if returns else bool
    kind: Any = Token if returns else None
    return kind | Accepted if slow and returns else kind


# --- what decides ----------------------------------------------------------------------------------------


def predicate(bit: int, fires: Callable[[str], bool]) -> Callable[..., bool]:
    """Whether a bit of the input's number is set."""

    def is_set(order: Order) -> bool:
        if fires("predicate.raises"):
            raise RuntimeError("a predicate that raised")
        return bool(order.number >> bit & 1)

    return is_set


def items(most: int, fires: Callable[[str], bool]) -> Callable[..., list[int]]:
    """None to `most` items, by the input's number."""

    def listed(order: Order) -> list[int]:
        if fires("items.raises"):
            raise RuntimeError("items that raised")
        return [order.number * 10 + place for place in range(order.number % (most + 1))]

    return listed


def mapper(more: int, fires: Callable[[str], bool], *, item: bool) -> Callable[..., Order]:
    """The input of a called saga, of the input around and the item."""

    def of_order(order: Order) -> Order:
        if fires("mapper.raises"):
            raise RuntimeError("an input that raised")
        return Order(order.number + more)

    def of_item(order: Order, item: int) -> Order:
        return of_order(Order(order.number + item))

    return of_item if item else of_order


def length(order: Order) -> float:
    """The length of a sleep, by the input's number."""
    return 0.5 + order.number % 7
