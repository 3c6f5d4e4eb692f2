"""What a saga's journal amounts to, and the two walks over its tree.

Rules of this file: data and structure only. `fold` is the one that calls it; nothing here knows a
policy, a clock or a user's function. A step's numbers live in its `Slot`; the saga keeps counters so
that no question asked in `decide` needs a scan.
"""

from __future__ import annotations

from collections import deque

from msgspec import Raw

from ..limits import DEATHS_MAX, ERRORS_KEPT
from .events import NOTHING, Started, TurnedBack
from .graph import Graph, Kind, Node, Policy
from .transitions import ACTIVE, STEP_TRANSITIONS, STUCK, UNDECIDED, SagaStatus, StepStatus

_S = StepStatus
_IDLE, _ACTIVE, _STUCK = 0, 1, 2
_CLASS = {status: _ACTIVE if status in ACTIVE else _STUCK if status in STUCK else _IDLE for status in StepStatus}


class IllegalTransition(Exception):
    """An event that the tables do not allow in this state: a damaged journal, or a defect of ours."""


class Slot:
    """One node's state. Class attributes are the defaults, so that a plain step costs little memory."""

    status: StepStatus = _S.PENDING
    result: Raw | None = None
    attempts: int = 0  # attempts that count against the policy
    calls: int = 0  # all attempts begun, those cut off included
    first_at: int = 0  # when the first attempt's intent was journalled; the key's age starts here
    unknown: bool = False  # sticky: some attempt may have taken effect
    refused: bool = False  # a plain refusal after an unknown attempt: no more retries
    rejected: bool = False  # the last word was a rejection that proves "no effect"
    cut: bool = False  # the last attempt was cut off by our own end
    forced: bool = False  # an operator asked for the next call
    error: str = ""
    delay_ms: int = 0
    deaths: int = 0
    probes: int = 0
    probe_calls: int = 0
    probe_delay_ms: int = 0
    probed: bool = False  # the probe had its say since the last attempt of the action
    probe_failed: bool = False
    passed: bool = False  # it was passed, and its success came late: readers go on seeing None
    late: Raw | None = None  # a late success that waits for the running attempt's end
    undo_attempts: int = 0
    undo_calls: int = 0
    undo_first_at: int = 0
    undo_delay_ms: int = 0
    undo_error: str = ""
    undo_refused: bool = False
    undone: bool = False  # the walk backward has passed this leaf
    reason: str = ""  # why it is parked or owed
    sleep_due: int = 0
    cursor: int = 0  # SEQUENCE: the child reached last; CHOOSE: the branch taken
    remaining: int = 0  # PARALLEL: children not finished (or not undone) yet


