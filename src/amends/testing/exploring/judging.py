"""What is wrong with a run: by the engine's promises, by what doubles recorded, by what the author says must hold.

    promise          the engine broke one of its own: a defect of Amends
    case             the saga fails though nothing was made to go wrong
    ends             it comes to no end, or stays with an effect that cannot be undone
    all or nothing   it is compensated, and an effect stands
    nothing twice    one call was made twice, and took effect twice
    state            what the case's `state` says is not as it was, or not as it is when all goes well
    (a name)         the invariant of that name

Rules of this file: it reads a run and changes nothing. What the author vouched for (a best-effort step without
compensation, what a person must decide) is not held against the saga.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...core.graph import Kind
from ...core.state import SagaState
from ...core.transitions import SagaStatus, StepStatus
from ...errors import DefinitionError, UsageError
from ..recorder import Effect, Recorder
from .case import Case, ask
from .running import Point, told
from .sandbox import Ran
from .ways import ACTION, COMPENSATION

_STAYS = {
    "no_compensation": ("it has no compensation", "SG005"),
    "result_missing": ("its compensation cannot take None for the result that was lost", "SG009"),
}
_PROVEN = frozenset({StepStatus.REJECTED, StepStatus.FAILED})  # that nothing took effect
_GOOD = frozenset({StepStatus.SUCCEEDED})


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong.

    Attributes:
        check: what found it.
        step: the path of the step it is about, "" for none.
        what: a sentence.
        rule: the rule that it breaks, where that does not depend on how it came about; "" otherwise.
    """

    check: str
    step: str
    what: str
    rule: str = ""


@dataclass(frozen=True)
class Reference:
    """How a saga goes when all goes well: what has succeeded, and what `state` says then."""

    succeeded: frozenset[str]
    status: SagaStatus
    state: Any


def reference_of(ran: Ran) -> Reference | None:
    """What other runs are compared with; None for a run without an end."""
    if ran.state is None or not ran.state.finished:
        return None
    return Reference(_succeeded(ran.state), ran.state.status, ran.after)


def judge(case: Case, ran: Ran, reference: Reference | None) -> list[Wrong]:
    """All that is wrong with a run.

    Parameters:
        reference: None while there is none: for the run where all goes well itself.
    """
    wrong = [Wrong("promise", "", f"a defect of Amends, please report it: {promise}") for promise in ran.broken]
    if not ran.scenario.faults:
        wrong += _by_itself(ran)
    wrong += _ends(ran)
    for each in (ran, *ran.others):
        wrong += _recorded(each, recorders_in(ran.doubles))
        wrong += _invariants(case, each)
    if case.has_state and not ran.others:
        wrong += _state(ran, reference)
    for other in ran.others:
        wrong += [Wrong(each.check, each.step, f"of the other saga: {each.what}", each.rule) for each in _ends(other)]
    return list(dict.fromkeys(wrong))


def recorders_in(doubles: list[object]) -> list[Recorder]:
    """The recorders among the doubles, and those that they hold."""
    found = []
    for double in doubles:
        held = [double, *getattr(double, "__dict__", {}).values()]
        found += [each for each in held if isinstance(each, Recorder)]
    return list({id(each): each for each in found}.values())


def _by_itself(ran: Ran) -> Iterator[Wrong]:
    for point in ran.points:
        if point.own_error:
            yield Wrong(
                "case", point.path, f"{_call(point)} raises, and nothing was made to go wrong: {point.own_error}"
            )


def _call(point: Point) -> str:
    return point.path if point.op == ACTION else f"the {point.op} of {point.path}"


def _ends(ran: Ran) -> Iterator[Wrong]:
    if ran.unending:
        yield Wrong("ends", "", ran.unending)
    state = ran.state
    if state is None or state.status is not SagaStatus.REQUIRES_MANUAL:
        return
    for index, slot in enumerate(state.slots):
        if slot is None or slot.status not in (StepStatus.OWED, StepStatus.PARKED):
            continue
        path = state.path_of(index)
        if slot.status is StepStatus.PARKED:
            why, rule = (
                ("after the pivot, where there is no way back", "SG001") if state.committed else ("for good", "")
            )
            said = f": {slot.error}" if slot.error else ""
            yield Wrong("ends", path, f"{path} is parked {why}, and asking again does not help{said}", rule)
            continue
        if slot.reason in _STAYS:
            if _took_effect(ran, path):
                why, rule = _STAYS[slot.reason]
                yield Wrong("ends", path, f"what {path} did stays: {why}", rule)
            continue
        failed = [each for each in ran.points if each.op == COMPENSATION and each.path == path and each.own_error]
        if failed:
            what = f"the compensation of {path} cannot be carried out: {failed[-1].own_error}"
            rule = "SG009" if slot.unknown else ""
            yield Wrong("ends", path, what, rule)


