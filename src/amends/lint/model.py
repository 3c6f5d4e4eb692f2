"""The model check: every way that a saga can take through its graph, and what then stays that should not.

    found = explore(place_order)

Each action succeeds, is refused, or leaves its outcome unknown after it took effect or without one; its process may
die as well. Each compensation is acknowledged, called again, or refused for good. What may be `Accepted`, by its
annotation, is: and is finished, refused, or not finished in its time. A key with a `key_ttl` gets too old while the
saga waits to call again. The deadline and a cancel come at every point. What is looked for is an effect that stays
because of the definition, and not because its compensation was refused. The first story that is found of each kind is
a shortest one, for states are visited by their distance.

Rules of this file: the world (which effects landed) is kept here and the saga in the kernel; neither looks into the
other, but for a key that is made older. Two states that differ only in times, in numbers of calls, or in how they were
reached are one. Attempts are two for each call, polls as well, and one compensation at most is refused for good or not
finished in its time: that is what *every* means here.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import msgspec

from ..core.accepted import Accepted
from ..core.decide import next_due
from ..core.definition import Saga
from ..core.graph import Graph, Kind, Node, Policy
from ..core.state import SagaState, Slot
from ..core.transitions import SagaStatus, StepStatus
from ..errors import Conflict
from ..limits import MODEL_STATES_MAX
from ..policies.retry import Retry
from .driving import START, Answer, Driver

_S = StepStatus
_TWICE = Retry(attempts=2, base="1ms", cap="1ms", jitter="none")  # far below any deadline
_ONCE = Retry(attempts=1)
_POLLED = (1, 2)  # asked after twice, as soon as a retry comes
_AGE_MS = 1_000_000_000  # of a key that gets too old: far more than passes otherwise
_STAYS = {
    "no_compensation": "{path} has no compensation, so what it did stays",
    "result_missing": "the compensation of {path} cannot take None for its result, so what it did stays",
}  # reasons for which the definition, and nobody else, keeps a compensation from being called


@dataclass(frozen=True)
class Story:
    """How an effect comes to stay: the path of its step, and what happens, in order."""

    step: str
    told: tuple[str, ...]

    def __str__(self) -> str:
        return " → ".join(self.told)


@dataclass(frozen=True)
class Explored:
    """What was found: the shortest story for each effect and reason; `whole` unless states were left out."""

    name: str
    version: int
    stories: tuple[Story, ...]
    states: int
    whole: bool


Accepting: TypeAlias = frozenset[tuple[int, str]]  # the functions that may answer so: (node, role)


@dataclass(frozen=True, slots=True)
class _Way:
    """The last move that led to a state, and those before it: kept without the states, which are large."""

    before: _Way | None
    said: str


@dataclass(frozen=True, slots=True)
class _At:
    """One state of saga and world, and how it was reached."""

    driver: Driver
    landed: frozenset[int] = frozenset()
    accepting: Accepting = frozenset()
    refused: bool = False  # a compensation was, and no other one is
    cancelled: bool = False
    way: _Way | None = None

    def told(self) -> tuple[str, ...]:
        said, way = [], self.way
        while way is not None:
            said.append(way.said)
            way = way.before
        return tuple(each for each in reversed(said) if each)


def explore(saga: Saga[Any, Any], *, states_max: int = MODEL_STATES_MAX) -> Explored:
    """Walk every way through a definition. Nothing of it is run.

    Parameters:
        saga: what `Saga(...)` made.
        states_max: how many states are visited at most.
    """
    graph = msgspec.structs.replace(saga.graph, policies=tuple(map(_plain, saga.graph.policies)))
    stories: dict[tuple[int, str], Story] = {}
    visited, whole, accepting = 0, True, _accepting(saga)
    for branches in _branches(graph):
        waiting = deque([_At(Driver(graph, branch=branches, polled=_POLLED), accepting=accepting)])
        seen = {_signature(waiting[0])}
        while waiting and visited < states_max:
            at = waiting.popleft()
            visited += 1
            for key, story in _bad(at):
                if key not in stories or len(story.told) < len(stories[key].told):
                    stories[key] = story
            for following in _moves(at):
                signature = _signature(following)
                if signature not in seen:
                    seen.add(signature)
                    waiting.append(following)
        if waiting:
            whole = False
            break
    return Explored(saga.name, saga.version, tuple(stories.values()), visited, whole)


def _plain(policy: Policy) -> Policy:
    return msgspec.structs.replace(
        policy,
        retry=_TWICE,
        compensation_retry=_TWICE,
        probe_retry=_ONCE,
        key_ttl_ms=_AGE_MS if policy.key_ttl_ms else 0,
    )  # fmt: skip


def _accepting(saga: Saga[Any, Any]) -> Accepting:
    """By what they say that they return; an annotation may be a text, and is not resolved."""
    found = set()
    for index, binding in enumerate(saga.bindings):
        for role, called in (("action", binding.action), ("compensation", binding.compensation)):
            returns = getattr(called.function, "__annotations__", {}).get("return") if called is not None else None
            if Accepted.__name__ in str(returns):
                found.add((index, role))
    return frozenset(found)


def _branches(graph: Graph) -> Iterator[Callable[[Node], int]]:
    """Every way to take the branches of the graph."""
    chooses = [node for node in graph.nodes if node.kind is Kind.CHOOSE]
    for taken in itertools.product(*(range(len(node.children)) for node in chooses)):
        yield _taking({node.index: branch for node, branch in zip(chooses, taken, strict=True)})


def _taking(taken: Mapping[int, int]) -> Callable[[Node], int]:
    return lambda node: taken[node.index]


# --- what stays ----------------------------------------------------------------------------------


def _bad(at: _At) -> Iterator[tuple[tuple[int, str], Story]]:
    """The effects that stay in a state where nothing moves by itself any more."""
    state = at.driver.state
    if state.status is SagaStatus.REQUIRES_MANUAL:
        for index in at.landed:
            slot = state.slot(index)
            if slot.status is _S.OWED and slot.reason in _STAYS:
                path = state.path_of(index)
                told = (*at.told(), _STAYS[slot.reason].format(path=path))
                yield (state.nodes[index].index, slot.reason), Story(path, told)
    elif state.status is SagaStatus.COMPENSATED:
        for index in at.landed:
            node = state.nodes[index]
            if node.compensation or not node.best_effort:
                path = state.path_of(index)
                yield (node.index, "compensated"), Story(path, (*at.told(), f"it ends compensated, and {path} stays"))


# --- what may happen -----------------------------------------------------------------------------


def _moves(at: _At) -> Iterator[_At]:
    state = at.driver.state
    if state.ended or state.status is SagaStatus.REQUIRES_MANUAL:
        return
    for slot in at.driver.calls:
        status = state.status_of(slot)
        if status is _S.RUNNING:
            yield from _of_an_action(at, slot)
        elif status in (_S.POLLING, _S.UNDO_POLLING):
            yield from _of_a_poll(at, slot)
        elif status is _S.PROBING:
            yield from _of_a_probe(at, slot)
        else:
            yield from _of_a_compensation(at, slot)
    for slot in at.driver.waits:
        yield from _of_a_wait(at, slot)
    yield from _from_outside(at)


def _answered(at: _At, slot: int, answer: Answer, said: str, *, landed: bool | None = None, **more: Any) -> _At:
    """What follows when a call is answered so; `landed` says what became of the effect, None: nothing new."""
    driver = at.driver.fork()
    driver.tell(driver.answer(slot, answer))
    effects = at.landed if landed is None else at.landed | {slot} if landed else at.landed - {slot}
    return replace(at, driver=driver, landed=effects, way=_Way(at.way, said), **more)


def _of_an_action(at: _At, slot: int) -> Iterator[_At]:
    state = at.driver.state
    node, path = state.nodes[slot], state.path_of(slot)
    has_effect = None if node.read_only else True
    yield _answered(at, slot, Answer.SUCCEEDS, f"{path} succeeds", landed=has_effect)
    yield _answered(at, slot, Answer.REJECTED, f"{path} is refused")
    if (node.index, "action") in at.accepting:
        yield _answered(at, slot, Answer.ACCEPTED, f"{path} is accepted")
    again = slot in at.landed
    if _may_land(state, slot):
        when = "again" if again else "after it took effect"
        yield _answered(at, slot, Answer.UNKNOWN, f"{path} times out {when}", landed=True)
        yield _answered(at, slot, Answer.CUT, f"the process dies after {path} took effect", landed=True)
    if not again:
        yield _answered(at, slot, Answer.UNKNOWN, f"{path} times out without effect")
        yield _answered(at, slot, Answer.CUT, f"the process dies before {path} took effect")


def _may_land(state: SagaState, slot: int) -> bool:
    """Whether it may take effect although no success is journalled."""
    node = state.nodes[slot]
    return not (node.read_only or node.index in state.graph.atomic)


def _of_a_probe(at: _At, slot: int) -> Iterator[_At]:
    path = at.driver.state.path_of(slot)
    if slot in at.landed:
        yield _answered(at, slot, Answer.SUCCEEDS, f"the probe of {path} finds it")
        yield _answered(at, slot, Answer.UNKNOWN, f"the probe of {path} fails")
    else:
        yield _answered(at, slot, Answer.NOT_YET, f"the probe of {path} finds nothing")


def _of_a_poll(at: _At, slot: int) -> Iterator[_At]:
    state = at.driver.state
    path, undo = state.path_of(slot), state.status_of(slot) is _S.UNDO_POLLING
    what = f"the compensation of {path}" if undo else path
    has_effect = None if state.nodes[slot].read_only else not undo
    yield _answered(at, slot, Answer.SUCCEEDS, f"{what} is finished", landed=has_effect)
    last = undo and state.slot(slot).poll_until <= at.driver.now + _POLLED[0]  # then a person ends it, as if refused
    if not (last and at.refused):
        yield _answered(at, slot, Answer.NOT_YET, f"{what} is not finished", refused=at.refused or last)
    if not undo and slot not in at.landed:
        yield _answered(at, slot, Answer.REJECTED, f"{what} is refused in the end")
        if has_effect:
            said = f"{what} is said not to be finished after it took effect"
            yield _answered(at, slot, Answer.NOT_YET, said, landed=True)
    if undo and not at.refused:
        yield _answered(at, slot, Answer.REJECTED, f"{what} is refused in the end", refused=True)


def _of_a_compensation(at: _At, slot: int) -> Iterator[_At]:
    state = at.driver.state
    path = state.path_of(slot)
    yield _answered(at, slot, Answer.SUCCEEDS, f"{path} is undone", landed=False)
    if (state.nodes[slot].index, "compensation") in at.accepting:
        yield _answered(at, slot, Answer.ACCEPTED, f"the compensation of {path} is accepted")
    if not state.slot(slot).undo_attempts:
        yield _answered(at, slot, Answer.UNKNOWN, f"the compensation of {path} fails, and is called again")
    if not at.refused:
        yield _answered(at, slot, Answer.REJECTED, f"the compensation of {path} is refused", refused=True)


def _told(at: _At, said: str, happen: Callable[[Driver], object], landed: frozenset[int] = frozenset()) -> _At:
    driver = at.driver.fork()
    happen(driver)
    return replace(at, driver=driver, landed=at.landed | landed, way=_Way(at.way, said))


def _of_a_wait(at: _At, slot: int) -> Iterator[_At]:
    state = at.driver.state
    path = state.path_of(slot)
    if state.nodes[slot].kind is Kind.SLEEP:
        yield _told(at, "", lambda driver: driver.wake(slot))
        return
    yield _told(at, f"{path} comes", lambda driver: driver.signal(slot))
    if state.policy_of(slot).wait_ms:
        yield _told(at, f"{path} does not come in time", lambda driver: driver.time_out(slot))


def _from_outside(at: _At) -> Iterator[_At]:
    """Retries that come due, keys that get too old, the deadline, a cancel."""
    state = at.driver.state
    for slot in state.due:
        if state.policy_of(slot).key_ttl_ms and (of := _KEYS.get(state.status_of(slot))):
            undo = of == "undo_first_at"  # then a person ends it, as if refused
            if getattr(state.slot(slot), of) >= START and not (undo and at.refused):
                told = f"the key of {'the compensation of ' if undo else ''}{state.path_of(slot)} gets too old"
                aged = _told(at, told, lambda driver, slot=slot, of=of: _age(driver.state.slot(slot), of))  # type: ignore[misc]
                yield replace(aged, refused=at.refused or undo)
    if state.due and next_due(state) != state.deadline:
        yield _told(at, "", lambda driver: driver.wait())
    if state.deadline and not (state.deadline_passed or state.back or state.ended):
        yield from _deadline(at)
    if not (at.cancelled or state.back):
        driver = at.driver.fork()
        try:
            driver.cancel()
        except Conflict:
            return
        yield replace(at, driver=driver, cancelled=True, way=_Way(at.way, "it is cancelled"))


_KEYS = {
    _S.RETRYING: "first_at",
    _S.ACCEPTED: "first_at",
    _S.PROBE_RETRYING: "first_at",
    _S.UNDO_RETRYING: "undo_first_at",
    _S.UNDO_ACCEPTED: "undo_first_at",
}  # fmt: skip -- which key a saga waits to call again with


def _age(slot: Slot, of: str) -> None:
    """A key gets old by being older, and not by time that would pass for all others as well."""
    setattr(slot, of, getattr(slot, of) - 2 * _AGE_MS)


def _deadline(at: _At) -> Iterator[_At]:
    """It cuts the actions that run, and each of those may have taken effect or not: all have, or none."""
    state = at.driver.state
    running = [slot for slot in at.driver.calls if state.status_of(slot) is _S.RUNNING and not state.committed]
    cut = [slot for slot in running if not state.nodes[slot].pivot]
    yield _told(at, "the deadline passes", Driver.pass_deadline)
    able = sorted(
        slot for slot in cut if not state.nodes[slot].read_only and state.nodes[slot].index not in state.graph.atomic
    )
    if able:
        paths = " and ".join(state.path_of(slot) for slot in able)
        said = f"the deadline cuts {paths} after it took effect"
        yield _told(at, said, Driver.pass_deadline, frozenset(able))


# --- when two states are one ---------------------------------------------------------------------

_ALWAYS = ("status", "unknown", "undone", "cursor", "remaining", "passed", "reason", "active", "stuck")
_FORWARD = ("refused", "probed", "probe_failed", "probes")  # of an action whose outcome is open
_BACK = ("undo_attempts", "undo_refused")  # of a compensation
_SETTLED = frozenset(
    {_S.SUCCEEDED, _S.REJECTED, _S.FAILED, _S.UNKNOWN, _S.PASSED, _S.TIMED_OUT, _S.DROPPED, _S.PARKED, _S.OWED}
    | {_S.COMPENSATED, _S.SKIPPED}
)
_UNDONE_NOW = frozenset(
    {_S.UNDO_READY, _S.COMPENSATING, _S.UNDO_SETTLING, _S.UNDO_RETRYING} | {_S.UNDO_ACCEPTED, _S.UNDO_POLLING}
)


def _signature(at: _At) -> object:
    state: SagaState = at.driver.state
    return (
        at.landed, at.refused, at.cancelled, state.status, state.back, state.undoing, state.committed, state.pivot,
        state.deadline_passed, state.cancelling, state.walk_done,
        tuple(_of_slot(slot, at.driver.now) for slot in state.slots), tuple(state.leaving), tuple(state.alternatives),
    )  # fmt: skip


def _of_slot(slot: Slot | None, now: int) -> object:
    if slot is None:
        return None
    found = [getattr(slot, name) for name in _ALWAYS]
    if slot.status in _UNDONE_NOW:
        found += [getattr(slot, name) for name in _BACK]
        found += _times(slot.undo_first_at, slot.poll_until - now)
    elif slot.status not in _SETTLED:
        found += [getattr(slot, name) for name in _FORWARD]
        found.append(min(slot.attempts, _TWICE.attempts + 1))  # of more than there are, none differs
        found += _times(slot.first_at, slot.poll_until - now)
    return tuple(found)


def _times(first_at: int, left_ms: int) -> tuple[object, ...]:
    """Of times, two tell: that a key is too old, and how often will still be asked; -1 when nothing was accepted."""
    return 0 < first_at < START, max(0, left_ms) if left_ms > -START // 2 else -1
