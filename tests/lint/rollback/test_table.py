"""What the rollback table says of sagas whose rows cannot be compared with a run, and how it merges rows."""

import pytest

from amends import Context, Saga, choose, each, first_of, parallel, sleep, step, wait_for, when
from amends.core.definition import Saga as Definition
from amends.limits import ROLLBACK_RUNS_MAX
from amends.lint import failing
from amends.lint.rollback import rollback
from tests.lint.rollback.stage import Done, Order, branches, ending, is_big, items, linear, made, saga, two_items


def point(definition, path):
    (found,) = [each for each in rollback(definition).points if each.path == path]
    return found


def row(definition, path, way, when=()):
    (found,) = [each for each in point(definition, path).rows if way in each.ways and each.when == when]
    return found


def undone(found):
    return [[undo.step for undo in group] for group in found.outcome.undone]


def test_what_cannot_be_undone_is_owed_in_its_place_and_says_why():
    found = row(linear(), "ship", "rejected").outcome
    assert [(undo.step, undo.owed) for group in found.undone for undo in group] == [
        ("charge", ""), ("count", ""), ("note", "it has no compensation"), ("hold", ""),
    ]  # fmt: skip
    assert found.ends == "requires_manual"
    assert found.why == ("what note did is not undone: it has no compensation",)


def test_a_compensation_that_needs_the_result_of_an_unknown_step_is_not_called():
    (first, *_) = row(linear(), "charge", "outcome unknown to the end").outcome.undone
    assert first[0].owed == "its outcome is unknown, and its compensation cannot take None"


def test_what_is_passed_over_goes_on():
    found = row(linear(), "count", "rejected").outcome
    assert (found.undone, found.ends) == ((), "completed")
    assert found.why == ("it is best effort, so the saga goes on without it",)


def test_arguments_say_where_they_come_from():
    @step
    async def hold(order: Order) -> Done: ...

    @step
    async def charge(order: Order) -> Done: ...

    @charge.compensation
    async def refund(order: Order, charge: Done | None, hold: Done, ctx: Context) -> None: ...

    @hold.compensation
    async def release(hold: Done | None) -> None: ...

    @step
    async def ship(order: Order) -> None: ...

    definition = Saga("sell", hold, charge, ship)
    (first,), (second,) = row(definition, "ship", "rejected").outcome.undone
    told = [(each.name, each.source) for each in first.given]
    assert told == [("order", "input"), ("charge", "its result"), ("hold", "result of hold"), ("ctx", "context")]
    assert (first.function, second.function) == ("refund", "release")
    unknown = row(definition, "charge", "outcome unknown to the end").outcome.undone[0][0]
    assert unknown.given[1].source == "None (outcome unknown)"


def test_items_of_an_each_are_undone_with_their_own_item():
    @step
    async def pick(item: str) -> Done: ...

    @pick.compensation
    async def put_back(item: str, pick: Done | None) -> None: ...

    @step
    async def pack(order: Order, pick: list[Done]) -> None: ...

    @pack.compensation
    async def unpack(pick: list[Done]) -> None: ...

    definition = Saga("parcel", each(two_items, pick), pack, made("end"), input=Order, resources=[*linear().resources])
    found = row(definition, "end", "rejected").outcome.undone
    assert found[0][0].given[0].source == "results of pick[0], pick[1]"
    assert {(undo.step, undo.given[0].source) for undo in found[1]} == {
        ("pick[1]", "item [1]"),
        ("pick[0]", "item [0]"),
    }


def test_a_row_holds_on_every_branch_unless_it_says_when():
    assert {found.when for found in point(branches(), "p").rows if "rejected" in found.ways} == {
        ("is_big",),
        ("not is_big",),
    }
    assert undone(row(branches(), "p", "rejected", ("is_big",))) == [["b"], ["a"]]
    assert undone(row(branches(), "p", "rejected", ("not is_big",))) == [["a"]]
    unknown = row(branches(), "p", "outcome unknown to the end")
    assert unknown.outcome.ends == "running"
    assert unknown.outcome.why == ("p is tried again until its outcome is known; there is no deadline that ends it",)


def test_a_branch_that_changes_nothing_is_not_told():
    definition = saga("plain", made("a"), choose(when(is_big, made("look", "none", read_only=True))), made("b"))
    assert {found.when for found in point(definition, "b").rows} == {()}


def test_a_step_in_a_branch_says_what_leads_to_it():
    assert point(branches(), "b").where == "is_big"
    late = saga("late", made("a"), wait_for("go", Done, timeout="1s", on_timeout=made("b")))
    assert point(late, "b").where == "no go in time"
    two = saga("two", first_of(made("a"), made("b"), name="pay"))
    assert point(two, "pay/b").where == "alternative 2 of pay"


