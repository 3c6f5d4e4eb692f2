"""The model check: how an effect may come to stay, as the shortest story; and nothing of a saga where none may."""

import inspect
import random
from collections import deque
from pathlib import Path

import msgspec
import pytest

from amends import Accepted, choose, each, first_of, parallel, wait_for, when
from amends.cli.targets import load_targets
from amends.core import decide, events as ev, fold
from amends.core.transitions import StepStatus
from amends.limits import MODEL_STATES_MAX
from amends.lint.driving import Answer, Driver
from amends.lint.model import _POLLED, _accepting, _At, _moves, _plain, _signature, explore
from tests.lint.looking import HERE
from tests.lint.rollback.stage import (
    SAGAS,
    Done,
    Order,
    alternatives,
    careful,
    ending,
    is_big,
    items,
    late,
    made,
    saga,
    two_items,
)  # fmt: skip

CORPUS = HERE / "corpus"
RIGHT = sorted((CORPUS / "right").glob("*.py"))
# The mistakes of the corpus that a graph shows; the others are in what functions do.
STAYS = {
    "all_steps_are_atomic", "alternative_without_compensation", "atomic_step_calls_a_helper_that_requests",
    "compensation_cannot_take_none", "last_step_is_no_pivot", "mail_before_the_pivot", "mail_in_a_step_of_another_name",
    "no_compensation", "no_compensation_in_a_called_saga", "no_compensation_in_an_each",
    "notification_beside_what_may_fail", "other_saga_goes_on",
}  # fmt: skip


def stories(*nodes, **options):
    return [str(story) for story in explore(saga("x", *nodes, **options)).stories]


def test_an_effect_without_compensation_stays_when_a_later_step_is_refused():
    assert stories(made("a", "none"), made("b", "none", pivot=True)) == [
        "a succeeds → b is refused → a has no compensation, so what it did stays"
    ]


def test_a_compensation_that_needs_the_result_does_not_come_when_the_answer_was_lost():
    (told,) = stories(made("a"), made("b", "needs"), made("c"))
    assert told == (
        "a succeeds → b times out after it took effect → it is cancelled → a is undone → "
        "the compensation of b cannot take None for its result, so what it did stays"
    )


def test_a_deadline_cuts_what_took_effect():
    (told,) = stories(made("a", "needs"), made("b"), deadline="1h")
    assert told.startswith("the deadline cuts a after it took effect → the compensation of a cannot")


def test_the_mend_leaves_no_story():
    assert stories(made("a"), made("b", "none", pivot=True)) == []
    assert stories(made("a"), made("b"), made("c"), deadline="1h") == []
    assert stories(made("a", "none", read_only=True), made("b")) == []
    assert stories(made("a", "none", best_effort=True), made("b")) == []


def test_what_a_person_was_asked_for_on_purpose_is_no_story():
    assert explore(careful()).stories == ()


def test_it_walks_branches_items_alternatives_and_waits():
    bad = made("bad", "none")
    assert stories(choose(when(is_big, bad)), made("b"))[0].startswith("bad succeeds → b is refused")
    assert stories(each(two_items, bad), made("b"))[0].startswith("bad[0] succeeds → bad[1] is refused")
    assert stories(first_of((bad, made("b")), made("c")), made("d"))[0].startswith("bad succeeds → b is refused")
    assert stories(parallel(bad, made("b")))[0].startswith("bad succeeds → b is refused")
    timed = wait_for("go", Done, timeout="1s", on_timeout=[bad])
    assert stories(timed, made("b"))[0].startswith("go does not come in time → bad succeeds → b is refused")
    assert stories(bad, wait_for("go", Done, timeout="1s"))[0].startswith("bad succeeds → go does not come in time")


def test_every_outcome_of_an_action_is_walked():
    start = _At(Driver(saga("x", made("a"), made("b"), deadline="1h").graph))
    assert {at.way.said for at in _moves(start)} == {
        "a succeeds", "a is refused", "a times out after it took effect", "a times out without effect",
        "the process dies after a took effect", "the process dies before a took effect", "the deadline passes",
        "the deadline cuts a after it took effect", "it is cancelled",
    }  # fmt: skip


def test_a_retry_comes_also_while_something_else_waits():
    start = _At(Driver(saga("x", parallel(made("a"), wait_for("go", Done)), deadline="1h").graph))
    (lost,) = [at for at in _moves(start) if at.told()[-1] == "a times out without effect"]
    assert lost.driver.calls == []
    assert [len(at.driver.calls) for at in _moves(lost) if not at.way.said] == [1]


