"""`why`, for each cause there is: the kernel itself makes the journals, `why.txt` has the sentences.

python -m tests.runtime.test_why      # writes why.txt anew, to be read before it is committed
"""

# ruff: noqa: PLW0108 -- without its lambda a run would be made at import

import asyncio
from pathlib import Path

import pytest

from amends.cli.explaining import sentence
from amends.core import events as ev
from amends.core.summary import fold_summary
from amends.core.transitions import SagaStatus
from amends.limits import WHY_CAUSES_MAX
from amends.runtime.reading import Reader
from amends.runtime.views import HistoryEntry, history_of, view_of
from amends.runtime.why import why
from amends.runtime.why_table import TABLE
from tests.core.graphs import TTL, choose, first_of, graph, parallel, sleep, step, wait
from tests.core.rules.driver import VALUE, Run
from tests.simulated import simulated

GOLDEN = Path(__file__).with_name("why.txt")
PIVOT = (step("a"), step("p", pivot=True), step("s", retriable=True))


def ab(**flags):
    return Run(graph(step("a", **flags), step("b")))


def owed(**flags):
    return ab(**flags).a.succeeds().b.rejected().a.undo_refused()


def after_pivot(deadline=True, **flags):
    last = step("s", retriable=True, **flags)
    return Run(graph(step("a"), step("p", pivot=True), last, deadline=deadline)).a.succeeds().p.succeeds()


def after_a_day(run):
    run.now += TTL + 1
    return run.tell()


