"""The driver answers every kind of call, and shows what the kernel makes of it."""

import pytest

from amends.core.events import Compensated, Completed, SignalReceived
from amends.core.transitions import StepStatus
from amends.lint.driving import EVERY_MS, START, Answer, Driver
from tests.core.graphs import DEADLINE, call, choose, each, graph, parallel, sleep, step, wait

UNDOING = [Answer.UNKNOWN, Answer.UNKNOWN, Answer.NOT_YET]  # of a step with a probe: its compensation runs then


def one(driver):
    (slot,) = driver.calls
    return slot


def answer(driver, *answers):
    for each_answer in answers:
        if not driver.calls:
            driver.wait()
        driver.tell(driver.answer(one(driver), each_answer))
    return driver


def test_a_saga_whose_calls_succeed_completes():
    driver = answer(Driver(graph(step("a"), step("b"))), Answer.SUCCEEDS)
    assert driver.state.path_of(one(driver)) == "b"
    frame = driver.tell(driver.answer(one(driver), Answer.SUCCEEDS))
    assert type(frame[-1]) is Completed and driver.calls == []


def test_what_was_accepted_is_polled_until_it_has_finished():
    driver = answer(Driver(graph(step("a"))), Answer.ACCEPTED)
    assert driver.calls == [] and driver.now == START
    driver.wait()
    assert driver.now == START + EVERY_MS
    assert driver.state.status_of(one(driver)) is StepStatus.POLLING
    answer(driver, Answer.NOT_YET, Answer.CUT, Answer.SUCCEEDS)
    assert driver.state.status == "completed"


def test_a_compensation_that_was_accepted_is_polled_too():
    driver = answer(Driver(graph(step("a"), step("b"))), Answer.SUCCEEDS, Answer.REJECTED, Answer.ACCEPTED)
    driver.wait()
    assert driver.state.status_of(one(driver)) is StepStatus.UNDO_POLLING
    (pending, *_) = driver.tell(driver.answer(one(driver), Answer.NOT_YET))
    assert pending.undo
    driver.wait()
    frame = driver.tell(driver.answer(one(driver), Answer.SUCCEEDS))
    assert type(frame[-1]) is Compensated


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([Answer.NOT_SENT, Answer.NOT_SENT], StepStatus.FAILED),
        ([Answer.UNKNOWN, Answer.CUT, Answer.UNKNOWN, Answer.NOT_YET], StepStatus.COMPENSATING),
        ([Answer.UNKNOWN, Answer.UNKNOWN, Answer.SUCCEEDS], StepStatus.SUCCEEDED),
        ([Answer.UNKNOWN, Answer.UNKNOWN, Answer.REJECTED], StepStatus.REJECTED),
        ([Answer.UNKNOWN, Answer.UNKNOWN, Answer.UNKNOWN, Answer.CUT], StepStatus.PROBING),
        ([Answer.ACCEPTED, Answer.REJECTED], StepStatus.REJECTED),
        ([*UNDOING, Answer.REJECTED], StepStatus.OWED),
        ([*UNDOING, Answer.UNKNOWN, Answer.CUT], StepStatus.COMPENSATING),
        (
            [Answer.UNKNOWN, Answer.UNKNOWN, Answer.NOT_YET, Answer.ACCEPTED, Answer.CUT, Answer.REJECTED],
            StepStatus.OWED,
        ),
    ],
    ids=lambda each_value: "-".join(each.name for each in each_value) if isinstance(each_value, list) else "",
)
def test_each_answer_is_the_outcome_of_its_kind_of_call(answers, status):
    driver = answer(Driver(graph(step("a", probe=True))), *answers)
    assert driver.state.status_of(driver.state.find("a")) is status


def test_an_answer_that_no_such_call_can_have_is_refused():
    driver = Driver(graph(step("a")))
    with pytest.raises(KeyError):
        driver.answer(one(driver), Answer.NOT_YET)


def test_branches_items_inputs_and_lengths_are_answered_on_the_way():
    saga = graph(choose([step("a")], [step("b")]), each(step("i")), call("k", sleep(computed=True), wait("w")))
    driver = Driver(saga, branch=lambda node: 1, items=2)
    assert driver.state.path_of(one(driver)) == "b"
    answer(driver, Answer.SUCCEEDS)
    assert [driver.state.path_of(slot) for slot in driver.calls] == ["i[0]", "i[1]"]
    driver.tell(*[driver.answer(slot, Answer.SUCCEEDS) for slot in driver.calls])
    (asleep,) = driver.waits
    driver.wake(asleep)
    (waits,) = driver.waits
    driver.signal(waits)
    assert driver.state.status == "completed"


def test_a_deadline_cuts_what_runs_and_a_cancel_does_not():
    late = answer(Driver(graph(step("a"), deadline=True)))
    late.pass_deadline()
    assert late.now == START + DEADLINE
    assert late.state.status_of(one(late)) is StepStatus.COMPENSATING
    cancelled = Driver(graph(step("a")))
    cancelled.cancel()
    assert cancelled.state.status_of(one(cancelled)) is StepStatus.RUNNING


def test_a_wait_ends_by_its_signal_or_its_time_and_nothing_is_due_at_an_end():
    driver = Driver(graph(wait("w", on_timeout=[step("late")])))
    driver.time_out(driver.waits[0])
    assert driver.state.path_of(one(driver)) == "late"
    answer(driver, Answer.SUCCEEDS)
    assert driver.wait() is None


def test_a_fork_takes_nothing_away_from_where_it_came_from():
    driver = Driver(graph(step("a"), wait("w"), wait("v", signal="w")))
    for _ in range(2):
        driver.tell(SignalReceived("w"))
    fork = answer(driver.fork(), Answer.SUCCEEDS)
    assert (fork.state.status, driver.state.status) == ("completed", "running")
    assert answer(driver, Answer.SUCCEEDS).state.status == "completed"


def test_what_a_fork_waits_for_only_the_fork_waits_for():
    driver = Driver(graph(parallel(wait("w"), [step("a"), wait("v", signal="w")])))
    before = {name: list(slots) for name, slots in driver.state.waits.items()}
    assert len(answer(driver.fork(), Answer.SUCCEEDS).waits) == 2
    assert (driver.state.waits, len(driver.waits)) == (before, 1)
