"""The order of a saga's slots, worked out from its structure: what stands around what, and what comes first.

Rules of this file: it climbs from a slot to the root, and knows nothing of how the kernel walks.
"""

from __future__ import annotations

from ...core.graph import Kind
from ...core.places import block_of
from ...core.state import SagaState


def around(state: SagaState, slot: int) -> list[tuple[int, int]]:
    """The containers of a slot from the root on: each one's slot, and the place in it that leads down.

    The place is a child's position; in an EACH it is the item's number.
    """
    found = []
    while (node := state.nodes[slot]).parent >= 0:
        if state.graph.nodes[node.parent].kind is Kind.EACH:
            block = block_of(state.blocks, slot)
            above, place = block.each, (slot - block.first) // block.size
        else:
            above, place = node.parent + slot - node.index, node.position
        found.append((above, place))
        slot = above
    return found[::-1]


def precedes(state: SagaState, first: int, second: int) -> bool:
    """Whether `first` comes before `second`: in an earlier child of the SEQUENCE that both stand in."""
    for (one, place), (other, other_place) in zip(around(state, first), around(state, second), strict=False):
        if one != other:
            return False
        if place != other_place:
            return state.nodes[one].kind is Kind.SEQUENCE and place < other_place
    return False


def alternative(state: SagaState, first_of: int, position: int) -> int:
    """The slot of one alternative of a FIRST_OF."""
    node = state.nodes[first_of]
    return node.children[position] + first_of - node.index