RUNS = {
    "not taken up": lambda: scheduled(),
    "being called": lambda: ab(),
    "called again after a crash": lambda: ab().crash(),
    "called again after a shutdown": lambda: ab().crash("shutdown"),
    "backing off": lambda: ab().a.raises(),
    "waiting": lambda: Run(graph(wait("go"))),
    "waiting for a while": lambda: Run(graph(wait("go", timeout=True))),
    "asleep": lambda: Run(graph(sleep())),
    "three branches": lambda: Run(graph(parallel(step("a"), wait("go"), sleep(), step("b")))).b.raises(),
    "completed": lambda: ab().a.succeeds().b.succeeds(),
    "completed on the second attempt": lambda: ab().a.raises().wait().a.succeeds().b.succeeds(),
    "best effort passed": lambda: ab(best_effort=True, compensation=False).a.raises_again().b.succeeds(),
    "rejected": lambda: ab().a.succeeds().b.rejected().a.undone(),
    "rejected for good after an unknown attempt": lambda: ab().a.raises().wait().a.rejected(conclusive=True),
    "refused after an unknown attempt": lambda: ab().a.raises().wait().a.rejected().a.undone(),
    "rejected by the probe": lambda: ab(probe=True).a.raises_again().a.probe_rejected(),
    "not sent": lambda: ab().a.succeeds().b.not_sent().wait().b.not_sent().a.undone(),
    "unknown": lambda: ab().a.succeeds().b.raises_again().b.undone().a.undone(),
    "unknown after a crash, being undone": lambda: ab().crash().a.raises_again(),
    "unknown and not seen by the probe": lambda: ab(probe=True).a.raises_again().a.not_seen().a.undone(),
    "being probed": lambda: ab(probe=True).a.raises_again(),
    "the probe fails": lambda: ab(probe=True).a.raises_again().a.probe_fails(),
    "found by the probe": lambda: ab(probe=True).a.raises_again().a.found().b.succeeds(),
    "no signal in time": lambda: Run(graph(step("a"), wait("go", timeout=True))).a.succeeds().wait().a.undone(),
    "no signal in time, and other nodes": lambda: Run(graph(wait("go", on_timeout=[step("b")]))).wait().b.succeeds(),
    "deadline while a step runs": lambda: Run(graph(step("a"), deadline=True)).until_deadline().a.raises(),
    "deadline while waiting": lambda: Run(graph(step("a"), wait("go"), deadline=True)).a.succeeds().until_deadline(),
    "cancelled": lambda: ab().a.succeeds().cancel(),
    "cancelled, its running step unknown": lambda: ab().cancel().a.raises(),
    "cancelled during the pivot, which failed": lambda: cancelled_pivot().p.not_sent().a.undone(),
    "cancel refused by the pivot": lambda: cancelled_pivot().p.succeeds().s.succeeds(),
    "parked as unknown": lambda: ab(on_unknown="park").a.raises_again(),
    "parked as poison": lambda: ab().a.poison(),
    "parked for its key": lambda: after_a_day(Run(graph(step("p", pivot=True, key_ttl=True))).p.raises()),
    "parked after the pivot, rejected": lambda: after_pivot().s.rejected(),
    "parked after the pivot, by the deadline": lambda: after_pivot().s.not_sent().until_deadline(),
    "the pivot refused, unknown before": lambda: Run(graph(*PIVOT)).a.succeeds().p.raises().wait().p.rejected(),
    "the pivot unknown at the deadline": lambda: pivot_unknown(),
    "poison by deaths": lambda: Run(graph(step("a")), deaths_max=2).crash().crash(),
    "owed, refused": lambda: owed(),
    "owed, exhausted": lambda: ab().a.succeeds().b.rejected().a.undo_fails().wait().a.undo_fails(),
    "undoing is backing off": lambda: ab().a.succeeds().b.rejected().a.undo_fails(),
    "undoing, again": lambda: ab().a.succeeds().b.rejected().a.undo_fails().wait(),
    "undoing after a crash": lambda: ab().a.succeeds().b.rejected().crash(),
    "owed, without compensation": lambda: ab(compensation=False).a.succeeds().b.rejected(),
    "owed, its result missing": lambda: ab(needs_result=True).a.raises_again(),
    "owed, as on_unknown says": lambda: ab(on_unknown="park").a.raises().cancel(),
    "owed for its key": lambda: after_a_day(ab(key_ttl=True).a.succeeds().b.rejected().a.undo_fails()),
    "owed as poison": lambda: ab().a.succeeds().b.rejected().tell(ev.StepOwed(1, "poison", "does not decode")),
    "two are parked": lambda: two_owed(),
    "retried and compensated": lambda: owed().retry().a.undone(),
    "undone by hand": lambda: owed().a.resolve("done"),
    "never done, says a person": lambda: ab().a.raises_again().a.undo_refused().a.resolve("not_done"),
    "took effect, says a person": lambda: ab(on_unknown="park").a.raises_again().a.resolve("done", VALUE).b.succeeds(),
    "never took effect, says a person": lambda: ab(on_unknown="park").a.raises_again().a.resolve("not_done"),
    "closed while turning back": lambda: owed().a.skip(),
    "closed after the pivot": lambda: after_pivot().s.rejected().s.skip(),
    "paused": lambda: ab().pause(),
    "held for its version": lambda: ab().tell(ev.Held("version", "trip version 1 is not registered here")),
    "held as poison": lambda: ab().tell(ev.Held("poison", "frame 3 does not decode")),
    "released again": lambda: ab().tell(ev.Held("version", "gone")).tell(ev.Released()),
    "a late success settles": lambda: ab(on_unknown="park").a.raises_again().a.late().b.succeeds(),
    "a late success after its undo": lambda: ab().a.raises_again().a.undone().a.late(),
    "a late success left aside": lambda: ab(read_only=True, compensation=False).a.raises_again().a.late(),
    "a call was left alone": lambda: ab().a.raises().tell(ev.AttemptAbandoned(1, "action")),
    "follow-ups run": lambda: Run(graph(step("a"), completed=[step("mail")])).a.succeeds(),
    "a follow-up failed": lambda: Run(graph(step("a"), completed=[step("mail")])).a.succeeds().mail.rejected(),
    "accepted": lambda: accepted(),
    "being asked whether it is done": lambda: accepted().wait(),
    "not done yet": lambda: accepted().wait().tell(ev.PollPending(1, 1_700_000_020_000, 10_000)),
    "asking failed": lambda: accepted().wait().tell(ev.PollPending(1, 1_700_000_020_000, 10_000, error="502")),
    "asking failed every time": lambda: asked_in_vain(3),
    "a poll was cut off": lambda: cut_off(accepted().wait(), undo=False),
    "no end of it was heard": lambda: until_given_up(),
    "undoing is accepted": lambda: undo_accepted(),
    "being asked whether it is undone": lambda: undo_accepted().wait(),
    "not undone yet": lambda: undo_accepted().wait().tell(ev.PollPending(1, 1_700_000_020_000, 10_000, undo=True)),
    "a poll of its undoing was cut off": lambda: cut_off(undo_accepted().wait(), undo=True),
    "no end of its undoing was heard": lambda: until_given_up(undo_accepted()),
    "the second alternative came through": lambda: two_ways().rejected().node("pay/bank").succeeds(),
    "no alternative is left": lambda: two_ways().raises_again().node("pay/card").undone().node("pay/bank").rejected(),
    "an alternative cannot be undone": lambda: two_ways().raises_again().node("pay/card").undo_refused(),
    "a branch was taken": lambda: Run(graph(choose([step("a")], [step("b")]))).a.rejected(),
}  # fmt: skip


