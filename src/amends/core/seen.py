"""What one function of a saga can see: the inputs, results and items from where its node stands.

A function that runs for an item of an `each` sees its own item's results, and those outside; a function
of a `call` sees the call's input as its input. All of it as it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Raw

from .graph import Kind
from .refusals import Refusal, Refusals
from .state import SagaState


class Seen:
    """The view from one slot of a saga.

    Parameters:
        state: the folded journal.
        index: the slot.
    """

    __slots__ = ("_index", "_state")

    def __init__(self, state: SagaState, index: int) -> None:
        self._state = state
        self._index = index

    def input(self, call: int) -> Raw:
        """The saga's input, or that of the CALL node `call` around it."""
        return self._state.input if call < 0 else self._state.input_at(self._index, call)

    def result(self, node: int) -> Raw | None:
        """The result of a node; None when it is not assigned."""
        state, index = self._state, self._index
        if index < len(state.graph.nodes):
            return state.result_of(node)
        return state.result_of(state.beside(index, node))

    def item(self, each: int) -> Raw:
        """The item that it runs for, of the EACH node `each` around it."""
        return self._state.item_at(self._index, each)

    def refusals(self) -> Refusals:
        """Why alternatives were given up, of the FIRST_OFs that it can see."""
        found: list[Refusal] = []
        for node in self._state.graph.nodes:
            if node.kind is Kind.FIRST_OF:
                found += self._refusals_of(self._state.beside(self._index, node.index))
        return Refusals(found)

    def _refusals_of(self, index: int) -> Iterator[Refusal]:
        state, slot = self._state, self._state.slots[index]
        for position, failed in enumerate(() if slot is None else slot.given_up):
            path, step = state.path_of(index), state.path_of(failed.step)
            yield Refusal(path, position, step, failed.cause, failed.message)
