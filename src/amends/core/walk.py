"""The two walks over a saga's tree: what is reached next, and what is undone next.

Rules of this file:
  * a part of `fold`, and bound by its rules: it decides nothing, it follows the structure.
  * the walk backward is the walk forward reversed: from the right, concurrent where the graph was
    concurrent, an `each` with as many items at a time as forward.
  * a FIRST_OF turns back by itself: what one alternative did is undone by the very same walk, which
    ends at the FIRST_OF. When the whole saga turns back meanwhile, that walk goes on to its end, and
    the saga's own begins where it finds everything settled.
  * a walk costs what it reaches; nothing here scans the graph.
"""

from __future__ import annotations

from collections.abc import Sequence

from .events import AlternativeFailed, TurnedBack
from .graph import Kind, Node
from .members import members
from .places import Block, block_of
from .state import SagaState, Slot, list_of
from .transitions import StepStatus

_K = members(Kind)
_S = members(StepStatus)
_DROPPED = frozenset({_S.READY, _S.WAITING, _S.RETRYING, _S.ACCEPTED})

# --- forward -------------------------------------------------------------------------------------


def enter(state: SagaState, index: int) -> None:
    """Reach a node: its leaves become ready, an empty sequence is done at once."""
    node = state.nodes[index]
    slot = Slot()
    state.slots[index] = slot
    kind = node.kind
    if kind is _K.SEQUENCE:
        if node.children:
            enter(state, node.children[0] + index - node.index)
        else:
            done(state, index)
    elif kind is _K.PARALLEL:
        slot.remaining = len(node.children)
        for child in node.children:
            enter(state, child + index - node.index)
    else:
        slot.status = _S.READY
        state.active += 1
        state.agenda[index] = None
        if state.graph.first_of:
            state.count_around(index, 1, 0)


def list_items(state: SagaState, index: int, block: Block) -> None:
    """The items of an EACH are known: give each its slots, and reach the first of them."""
    slot = state.slot(index)
    slot.block = block
    slot.remaining = block.count
    if isinstance(state.blocks, list):
        state.blocks.append(block)
    else:
        state.blocks = [block]
    size = block.size * block.count
    state.slots.extend([None] * size)
    if not isinstance(state.nodes, list):
        state.nodes = list(state.nodes)
    state.nodes.extend(state.graph.nodes[block.body : block.body + block.size] * block.count)
    while slot.cursor < block.count and slot.cursor < slot.limit:
        slot.cursor += 1
        enter(state, block.first + (slot.cursor - 1) * block.size)
    if not block.count:
        _all_items_done(state, index, slot)
        done(state, index)


def done(state: SagaState, index: int) -> None:
    """A subtree is finished going forward; reach what comes after it."""
    nodes = state.nodes
    if (state.back or state.leaving) and not nodes[index].follow_up and state.turned(index):
        return
    while True:
        node = nodes[index]
        if node.parent < 0:
            state.walk_done = True
            return
        parent = nodes[node.parent]
        kind = parent.kind
        above = node.parent + index - node.index  # the parent's own slot; but of an item, whose slots stand elsewhere
        if kind is _K.SEQUENCE:
            following = node.position + 1
            if following < len(parent.children):
                state.slot(above).cursor = following
                enter(state, parent.children[following] + above - parent.index)
                return
        elif kind is _K.PARALLEL:
            slot = state.slot(above)
            slot.remaining -= 1
            if slot.remaining:
                return
        elif kind is _K.EACH:
            above = block_of(state.blocks, index).each
            if not _item_done(state, above):
                return
        index = above


def _item_done(state: SagaState, index: int) -> bool:
    """One item of an EACH is finished: reach the next one; True when it was the last."""
    slot = state.slot(index)
    block = slot.block
    assert block is not None
    slot.remaining -= 1
    if slot.cursor < block.count:
        slot.cursor += 1
        enter(state, block.first + (slot.cursor - 1) * block.size)
        return False
    if slot.remaining:
        return False
    _all_items_done(state, index, slot)
    return True


def _all_items_done(state: SagaState, index: int, slot: Slot) -> None:
    """Keep the list for those who read it: each would make it anew, and not see whether it is whole."""
    if state.nodes[index].read:
        slot.result = list_of(state, index)


def fail(state: SagaState, index: int, slot: Slot, cause: str) -> None:
    """A node ended in a way that turns back: the alternative that it stands in, or the whole saga."""
    if state.nodes[index].follow_up:
        state.followup_failed = True
        done(state, index)
        return
    if state.failing is not None or state.turned(index):
        return
    for around in state.around(index):
        if state.slot(around).cursor + 1 < len(state.nodes[around].children):
            if around not in state.alternatives:
                if not isinstance(state.alternatives, dict):
                    state.alternatives = {}
                state.alternatives[around] = AlternativeFailed(around, cause, index, slot.error)
            return
    if state.cancelling:
        cause = "cancelled"
    state.failing = TurnedBack(cause, index, slot.error)


# --- backward ------------------------------------------------------------------------------------


def give_up(state: SagaState, index: int, slot: Slot) -> None:
    """A node is on its way back: nothing of it begins any more, and what was accepted may take effect."""
    if slot.status in _DROPPED:
        if slot.status is _S.ACCEPTED:
            slot.unknown = not state.nodes[index].read_only
        state.move(index, slot, "TurnedBack")
    elif slot.status is _S.PARKED:
        state.move(index, slot, "TurnedBack:unknown" if slot.unknown else "TurnedBack")
    elif state.nodes[index].kind is _K.FIRST_OF:
        forget(state, index)
        if slot.status is _S.UNDOING:
            state.move(index, slot, "TurnedBack")
        elif slot.status is _S.SETTLING:
            state.move(index, slot, "TurnedBack:first_of")