def scheduled():
    run = Run.__new__(Run)
    run.graph, run.frames = (
        graph(step("a")),
        [ev.Frame(1, 1_700_000_000_000, [ev.Started("s", "saga", 1, "", ev.NOTHING)])],
    )
    return run


def accepted():
    return Run(graph(step("a"))).tell(ev.ActionAccepted(1, 1_700_000_010_000, 1_700_000_060_000, 10_000, "ask"))


def undo_accepted():
    run = Run(graph(step("a"), step("b"))).a.succeeds().b.rejected()
    return run.tell(ev.CompensationAccepted(1, 1_700_000_010_000, 1_700_000_060_000, 10_000, "ask"))


def cut_off(run, undo):
    """The frame that a shutdown leaves: nobody goes on."""
    run.frames.append(ev.Frame(1, run.now, [ev.PollCut(1, 1_700_000_020_000, undo, "shutdown")]))
    return run


def asked_in_vain(times):
    run = accepted()
    for count in range(1, times + 1):
        run.wait().tell(ev.PollPending(1, 1_700_000_010_000 + count * 10_000, 10_000, error=f"50{count}"))
    return run


def until_given_up(run=None):
    run = run or accepted()
    run.now = 1_700_000_060_001
    return run.tell()


def two_ways():
    return Run(graph(first_of(step("card"), step("bank"), name="pay"))).node("pay/card")


def cancelled_pivot():
    return Run(graph(*PIVOT)).a.succeeds().cancel()


def pivot_unknown():
    return Run(graph(*PIVOT, deadline=True)).a.succeeds().p.raises().until_deadline()


def two_owed():
    run = Run(graph(parallel(step("a"), step("b")), step("c"))).a.succeeds().b.succeeds().c.rejected()
    return run.a.undo_refused().b.undo_fails().wait().b.undo_fails()


def looked_at(run):
    """(view, history) of a run."""
    from amends.core.fold import load

    summary, paths = None, [node.path for node in run.graph.nodes]
    for seq, frame in enumerate(run.frames, 1):
        summary = fold_summary(summary, "s", frame, seq, paths)
    return view_of(summary, load(run.graph, run.frames), None), history_of(
        run.graph.paths.__getitem__, list(enumerate(run.frames, 1))
    )


def told(run):
    view, history = looked_at(run)
    return "".join(f"    {reason.seq:>2}  {sentence(reason)}\n" for reason in why(view, history))