class SagaState:
    """One saga, folded. Owned by whoever folds; `fold` changes it in place."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: tuple[Node, ...] = graph.nodes
        self.slots: list[Slot | None] = [None] * len(graph.nodes)
        self.status = SagaStatus.SCHEDULED
        self.started: Started | None = None
        self.saga_id = ""
        self.input: Raw = NOTHING
        self.seq = 0  # frames folded
        self.at = 0  # the time of the frame being folded
        self.deadline = 0
        self.deadline_passed = False
        self.paused = False
        self.held = ""
        self.back = False
        self.committed = False  # a pivot has succeeded: no way back
        self.pivot = -1  # the pivot whose action has begun
        self.failing: TurnedBack | None = None  # why the saga is about to turn back
        self.turned_back: TurnedBack | None = None
        self.cancelling = False  # a cancel waits for the pivot's outcome
        self.undoing = False
        self.walk_done = False  # the walk forward or backward has reached its end
        self.followup_failed = False
        self.anomalous = False
        self.finished = False  # nothing is left to do, follow-ups included
        self.agenda: dict[int, None] = {}  # nodes that need a decision, oldest first
        self.due: dict[int, int] = {}  # node -> its due time
        self.active = 0  # nodes ready, running, being settled or backing off
        self.stuck = 0  # nodes parked or owed
        self.skips = 0
        self.waits: dict[str, list[int]] = {}  # signal name -> waits that wait, or waited, for it
        self.signals: dict[str, deque[Raw]] = {}
        self.signal_ids: set[str] = set()
        self.deaths_max = DEATHS_MAX
        self.errors: deque[str] = deque(maxlen=ERRORS_KEPT)  # the journal keeps all

    @property
    def ended(self) -> bool:
        """Whether an end is durable (follow-ups may still run)."""
        return self.status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.CLOSED)

    def slot(self, index: int) -> Slot:
        """The slot of a node that the saga has reached."""
        slot = self.slots[index]
        if slot is None:
            raise IllegalTransition(f"saga {self.saga_id}: node {self.nodes[index].path} was never reached")
        return slot

    def status_of(self, index: int) -> StepStatus:
        """A node's status; `pending` when it was never reached."""
        slot = self.slots[index]
        return _S.PENDING if slot is None else slot.status

    def result_of(self, index: int) -> Raw | None:
        """What a reader of the node's result gets; None when it was not assigned."""
        slot = self.slots[index]
        if slot is None or slot.passed or slot.status is _S.PASSED:
            return None
        return slot.result

    def move(self, index: int, slot: Slot, event: str) -> None:
        """Take the table's transition, and keep the counters and the agenda true."""
        old = slot.status
        new = STEP_TRANSITIONS[old].get(event)
        if new is None:
            raise IllegalTransition(f"saga {self.saga_id}: {event} of {self.nodes[index].path} is illegal in {old}")
        slot.status = new
        was, now = _CLASS[old], _CLASS[new]
        if was != now:
            self.active += (now == _ACTIVE) - (was == _ACTIVE)
            self.stuck += (now == _STUCK) - (was == _STUCK)
        if new in UNDECIDED:
            self.agenda[index] = None
        elif old in UNDECIDED:
            self.agenda.pop(index, None)
        if self.due:
            self.due.pop(index, None)


def giver_of(state: SagaState) -> int:
    """The step or wait whose value is the saga's result, on the path that was taken; -1 for none."""
    index = state.graph.result
    while index >= 0:
        node, slot = state.nodes[index], state.slots[index]
        if slot is None or node.kind in (Kind.PARALLEL, Kind.SLEEP):
            return -1
        if node.kind is Kind.SEQUENCE:
            index = node.children[-1] if node.children else -1
        elif node.kind is Kind.CHOOSE:
            index = node.children[slot.cursor]
        elif node.kind is Kind.WAIT and slot.status is _S.TIMED_OUT:
            index = node.children[0] if node.children else -1
        else:
            return index
    return -1


def saga_result(state: SagaState) -> Raw:
    """The result of a completed saga, encoded; JSON null when nothing was assigned."""
    giver = giver_of(state)
    result = state.result_of(giver) if giver >= 0 else None
    return NOTHING if result is None else result


def stays(state: SagaState) -> list[int]:
    """The steps of a closed saga whose effect stays, or may stay."""
    found = []
    for index, slot in enumerate(state.slots):
        node = state.nodes[index]
        if slot is None or node.kind is not Kind.STEP or node.read_only or node.follow_up:
            continue
        maybe = slot.unknown and slot.status in (_S.SKIPPED, _S.PASSED)
        if (slot.status is _S.SKIPPED) if state.back else (maybe or slot.status is _S.SUCCEEDED):
            found.append(index)
    return found


def key_expired(policy: Policy, slot: Slot, at: int) -> bool:
    """Whether a call of the action at this time would use a key older than `key_ttl`."""
    return bool(policy.key_ttl_ms and slot.first_at) and at >= slot.first_at + policy.key_ttl_ms


def undo_key_expired(policy: Policy, slot: Slot, at: int) -> bool:
    """Whether a call of the compensation at this time would use a key older than `key_ttl`."""
    return bool(policy.key_ttl_ms and slot.undo_first_at) and at >= slot.undo_first_at + policy.key_ttl_ms