def test_every_outcome_of_a_compensation_is_walked():
    driver = Driver(saga("x", made("a"), made("b")).graph)
    for answer in (Answer.SUCCEEDS, Answer.REJECTED):
        driver.tell(driver.answer(driver.calls[0], answer))
    assert {at.told()[-1] for at in _moves(_At(driver))} == {
        "a is undone", "the compensation of a fails, and is called again", "the compensation of a is refused",
    }  # fmt: skip


def test_a_kernel_that_forgets_an_effect_is_found_out(monkeypatch):
    monkeypatch.setattr("amends.core.walk.owes", lambda node, slot: slot.unknown)
    assert stories(made("a"), made("b"))[0] == "a succeeds → b is refused → it ends compensated, and a stays"


def test_more_states_than_are_visited_are_said_to_be_more():
    for definition in (
        saga("x", *(made(f"s{at}") for at in range(4))),
        saga("x", choose(when(is_big, made("a"), made("b"))), made("c")),
    ):
        whole = explore(definition)
        assert whole.whole and whole.states > 50
        assert explore(definition, states_max=whole.states) == whole
        for less in (whole.states - 1, 20):
            part = explore(definition, states_max=less)
            assert (part.whole, part.states) == (False, less)
    assert inspect.signature(explore).parameters["states_max"].default == MODEL_STATES_MAX


def probed():
    asked = made("p", "none", pivot=True)

    @asked.probe
    async def find(order: Order) -> Done | None: ...

    return saga("probed", made("a"), asked, deadline="1h")


def slow(name, undo="may", **options):
    """A step of which action and compensation may be accepted."""
    found = made(name, undo, **options)
    found.function.__annotations__["return"] = Done | Accepted
    found._undoing.compensation.function.call.__annotations__["return"] = Accepted | None
    return found


def accepted():
    return saga("accepted", slow("a"), slow("b", key_ttl="1d"), deadline="1h")


def aged():
    return saga("aged", made("a", key_ttl="1d"), parallel(made("b", key_ttl="1d"), made("c")), deadline="1h")


@pytest.mark.parametrize(
    "make", [ending, late, alternatives, items, probed, accepted, aged], ids=lambda make: make.__name__
)
def test_two_states_that_are_taken_for_one_go_on_alike(make):
    made_so = make()
    graph = msgspec.structs.replace(made_so.graph, policies=tuple(map(_plain, made_so.graph.policies)))
    start = _At(Driver(graph, polled=_POLLED), accepting=_accepting(made_so))
    waiting, known = deque([start]), {_signature(start): told_by(start)}
    merged = 0
    while waiting:
        for at in _moves(waiting.popleft()):
            signature = _signature(at)
            if signature in known:
                merged += 1
                assert told_by(at) == known[signature], at.told()
            else:
                known[signature] = told_by(at)
                waiting.append(at)
    assert merged > 50


def told_by(at):
    return {(following.way.said, _signature(following)) for following in _moves(at)}


def test_a_saga_of_twelve_steps_is_explored_as_a_whole():
    assert explore(saga("x", *(made(f"s{at}") for at in range(12)), deadline="1h")).whole


@pytest.mark.parametrize("make", SAGAS, ids=lambda make: make.__name__)
def test_a_fork_goes_its_own_way(make):
    """A walk at random: what a state's children do leaves it as it was, and a child is what its moves alone make."""
    chance = random.Random(make.__name__)
    for _ in range(20):
        at = _At(Driver(make().graph))
        for _ in range(30):
            before = _signature(at)
            following = list(_moves(at))
            told = [_signature(each) for each in following]
            assert _signature(at) == before
            assert [_signature(each) for each in _moves(at)] == told
            if not following:
                break
            for each_at in following:  # what one child does is not seen by the others
                list(_moves(each_at))
            assert [_signature(each) for each in following] == told
            at = chance.choice(following)


@pytest.mark.parametrize("file", RIGHT, ids=lambda file: file.stem)
def test_of_a_correct_saga_no_story_is_told(file: Path):
    for definition in load_targets([str(file)]).sagas:
        found = explore(definition)
        assert (found.stories, found.whole) == ((), True)


def test_the_mistakes_that_a_graph_shows_are_told():
    told = {
        file.stem
        for file in sorted((CORPUS / "wrong").glob("*.py"))
        if any(explore(definition).stories for definition in load_targets([str(file)]).sagas)
    }
    assert told >= STAYS


def test_twelve_steps_are_explored_whole():
    twelve = [made(f"s{number}") for number in range(12)]
    in_a_row = explore(saga("row", *twelve, deadline="1h"))
    assert in_a_row.whole
    assert in_a_row.stories == ()
    assert in_a_row.states > 7_000
    two_at_a_time = explore(saga("pair", parallel(made("a"), made("b")), *(made(f"t{number}") for number in range(10))))
    assert two_at_a_time.whole