def golden():
    found, name = {}, ""
    for line in GOLDEN.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith(" "):
            name = line.strip()
            found[name] = ""
        else:
            found[name] += line
    return found


@pytest.mark.parametrize("name", RUNS)
def test_every_cause_is_told_in_its_sentences(name):
    assert told(RUNS[name]()) == golden()[name]


def test_no_sentence_stands_there_that_nothing_says():
    assert list(golden()) == list(RUNS)


def test_every_status_cause_and_reason_of_the_kernel_has_its_own_sentence():
    kinds = {
        "TurnedBack": ev.TURN_BACK_CAUSES, "StepParked": ev.PARK_REASONS, "StepOwed": ev.OWE_REASONS,
        "Held": ("version", "poison"),
    }  # fmt: skip
    assert {f"{event}:{reason}" for event, reasons in kinds.items() for reason in reasons} <= set(TABLE)
    assert {str(status) for status in SagaStatus} - {"completed", "compensated", "closed"} <= set(TABLE)


def test_every_row_of_the_table_is_told_by_some_run(monkeypatch):
    from amends.runtime import why as module

    said = set()

    class Listening(dict):
        def get(self, key, default=None):
            if key in self:
                said.add(key)
            return super().get(key, default)

    monkeypatch.setattr(module, "TABLE", Listening(TABLE))
    for run in RUNS.values():
        told(run())
    assert set(TABLE) - said == FALLBACKS


FALLBACKS = {"TurnedBack", "StepParked", "StepOwed", "Held"}
"""Rows for reasons of a later release."""


def test_an_event_and_a_reason_of_a_later_release_are_told_as_far_as_they_are_known():
    view, history = looked_at(owed())
    strange = [
        HistoryEntry(each.seq, each.at, each.event, each.step, {**each.details, "reason": "boredom", "message": "so?"})
        if each.event == "StepOwed"
        else each
        for each in [*history, HistoryEntry(9, history[-1].at, "Teleported", "a", {})]
    ]
    assert [sentence(each) for each in why(view, strange)][1] == (
        "The compensation of a is owed, because boredom: 'so?'."
    )


def test_every_prefix_of_every_simulated_journal_has_a_chain_from_its_present_to_a_first_cause():
    stores, seen = [simulated(seed) for seed in range(20)], 0

    async def main():
        nonlocal seen
        for store in stores:
            await store.open()
            reader = Reader(store, {})
            for saga_id, rows in store._journal.items():
                for seq in range(1, len(rows) + 1):
                    view, history = await reader.view(saga_id, seq), await reader.history(saga_id, seq)
                    chain = why(view, history)
                    assert chain
                    assert [each.seq for each in chain] == sorted((each.seq for each in chain), reverse=True)
                    text = " ".join(map(sentence, chain))
                    assert "{" not in text and "None" not in text and "  " not in text and " happened" not in text
                    if view.status in ("compensating", "compensated"):  # the list's cause is in the chain
                        assert view.cause.split()[0].rstrip(":") in text
                    seen += 1

    asyncio.run(main())
    assert seen > 500


def test_of_ten_thousand_debts_as_many_are_told_as_a_person_reads():
    view, history = looked_at(owed())
    at = history[-1].at
    items = [
        HistoryEntry(9, at, event, f"hold[{number}]", details)
        for number in range(10_000)
        for event, details in (
            ("CompensationStarted", {}), ("CompensationRefused", {"error": "gone"}),
            ("StepOwed", {"reason": "refused", "message": ""}),
        )
    ]  # fmt: skip
    chain = why(view, [*history, *items])
    assert chain[0].because.endswith("hold[6] and 9993 more are parked")
    assert sum(each.what.endswith("is owed") for each in chain) == WHY_CAUSES_MAX
    assert len(chain) == WHY_CAUSES_MAX + 3  # the present, and why it turned back


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{name}\n{told(run())}" for name, run in RUNS.items()), encoding="utf-8")
