"""What mutation testing found unproven: each test here kills mutants of the kernel that every other test let live."""

import msgspec
import pytest
from msgspec import Raw

from amends.core import events as ev, verbs
from amends.core.decide import decide, has_nothing_to_decide, next_due
from amends.core.fold import fold
from amends.core.state import IllegalTransition, SagaState, giver_of, saga_result
from amends.errors import Conflict, NotFound, UsageError
from amends.limits import ERRORS_KEPT, SIGNALS_PENDING_MAX
from amends.policies.retry import Retry
from tests.core.graphs import BACKOFF, SLEEP, TTL, Spec, choose, graph, parallel, sleep, step, wait
from tests.core.rules.driver import START, VALUE, Run

LATE = Raw(b'"late"')


def order(**pivot) -> Run:
    return Run(graph(step("a"), step("p", pivot=True, **pivot), step("s", retriable=True), deadline=True)).a.succeeds()


def shipping(**flags) -> Run:
    return Run(graph(step("p", pivot=True), step("s", retriable=True, **flags), deadline=True)).p.succeeds()


def parked(**flags) -> Run:
    return Run(graph(step("a", on_unknown="park", **flags), step("b"))).a.raises_again()


def undoing(**flags) -> Run:
    return Run(graph(step("z"), step("a", **flags), step("b"))).z.succeeds().a.succeeds().b.rejected()


def owed(**flags) -> Run:
    return Run(graph(step("a", **flags), step("b"))).a.succeeds().b.rejected().a.undo_refused()


def tuned(spec: Spec, **retry) -> Spec:
    policy = Retry(**{"attempts": 9, "base": 1, "cap": 1, "jitter": "none"} | retry)
    spec.tuning |= {"retry": policy, "compensation_retry": policy, "probe_retry": policy}
    return spec


def slot(run: Run, name: str):
    return run.state.slot(run.node(name).index)


def last(run: Run, kind: type):
    return [event for event in run.events if type(event) is kind][-1]


class TestReasons:
    def test_a_pivot_whose_key_grew_too_old_is_parked_for_that(self):
        assert order(key_ttl=True).p.raises().wait(TTL).p.reason == "key_expired"

    def test_an_unknown_pivot_that_is_refused_later_is_parked_as_rejected(self):
        assert order(key_ttl=True).p.raises().wait().p.rejected().p.reason == "rejected"

    def test_a_step_that_had_no_effect_by_the_deadline_is_parked_for_the_deadline(self):
        assert shipping().s.not_sent().until_deadline().s.reason == "deadline"

    def test_a_step_that_is_unknown_at_the_deadline_is_parked_as_unknown(self):
        assert shipping().s.raises().until_deadline().s.reason == "unknown"
        assert parked().a.reason == "unknown"

    def test_a_follow_up_that_never_got_through_failed_and_one_that_raised_is_unknown(self):
        run = Run(graph(step("a"), completed=[step("m"), step("n")])).a.succeeds()
        run.m.not_sent().wait().m.not_sent()
        assert run.m.status == "failed" and run.n.raises_again().n.status == "unknown"

    @pytest.mark.parametrize(
        ("run", "reason", "message"),
        [
            (undoing(compensation=False), "no_compensation", "it has no compensation"),
            (parked().cancel(), "on_unknown", 'its outcome is unknown, and on_unknown="park"'),
            (
                Run(graph(step("a", needs_result=True))).a.raises_again(),
                "result_missing",
                "its outcome is unknown, and its compensation cannot take None",
            ),
        ],
        ids=["no_compensation", "on_unknown", "result_missing"],
    )
    def test_an_owed_step_says_why(self, run: Run, reason: str, message: str):
        assert (run.a.status, run.a.reason, slot(run, "a").undo_error) == ("owed", reason, message)
        assert run.state.errors[-1] == f"a (compensation): {message}"

    def test_a_saga_that_turned_back_says_what_for(self):
        two = graph(step("a"), step("b"), deadline=True)
        assert Run(two).cancel().a.not_sent().state.turned_back == ev.TurnedBack("cancelled", -1, "why")
        assert Run(two).a.rejected().state.turned_back == ev.TurnedBack("rejected", 1, "no")
        failed = Run(two).a.not_sent().wait().a.not_sent()
        assert failed.state.turned_back == ev.TurnedBack("failed", 1, "refused")
        assert Run(two).a.raises_again().state.turned_back == ev.TurnedBack("unknown", 1, "boom")
        assert Run(two).until_deadline().state.turned_back == ev.TurnedBack("deadline")
        timed_out = Run(graph(wait("w", timeout=True))).wait()
        assert timed_out.state.turned_back == ev.TurnedBack("timeout", 1, "no signal in time")
        assert parked().a.resolve("not_done").state.turned_back == ev.TurnedBack("rejected", 1, "boom")
        poisoned = order().until_deadline().p.poison()
        assert poisoned.state.turned_back == ev.TurnedBack("deadline", 2, "does not decode")

    def test_each_failed_attempt_leaves_its_error(self):
        run = Run(graph(step("a", probe=True, attempts=5), step("b"))).a.not_sent()
        assert slot(run, "a").error == "refused"
        run.wait().tell(ev.ActionUnknown(1, "", "timeout"))
        assert slot(run, "a").error == "timeout"
        run.wait().crash()
        assert slot(run, "a").error == "timeout" and list(run.state.errors) == ["a: refused", "a: timeout"]

    def test_a_poisoned_step_leaves_its_error(self):
        run = Run(graph(step("a"))).a.poison()
        assert slot(run, "a").error == "does not decode" and list(run.state.errors) == ["a: does not decode"]

    def test_a_step_that_ran_at_too_many_deaths_says_how_many(self):
        run = Run(graph(step("a")), deaths_max=2).crash().crash()
        assert slot(run, "a").error == "it was running at 2 process deaths in a row"