def told_of(definition):
    """Everything that is said to happen anywhere."""
    graph = msgspec.structs.replace(definition.graph, policies=tuple(map(_plain, definition.graph.policies)))
    start = _At(Driver(graph, polled=_POLLED), accepting=_accepting(definition))
    waiting, known, said = deque([start]), {_signature(start)}, set()
    while waiting:
        for at in _moves(waiting.popleft()):
            said.add(at.way.said)
            if _signature(at) not in known:
                known.add(_signature(at))
                waiting.append(at)
    return said


def test_what_may_be_accepted_is_polled_finished_refused_or_never_finished():
    assert told_of(accepted()) >= {
        "a is accepted", "a is finished", "a is not finished", "a is refused in the end",
        "a is said not to be finished after it took effect", "the compensation of a is accepted",
        "the compensation of a is finished", "the compensation of a is not finished",
        "the compensation of a is refused in the end", "the key of b gets too old",
        "the key of the compensation of b gets too old",
    }  # fmt: skip
    assert explore(accepted()).stories == ()
    assert not any("is accepted" in said or "gets too old" in said for said in told_of(saga("x", made("a"))))


def test_what_was_accepted_and_needs_its_result_to_be_undone_may_stay():
    told = stories(slow("a", "needs"), made("b"))
    assert told and all(each.endswith("cannot take None for its result, so what it did stays") for each in told)


def test_a_key_that_gets_too_old_ends_the_attempts():
    assert "the key of a gets too old" in told_of(aged())
    assert explore(aged()).stories == ()


# --- a kernel that is wrong ----------------------------------------------------------------------


def handled_as(event, other, **more):
    """A kernel that takes one event for another."""
    right = fold._HANDLERS[other]
    taken = lambda state, happened: right(state, other(happened.node, **more))
    return lambda patch: patch.setitem(fold._HANDLERS, event, taken)


def unless_unknown(patch):
    patch.setattr("amends.core.walk.owes", lambda node, slot: slot.status is StepStatus.SUCCEEDED)


def unknown_is_failed(patch):
    patch.setattr("amends.core.decide._give_up", lambda state, index, *_: ev.StepFailed(index))


def too_old_is_failed(patch):
    right = decide._retry_is_due
    patch.setattr(
        "amends.core.decide._retry_is_due",
        lambda state, index, now: (
            ev.StepFailed(index) if type(found := right(state, index, now)) is not ev.ActionStarted else found
        ),
    )


def never_finished_is_failed(patch):
    right = fold._HANDLERS[ev.ActionUnknown]

    def unknown(state, event):
        right(state, event)
        state.slot(event.node).unknown = event.cause != "poll"

    patch.setitem(fold._HANDLERS, ev.ActionUnknown, unknown)


def plain_refusals_prove(patch):
    def rejected(state, event):
        state.slot(event.node).unknown = False
        right(state, event)

    right = fold._HANDLERS[ev.ActionRejected]
    patch.setitem(fold._HANDLERS, ev.ActionRejected, rejected)


def unfinished():
    """Of which the action alone may be accepted: these mutants speak of no compensation."""
    found = made("a")
    found.function.__annotations__["return"] = Done | Accepted
    return saga("unfinished", found, made("b"))


def two():
    return saga("two", made("a"), made("b"))


@pytest.mark.parametrize(
    ("broken", "make"),
    [
        (unless_unknown, two),
        (unknown_is_failed, two),
        (plain_refusals_prove, two),
        (handled_as(ev.CompensationFailed, ev.CompensationSucceeded), two),
        (handled_as(ev.CompensationRefused, ev.CompensationSucceeded), two),
        (handled_as(ev.PollPending, ev.ActionRejected, conclusive=True), unfinished),
        (never_finished_is_failed, unfinished),
        (too_old_is_failed, aged),
    ],
    ids=str,
)
def test_a_kernel_that_is_wrong_is_found_out(monkeypatch, broken, make):
    assert explore(make()).stories == ()
    broken(monkeypatch)
    assert explore(make()).stories != ()


def test_twelve_steps_of_every_kind_are_explored_whole():
    undos = ["may", "needs", "none", "may"]
    mixed = [made(f"m{at}", undos[at % 4]) for at in range(12)]
    assert explore(saga("mixed", *mixed, deadline="1h")).whole
    beside = parallel(made("p"), made("q"))
    some = [made(f"s{at}") for at in range(8)]
    found = explore(saga("beside", made("a"), beside, each(two_items, made("pick")), *some, deadline="1h"))
    assert (found.whole, found.stories) == (True, ())
    polled = explore(saga("polled", *(slow(f"w{at}") for at in range(12)), deadline="1h"))
    assert (polled.whole, polled.stories) == (True, ())
