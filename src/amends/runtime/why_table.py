"""The sentences of `why`: what each event means as an effect, because of what, and where that is to be read.

A row is (what, because, causes). The two texts are filled with the words of `why.Words`; "" as `because`
makes the event a first cause: what lies behind it is not in the journal. Causes are looked up before the
event:

    "E"          the last event E of the same step
    "saga:E"     the last event E of any step
    "open"       the parkings and debts that stand        "busy"    what was going on
    "turn"       what made it go back, as a whole or out of an alternative
    "failed"     what failed in an alternative  "alternatives"  those of the step that were given up
    "people"     what operators did                       "after"   what failed after the end
    "notable"    what a saga went through on its way and came out of

A key is an event's name, and behind a colon the fact that decides between its rows; a row without a colon
serves all others.

Rules of this file: data only, and every sentence is one that a person on call would say.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One sentence."""

    what: str
    because: str = ""
    causes: tuple[str, ...] = ()


TABLE: dict[str, Row] = {
    # the present of a saga that has not ended
    "scheduled": Row("it has not begun", "no worker has taken it up yet"),
    "running": Row("it is running", "{busy}", ("busy",)),
    "compensating": Row("it is turning back", "{busy}", ("busy", "saga:TurnedBack")),
    "requires_manual": Row("it stands and waits for a person", "{open}", ("open", "saga:TurnedBack")),
    "finishing": Row("it has ended, and steps after the end still run", "{busy}", ("busy",)),
    # ends
    "Completed": Row("it completed", "every step was done{notable}", ("notable",)),
    "Compensated": Row(
        "it was compensated: everything done was made good", "it turned back", ("saga:TurnedBack", "people")
    ),
    "Closed": Row(
        "it was closed by a person (what stays: {stays})", "something was left out", ("people", "saga:TurnedBack")
    ),
    "RequiresManual": Row("it stood and waited for a person", "{open}", ("open",)),
    "FollowUpsEnded:failed": Row("not everything that follows the end was done", "{after} failed", ("after",)),
    # turning back
    "TurnedBack:rejected": Row("it turned back", "{step} was rejected{said}", ("StepRejected", "Resolved")),
    "TurnedBack:failed": Row("it turned back", "{step} failed without effect{said}", ("StepFailed",)),
    "TurnedBack:unknown": Row("it turned back", "the outcome of {step} stayed unknown", ("StepUnknown",)),
    "TurnedBack:timeout": Row("it turned back", "the signal {step} did not come in time", ("WaitTimedOut",)),
    "TurnedBack:deadline": Row("it turned back", "its deadline passed", ("saga:DeadlinePassed", "StepParked")),
    "TurnedBack:out of an alternative": Row(
        "it turned back", "what was done in an alternative of {step} is not undone", ("FirstOfFailed",)
    ),
    "TurnedBack:cancelled at the pivot": Row(
        "it turned back", "it was cancelled, and {step} had no effect{said}", ("saga:CancelRequested",)
    ),
    "TurnedBack:cancelled": Row("it turned back", "it was cancelled{said}", ("saga:CancelRequested",)),
    "TurnedBack": Row("it turned back", "{cause}{said}"),
    "DeadlinePassed": Row("its deadline passed", "{busy}", ("busy",)),
    "CancelRequested": Row("it was cancelled", "{actor} asked for it{why}"),
    "CancelRefused": Row("the cancel was refused", "the pivot's outcome left no way back", ("saga:CancelRequested",)),
    # how steps came out
    "StepRejected:probe": Row("{step} was rejected", "its probe proved that it never takes effect: {proof}"),
    "StepRejected": Row("{step} was rejected", "its participant said {answer}{earlier}"),
    "StepFailed": Row(
        "{step} failed without effect", "no call succeeded, and none can have had an effect ({attempts})"
    ),
    "StepUnknown": Row(
        "{step} was given up, its outcome unknown",
        "no call brought a certain answer ({attempts}{probed}){hurried}",
    ),
    "StepPassed": Row("{step} was passed without success, as it may be", "{attempts}{probed}"),
    "LateSucceeded": Row("{step} succeeded after all", "an answer came after its attempt had been given up"),
    "ProbeFound": Row("{step} had taken effect", "its probe found it, after {attempts}"),
    "FirstOfFailed": Row(
        "{step} was given up",
        "another alternative beside what is not undone could take effect twice",
        ("alternatives",),
    ),
    "AlternativeFailed": Row("an alternative of {step} was given up", "of {failed}: {cause}", ("failed",)),
    "WaitTimedOut": Row("the wait {step} was given up", "no signal {step} came within {waited}"),
    "AnomalyNoted:undone": Row("an effect of {step} may stand although it was undone", "{message}"),
    "AnomalyNoted": Row("a late answer of {step} was left aside", "{message}"),
    "AttemptAbandoned": Row(
        "a call of {step} that had been given up was left alone", "it still ran when its grace was over"
    ),
    # what is parked
    "StepParked:unknown": Row(
        "{step} {is} parked", "its outcome is unknown ({attempts}{probed})", ("saga:DeadlinePassed",)
    ),
    "StepParked:refused": Row(
        "{step} {is} parked",
        "its participant said no, which proves nothing of the attempt of unknown outcome before ({attempts})",
    ),
    "StepParked:rejected": Row(
        "{step} {is} parked", "its participant said {answer}, and after the pivot there is no way back"
    ),
    "StepParked:deadline": Row(
        "{step} {is} parked", "the deadline passed, and after the pivot there is no way back", ("saga:DeadlinePassed",)
    ),
    "StepParked:key_expired": Row(
        "{step} {is} parked",
        "its idempotency key is older than its participant keeps it, so it must not be called again",
    ),
    "StepParked:poison": Row("{step} {is} parked", "it cannot be called: {message}"),
    "StepParked": Row("{step} {is} parked", "{reason}{said}"),
    "StepOwed:exhausted": Row("the compensation of {step} {is} owed", "it failed in {undos}", ("turn",)),
    "StepOwed:unfinished": Row("the compensation of {step} {is} owed", "{message}", ("turn",)),
    "StepOwed:refused": Row(
        "the compensation of {step} {is} owed", "its participant refused it for good: {refusal}", ("turn",)
    ),
    "StepOwed:no_compensation": Row(
        "undoing {step} {is} owed",
        "it took effect, or may have, and has no compensation",
        ("StepUnknown", "turn"),
    ),
    "StepOwed:result_missing": Row(
        "the compensation of {step} {is} owed",
        "the outcome of {step} is unknown, and its compensation needs the result",
        ("StepUnknown", "turn"),
    ),
    "StepOwed:on_unknown": Row(
        "the compensation of {step} {is} owed",
        'the outcome of {step} is unknown, and on_unknown="park" leaves that to a person',
        ("StepUnknown", "turn"),
    ),
    "StepOwed:key_expired": Row(
        "the compensation of {step} {is} owed",
        "its idempotency key is older than its participant keeps it, so it must not be called again",
        ("turn",),
    ),
    "StepOwed:poison": Row("the compensation of {step} {is} owed", "it cannot be called: {message}", ("turn",)),
    "StepOwed": Row("the compensation of {step} {is} owed", "{reason}{said}", ("turn",)),
    # what goes on, or went on
    "ActionStarted:again": Row("{step} {is} being called again", "it did not succeed in {attempts}"),
    "ActionStarted": Row("{step} {is} being called"),
    "ActionAccepted": Row("{step} {is} accepted and not done, and {is} to be asked for at {due}"),
    "CompensationAccepted": Row("undoing {step} {is} accepted and not done, and {is} to be asked for at {due}"),
    "PollStarted:undo": Row("whether {step} is undone {is} being asked"),
    "PollStarted": Row("whether {step} is done {is} being asked"),
    "PollPending:undo": Row("whether {step} is undone {is} to be asked again at {due}", "{polled}"),
    "PollPending": Row("whether {step} is done {is} to be asked again at {due}", "{polled}"),
    "PollCut:undo": Row("whether {step} is undone {is} to be asked again at {due}", "its poll was cut off by {cut}"),
    "PollCut": Row("whether {step} is done {is} to be asked again at {due}", "its poll was cut off by {cut}"),
    "RetryScheduled": Row("{step} {is} to be tried again at {due}", "it did not succeed in {attempts}"),
    "ProbeStarted": Row("{step} {is} being looked up by its probe", "its outcome is unknown after {attempts}"),
    "ProbeRetryScheduled": Row("{step} {is} to be looked up again at {due}", "its probe {probes}"),
    "WaitStarted:limited": Row("it {is} waiting for the signal {step} until {due}"),
    "WaitStarted": Row("it {is} waiting for the signal {step}, for as long as it takes"),
    "SleepStarted": Row("it {is} asleep until {due}"),
    "CompensationStarted:again": Row("{step} {is} being undone, again", "that failed in {undos}"),
    "CompensationStarted": Row("{step} {is} being undone"),
    "CompensationRetryScheduled": Row("undoing {step} {is} to be tried again at {due}", "it failed in {undos}"),
    # what holds all of it
    "Held:version": Row("no worker runs it", "the worker lacks its definition: {message}"),
    "Held:poison": Row("no worker can run it", "it is poison: {message}"),
    "Held": Row("no worker runs it", "{reason}{said}"),
    "Paused": Row("nothing new of it is begun", "{actor} paused it{why}"),
    # what operators did
    "RetryRequested": Row("what was parked was called again", "{actor} asked for it{why}", ("saga:RequiresManual",)),
    "Resolved:undo done": Row("the compensation of {step} counts as done", "{actor} said so{why}", ("StepOwed",)),
    "Resolved:undo not_done": Row(
        "{step} counts as never done, so nothing is owed for it", "{actor} said so{why}", ("StepOwed", "StepUnknown")
    ),
    "Resolved:done": Row("{step} counts as done", "{actor} said so{why}", ("StepParked",)),
    "Resolved:not_done": Row("{step} counts as never done", "{actor} said so{why}", ("StepParked",)),
    "Skipped": Row("{step} was left as it is", "{actor} said so{why}", ("StepOwed", "StepParked")),
}

OUTCOMES: dict[str, str] = {
    "ActionRejected": "{error}, a no",
    "ActionNotSent": "{error}, and not sent",
    "ActionUnknown": "{error}",
    "ActionCut": "cut off by {cut}",
    "ActionAccepted": "accepted",
    "ProbeFound": "found it",
    "ProbeNotSeen": "saw nothing",
    "ProbeRejected": "said no: {error}",
    "ProbeFailed": "failed with {error}",
    "ProbeCut": "was cut off by {cut}",
    "CompensationRefused": "{error}, a no",
    "CompensationFailed": "{error}",
    "CompensationCut": "cut off by {cut}",
}
"""How one call came out, in words; by the event that ended it without success."""

CUTS = {
    "crash": "the end of its worker",
    "shutdown": "the shutdown of its worker",
    "lease": "the loss of its worker's lease",
}