class TestRetries:
    def test_a_retry_says_when_and_how_long_it_waits(self):
        run = Run(graph(step("a"))).a.raises()
        assert last(run, ev.RetryScheduled) == ev.RetryScheduled(1, START + BACKOFF, BACKOFF)
        assert slot(run, "a").delay_ms == BACKOFF

    def test_a_probe_and_a_compensation_are_retried_the_same_way(self):
        run = Run(graph(step("a", probe=True))).a.raises_again().a.probe_fails()
        assert last(run, ev.ProbeRetryScheduled) == ev.ProbeRetryScheduled(1, run.now + BACKOFF, BACKOFF)
        assert slot(run, "a").probe_delay_ms == BACKOFF and run.state.errors[-1] == "a (probe): 500"
        run = undoing().a.undo_fails()
        assert last(run, ev.CompensationRetryScheduled) == ev.CompensationRetryScheduled(2, run.now + BACKOFF, BACKOFF)
        assert (slot(run, "a").undo_delay_ms, slot(run, "a").undo_error) == (BACKOFF, "boom")

    def test_no_retry_begins_later_than_max_elapsed_after_the_first_attempt(self):
        run = Run(graph(tuned(step("a"), max_elapsed=2))).a.raises().wait().a.raises()
        assert run.wait().calls == ["a"] and run.a.raises().calls == ["undo a"]

    def test_max_elapsed_does_not_end_the_retries_of_an_unknown_pivot(self):
        run = Run(graph(tuned(step("p", pivot=True), max_elapsed=2))).p.raises()
        for _ in range(5):
            assert run.wait().calls == ["p"]
            run.p.raises()

    def test_no_retry_of_a_compensation_begins_later_than_max_elapsed(self):
        run = Run(graph(tuned(step("a"), max_elapsed=2), step("b"))).a.succeeds().b.rejected()
        run.a.undo_fails().wait().a.undo_fails()
        assert run.wait().calls == ["undo a"]
        assert run.a.undo_fails().a.status == "owed" and run.a.reason == "exhausted"

    def test_a_backoff_that_would_end_at_the_deadline_is_not_slept(self):
        run = order()
        run.now = run.state.deadline - BACKOFF
        assert run.p.not_sent().calls == ["undo a"]

    def test_a_call_that_was_cut_off_is_repeated_at_once_and_so_up_to_the_deadline(self):
        run = Run(graph(step("a"), deadline=True))
        run.now = run.state.deadline - 1
        assert run.crash().calls == ["a"]

    def test_a_pivot_cut_off_beyond_its_attempts_is_called_again_before_its_probe(self):
        run = order(probe=True).p.raises_again().p.not_seen().wait()
        assert run.calls == ["p"] and run.crash().calls == ["p"]

    def test_a_best_effort_step_or_a_follow_up_is_not_retried_without_end(self):
        run = Run(graph(step("m", best_effort=True, on_unknown="retry"), completed=[step("n", on_unknown="retry")]))
        assert run.m.raises_again().m.status == "passed" and run.n.raises_again().n.status == "unknown"

    def test_jitter_spreads_the_retries_of_one_moment_over_the_whole_of_the_delay(self):
        steps = [tuned(step(f"s{i}", probe=True), jitter="full", base=100, cap=100) for i in range(60)]
        run = Run(graph(parallel(*steps)))
        run.tell(*(ev.ActionUnknown(run.node(spec.name).index, "boom") for spec in steps))
        delays = [event.delay_ms for event in run.events if isinstance(event, ev.RetryScheduled)]
        assert len(set(delays)) > 50 and min(delays) < 20_000 and 80_000 < max(delays) <= 100_000

    def test_jitter_spreads_the_retries_of_compensations_and_probes(self):
        steps = [tuned(step(f"s{i}"), jitter="full", base=100, cap=100) for i in range(20)]
        run = Run(graph(parallel(*steps), step("b")))
        indices = [run.node(spec.name).index for spec in steps]
        run.tell(*(ev.ActionSucceeded(i) for i in indices)).b.rejected()
        run.tell(*(ev.CompensationFailed(i, "boom") for i in indices))
        delays = {event.delay_ms for event in run.events if isinstance(event, ev.CompensationRetryScheduled)}
        assert len(delays) > 15
        probed = [tuned(step(f"s{i}", probe=True), jitter="full", base=100, cap=100) for i in range(20)]
        for spec in probed:
            del spec.tuning["retry"]
        run = Run(graph(parallel(*probed)))
        run.tell(*(ev.ActionUnknown(i + 2, "boom") for i in range(20))).wait()
        run.tell(*(ev.ActionUnknown(i + 2, "boom") for i in range(20)))
        run.tell(*(ev.ProbeFailed(i + 2, "500") for i in range(20)))
        delays = {event.delay_ms for event in run.events if isinstance(event, ev.ProbeRetryScheduled)}
        assert len(delays) > 15

    def test_a_decorrelated_delay_grows_out_of_the_last_one(self):
        def delays(run: Run, kind: type) -> list[int]:
            return [event.delay_ms for event in run.events if type(event) is kind]

        spec = tuned(step("a", probe=True), jitter="decorrelated", cap=100)
        run = Run(graph(spec, step("b"))).a.raises().wait().a.raises().wait().a.succeeds().b.rejected()
        run.a.undo_fails().wait().a.undo_fails()
        for kind in (ev.RetryScheduled, ev.CompensationRetryScheduled):
            first, second = delays(run, kind)
            assert BACKOFF <= first <= 3 * BACKOFF and BACKOFF <= second <= 3 * first