def test_an_alternative_that_fails_is_undone_and_the_next_is_tried():
    definition = saga("pay", made("a"), first_of((made("b"), made("c")), made("d"), name="pay"))
    found = row(definition, "pay/c", "rejected")
    assert undone(found) == [["pay/b"]]
    assert (found.outcome.ends, found.outcome.why) == ("completed", ("pay goes on with its next alternative",))
    assert undone(row(definition, "pay/c", "cancelled")) == [["pay/c"], ["pay/b"], ["a"]]
    assert undone(row(definition, "pay/d", "rejected")) == [["a"]]
    nameless = row(saga("pay", first_of(made("b"), made("d"))), "b", "rejected").outcome
    assert nameless.why == ("the first_of goes on with its next alternative",)


def test_an_alternative_that_cannot_be_undone_turns_the_whole_saga_back():
    definition = saga("pay", made("a"), first_of((made("b", "none"), made("c")), made("d"), name="pay"))
    found = row(definition, "pay/c", "rejected")
    assert undone(found) == [["pay/b"], ["a"]] and found.outcome.ends == "requires_manual"


def test_what_runs_at_the_same_time_is_one_group():
    definition = saga("wide", parallel(made("a"), (made("b"), made("c"))), made("d"))
    assert [sorted(group) for group in undone(row(definition, "d", "rejected"))] == [["a", "c"], ["b"]]
    one_at_a_time = row(items(), "z", "rejected")
    assert undone(one_at_a_time) == [["pack[1]"], ["pick[1]"], ["pack[0]"], ["pick[0]"], ["a"]]


def test_the_deadline_cuts_what_runs_but_never_the_pivot_nor_what_comes_after():
    ((cut,),) = row(ending(), "a", "deadline passed").outcome.undone
    assert (cut.step, cut.given[1].source) == ("a", "None (outcome unknown)")
    ((ended,),) = row(ending(), "a", "cancelled").outcome.undone
    assert (ended.step, ended.given[1].source) == ("a", "its result")
    pivot = row(ending(), "p", "deadline passed").outcome
    assert pivot.why == ("r is parked: the deadline has passed, and there is no way back",)
    assert row(ending(), "r", "deadline passed").outcome.ends == "completed"


def test_what_is_tried_until_the_deadline_says_so():
    assert row(ending(), "p", "outcome unknown to the end").outcome.why == (
        "p is tried again until the deadline", "p is parked: nobody knows whether it took effect",
    )  # fmt: skip
    assert row(ending(), "a", "outcome unknown to the end").outcome.why == ()


def test_branches_that_come_after_the_failure_are_not_tried():
    after = [choose(when(is_big, made(f"b{at}"))) for at in range(7)]
    table = rollback(saga("after", made("a", best_effort=True), *after))
    assert not any("only the first" in note for note in table.notes)
    assert {found.when for found in table.points[0].rows} == {()}


def test_a_wait_and_a_sleep_can_be_turned_back_too():
    definition = saga("slow", made("a"), sleep("1h"), wait_for("go", Done, timeout="2h"), deadline="90m")
    (nap,) = [each for each in rollback(definition).points if each.kind == "sleep"]
    assert [(found.ways, undone(found)) for found in nap.rows] == [(("deadline passed", "cancelled"), [["a"]])]
    assert row(definition, "go", "no signal in time").ways == ("no signal in time", "deadline passed", "cancelled")


def test_there_is_no_cancel_after_the_pivot():
    assert {way for found in point(ending(), "r").rows for way in found.ways} == {
        "rejected", "never sent", "outcome unknown to the end", "deadline passed",
    }  # fmt: skip
    assert row(ending(), "p", "cancelled").outcome.why == ("the pivot succeeded, so the cancel is refused",)


def test_more_ways_than_are_tried_are_said_to_be_more():
    def many(count):
        chosen = [choose(when(is_big, made(f"b{at}"))) for at in range(count)]
        return rollback(saga("many", *chosen, made("last")))

    assert not any("only the first" in note for note in many(3).notes)
    bounded = [note for note in many(7).notes if f"only the first {ROLLBACK_RUNS_MAX} were tried" in note]
    assert len(bounded) == 1 and "last" in bounded[0]


def test_nothing_of_the_author_is_called(monkeypatch):
    async def never(*_):
        raise AssertionError("called")

    definition = linear()
    for binding in definition.bindings:
        for each_call in (binding.action, binding.compensation):
            if each_call is not None:
                object.__setattr__(each_call, "function", never)
    assert rollback(definition).points


@pytest.mark.parametrize("way", list(failing.Way), ids=lambda way: way.name)
def test_every_way_is_of_some_point(way):
    told = {
        each
        for definition in (ending(), branches())
        for at in rollback(definition).points
        for r in at.rows
        for each in r.ways
    }
    assert way.value in told


def test_only_the_kernel_knows_the_rules(monkeypatch):
    """A kernel that undoes nothing makes a table of nothing undone."""
    monkeypatch.setattr("amends.core.walk.owes", lambda node, slot: False)
    assert isinstance(linear(), Definition)
    assert [found.outcome.undone for found in point(linear(), "ship").rows] == [()] * len(point(linear(), "ship").rows)
