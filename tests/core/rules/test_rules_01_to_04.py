"""Rules 1 to 4: what is unknown, the probe, keys that expire, attempts cut off, late answers."""

import pytest

from amends.core import events as ev
from tests.core.graphs import BACKOFF, TTL, graph, step
from tests.core.rules.driver import Run


def one(**flags):
    return Run(graph(step("a", **flags)))


def unknown(run: Run) -> bool:
    return run.state.slot(run.a.index).unknown


class TestRule1:
    def test_unknown_ends_by_success_under_the_same_key(self):
        run = one().a.raises().wait().a.succeeds()
        assert run.status == "completed" and not unknown(run)

    def test_unknown_ends_by_a_conclusive_rejection(self):
        run = one().a.raises().wait().a.rejected(conclusive=True)
        assert run.a.status == "rejected" and run.status == "compensated" and not run.calls

    def test_a_plain_refusal_ends_the_retries_and_proves_nothing(self):
        run = one(attempts=9).a.raises().wait().a.rejected()
        assert run.calls == ["undo a"] and unknown(run)

    def test_a_plain_refusal_of_an_unknown_pivot_leads_to_its_probe_and_then_it_is_parked_at_once(self):
        run = Run(graph(step("p", pivot=True, probe=True), deadline=True)).p.raises().wait().p.rejected()
        assert run.calls == ["probe p"]
        assert (run.p.not_seen().p.status, run.p.reason, run.status) == ("parked", "rejected", "requires_manual")

    def test_not_sent_on_a_later_attempt_changes_nothing(self):
        run = one().a.raises().wait().a.not_sent()
        assert run.calls == ["undo a"] and unknown(run)

    def test_a_plain_refusal_of_the_first_attempt_is_proof(self):
        assert one().a.rejected().a.status == "rejected"

    def test_unknown_survives_a_crash(self):
        assert unknown(one().a.raises().crash())


class TestRule2:
    def test_a_probe_that_finds_it_gives_its_result(self):
        run = one(probe=True).a.raises_again().a.found()
        assert run.status == "completed" and run.a.result is not None

    def test_not_seen_is_not_no_effect_and_the_step_is_still_undone(self):
        assert one(probe=True).a.raises_again().a.not_seen().calls == ["undo a"]

    def test_only_a_probe_that_rejects_proves_that_nothing_happened(self):
        run = one(probe=True).a.raises_again().a.probe_rejected()
        assert (run.a.status, run.status) == ("rejected", "compensated")

    def test_a_probe_that_fails_is_retried_by_its_own_policy_and_then_it_stays_unknown(self):
        run = one(probe=True).a.raises_again().a.probe_fails()
        assert run.a.status == "probe_retrying" and run.wait().calls == ["probe a"]
        assert run.a.probe_fails().calls == ["undo a"]

    def test_a_probe_runs_after_the_deadline_and_after_a_cancel(self):
        run = Run(graph(step("a", probe=True), deadline=True)).a.raises().until_deadline()
        assert run.state.back and run.calls == ["probe a"]
        assert one(probe=True).a.raises().cancel().calls == ["probe a"]

    def test_no_compensation_starts_while_a_probe_runs_and_what_it_finds_is_undone(self):
        run = one(probe=True).a.raises().cancel()
        assert run.a.found().calls == ["undo a"]

    def test_each_new_attempt_of_an_unbounded_step_gives_the_probe_its_say_again(self):
        run = Run(graph(step("p", pivot=True, probe=True), deadline=True)).p.raises_again()
        assert run.calls == ["probe p"]
        run.p.probe_fails().wait().p.probe_fails().wait()
        assert run.calls == ["p"] and run.p.raises().calls == ["probe p"]