class TestPause:
    def test_nothing_is_due_while_it_is_paused(self):
        run = Run(graph(step("a"), deadline=True)).a.raises().pause()
        assert next_due(run.state) == 0
        run.now += BACKOFF
        assert run.tell().calls == [] and run.resume().calls == ["a"]

    def test_a_call_that_was_cut_off_is_not_repeated(self):
        run = Run(graph(step("a"))).pause().crash()
        assert (run.calls, run.a.status) == ([], "settling") and run.resume().calls == ["a"]

    def test_a_probe_does_not_start(self):
        run = Run(graph(step("a", probe=True))).a.raises().wait().pause().a.raises()
        assert run.calls == [] and run.resume().calls == ["probe a"]

    def test_a_resumed_saga_is_not_paused(self):
        assert Run(graph(step("a"))).pause().resume().state.paused is False


class TestDeaths:
    def test_a_step_that_dies_too_often_while_turning_back_is_unknown_and_undone(self):
        run = Run(graph(parallel(step("a"), step("b"))), deaths_max=1).b.rejected().crash()
        assert run.calls == ["undo a"]

    def test_a_follow_up_that_dies_too_often_failed_and_the_next_one_runs(self):
        run = Run(graph(step("a"), completed=[step("m"), step("n")]), deaths_max=1).a.succeeds().crash()
        assert (run.m.status, run.calls, run.state.followup_failed) == ("failed", ["n"], True)
        run = Run(graph(step("a"), compensated=[step("m"), step("n")]), deaths_max=1).a.rejected().crash()
        assert (run.m.status, run.calls) == ("failed", ["n"])

    def test_a_compensation_that_dies_too_often_is_owed_as_poison(self):
        run = Run(graph(step("a"), step("b")), deaths_max=2).a.succeeds().b.rejected().crash()
        assert run.calls == ["undo a"] and slot(run, "a").undo_calls == 2
        run.crash()
        assert (run.a.status, run.a.reason) == ("owed", "poison")
        assert slot(run, "a").undo_error == "its compensation was running at 2 process deaths in a row"

    def test_a_shutdown_is_no_death_of_a_compensation(self):
        run = undoing()
        run.state.deaths_max = 2
        for _ in range(5):
            assert run.crash("shutdown").calls == ["undo a"]

    def test_an_outcome_ends_the_row_of_deaths(self):
        run = Run(graph(step("a", probe=True)), deaths_max=2).crash().a.raises()
        assert slot(run, "a").deaths == 0
        run = Run(graph(step("a", probe=True)), deaths_max=9).a.raises_again().crash()
        assert slot(run, "a").deaths == 1 and slot(run.a.not_seen(), "a").deaths == 0
        assert slot(parked(probe=True).crash().a.not_seen(), "a").deaths == 0
        run = undoing().crash().a.undo_fails()
        assert (slot(run, "a").deaths, slot(run, "a").cut, slot(run, "z").deaths) == (0, False, 0)
        run = Run(graph(step("a"), step("b"))).crash().a.succeeds()
        assert slot(run, "a").deaths == 0
        assert slot(run.b.rejected(), "a").deaths == 0

    def test_a_probe_that_was_cut_off_used_none_of_its_attempts(self):
        run = Run(graph(step("a", probe=True))).a.raises_again().crash().crash("lease")
        assert run.calls == ["probe a"]
        assert (slot(run, "a").probes, slot(run, "a").probe_calls, slot(run, "a").deaths) == (0, 3, 1)
        run.a.probe_fails().wait().crash()
        assert slot(run, "a").probes == 1


class TestKeys:
    def test_a_compensation_is_called_until_its_key_is_too_old_and_not_after(self):
        run = undoing(key_ttl=True)
        run.now += TTL - 1
        assert run.crash().calls == ["undo a"]
        run.now += 1
        assert run.crash().calls == ["undo z"] and (run.a.status, run.a.reason) == ("owed", "key_expired")
        assert slot(run, "a").undo_error == "its idempotency key is older than key_ttl"

    def test_a_compensation_whose_retry_would_come_too_late_for_its_key_is_owed(self):
        run = undoing(key_ttl=True)
        run.now += TTL - 10
        assert run.a.undo_fails().a.reason == "key_expired"

    def test_retry_is_possible_until_the_key_is_too_old(self):
        run = parked(key_ttl=True)
        first = slot(run, "a").first_at
        assert "retry" in verbs.allowed(run.state, first + TTL - 1)
        assert "retry" not in verbs.allowed(run.state, first + TTL)

    def test_retry_of_a_compensation_is_possible_until_its_key_is_too_old(self):
        run = owed(key_ttl=True)
        first = slot(run, "a").undo_first_at
        assert "retry" in verbs.allowed(run.state, first + TTL - 1)
        assert "retry" not in verbs.allowed(run.state, first + TTL)
        run.now = first + TTL
        with pytest.raises(Conflict, match=r"called again: a \(refused\); resolve or skip it; .* allows resolve, skip"):
            run.retry()

    def test_retry_of_a_step_whose_key_is_too_old_asks_its_probe_and_never_calls_it(self):
        run = parked(key_ttl=True, probe=True).a.not_seen()
        run.now += TTL
        assert run.a.status == "parked" and run.retry().calls == ["probe a"]


