"""One verb for many sagas: what is meant, what comes of it, and what a dry run leaves alone."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from amends import Conflict, FilterError, NotFound, Rejected, Retry, Saga, UsageError, step, wait_for
from amends.core.events import Completed, encode_frame
from amends.limits import BULK_AT_A_TIME, BULK_SAGAS_MAX
from amends.stores.base import FrameRow
from amends.stores.memory import MemoryStore
from tests.runtime.stage import FaultyStore, Ground, events_of, scene, until

ONCE = Retry(attempts=1)


@step(retry=ONCE)
async def book(seat: str) -> str:
    return seat


@book.compensation(retry=ONCE)
async def unbook(seat: str) -> None:
    if seat == "sealed":
        raise Rejected("already dispatched")


@step(retry=ONCE)
async def pay(seat: str) -> None:
    if seat == "sealed":
        raise Rejected("no money")


trip = Saga("trip", book, wait_for("go", str), pay)
strict = Saga("strict", book.named("reserve"), pay.named("charge"))
SAGAS = (trip, strict)


async def start(orchestrator, saga, seat, count=1, first=0):
    handles = [
        await orchestrator.start(saga, seat, key=f"{seat}-{number}", correlation={"customer": f"c{number % 2}"})
        for number in range(first, first + count)
    ]
    await orchestrator.drain()
    return [handle.id for handle in handles]


async def gathered(bulk):
    return {done.id: done async for done in bulk}


@pytest.fixture(params=["leading", "looking"])
def ways(request):
    """Who asks: the leader itself, or another process through the inbox."""
    return request.param == "leading"


def asking(leading, leader, ground):
    return leader if leading else ground.orchestrator(worker=False)


@scene
async def test_a_verb_reaches_every_saga_that_fits_and_no_other(ways, tmp_path):
    ground = Ground(tmp_path / "a.db")
    async with ground.orchestrator(*SAGAS) as leader:
        ids = await start(leader, trip, "x", 30)
        async with ground.orchestrator(worker=False) as looker:
            by = leader if ways else looker
            bulk = by.bulk("cancel", "name:trip customer:c1", reason="gone", actor="eve")
            done = await gathered(bulk)
        assert set(done) == set(ids[1::2])
        assert {(each.result, each.error, each.verb) for each in done.values()} == {("applied", None, "cancel")}
        assert bulk.counts == Counter(applied=15)
        assert (bulk.matching, bulk.begun) == (15, 15)
        await leader.drain()
        assert await leader.count_by("status") == {("compensated",): 15, ("running",): 15}
        entry = next(each for each in await leader.history(ids[1]) if each.event == "CancelRequested")
        assert entry.details == {"reason": "gone", "actor": "eve"}
        assert "CancelRequested" not in await events_of(leader, ids[0])


@scene
async def test_a_dry_run_says_what_each_saga_would_answer_and_changes_nothing(ways, tmp_path):
    ground = Ground(tmp_path / "a.db")
    async with ground.orchestrator(*SAGAS) as leader, ground.orchestrator(worker=False) as looker:
        by = leader if ways else looker
        (waiting,) = await start(leader, trip, "x")
        (stuck,) = await start(leader, strict, "sealed")
        (ended,) = await start(leader, strict, "x")
        before = {each: await leader.history(each) for each in (waiting, stuck, ended)}
        bulk = by.bulk("cancel", "id:*", reason="x", dry_run=True)
        done = await gathered(bulk)
        assert {each: done[each].result for each in done} == {
            waiting: "eligible", stuck: "unchanged", ended: "refused",
        }  # fmt: skip
        assert isinstance(done[ended].error, Conflict) and "cancel comes too late" in str(done[ended].error)
        assert done[waiting].status == "running" and done[ended].status == "completed"
        assert {each: await leader.history(each) for each in before} == before
        assert bulk.counts == Counter(eligible=1, unchanged=1, refused=1)
        assert not await leader._store.commands(limit=9)


@scene
async def test_what_is_refused_stops_none_of_the_others_and_names_the_state(ways, tmp_path):
    ground = Ground(tmp_path / "a.db")
    async with ground.orchestrator(*SAGAS) as leader, ground.orchestrator(worker=False) as looker:
        by = leader if ways else looker
        stuck = await start(leader, strict, "sealed", 3)
        ended = await start(leader, strict, "x", 3)
        done = await gathered(by.bulk("skip", "name:strict", step="reserve", reason="let it be"))
        assert {done[each].result for each in stuck} == {"applied"}
        assert {done[each].status for each in stuck} == {"closed"}
        for each in ended:
            assert isinstance(done[each].error, Conflict)
            assert f"saga {each} is completed" in str(done[each].error)


@pytest.mark.parametrize(
    ("verb", "words", "event"),
    [
        ("retry", {"reason": "r"}, "RetryRequested"),
        ("resolve", {"reason": "r", "step": "reserve", "outcome": "done"}, "Resolved"),
        ("skip", {"reason": "r", "step": "reserve"}, "Skipped"),
        ("pause", {"reason": "r"}, "Paused"),
        ("signal", {"name": "go", "payload": "now", "id": "7"}, "SignalReceived"),
        ("cancel", {"reason": "r"}, "CancelRequested"),
    ],
)
def test_each_verb_has_its_bulk_form(verb, words, event):
    @scene
    async def body():
        async with Ground(None).orchestrator(*SAGAS) as leader:
            on_strict = verb in ("retry", "resolve", "skip")
            (saga_id,) = await start(leader, strict if on_strict else trip, "sealed")
            done = await gathered(leader.bulk(verb, "-is:ended", **words))
            assert done[saga_id].result == "applied"
            assert event in await events_of(leader, saga_id)

    body()


@scene
async def test_a_paused_lot_is_resumed_as_a_lot():
    async with Ground(None).orchestrator(*SAGAS) as leader:
        ids = await start(leader, trip, "x", 5)
        await gathered(leader.bulk("pause", "name:trip", reason="r"))
        assert await leader.count("is:paused") == 5
        done = await gathered(leader.bulk("resume", "is:paused", reason="r"))
        assert {done[each].result for each in ids} == {"applied"}
        assert await leader.count("is:paused") == 0


@scene
async def test_a_verb_with_nothing_left_to_do_is_unchanged_and_written_nowhere(ways, tmp_path):
    ground = Ground(tmp_path / "a.db")
    async with ground.orchestrator(*SAGAS) as leader, ground.orchestrator(worker=False) as looker:
        by = leader if ways else looker
        (saga_id,) = await start(leader, trip, "x")
        for expected in ("applied", "unchanged"):
            done = await gathered(by.bulk("signal", "name:trip", name="go", payload="a", id="7"))
            assert done[saga_id].result == expected
            await leader.drain()
        assert (await events_of(leader, saga_id)).count("SignalReceived") == 1


@scene
async def test_without_a_worker_a_verb_is_queued_and_the_next_worker_applies_it(tmp_path):
    ground = Ground(tmp_path / "a.db")
    async with ground.orchestrator(*SAGAS) as leader:
        ids = await start(leader, trip, "x", 600)
    async with ground.orchestrator(worker=False) as looker:
        done = await gathered(looker.bulk("cancel", "name:trip", reason="r"))
        assert {done[each].result for each in ids} == {"queued"}
        assert {done[each].status for each in ids} == {"running"}
    async with ground.orchestrator(*SAGAS) as leader:
        await until(lambda: _all_compensated(leader, 600), limit_s=20)


async def _all_compensated(leader, count):
    return await leader.count("status:compensated") == count


@scene
async def test_a_filter_that_fits_everything_is_refused():
    async with Ground(None).orchestrator(*SAGAS) as leader:
        for empty in ("", "  "):
            with pytest.raises(UsageError, match="The filter is empty") as refused:
                leader.bulk("cancel", empty, reason="x")
            assert refused.value.code == "AM2041"
        with pytest.raises(FilterError):
            leader.bulk("cancel", "stauts:x", reason="x")


@scene
async def test_more_sagas_than_the_cap_are_refused_unless_a_limit_is_given(monkeypatch):
    monkeypatch.setattr("amends.runtime.bulk.BULK_SAGAS_MAX", 3)
    async with Ground(None).orchestrator(*SAGAS) as leader:
        ids = await start(leader, trip, "x", 5)
        with pytest.raises(UsageError, match=r"cancel of 5 sagas.*at most 3.*limit=5") as refused:
            await gathered(leader.bulk("cancel", "name:trip", reason="x"))
        assert refused.value.code == "AM2040"
        assert await leader.count("status:running") == 5
        bulk = leader.bulk("cancel", "name:trip", reason="x", limit=4)
        assert set(await gathered(bulk)) == set(ids[1:])  # the newest
        assert (bulk.matching, len(bulk.ids)) == (5, 4)
        assert len(await gathered(leader.bulk("pause", "status:running", reason="x"))) == 1
        with pytest.raises(UsageError, match="at least 1"):
            leader.bulk("cancel", "name:trip", reason="x", limit=0)


def test_the_cap_is_the_one_of_the_documents():
    assert BULK_SAGAS_MAX == 1_000


@scene
async def test_more_sagas_than_a_page_are_found():
    async with Ground(None).orchestrator(*SAGAS) as leader:
        await start(leader, trip, "x", 1_100)
        bulk = leader.bulk("pause", "name:trip", reason="x", limit=1_050, dry_run=True)
        await bulk.prepare()
        assert len(set(bulk.ids)) == 1_050
        assert bulk.matching == 1_100
        assert bulk.ids == sorted(bulk.ids, reverse=True)


@pytest.mark.parametrize(
    ("verb", "words", "said"),
    [
        ("drop", {}, "the verbs are retry, resume"),
        ("cancel", {}, "it needs reason"),
        ("cancel", {"reason": " "}, "say why"),
        ("cancel", {"reason": "x", "step": "book"}, "it takes no step"),
        ("skip", {"reason": "x"}, "it needs step"),
        ("resolve", {"reason": "x", "step": "book"}, "it needs outcome"),
        ("resolve", {"reason": "x", "step": "book", "outcome": "perhaps"}, "not_done"),
        ("signal", {"reason": "x", "name": "go"}, "it takes no reason"),
        ("signal", {}, "it needs name"),
    ],
)
def test_a_verb_gets_its_own_words_and_no_others(verb, words, said):
    @scene
    async def body():
        async with Ground(None).orchestrator(*SAGAS) as leader:
            with pytest.raises(UsageError, match=said):
                leader.bulk(verb, "name:trip", **words)

    body()


@scene
async def test_a_step_or_signal_that_a_saga_does_not_have_is_that_sagas_refusal():
    async with Ground(None).orchestrator(*SAGAS) as leader:
        (waiting,) = await start(leader, trip, "x")
        (stuck,) = await start(leader, strict, "sealed")
        done = await gathered(leader.bulk("skip", "-is:ended", step="reserve", reason="x"))
        assert isinstance(done[waiting].error, NotFound) and done[stuck].result == "applied"
        (other,) = await start(leader, strict, "sealed", first=1)
        done = await gathered(leader.bulk("signal", "-is:ended", name="go", payload="x"))
        assert isinstance(done[other].error, NotFound) and done[waiting].result == "applied"


@scene
async def test_so_many_verbs_are_under_way_at_a_time_and_no_more():
    async with Ground(None).orchestrator(*SAGAS) as leader:
        await start(leader, trip, "x", BULK_AT_A_TIME * 2)
        under_way = most = 0
        act = leader._act

        async def counting(saga_id, command, state):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            try:
                return await act(saga_id, command, state)
            finally:
                under_way -= 1

        leader._act = counting
        await gathered(leader.bulk("pause", "name:trip", reason="x"))
        assert 8 < most <= BULK_AT_A_TIME


@scene
async def test_a_store_out_of_reach_ends_a_bulk_and_tells_how_far_it_came():
    from amends.errors import StoreUnavailable

    store = FaultyStore(MemoryStore())
    async with Ground(None).orchestrator(*SAGAS, store=store) as leader:
        await start(leader, trip, "x", BULK_AT_A_TIME + 50)
        bulk = leader.bulk("pause", "name:trip", reason="x")
        await bulk.prepare()

        def fail(*_):
            if bulk.begun > 40:
                raise StoreUnavailable("away")

        store.faults["frames"] = fail
        with pytest.raises(StoreUnavailable):
            await gathered(bulk)
        assert bulk.begun < len(bulk.ids)
        store.faults.clear()


@scene
async def test_a_bulk_that_is_left_early_begins_nothing_more():
    async with Ground(None).orchestrator(*SAGAS) as leader:
        await start(leader, trip, "x", BULK_AT_A_TIME * 2)
        bulk = leader.bulk("pause", "name:trip", reason="x")
        each = aiter(bulk)
        await anext(each)
        await each.aclose()
        assert bulk.begun < len(bulk.ids)
        assert await leader.count("is:paused") <= bulk.begun


@scene
async def test_a_journal_that_cannot_be_read_or_folded_is_that_sagas_refusal():
    ground = Ground(None)
    async with ground.orchestrator(*SAGAS) as leader:
        damaged, illegal, well = await start(leader, trip, "x", 3)
    for saga_id, body in ((damaged, b"{"), (illegal, encode_frame(0, [Completed(), Completed()]))):
        journal = ground.memory._journal[saga_id]
        row = FrameRow(saga_id, len(journal) + 1, body)
        journal.append(row)
        ground.memory._log.append(row)
    async with ground.orchestrator(worker=False) as looker:
        done = await gathered(looker.bulk("pause", "name:trip", reason="x"))
        assert {each: done[each].result for each in done} == {damaged: "refused", illegal: "refused", well: "queued"}
        assert {done[each].error.code for each in (damaged, illegal)} == {"AM6041"}


@scene
async def test_what_a_resolve_speaks_of_is_decided_when_its_saga_is_looked_at():
    async with Ground(None).orchestrator(*SAGAS) as leader:
        (saga_id,) = await start(leader, strict, "sealed")
        asked = []

        async def asking(saga_id, command, state):
            asked.append((saga_id, command.direction))
            return True

        leader._act = asking
        await gathered(leader.bulk("resolve", "name:strict", step="reserve", outcome="done", reason="x"))
        assert asked == [(saga_id, "back")]