class TestRule3:
    def test_no_retry_uses_a_key_that_is_too_old(self):
        run = one(key_ttl=True).a.raises()
        assert run.wait(TTL).calls == ["undo a"]

    def test_a_step_whose_key_expired_is_probed_when_it_can_be(self):
        assert one(key_ttl=True, probe=True).a.raises().wait(TTL).calls == ["probe a"]

    def test_a_recovery_uses_no_key_that_expired_during_the_downtime(self):
        run = one(key_ttl=True)
        run.now += TTL
        assert run.crash().calls == ["undo a"]

    def test_a_step_that_parks_is_parked_when_its_key_expired(self):
        assert one(key_ttl=True, on_unknown="park").a.raises().wait(TTL).a.status == "parked"

    def test_a_compensation_whose_own_key_is_older_is_parked(self):
        run = one(key_ttl=True).a.raises_again().a.undo_fails().wait(TTL)
        assert (run.a.status, run.a.reason) == ("owed", "key_expired")

    def test_a_key_whose_call_was_never_made_does_not_age(self):
        run = one(key_ttl=True).a.poison()
        run.now += TTL
        assert run.retry().calls == ["a"]


class TestRule4:
    def test_an_attempt_cut_off_uses_up_no_attempt(self):
        run = one()
        for _ in range(20):
            assert run.crash().calls == ["a"]
        assert run.a.raises().a.status == "retrying"

    def test_a_step_that_ran_at_so_many_process_deaths_in_a_row_is_poison_and_parked(self):
        run = Run(graph(step("a")), deaths_max=3).crash().crash()
        assert run.calls == ["a"]
        assert (run.crash().a.status, run.a.reason, run.status) == ("parked", "poison", "requires_manual")

    def test_deaths_count_in_a_row_only(self):
        run = Run(graph(step("a", attempts=9)), deaths_max=2).crash().a.raises().wait().crash()
        assert run.calls == ["a"]

    def test_a_shutdown_is_no_death(self):
        run = Run(graph(step("a")), deaths_max=2)
        for _ in range(5):
            assert run.crash("shutdown").calls == ["a"]

    def test_a_probe_that_kills_the_process_while_turning_back_does_not_loop_for_ever(self):
        run = Run(graph(step("a", probe=True)), deaths_max=3).a.raises().cancel()
        assert run.crash().crash().calls == ["probe a"] and run.crash().calls == ["undo a"]

    def test_the_compensation_of_a_poisoned_step_is_tried(self):
        run = Run(graph(step("a")), deaths_max=2).crash().crash().cancel()
        assert run.calls == ["undo a"]

    @pytest.mark.parametrize("back", [False, True])
    def test_a_late_success_settles_the_step_while_it_backs_off_or_is_parked(self, *, back: bool):
        run = one(on_unknown="park").a.raises()
        run = run if back else run.wait().a.raises()
        assert run.a.late().status == "completed"

    def test_a_late_success_while_the_next_attempt_runs_waits_for_that_attempts_end(self):
        run = one().a.raises().wait().a.late()
        assert run.a.status == "running" and run.a.not_sent().status == "completed"

    def test_a_late_success_is_not_lost_when_the_next_call_cannot_be_made(self):
        assert one().a.raises().wait().a.late().a.poison().status == "completed"

    def test_a_late_success_makes_an_undo_possible_that_lacked_the_result(self):
        run = one(needs_result=True).a.raises_again()
        assert run.status == "requires_manual" and run.a.late().calls == ["undo a"]

    def test_a_late_success_during_the_undo_is_an_anomaly_and_changes_nothing(self):
        run = one().a.raises_again().a.late()
        assert run.count(ev.AnomalyNoted) == 1 and not run.state.anomalous and run.a.status == "compensating"

    def test_a_late_success_after_an_acknowledged_undo_marks_the_saga_anomalous(self):
        run = one().a.raises_again().a.undone().a.late()
        assert run.status == "compensated" and run.state.anomalous

    def test_a_late_read_marks_nothing_for_it_has_no_effect(self):
        run = Run(graph(step("r", read_only=True))).r.raises_again().r.late()
        assert run.status == "compensated" and not run.state.anomalous

    def test_a_late_success_of_a_follow_up_that_was_given_up_walks_nothing_twice(self):
        run = Run(graph(step("a"), completed=[step("m"), step("n")])).a.succeeds().m.raises_again()
        assert run.calls == ["n"] and run.m.late().n.status == "running" and run.count(ev.ActionStarted) == 4


def test_a_backoff_is_one_second_in_these_tests():
    run = one().a.raises()
    assert run.state.due == {run.a.index: run.now + BACKOFF}