class TestVerbs:
    def test_retry_starts_the_counters_afresh(self):
        run = parked().pause().retry()
        a = slot(run, "a")
        assert (a.attempts, a.probes, a.deaths, a.undo_attempts, a.delay_ms, a.undo_delay_ms) == (0, 0, 0, 0, 0, 0)
        assert (a.refused, a.rejected, a.probed, a.probe_failed, a.undo_refused) == (False,) * 5
        assert (a.reason, a.forced, a.unknown) == ("", True, True)

    def test_retry_gives_all_attempts_again_and_is_spent_by_the_first(self):
        run = parked().retry()
        assert run.calls == ["a"] and slot(run, "a").forced is False and slot(run, "a").calls == 3
        assert run.a.raises().a.status == "retrying" and run.wait().a.raises().a.status == "parked"

    def test_retry_of_a_step_that_was_never_called_makes_it_ready(self):
        assert order().p.poison().pause().retry().p.status == "ready"

    def test_retry_while_turning_back_goes_on_turning_back(self):
        run = owed()
        assert run.status == "requires_manual" and run.retry().status == "compensating" and run.calls == ["undo a"]

    def test_retry_takes_the_deadline_that_the_saga_was_started_with(self):
        run = Run(graph(step("p", pivot=True), step("s", retriable=True), deadline=True))
        run.state.started = msgspec.structs.replace(run.state.started, deadline_ms=7)
        run.p.succeeds().s.rejected()
        assert verbs.retry(run.state, "why", "me", 100) == [ev.RetryRequested("why", "me", 107)]
        assert run.until_deadline().retry().state.deadline_passed is False

    def test_done_of_a_compensation_that_backs_off_goes_on_with_what_came_before(self):
        assert undoing().a.undo_fails().a.resolve("done").calls == ["undo z"]

    def test_done_of_what_is_owed_leaves_no_reason(self):
        assert owed().a.resolve("done").a.reason == ""

    def test_not_done_clears_what_was_unknown(self):
        run = Run(graph(step("a"))).a.raises_again().a.undo_refused().a.resolve("not_done")
        assert slot(run, "a").unknown is False
        run = Run(graph(step("m", best_effort=True), step("b"))).m.raises().m.resolve("not_done")
        assert slot(run, "m").unknown is False and run.b.rejected().status == "compensated"
        assert run.count(ev.CompensationStarted) == 0

    def test_not_done_after_the_pivot_starts_the_step_afresh(self):
        run = shipping().s.raises().wait().s.rejected()
        assert run.s.status == "parked" and run.pause().s.resolve("not_done").s.status == "settling"
        s = slot(run, "s")
        assert (s.unknown, s.refused, s.rejected, s.deaths, s.forced) == (False, False, False, 0, True)

    def test_the_events_of_the_verbs_say_why_and_who(self):
        state = Run(graph(step("a"))).state
        assert verbs.cancel(state, "why", "me") == [ev.CancelRequested("why", "me")]
        assert verbs.resume(Run(graph(step("a"))).pause().state, "why", "me") == [ev.Resumed("why", "me")]
        assert verbs.skip(owed().state, 1, "why", "me") == [ev.Skipped(1, "why", "me")]
        done = verbs.resolve(owed().state, 1, "done", None, "why", "me")
        assert done == [ev.Resolved(1, "done", True, ev.NOTHING, "why", "me")]
        done = verbs.resolve(parked().state, 1, "done", VALUE, "why", "me")
        assert done == [ev.Resolved(1, "done", False, VALUE, "why", "me")] and done[0].undo is False
        done = verbs.resolve(parked().state, 1, "done", None, "why", "me")
        assert done == [ev.Resolved(1, "done", False, ev.NOTHING, "why", "me")]

    def test_what_was_cut_off_says_what_cut_it(self):
        probing = Run(graph(step("a", probe=True))).a.raises_again().state
        assert verbs.cut_off(probing, "lease") == [ev.ProbeCut(1, "lease")]
        assert verbs.cut_off(undoing().state, "lease") == [ev.CompensationCut(2, "lease")]
        run = Run(graph(choose([step("a")], [step("b")]), step("c")), branch=1)
        assert verbs.cut_off(run.state, "lease") == [ev.ActionCut(run.b.index, "lease")]

    def test_a_wrong_outcome_is_a_usage_error(self):
        with pytest.raises(UsageError, match=r'resolve\(outcome=.maybe.\): give "done" or "not_done"') as caught:
            parked().a.resolve("maybe")
        assert caught.value.code == "AM2010"
        with pytest.raises(UsageError) as caught:
            parked(read=True).a.resolve("done")
        assert caught.value.code == "AM2011"

    def test_an_unknown_signal_is_told_the_known_ones(self):
        with pytest.raises(NotFound, match=r"no wait_for\('x'\) in saga; it waits for: v, w$") as caught:
            Run(graph(wait("w"), wait("v"))).signal("x")
        assert caught.value.code == "AM3004"
        with pytest.raises(NotFound, match="it waits for: nothing$"):
            Run(graph(step("a"))).signal("x")

    def test_only_so_many_signals_may_wait(self):
        run = Run(graph(step("a"), wait("w")))
        run.tell(*[ev.SignalReceived("w")] * (SIGNALS_PENDING_MAX - 1)).signal("w")
        with pytest.raises(Conflict, match=f"saga s is running: {SIGNALS_PENDING_MAX} signals named 'w' are pending"):
            run.signal("w")

    def test_two_skips_are_counted_and_the_end_says_what_stays(self):
        saga = graph(
            step("p", pivot=True),
            step("r", read_only=True),
            wait("w"),
            choose([step("s", retriable=True)], [step("t", retriable=True)]),
            step("m", best_effort=True, compensation=False),
            step("u", retriable=True),
            step("v", retriable=True),
        )
        run = Run(saga).p.succeeds().r.succeeds().signal("w").s.succeeds().m.raises_again()
        run.u.rejected().u.skip().v.raises().v.skip()
        stays = [run.p.index, run.s.index, run.m.index, run.v.index]
        assert (run.status, run.state.skips, last(run, ev.Closed).stays) == ("closed", 2, stays)


