"""What a list shows of a saga that needs a person."""

from __future__ import annotations

from amends.core import events as ev
from amends.core.events import Frame, Raw
from amends.core.summary import fold_summary

PATHS = ["sequence#0", "a", "b", "c"]


def _folded(*events: ev.AnyEvent) -> tuple[str, str]:
    frame = Frame(1, 5, [ev.Started("s", "n", 1, "f", Raw(b"1")), ev.Began(), *events])
    summary = fold_summary(None, "s", frame, 1, PATHS)
    return summary.step, summary.cause


def test_the_step_of_a_saga_that_needs_a_person_is_the_one_to_look_at_and_not_the_one_called_last() -> None:
    step, cause = _folded(
        ev.TurnedBack("rejected", 3, "no"),
        ev.StepOwed(2, "no_compensation"),
        ev.CompensationStarted(1),
        ev.CompensationSucceeded(1),
        ev.RequiresManual(),
    )
    assert (step, cause) == ("b", "c rejected: no")


def test_the_cause_of_poison_says_what_was_raised() -> None:
    _, cause = _folded(ev.StepParked(2, "poison", "ZeroDivisionError: division by zero"), ev.RequiresManual())
    assert cause == "b parked: poison: ZeroDivisionError: division by zero"