def forget(state: SagaState, index: int) -> None:
    """A FIRST_OF has nothing to give up any more."""
    if isinstance(state.alternatives, dict):
        state.alternatives.pop(index, None)
    if isinstance(state.leaving, dict):
        state.leaving.pop(index, None)


def leave(state: SagaState, index: int) -> None:
    """A FIRST_OF gave up an alternative: what that did is to be undone."""
    if not isinstance(state.leaving, dict):
        state.leaving = {}
    state.leaving[index] = None
    state.quiet = (*state.quiet, index)


def begin_undo(state: SagaState) -> None:
    """Start the walk backward; every running attempt has its outcome."""
    state.undoing = True
    if undo(state, state.graph.root):
        state.walk_done = True


def undo_alternatives(state: SagaState) -> None:
    """Start the walk backward in each alternative that was given up and in which nothing runs any more, or end it.

    The walk is over when nothing moves: also nothing that was owed and that a person had called again.
    """
    while state.quiet:
        quiet, state.quiet = state.quiet, ()
        for index in quiet:
            slot = state.slot(index)
            if slot.status is _S.UNDOING and not slot.active:
                begun, slot.undone = slot.undone, True
                if begun or undo(state, _alternative(state, index, slot)):
                    state.move(index, slot, "alternative_undone")


def _alternative(state: SagaState, index: int, slot: Slot) -> int:
    """The slot of the alternative that a FIRST_OF tries, or tried last."""
    node = state.nodes[index]
    return node.children[slot.cursor] + index - node.index


def owes(node: Node, slot: Slot) -> bool:
    """Whether turning back past this step must undo it (or park it, when it cannot be undone)."""
    if node.read_only or node.follow_up or node.kind is not _K.STEP:
        return False
    if slot.status is _S.SUCCEEDED or slot.status is _S.UNKNOWN or (slot.status is _S.PASSED and slot.unknown):
        return node.compensation or not node.best_effort
    return False


def undo(state: SagaState, index: int) -> bool:
    """Walk backward into a subtree; True when there is nothing (left) to wait for in it."""
    node, slot = state.nodes[index], state.slots[index]
    if slot is None:
        return True
    kind, shift = node.kind, index - node.index
    if kind is _K.STEP:
        if slot.undone or not owes(node, slot):
            slot.undone = True
            return True
        state.move(index, slot, "undo_entered")
        slot.forced = False  # it spoke of the action, and so did the deaths and the poll
        slot.deaths = slot.poll_until = 0
        return False
    if kind is _K.SEQUENCE:
        return _undo_sequence(state, node, shift, slot, slot.cursor)
    if kind is _K.PARALLEL:
        slot.remaining = sum(not undo(state, child + shift) for child in reversed(node.children))
        return slot.remaining == 0
    if kind is _K.WAIT:
        return slot.status is not _S.TIMED_OUT or not node.children or undo(state, node.children[0] + shift)
    if kind is _K.EACH:
        slot.remaining = 0
        slot.cursor = 0 if slot.block is None else slot.block.count  # an earlier walk may have broken off at an item
        return _undo_items(state, slot)
    if kind is _K.SLEEP or slot.status not in (_S.SUCCEEDED, _S.FAILED):
        return True
    return undo(state, node.children[slot.cursor] + shift)  # CHOOSE, FIRST_OF and CALL (whose cursor stays 0)


def _undo_sequence(state: SagaState, node: Node, shift: int, slot: Slot, position: int) -> bool:
    while position >= 0 and node.children:
        slot.cursor = position
        if not undo(state, node.children[position] + shift):
            return False
        position -= 1
    return True


def _undo_items(state: SagaState, slot: Slot) -> bool:
    """Undo the items from the last, as many at a time as ran forward; True when none is left."""
    block = slot.block
    while block is not None and slot.cursor > 0 and slot.remaining < slot.limit:
        slot.cursor -= 1
        if not undo(state, block.first + slot.cursor * block.size):
            slot.remaining += 1
    return slot.remaining == 0


def undone(state: SagaState, index: int) -> None:
    """A step's compensation was acknowledged or parked; go on with what came before it, once."""
    leaf = state.slot(index)
    if leaf.undone:
        return
    leaf.undone = True
    nodes: Sequence[Node] = state.nodes
    while True:
        node = nodes[index]
        if node.parent < 0:
            state.walk_done = True
            return
        parent = nodes[node.parent]
        if parent.kind is _K.EACH:
            above = block_of(state.blocks, index).each
            slot = state.slot(above)
            slot.remaining -= 1
            if not _undo_items(state, slot):
                return
        else:
            above = node.parent + index - node.index
            slot = state.slot(above)
            if parent.kind is _K.SEQUENCE:
                if not _undo_sequence(state, parent, above - parent.index, slot, node.position - 1):
                    return
            elif parent.kind is _K.PARALLEL:
                slot.remaining -= 1
                if slot.remaining:
                    return
            elif parent.kind is _K.FIRST_OF and (slot.status is _S.UNDOING or not _walks_on(state, above)):
                return  # at its end; or what is around it turned back meanwhile, and the walk there comes by here
        index = above


def _walks_on(state: SagaState, index: int) -> bool:
    """Whether the walk that is at this FIRST_OF began outside of it."""
    return state.undoing or any(around in state.leaving and state.slot(around).undone for around in state.around(index))