def _message(run: Run, verb: str, *args) -> str:
    with pytest.raises(Conflict) as caught:
        if verb in ("resolve", "skip"):
            getattr(run.node(args[0]), verb)(*args[1:])
        else:
            getattr(run, verb)(*args)
    return caught.value.message


ENDED = "nothing: it has ended"
CONFLICTS = [
    (Run(graph(step("a"))).a.succeeds(), "cancel", (), "completed: cancel comes too late", ENDED),
    (Run(graph(step("a"))).a.succeeds(), "retry", (), "completed: retry comes too late", ENDED),
    (Run(graph(step("a"))).a.succeeds(), "pause", (), "completed: pause comes too late", ENDED),
    (Run(graph(step("a"))).a.succeeds(), "resume", (), "completed: resume comes too late", ENDED),
    (Run(graph(step("a"))).a.succeeds(), "skip", ("a",), "completed: skip comes too late", ENDED),
    (Run(graph(step("a"))).a.succeeds(), "resolve", ("a", "done"), "completed: resolve comes too late", ENDED),
    (Run(graph(wait("w"))).signal("w"), "signal", ("w",), "completed: a signal comes too late", ENDED),
    (shipping(), "cancel", (), "running: its pivot has succeeded, there is no way back", "pause"),
    (
        order().p.raises().until_deadline(), "cancel", (),
        "requires_manual: the outcome of its pivot p is unknown and parked", "retry, resolve, pause",
    ),
    (
        Run(graph(step("a"))), "retry", (),
        "running: nothing is parked or backing off, so there is nothing to retry", "cancel, pause",
    ),
    (Run(graph(step("a"))).pause(), "pause", (), "running: it is paused already", "cancel, resume"),
    (Run(graph(step("a"))), "resume", (), "running: it is not paused", "cancel, pause"),
    (
        Run(graph(step("a"), step("b"))).a.succeeds(), "resolve", ("a", "done"),
        "running: step a is succeeded, which leaves nothing to resolve going forward", "cancel, pause",
    ),
    (
        Run(graph(step("a"))), "resolve", ("a", "done"),
        "running: a call of step a runs right now; wait for its end", "cancel, pause",
    ),
    (
        Run(graph(step("a"))), "skip", ("a",),
        "running: a call of step a runs right now; wait for its end", "cancel, pause",
    ),
    (
        Run(graph(step("a"), step("b"))), "resolve", ("b", "done"),
        "running: step b has not been reached", "cancel, pause",
    ),
    (Run(graph(wait("w"))), "skip", ("w",), "running: w is no step", "cancel, pause"),
    (
        parked(), "skip", ("a",),
        "requires_manual: step a is parked; only a stuck step after the pivot can be skipped",
        "cancel, retry, resolve, pause",
    ),
    (
        shipping(read=True).s.rejected(), "skip", ("s",),
        "requires_manual: the result of step s is read later, so it cannot be skipped; resolve it",
        "retry, resolve, pause",
    ),
    (
        undoing().a.undo_refused(), "resolve", ("b", "done"),
        "compensating: step b is rejected, so nothing is owed for it", "retry, resolve, skip, pause",
    ),
    (
        undoing(), "skip", ("z",), "compensating: step z is succeeded: no compensation of it is owed", "resolve, pause",
    ),
    (
        owed(), "resolve", ("a", "not_done"),
        'requires_manual: step a is known to have succeeded, so "not_done" cannot be true',
        "retry, resolve, skip, pause",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("run", "verb", "args", "why", "allowed"), CONFLICTS, ids=range(len(CONFLICTS)))
def test_a_conflict_names_the_state_and_what_it_allows(run: Run, verb: str, args: tuple, why: str, allowed: str):
    assert _message(run, verb, *args) == f"saga s is {why}; this state allows {allowed}"


STATES = [
    (shipping().s.rejected(), "retry, resolve, skip, pause"),
    (shipping(read=True).s.rejected().pause(), "retry, resolve, resume"),
    (Run(graph(step("a"))).a.raises(), "cancel, retry, resolve, pause"),
    (Run(graph(step("a"))).a.not_sent(), "cancel, retry, pause"),
    (Run(graph(step("a"), step("b", read_only=True))).a.succeeds().b.not_sent(), "cancel, retry, pause"),
    (Run(graph(step("a", read_only=True), step("b"))).a.succeeds().b.raises_again(), "pause"),
    (Run(graph(step("p", pivot=True))).p.not_sent(), "cancel, retry, resolve, pause"),
    (Run(graph(step("a"), completed=[step("m")])).pause().a.succeeds(), "resume"),
    (Run(graph(step("a"), completed=[step("m")])).a.succeeds(), ENDED),
    (Run(graph(step("a"))).pause().a.succeeds(), ENDED),
    (Run(graph(step("a"), sleep(), deadline=True)).a.succeeds(), "cancel, pause"),
]


@pytest.mark.parametrize(("run", "allowed"), STATES, ids=range(len(STATES)))
def test_a_state_allows(run: Run, allowed: str):
    assert verbs.allowed(run.state) == allowed


class TestLateSuccess:
    def test_it_waits_for_the_running_attempt_and_is_its_result(self):
        run = Run(graph(step("a"), step("b"))).a.raises().wait().a.late()
        assert run.a.status == "running" and run.a.raises().calls == ["b"]
        assert run.a.result == LATE and slot(run, "a").late is None and slot(run, "a").unknown is False

    def test_it_settles_a_step_that_backs_off_or_is_parked(self):
        assert Run(graph(step("a"), step("b"))).a.raises().a.late().a.result == LATE
        assert parked().a.late().a.result == LATE

    def test_it_clears_what_was_unknown_of_an_owed_step_and_its_compensation_runs(self):
        run = Run(graph(step("a", needs_result=True))).a.raises_again().a.late()
        a = slot(run, "a")
        assert run.calls == ["undo a"] and (a.result, a.unknown, a.reason, a.passed) == (LATE, False, "", False)
        assert run.a.result == LATE

    def test_it_changes_nothing_for_the_readers_of_a_passed_step(self):
        run = Run(graph(step("m", best_effort=True), step("b"))).m.raises_again().m.late()
        assert (run.m.status, run.m.result, slot(run, "m").passed) == ("succeeded", None, True)

    def test_it_is_noted_when_the_compensation_was_called_and_marks_the_saga_when_nothing_will_undo_it(self):
        run = Run(graph(step("a"))).a.raises_again()
        assert verbs.late_success(run.state, 1, LATE) == [
            ev.AnomalyNoted(1, "a late success of a arrived when it was compensating", False)
        ]
        message = "a late success of a arrived when it was compensated"
        assert verbs.late_success(run.a.undone().state, 1, LATE) == [ev.AnomalyNoted(1, message, True)]

    @pytest.mark.parametrize(
        ("flags", "grave"),
        [
            ({"read_only": True}, False),
            ({"compensation": False}, True),
            ({"best_effort": True, "compensation": False}, False),
            ({"best_effort": True}, True),
        ],
    )
    def test_it_is_harmless_where_nothing_would_have_been_undone(self, flags: dict, grave: bool):
        run = Run(graph(parallel(step("a", **flags), step("b"))), branch=0).a.poison().b.rejected()
        assert run.a.status == "dropped"
        assert [event.after_undo for event in verbs.late_success(run.state, run.a.index, LATE)] == [grave]

    def test_it_is_harmless_of_a_follow_up(self):
        run = Run(graph(step("a"), completed=[step("m"), step("n")])).a.succeeds().m.rejected()
        assert verbs.late_success(run.state, run.m.index, LATE)[0].after_undo is False

    def test_it_is_only_noted_of_a_follow_up_that_was_given_up(self):
        run = Run(graph(step("a"), completed=[step("m"), step("n")])).a.succeeds().m.raises_again()
        message = "a late success of m arrived when it was unknown"
        assert verbs.late_success(run.state, run.m.index, LATE) == [ev.AnomalyNoted(run.m.index, message)]


class TestParkedAndOwedWithoutACall:
    def test_a_call_that_could_not_be_made_while_turning_back_is_dropped(self):
        run = Run(graph(parallel(step("a"), step("b")))).b.rejected().a.poison()
        assert (run.a.status, run.status, slot(run, "a").first_at) == ("dropped", "compensated", 0)

    def test_a_retry_that_could_not_be_made_while_turning_back_stays_unknown_and_is_undone(self):
        run = Run(graph(parallel(step("a"), step("b")))).a.raises().wait().b.rejected().a.poison()
        assert run.calls == ["undo a"]

    def test_a_pivot_that_could_not_be_called_is_no_pivot_and_is_dropped(self):
        run = order().p.poison()
        assert run.state.pivot == -1 and run.cancel().p.status == "dropped"

    def test_a_compensation_that_could_not_be_made_was_not_called(self):
        run = undoing()
        run.tell(ev.StepOwed(run.a.index, "poison", "does not decode"))
        a = slot(run, "a")
        assert (a.undo_calls, a.undo_first_at, a.undo_error, a.reason) == (0, 0, "does not decode", "poison")
        assert run.state.errors[-1] == "a (compensation): does not decode" and run.calls == ["undo z"]

    def test_one_that_was_called_before_keeps_its_age(self):
        run = undoing()
        began = slot(run, "a").undo_first_at
        run.a.undo_fails().wait().tell(ev.StepOwed(run.a.index, "poison", "does not decode"))
        assert (slot(run, "a").undo_calls, slot(run, "a").undo_first_at) == (1, began) and began == START


class TestTheWalks:
    def test_turning_back_undoes_the_nodes_of_a_timeout(self):
        run = Run(graph(wait("w", on_timeout=[step("c")]), step("b"))).wait().c.succeeds().b.rejected()
        assert run.calls == ["undo c"] and run.c.undone().status == "compensated"

    def test_turning_back_past_a_signal_or_an_empty_timeout_undoes_nothing(self):
        assert Run(graph(wait("w", on_timeout=[step("c")]), step("b"))).signal("w").b.rejected().status == "compensated"
        assert Run(graph(wait("w", on_timeout=[]), step("b"))).wait().b.rejected().status == "compensated"

    def test_turning_back_past_a_sleep_owes_nothing_for_it(self):
        run = Run(graph(step("a"), sleep(), step("b"))).a.succeeds().wait()
        assert run.calls == ["b"] and run.b.rejected().calls == ["undo a"] and run.a.undone().status == "compensated"

    def test_a_best_effort_step_that_was_rejected_is_not_undone(self):
        run = Run(graph(step("m", best_effort=True), step("b"))).m.rejected().b.rejected()
        assert run.status == "compensated" and run.count(ev.CompensationStarted) == 0

    def test_what_came_before_a_parallel_waits_for_all_of_each_branch(self):
        run = Run(graph(step("z"), parallel([step("a"), step("b")], [step("c"), step("d")]), step("e")))
        run.z.succeeds().a.succeeds().b.succeeds().c.succeeds().d.succeeds().e.rejected()
        assert sorted(run.calls) == ["undo b", "undo d"]
        assert run.b.undone().calls == ["undo a"] and run.a.undone().calls == []
        assert run.d.undone().calls == ["undo c"] and run.c.undone().calls == ["undo z"]

    def test_a_success_while_turning_back_begins_nothing_after_it(self):
        run = Run(graph(parallel([step("a"), step("c")], step("b")))).b.rejected().a.succeeds()
        assert run.calls == ["undo a"] and run.c.status == "pending"

    def test_follow_ups_of_the_way_back_run_one_after_another(self):
        run = Run(graph(step("a"), compensated=[step("m"), step("n")])).a.rejected()
        assert run.m.succeeds().calls == ["n"] and run.n.succeeds().state.finished is True

    def test_what_the_walk_backward_passed_is_marked(self):
        run = Run(graph(step("a"), step("b"))).a.succeeds().b.rejected()
        assert slot(run, "b").undone is True and slot(run, "a").undone is False and run.state.undoing is True
        assert run.state.walk_done is False and run.state.cancelling is False
        assert slot(run.a.undone(), "a").undone is True and run.state.finished is True

    def test_a_cancel_that_was_carried_out_or_refused_waits_no_longer(self):
        assert order().cancel().p.rejected().state.cancelling is False
        assert order().cancel().p.succeeds().state.cancelling is False

    def test_what_is_parked_and_what_is_owed_is_counted(self):
        run = undoing().a.undo_refused()
        assert run.state.stuck == 1 and run.a.resolve("done").state.stuck == 0

    def test_a_probe_that_says_no_proves_that_there_was_no_effect(self):
        run = Run(graph(step("a", probe=True))).a.raises_again().a.probe_rejected()
        assert (run.status, slot(run, "a").unknown, slot(run, "a").error) == ("compensated", False, "never")
        run = Run(graph(step("a", probe=True))).a.raises_again().tell(ev.ProbeRejected(1))
        assert slot(run, "a").error == "boom"


class TestSleep:
    def test_it_ends_when_it_is_due_even_if_something_older_is_not(self):
        run = Run(graph(parallel(wait("w", timeout=True), [sleep(), step("a")])))
        assert run.wait().calls == ["a"]

    def test_one_of_constant_length_asks_nobody(self):
        spec = sleep()
        spec.tuning["sleep_ms"] = 5
        run = Run(graph(spec, step("a")))
        assert run.state.due == {1: START + 5} and run.wait().calls == ["a"]

    def test_one_that_was_interrupted_by_the_deadline_goes_on_to_the_moment_it_had(self):
        run = Run(graph(step("p", pivot=True), sleep(computed=True), step("s", retriable=True), deadline=True))
        run.now = run.state.deadline - 10
        due = run.now + SLEEP
        run.p.succeeds().until_deadline()
        assert run.status == "requires_manual"
        assert run.retry().state.due == {2: due} and last(run, ev.SleepStarted) == ev.SleepStarted(2, due)


class TestState:
    def test_a_saga_that_has_not_begun_holds_nothing(self):
        saga = graph(step("a"))
        state = SagaState(saga)
        flags = "deadline_passed paused back committed cancelling undoing walk_done followup_failed anomalous finished"
        assert [name for name in flags.split() if getattr(state, name) is not False] == []
        numbers = "seq at deadline active stuck skips"
        assert [name for name in numbers.split() if getattr(state, name) != 0 or getattr(state, name) is None] == []
        assert (state.saga_id, state.held, state.pivot, state.input) == ("", "", -1, ev.NOTHING)
        assert state.started is state.failing is state.turned_back is None
        assert not state.errors and decide(saga, SagaState(saga), START) == []

    def test_of_many_errors_it_keeps_the_last_ones_and_no_other_saga_sees_them(self):
        state, other = SagaState(graph(step("a"))), SagaState(graph(step("a")))
        for number in range(ERRORS_KEPT + 2):
            state.note_error(str(number))
        assert list(state.errors) == [str(number) for number in range(2, ERRORS_KEPT + 2)] and not other.errors

    def test_it_keeps_its_input_and_starts_once(self):
        state = SagaState(graph(step("a")))
        fold(state, ev.Started("s", "saga", 1, "", Raw(b"7")))
        assert bytes(state.input) == b"7"
        with pytest.raises(IllegalTransition, match="saga s: started twice"):
            fold(state, ev.Started("s", "saga", 1, "", Raw(b"7")))

    def test_no_journal_turns_back_after_the_pivot_nor_twice(self):
        for run in (shipping(), undoing()):
            with pytest.raises(IllegalTransition, match="saga s: cannot turn back after the pivot, nor twice"):
                fold(run.state, ev.TurnedBack("x"))

    def test_a_hold_has_a_reason_until_it_is_released(self):
        state = Run(graph(step("a"))).state
        assert fold(state, ev.Held("drift")).held == "drift" and fold(state, ev.Released()).held == ""

    def test_nothing_is_decided_only_while_a_call_runs_and_nothing_else_is_open(self):
        assert has_nothing_to_decide(Run(graph(step("a"))).state)
        busy = Run(graph(parallel(step("a"), step("b"))))
        assert has_nothing_to_decide(busy.state)
        pivot = Run(graph(step("p", pivot=True))).cancel()
        failing = Run(graph(step("a")))
        fold(failing.state, ev.CancelRequested())
        again = Run(graph(step("a", on_unknown="park"))).a.raises_again()
        fold(again.state, ev.RetryRequested())
        fold(again.state, ev.ActionStarted(1))
        settling = Run(graph(parallel(step("a"), step("b"))))
        fold(settling.state, ev.ActionUnknown(2, "boom"))
        ended = Run(graph(step("a"))).a.succeeds()
        waiting = Run(graph(wait("w")))
        backing_off = Run(graph(step("a"))).a.raises()
        late = Run(graph(step("a"), deadline=True))
        for run in (pivot, failing, parked(), again, settling, ended, waiting, backing_off, late):
            assert not has_nothing_to_decide(run.state)


class TestTheResult:
    def of(self, *nodes: Spec, giver: int = 0, branch: int = 0) -> Run:
        return Run(msgspec.structs.replace(graph(*nodes), result=giver), branch=branch)

    def test_it_is_that_of_the_last_node_on_the_path_that_was_taken(self):
        run = self.of(step("a"), step("b")).a.succeeds().tell(ev.ActionSucceeded(2, LATE))
        assert giver_of(run.state) == 2 and saga_result(run.state) == LATE

    @pytest.mark.parametrize("branch", [0, 1])
    def test_a_branch_gives_it(self, branch: int):
        run = self.of(step("z"), choose([step("a")], [step("x"), step("b")]), branch=branch).z.succeeds()
        if branch:
            run.x.succeeds()
        name = "ab"[branch]
        run.tell(ev.ActionSucceeded(run.node(name).index, LATE))
        assert giver_of(run.state) == run.node(name).index and saga_result(run.state) == LATE

    def test_a_signal_gives_it_or_the_nodes_of_its_timeout(self):
        saga = (wait("w", on_timeout=[step("c")]),)
        assert saga_result(self.of(*saga).signal("w", b"5").state) == Raw(b"5")
        run = self.of(*saga).wait().c.succeeds()
        assert giver_of(run.state) == run.c.index and saga_result(run.state) == VALUE
        run = self.of(wait("w", on_timeout=[])).wait()
        assert giver_of(run.state) == -1 and saga_result(run.state) == ev.NOTHING

    def test_it_is_null_where_nothing_gives_it(self):
        run = self.of(step("a"), giver=-1).a.succeeds()
        assert giver_of(run.state) == -1 and saga_result(run.state) == ev.NOTHING
        assert giver_of(self.of(step("a"), choose([step("b")], []), branch=1).a.succeeds().state) == -1
        assert giver_of(self.of(parallel(step("a"), step("b"))).state) == -1
        assert giver_of(self.of(sleep()).state) == -1
        assert giver_of(self.of(step("a"), step("b")).state) == -1
        assert giver_of(self.of(wait("w", timeout=True), giver=1).wait().state) == -1
        passed = self.of(step("m", best_effort=True)).m.raises_again()
        assert giver_of(passed.state) == 1 and saga_result(passed.state) == ev.NOTHING
