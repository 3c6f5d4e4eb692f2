"""What a saga's journal amounts to.

Rules of this file: data only, and the questions about it. `fold` and the walks (`walk.py`) change it;
nothing here knows a policy, a clock or a user's function. A step's numbers live in its `Slot`; the saga
keeps counters so that no question asked in `decide` needs a scan.

Slots and nodes: `nodes[slot]` is the node that a slot is a copy of, and its `index`, `parent` and
`children` are the graph's. Where a function takes `index`, a slot is meant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

from msgspec import Raw

from ..limits import DEATHS_MAX, ERRORS_KEPT
from .events import NOTHING, AlternativeFailed, Started, TurnedBack
from .graph import Graph, Kind, Node, Policy
from .members import members
from .places import Block, block_of, path_of, split
from .transitions import ACTIVE, ENDS, STEP_TRANSITIONS, STUCK, UNDECIDED, SagaStatus, StepStatus

_G = members(SagaStatus)
_K = members(Kind)
_S = members(StepStatus)
_NONE: Mapping[Any, Any] = MappingProxyType({})
_COMPOSITE = frozenset({_K.CALL, _K.FIRST_OF})  # whose value is that of a node below


def _move_of(old: StepStatus, new: StepStatus) -> tuple[StepStatus, int, int, int]:
    """A transition with what it does to the counters and the agenda (1: enters it, -1: leaves it)."""
    agenda = 1 if new in UNDECIDED else -1 if old in UNDECIDED else 0
    return new, (new in ACTIVE) - (old in ACTIVE), (new in STUCK) - (old in STUCK), agenda


# The table of transitions, with all that follows from a transition looked up at once.
_MOVES = {old: {event: _move_of(old, new) for event, new in row.items()} for old, row in STEP_TRANSITIONS.items()}


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
    remaining: int = 0  # PARALLEL and EACH: children (items) not finished, or not undone, yet
    block: Block | None = None  # EACH: its items' slots
    items: list[Raw] | None = None  # EACH: the items; the list of their values is its `result`, if somebody reads it
    limit: int = 0  # EACH: how many run at a time
    input: Raw | None = None  # CALL: what the called saga's functions take as their input
    active: int = 0  # FIRST_OF: the alternative's nodes that are ready, running, being settled or backing off
    stuck: int = 0  # FIRST_OF: the alternative's nodes that are parked or owed
    given_up: tuple[AlternativeFailed, ...] = ()  # FIRST_OF: why alternatives failed, in their order
    poll: str = ""  # the function that asks for what was accepted; "" for the call itself
    poll_until: int = 0  # when the asking is given up; 0 before the first acceptance
    poll_error: str = ""  # why the last poll failed; "" when it was answered
    every_ms: int = 0
    token: Raw = NOTHING  # what to ask by


class SagaState:
    """One saga, folded. Owned by whoever folds; `fold` changes it in place."""

    # Class attributes are the defaults: a saga holds only what is different in it, which makes a new one cheap and
    # a waiting one small. Containers among them are replaced when first written to.
    status: SagaStatus = _G.SCHEDULED
    started: Started | None = None
    saga_id: str = ""
    input: Raw = NOTHING
    seq: int = 0  # frames folded
    at: int = 0  # the time of the frame being folded
    deadline: int = 0
    deadline_passed: bool = False
    paused: bool = False
    held: str = ""
    back: bool = False
    committed: bool = False  # a pivot has succeeded: no way back
    pivot: int = -1  # the pivot whose action has begun
    failing: TurnedBack | None = None  # why the saga is about to turn back
    turned_back: TurnedBack | None = None
    cancelling: bool = False  # a cancel waits for the pivot's outcome
    undoing: bool = False
    walk_done: bool = False  # the walk forward or backward has reached its end
    followup_failed: bool = False
    anomalous: bool = False
    finished: bool = False  # nothing is left to do, follow-ups included
    active: int = 0  # nodes ready, running, being settled or backing off
    stuck: int = 0  # nodes parked or owed
    skips: int = 0
    waits: Mapping[str, list[int]] = _NONE  # signal name -> waits that wait for it, and some that did
    signals: Mapping[str, deque[Raw]] = _NONE
    signal_ids: Set[str] = frozenset()
    deaths_max: int = DEATHS_MAX
    errors: Sequence[str] = ()  # the last ones; the journal keeps all
    blocks: Sequence[Block] = ()  # of each EACH whose items are known
    alternatives: Mapping[int, AlternativeFailed] = _NONE  # FIRST_OFs that are about to give up an alternative
    leaving: Mapping[int, None] = _NONE  # FIRST_OFs that undo what an alternative did
    quiet: Sequence[int] = ()  # of these, those in which nothing moves any more, to be looked at next

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: Sequence[Node] = graph.nodes  # one per slot
        self.slots: list[Slot | None] = [None] * len(graph.nodes)
        self.agenda: dict[int, None] = {}  # nodes that need a decision, oldest first
        self.due: dict[int, int] = {}  # node -> its due time

    @property
    def ended(self) -> bool:
        """Whether an end is durable (follow-ups may still run)."""
        return self.status in ENDS

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
        node = self.nodes[index]
        if node.kind in _COMPOSITE:
            return value_of(self, index)
        return list_of(self, index) if node.kind is _K.EACH and not node.read else slot.result

    def note_error(self, line: str) -> None:
        """Keep an error's line; of many the last ones."""
        if not isinstance(self.errors, deque):
            self.errors = deque(maxlen=ERRORS_KEPT)
        self.errors.append(line)

    # --- slots and nodes ---------------------------------------------------------------------------

    def policy_of(self, index: int) -> Policy:
        """The tuning of a slot's node."""
        return self.graph.policies[self.nodes[index].index]

    def path_of(self, index: int) -> str:
        """The path of a slot, its items' numbers included."""
        return path_of(self.graph.paths, self.blocks, index)

    def find(self, path: str) -> int:
        """The slot at a path such as `reserve[3]`; -1 when there is none (yet)."""
        template, numbers = split(path)
        index = self.graph.find(template)
        around: list[int] = []
        parent = self.graph.nodes[index].parent if index >= 0 else -1
        while parent >= 0:
            if self.graph.nodes[parent].kind is _K.EACH:
                around.append(parent)
            parent = self.graph.nodes[parent].parent
        if len(around) != len(numbers):
            return -1
        shift = 0
        for each, number in zip(reversed(around), numbers, strict=True):
            slot = self.slots[each + shift]
            if slot is None or slot.block is None or number >= slot.block.count:
                return -1
            shift = slot.block.first + number * slot.block.size - slot.block.body
        return index + shift

    def beside(self, index: int, node: int) -> int:
        """The slot of a node as the node at slot `index` sees it: of its own item, if they share one."""
        while index >= len(self.graph.nodes):
            block = block_of(self.blocks, index)
            if block.body <= node < block.body + block.size:
                return node + index - self.nodes[index].index
            index = block.each
        return node

    def item_at(self, index: int, each: int) -> Raw:
        """The item of the EACH node `each` that slot `index` belongs to. Raises LookupError."""
        while True:
            block = block_of(self.blocks, index)
            if self.nodes[block.each].index == each:
                items = self.slot(block.each).items
                assert items is not None
                return items[(index - block.first) // block.size]
            index = block.each

    def input_at(self, index: int, call: int) -> Raw:
        """The input that a function at slot `index` takes: the saga's, or that of the CALL node `call`."""
        if call < 0:
            return self.input
        given = self.slot(self.beside(index, call)).input
        assert given is not None, "a CALL is entered before its nodes"
        return given

    def subtree(self, index: int) -> Iterator[int]:
        """The slots below and of a node, in the order of the graph, the items of an EACH included."""
        shift = index - self.nodes[index].index
        node = self.nodes[index].index
        end = node + self.graph.sizes[node]
        while node < end:
            slot = self.slots[node + shift]
            yield node + shift
            if self.nodes[node].kind is _K.EACH:
                if slot is not None and slot.block is not None:
                    for item in range(slot.block.count):
                        yield from self.subtree(slot.block.first + item * slot.block.size)
                node += self.graph.sizes[node]
            else:
                node += 1

    # --- what turns back ---------------------------------------------------------------------------

    def turned(self, index: int) -> bool:
        """Whether the node is on its way back: with the whole saga, or with an alternative of a FIRST_OF."""
        if self.back:
            return True
        return bool(self.leaving) and any(around in self.leaving for around in self.around(index))

    def around(self, index: int) -> Iterator[int]:
        """The slots of the FIRST_OFs around a slot, the nearest first."""
        around = self.graph.first_of
        while around and (node := around[self.nodes[index].index]) >= 0:
            index = self.beside(index, node)
            yield index

    def pending(self, index: int) -> deque[Raw] | None:
        """The signals that a wait may consume: those sent to its own path, else those to its name."""
        own = self.signals.get(self.path_of(index))
        return own or self.signals.get(self.nodes[index].signal)

    # --- transitions -------------------------------------------------------------------------------

    def move(self, index: int, slot: Slot, event: str) -> None:
        """Take the table's transition, and keep the counters and the agenda true."""
        found = _MOVES[slot.status].get(event)
        if found is None:
            raise IllegalTransition(
                f"saga {self.saga_id}: {event} of {self.path_of(index)} is illegal in {slot.status}"
            )
        slot.status, active, stuck, agenda = found
        if active or stuck:
            self.active += active
            self.stuck += stuck
            if self.graph.first_of:
                self.count_around(index, active, stuck)
        if agenda > 0:
            self.agenda[index] = None
        elif agenda:
            self.agenda.pop(index, None)
        if self.due:
            self.due.pop(index, None)

    def count_around(self, index: int, active: int, stuck: int) -> None:
        """Keep the counters of the FIRST_OFs around a slot true."""
        for around in self.around(index):
            scope = self.slot(around)
            scope.active += active
            scope.stuck += stuck
            if not scope.active and scope.status is _S.UNDOING:
                self.quiet = (*self.quiet, around)


def giver_of(state: SagaState) -> int:
    """The step, wait or EACH whose value is the saga's result, on the path that was taken; -1 for none."""
    return _giver(state, state.graph.result) if state.graph.result >= 0 else -1


def _giver(state: SagaState, index: int) -> int:
    """The slot of the step, wait or EACH that gives the value of slot `index`; -1 for none."""
    while index >= 0:
        node, slot = state.nodes[index], state.slots[index]
        kind, shift = node.kind, index - node.index
        if slot is None or kind is _K.PARALLEL or kind is _K.SLEEP:
            return -1
        if kind is _K.STEP:
            return index
        if kind is _K.SEQUENCE:
            index = node.children[-1] + shift if node.children else -1
        elif kind is _K.CHOOSE or kind is _K.FIRST_OF:
            index = node.children[slot.cursor] + shift
        elif kind is _K.CALL:
            result = state.graph.results.get(node.index, -1)
            index = result + shift if result >= 0 else -1
        elif kind is _K.WAIT and slot.status is _S.TIMED_OUT:
            index = node.children[0] + shift if node.children else -1
        else:
            return index
    return -1


def value_of(state: SagaState, index: int) -> Raw | None:
    """The value of the node at slot `index`; None when it has none."""
    giver = _giver(state, index)
    return state.result_of(giver) if giver >= 0 else None


def list_of(state: SagaState, index: int) -> Raw | None:
    """The list of an EACH, made of its items' values, which must all be there."""
    block = state.slot(index).block
    if block is None:
        return None
    items = (value_of(state, block.first + item * block.size) or NOTHING for item in range(block.count))
    return Raw(b"[" + b",".join(map(bytes, items)) + b"]")


def saga_result(state: SagaState) -> Raw:
    """The result of a completed saga, encoded; JSON null when nothing was assigned."""
    result = value_of(state, state.graph.result) if state.graph.result >= 0 else None
    return NOTHING if result is None else result


def stays(state: SagaState) -> list[int]:
    """The steps of a closed saga whose effect stays, or may stay."""
    found = []
    for index, slot in enumerate(state.slots):
        node = state.nodes[index]
        if slot is None or node.kind is not _K.STEP or node.read_only or node.follow_up:
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
