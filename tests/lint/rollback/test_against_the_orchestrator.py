"""What the table says is what the real orchestrator does, with the same failure injected."""

import asyncio

import pytest

from amends.lint.failing import Way
from amends.lint.rollback import rollback
from tests.lint.rollback.stage import SAGAS, Order, Stage, ending, play

# The ways that a function of ours can bring about; a deadline would have to be waited for.
TRIED = {each.value: each for each in (Way.REJECTED, Way.NOT_SENT, Way.UNKNOWN, Way.TIMEOUT, Way.CANCEL)}
PLACES = {"pick": "pick[1]", "pack": "pack[1]"}  # of the step that fails in an each


def cases():
    for make in SAGAS:
        table = rollback(make())
        for point in table.points:
            for row in point.rows:
                for way in row.ways:
                    if way in TRIED and is_tried(make, point, row, way):
                        called = f"{table.name}-{point.path}-{way}-{row.when}"
                        yield pytest.param(make, point, row, TRIED[way], id=called)


def is_tried(make, point, row, way):
    if row.outcome.ends == "running" or (way == Way.CANCEL.value and point.kind == "wait"):
        return False
    # On a slow machine a deadline could pass elsewhere: so only what ends by it has one.
    return make is not ending or any("until the deadline" in why for why in row.outcome.why)


@pytest.mark.parametrize(("make", "point", "row", "way"), list(cases()))
def test_what_is_undone_and_where_it_ends_is_what_the_table_says(make, point, row, way):
    branches = {point.where, *row.when}
    fails = {} if way is Way.TIMEOUT else {PLACES.get(point.path, point.path): way}
    undone = {undo.step for group in row.outcome.undone for undo in group if not undo.owed}
    refused = {"pay/b"} if "alternative 2 of pay" in branches else set()
    late = way is Way.TIMEOUT or "no go in time" in branches
    waits = "is_big" in branches or make.__name__ == "late"
    stage = Stage(fails, frozenset(undone - {*fails}), frozenset(refused))
    status = asyncio.run(play(make(), Order("is_big" in branches), stage, ["go"] if waits and not late else []))
    assert status == row.outcome.ends
    called = [[undo for undo in group if not undo.owed] for group in row.outcome.undone]
    told, at = [], 0
    for group in filter(None, called):  # those of one group come in any order
        told.append(sorted(stage.undone[at : at + len(group)]))
        at += len(group)
    assert told == [sorted((undo.step, has_its_result(undo)) for undo in group) for group in called if group]
    assert len(stage.undone) == at


def has_its_result(undo):
    return any(each.name == "done" and each.source == "its result" for each in undo.given)