def _took_effect(ran: Ran, path: str) -> bool:
    return any(each.complete or each.doubles for each in ran.points if each.op == ACTION and each.path == path)


# --- what the doubles recorded ------------------------------------------------------------------------


def _recorded(ran: Ran, recorders: list[Recorder]) -> Iterator[Wrong]:
    state = ran.state
    if state is None:
        return
    for recorder in recorders:
        effects = [
            (effect, call) for effect in recorder.effects.values() if (call := _call_of(effect, ran)) is not None
        ]
        yield from _twice(effects)
        yield from _standing(state, effects)


def _call_of(effect: Effect, ran: Ran) -> Point | None:
    """The call of this run by which an effect came about; None for another run's.

    A participant at the other end of a network does not know whose call it is, and is believed by its key.
    """
    if effect.taken_by is not None:
        return next((point for point in ran.points if point is effect.taken_by), None)
    calls = [point for point in ran.points if point.op == ACTION and point.path == effect.step]
    return calls[0] if effect.applied and calls else None


def _twice(effects: list[tuple[Effect, Point]]) -> Iterator[Wrong]:
    """Effects of two calls of one function, of which the first had run to its end."""
    first: dict[tuple[str, str], Point] = {}
    for _, point in effects:
        earlier = first.setdefault((point.op, point.path), point)
        if earlier is not point and earlier.complete:
            key = "the same call under another key takes effect again"
            rule = "SG011" if point.op == ACTION else "SG012"
            yield Wrong("nothing twice", point.path, f"{_call(point)} took effect twice: {key}", rule)


def _standing(state: SagaState, effects: list[tuple[Effect, Point]]) -> Iterator[Wrong]:
    """Effects that are there and should not be: of a saga that is compensated, or of a step that is made good."""
    compensated = state.status is SagaStatus.COMPENSATED
    for effect, point in effects:
        index = state.find(point.path)
        if point.op != ACTION or not effect.stands or index < 0:
            continue
        node, status, path = state.nodes[index], state.status_of(index), point.path
        disposable = node.follow_up or node.read_only or (node.best_effort and not node.compensation)
        if node.kind is not Kind.STEP or disposable:
            continue
        if status in _PROVEN:
            what = f"what {path} did stands, and its outcome says that nothing took effect"
            yield Wrong("all or nothing", path, what, "SG029")
        elif compensated:
            yield Wrong("all or nothing", path, f"the saga is compensated, and what {path} did stands")
        elif status is StepStatus.COMPENSATED:
            yield Wrong("all or nothing", path, f"{path} is undone, and what it did stands")


# --- what the author says ---------------------------------------------------------------------------------


def _invariants(case: Case, ran: Ran) -> Iterator[Wrong]:
    if ran.state is None or not ran.state.ended or ran.view is None:
        return
    for invariant in case.invariants:
        name = invariant.name
        try:
            answer = ask(invariant, [*ran.doubles, ran.given, ran.view])
        except AssertionError as error:
            yield Wrong(name, "", f"{name} does not hold when the saga is {ran.view.status}{_why(error)}")
        except (UsageError, DefinitionError):  # of the case
            raise
        except Exception as error:  # the author's own function may raise anything
            yield Wrong(name, "", f"{name} raises: {told(error)}")
        else:
            if answer is False:
                yield Wrong(name, "", f"{name} does not hold when the saga is {ran.view.status}")


def _why(error: AssertionError) -> str:
    said = str(error).partition("\n")[0]
    if said:
        return f": {said}"
    where = told(error).partition("(")[2].rstrip(")")
    return f" ({where})" if where else ""


def _succeeded(state: SagaState) -> frozenset[str]:
    return frozenset(
        state.path_of(index) for index, slot in enumerate(state.slots) if slot is not None and slot.status in _GOOD
    )


def _state(ran: Ran, reference: Reference | None) -> Iterator[Wrong]:
    state = ran.state
    if state is None:
        return
    if state.status is SagaStatus.COMPENSATED and ran.after != ran.before:
        yield Wrong("state", "", f"the saga is compensated, and the state is not as it was: {_differ(ran)}")
    if reference is None or reference.status is not SagaStatus.COMPLETED or state.status is not SagaStatus.COMPLETED:
        return
    if _succeeded(state) == reference.succeeded and ran.after != reference.state:
        yield Wrong(
            "state",
            "",
            f"the saga is completed, and the state is {ran.after!r}; when all goes well {reference.state!r}",
        )


def _differ(ran: Ran) -> str:
    return f"{ran.before!r} before, {ran.after!r} now"