# --- the walk forward ----------------------------------------------------------------------------


def enter(state: SagaState, index: int) -> None:
    """Reach a node: its leaves become ready, an empty sequence is done at once."""
    node = state.nodes[index]
    slot = Slot()
    state.slots[index] = slot
    kind = node.kind
    if kind is Kind.SEQUENCE:
        if node.children:
            enter(state, node.children[0])
        else:
            done(state, index)
    elif kind is Kind.PARALLEL:
        slot.remaining = len(node.children)
        for child in node.children:
            enter(state, child)
    else:
        slot.status = _S.READY
        state.active += 1
        state.agenda[index] = None


def done(state: SagaState, index: int) -> None:
    """A subtree is finished going forward; reach what comes after it."""
    nodes = state.nodes
    if state.back and not nodes[index].follow_up:
        return
    while True:
        node = nodes[index]
        if node.parent < 0:
            state.walk_done = True
            return
        parent = nodes[node.parent]
        if parent.kind is Kind.SEQUENCE:
            following = node.position + 1
            if following < len(parent.children):
                state.slot(parent.index).cursor = following
                enter(state, parent.children[following])
                return
        elif parent.kind is Kind.PARALLEL:
            slot = state.slot(parent.index)
            slot.remaining -= 1
            if slot.remaining:
                return
        index = parent.index


# --- the walk backward ---------------------------------------------------------------------------


def begin_undo(state: SagaState) -> None:
    """Start the walk backward; every running attempt has its outcome."""
    state.undoing = True
    if undo(state, state.graph.root):
        state.walk_done = True


def owes(node: Node, slot: Slot) -> bool:
    """Whether turning back past this step must undo it (or park it, when it cannot be undone)."""
    if node.read_only or node.follow_up or node.kind is not Kind.STEP:
        return False
    if slot.status is _S.SUCCEEDED or slot.status is _S.UNKNOWN or (slot.status is _S.PASSED and slot.unknown):
        return node.compensation or not node.best_effort
    return False


def undo(state: SagaState, index: int) -> bool:
    """Walk backward into a subtree; True when there is nothing (left) to wait for in it."""
    node, slot = state.nodes[index], state.slots[index]
    if slot is None:
        return True
    kind = node.kind
    if kind is Kind.SEQUENCE:
        return _undo_sequence(state, node, slot, slot.cursor)
    if kind is Kind.PARALLEL:
        slot.remaining = sum(not undo(state, child) for child in reversed(node.children))
        return slot.remaining == 0
    if kind is Kind.CHOOSE:
        return slot.status is not _S.SUCCEEDED or undo(state, node.children[slot.cursor])
    if kind is Kind.WAIT:
        return slot.status is not _S.TIMED_OUT or not node.children or undo(state, node.children[0])
    if slot.undone or not owes(node, slot):
        slot.undone = True
        return True
    state.move(index, slot, "undo_entered")
    slot.forced = False  # it spoke of the action, and so did the deaths
    slot.deaths = 0
    return False


def _undo_sequence(state: SagaState, node: Node, slot: Slot, position: int) -> bool:
    while position >= 0 and node.children:
        slot.cursor = position
        if not undo(state, node.children[position]):
            return False
        position -= 1
    return True


def undone(state: SagaState, index: int) -> None:
    """A step's compensation was acknowledged or parked; go on with what came before it, once."""
    leaf = state.slot(index)
    if leaf.undone:
        return
    leaf.undone = True
    while True:
        node = state.nodes[index]
        if node.parent < 0:
            state.walk_done = True
            return
        parent, slot = state.nodes[node.parent], state.slot(node.parent)
        if parent.kind is Kind.SEQUENCE:
            if not _undo_sequence(state, parent, slot, node.position - 1):
                return
        elif parent.kind is Kind.PARALLEL:
            slot.remaining -= 1
            if slot.remaining:
                return
        index = parent.index
