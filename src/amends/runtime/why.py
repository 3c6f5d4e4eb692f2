"""Why a saga stands where it stands: the chain from its present to the first causes, in sentences.

It begins with the present and what raises its flags, and follows each effect to its causes, by the table
of `why_table.py`; what was reached is told newest first. An event that is no effect of anything, and has
no effect on the present, is not told: `history` has everything.

Rules of this file: pure; a view and its history go in. Of an event that the table does not know it says
the name and goes no further.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from ..core.transitions import ENDS
from ..limits import WHY_CAUSES_MAX
from ..policies.durations import human
from .views import HistoryEntry, SagaView, stamp, when
from .why_table import CUTS, OUTCOMES, TABLE, Row


@dataclass(frozen=True, slots=True)
class Reason:
    """One link of the chain.

    Attributes:
        at, seq: when it became so, and in which frame.
        step: the path of the step it is about, "" for the saga as a whole.
        what: what is so, as a clause.
        because: why, as a clause; "" for a first cause.
    """

    at: datetime
    seq: int
    step: str
    what: str
    because: str = ""


def why(view: SagaView, history: Sequence[HistoryEntry]) -> list[Reason]:
    """The chain of one saga, newest first; never empty.

    Parameters:
        view, history: of the same moment.
    """
    story = _Story(view, history)
    found: dict[int, Reason] = {}
    ahead = list(story.roots())
    while ahead:
        place = ahead.pop()
        if place in found:
            continue
        words = Words(story, place)
        row = TABLE.get(words.key) or TABLE.get(words.event) or Row(f"{words.event} happened")
        entry = story.entry(place)
        found[place] = Reason(
            entry.at, entry.seq, entry.step, row.what.format_map(words), row.because.format_map(words)
        )  # fmt: skip
        ahead += [cause for spec in row.causes for cause in story.causes(spec, place)]
    return [found[place] for place in sorted(found, reverse=True)]


# --- the journal, asked --------------------------------------------------------------------------

_BEGINS = frozenset(
    {
        "ActionStarted", "RetryScheduled", "ProbeStarted", "ProbeRetryScheduled", "WaitStarted", "SleepStarted",
        "CompensationStarted", "CompensationRetryScheduled", "ActionAccepted", "CompensationAccepted", "PollStarted",
        "PollPending", "PollCut",
    }
)  # fmt: skip
_ENDS_IT = frozenset(
    {
        "ActionSucceeded", "StepRejected", "StepFailed", "StepUnknown", "StepPassed", "StepParked", "LateSucceeded",
        "ProbeFound", "CompensationSucceeded", "StepOwed", "WaitSatisfied", "WaitTimedOut", "SleepEnded", "Resolved",
        "Skipped",
    }
)  # fmt: skip
_PEOPLE = ("CancelRequested", "RetryRequested", "Resolved", "Skipped")
_NOTABLE = (
    "AlternativeFailed",
    "StepPassed",
    "WaitTimedOut",
    "ProbeFound",
    "LateSucceeded",
    "CancelRefused",
    *_PEOPLE[1:],
)
_AFTER = ("StepRejected", "StepFailed", "StepUnknown", "StepParked")
_LANES = {
    "attempts": ("ActionRejected", "ActionNotSent", "ActionUnknown", "ActionCut", "ActionAccepted"),
    "probes": ("ProbeNotSeen", "ProbeRejected", "ProbeFailed", "ProbeCut"),
    "polls": ("PollPending",),
    "undos": ("CompensationRefused", "CompensationFailed", "CompensationCut"),
}


class _Story:
    """A history with its places numbered; the present stands behind the last."""

    def __init__(self, view: SagaView, history: Sequence[HistoryEntry]) -> None:
        self.view = view
        self.history = history
        self.now = len(history)
        self._of_step: dict[str, list[int]] = {}
        for place, entry in enumerate(history):
            self._of_step.setdefault(entry.step, []).append(place)
        self._standing_at: dict[int, list[int]] = {}
        self._going_at: dict[int, list[int]] = {}
        self._present = HistoryEntry(view.seq, view.updated_at, self._standing(), "")

    def _standing(self) -> str:
        if self.view.status in ENDS:
            return "finishing"
        return str(self.view.status)

    def entry(self, place: int) -> HistoryEntry:
        """The event at a place, or the present."""
        return self._present if place == self.now else self.history[place]

    def roots(self) -> Iterator[int]:
        """The present, and what raises a flag."""
        view = self.view
        end = self._last(("Completed", "Compensated", "Closed"), self.now)
        if end is None:
            yield self.now
        else:
            yield end
            if self.busy(self.now):
                yield self.now
        if view.paused:
            yield from self._some(self._last(("Paused",), self.now))
        held = self._last(("Held", "Released"), self.now)
        if held is not None and self.history[held].event == "Held":
            yield held
        yield from self._all(("AnomalyNoted", "AttemptAbandoned"), self.now)
        if view.followup_failed:
            yield from self._some(self._last(("FollowUpsEnded",), self.now))

    def causes(self, spec: str, place: int) -> list[int]:
        """The places that a row's cause names, looked for before `place`; of very many the last."""
        return self._causes(spec, place)[-WHY_CAUSES_MAX:]

    def _causes(self, spec: str, place: int) -> list[int]:
        kind, colon, event = spec.partition(":")
        if colon:
            return self._some(self._last((event,), place))
        if kind == "open":
            return self.open(place)
        if kind == "busy":
            return self.busy(place)
        if kind == "people":
            return self._all(_PEOPLE, place)
        if kind == "notable":
            return self._all(_NOTABLE, place)
        if kind == "after":
            end = self._last(("Completed", "Compensated"), place) or 0
            return [each for each in self._all(_AFTER, place) if each > end]
        step = self.entry(place).step
        if kind == "turn":
            return self._some(self._last(("TurnedBack", "AlternativeFailed"), place))
        if kind == "failed":
            return self._some(self._last((*_AFTER, "WaitTimedOut"), place, str(self.entry(place).details.get("step"))))
        if kind == "alternatives":
            return [at for at in self._all(("AlternativeFailed",), place) if self.history[at].step == step]
        return self._some(self._last((kind,), place, step))

    def open(self, place: int) -> list[int]:
        """The parkings and debts that stand at a place."""
        if place in self._standing_at:
            return self._standing_at[place]
        standing: dict[str, int] = {}
        for at, entry in enumerate(self.history[:place]):
            if entry.event in ("StepParked", "StepOwed"):
                standing[entry.step] = at
            elif entry.step in standing and (entry.event in _BEGINS or entry.event in _ENDS_IT):
                del standing[entry.step]
        return self._standing_at.setdefault(place, list(standing.values()))

    def busy(self, place: int) -> list[int]:
        """What goes on at a place: the event that began it, per step."""
        if place in self._going_at:
            return self._going_at[place]
        going: dict[str, int] = {}
        for at, entry in enumerate(self.history[:place]):
            if entry.event in _BEGINS:
                going[entry.step] = at
            elif entry.event in _ENDS_IT:
                going.pop(entry.step, None)
            elif entry.event in ("TurnedBack", "Completed", "Compensated", "Closed"):
                going = {step: began for step, began in going.items() if self._calls(began)}
        return self._going_at.setdefault(place, list(going.values()))

    def _calls(self, place: int) -> bool:
        return self.history[place].event in ("ActionStarted", "ProbeStarted", "CompensationStarted")

    def lane(self, name: str, place: int) -> list[HistoryEntry]:
        """The ends of the calls of one kind of the step at a place, up to there."""
        own = self._of_step.get(self.entry(place).step, ())
        return [self.history[at] for at in own if at <= place and self.history[at].event in _LANES[name]]

    def last(self, events: tuple[str, ...], place: int, step: str) -> HistoryEntry | None:
        """The last of these events of a step before a place."""
        at = self._last(events, place, step)
        return None if at is None else self.history[at]

    def _last(self, events: tuple[str, ...], place: int, step: str | None = None) -> int | None:
        places = range(place) if step is None else self._of_step.get(step, ())
        return next((at for at in reversed(places) if at < place and self.history[at].event in events), None)

    def _all(self, events: tuple[str, ...], place: int) -> list[int]:
        return [at for at, entry in enumerate(self.history[:place]) if entry.event in events]

    @staticmethod
    def _some(place: int | None) -> list[int]:
        return [] if place is None else [place]


# --- the words -----------------------------------------------------------------------------------


class Words(Mapping[str, str]):
    """What the sentences of the table are filled with: each name is a method's, or a detail of the event."""

    def __init__(self, story: _Story, place: int) -> None:
        self._story = story
        self._place = place
        self._entry = story.entry(place)
        self.event = self._entry.event

    @property
    def key(self) -> str:
        """The row's key."""
        variant = self._variant()
        return f"{self.event}:{variant}" if variant else self.event

    def _variant(self) -> str:
        details, story = self._entry.details, self._story
        match self.event:
            case "TurnedBack" if story.last(("FirstOfFailed",), self._place, self._entry.step) and self._entry.step:
                return "out of an alternative"
            case "TurnedBack":
                at_the_pivot = details["cause"] == "cancelled" and self._entry.step
                return f"{details['cause']}{' at the pivot' if at_the_pivot else ''}"
            case "StepParked" if details["reason"] == "rejected" and self._was_unknown():
                return "refused"
            case "StepOwed" if details["reason"] == "exhausted" and details["message"]:
                return "unfinished"
            case "StepParked" | "StepOwed" | "Held":
                return str(details["reason"])
            case "Resolved":
                return f"{'undo ' if details['undo'] else ''}{details['outcome']}"
            case "StepRejected":
                probed = story.last(_LANES["attempts"] + _LANES["probes"], self._place, self._entry.step)
                return "probe" if probed is not None and probed.event == "ProbeRejected" else ""
            case "ActionStarted" | "CompensationStarted":
                return "again" if story.lane(_lane_of(self.event), self._place) else ""
            case "WaitStarted":
                return "limited" if details["due"] else ""
            case "PollStarted" | "PollPending" | "PollCut":
                return "undo" if details["undo"] else ""
            case "AnomalyNoted":
                return "undone" if details["after_undo"] else ""
            case "FollowUpsEnded":
                return "failed" if details["failed"] else ""
        return ""

    def _was_unknown(self) -> bool:
        return any(each.event in ("ActionUnknown", "ActionCut") for each in self._story.lane("attempts", self._place))

    # -- the mapping -----------------------------------------------------------------------------

    def __getitem__(self, name: str) -> str:
        words = getattr(self, f"_{name}", None)
        return words() if words is not None else str(self._entry.details.get(name, ""))

    def __iter__(self) -> Iterator[str]:
        return iter(self._entry.details)

    def __len__(self) -> int:
        return len(self._entry.details)

    # -- one method per name ---------------------------------------------------------------------

    def _step(self) -> str:
        return self._entry.step or "the saga"

    def _actor(self) -> str:
        return str(self._entry.details.get("actor") or "somebody")

    def _why(self) -> str:
        reason = self._entry.details.get("reason")
        return f": {quoted(reason)}" if reason else ""

    def _said(self) -> str:
        message = self._entry.details.get("message")
        return f": {quoted(message)}" if message else ""

    def _due(self) -> str:
        return stamp(when(self._entry.details["due"]))

    def _attempts(self) -> str:
        return _told(self._story.lane("attempts", self._place), "attempt")

    def _answer(self) -> str:
        """The last word of the participant, or of the probe."""
        said = self._story.last(("ActionRejected", "ProbeRejected"), self._place, self._entry.step)
        error = said.details["error"] if said else ""
        return f"no: {quoted(error)}" if error else "no"

    def _proof(self) -> str:
        said = self._story.last(("ProbeRejected",), self._place, self._entry.step)
        return quoted(said.details["error"]) if said else "without a word"

    def _earlier(self) -> str:
        count = len(self._story.lane("attempts", self._place))
        return f", at attempt {count}" if count > 1 else ""

    def _is(self) -> str:
        story = self._story
        return "is" if self._place in story.busy(story.now) or self._place in story.open(story.now) else "was"

    def _probes(self) -> str:
        return _told(self._story.lane("probes", self._place), "")

    def _undos(self) -> str:
        return _told(self._story.lane("undos", self._place), "attempt")

    def _probed(self) -> str:
        probes = self._story.lane("probes", self._place)
        return f"; its probe {_told(probes, '')}" if probes else ""

    def _polled(self) -> str:
        """How often it was asked for, and how the last time came out."""
        count, error = len(self._story.lane("polls", self._place)), self._entry.details.get("error")
        times, last = ("once", "and") if count == 1 else (f"{count} times", "the last time")
        return f"it was polled {times}, {f'{last} in vain: {quoted(error)}' if error else 'and is not done yet'}"

    def _cut(self) -> str:
        return CUTS.get(str(self._entry.details.get("cause")), CUTS["crash"])

    def _failed(self) -> str:
        return str(self._entry.details.get("step"))

    def _hurried(self) -> str:
        """Why no attempt followed, when it was not for their number."""
        before = {each.event for each in self._story.history[: self._place]}
        if "TurnedBack" in before and not before & {"Completed", "Compensated"}:
            return "; a saga that turns back tries nothing again"
        return ""

    def _refusal(self) -> str:
        refused = self._story.last(("CompensationRefused",), self._place, self._entry.step)
        return quoted(refused.details["error"]) if refused else "without a word"

    def _waited(self) -> str:
        began = self._story.last(("WaitStarted",), self._place, self._entry.step)
        return human(int((self._entry.at - began.at).total_seconds() * 1000)) if began else "its time"

    def _open(self) -> str:
        steps = [self._story.history[at].step for at in self._story.open(self._place)]
        past, several = self._place < self._story.now, len(steps) > 1
        return f"{_listed(steps)} {('was', 'were')[several] if past else ('is', 'are')[several]} parked"

    def _busy(self) -> str:
        going = [self._story.history[at] for at in self._story.busy(self._place)]
        if not going:
            return "its next step is being decided" if self._place == self._story.now else "it had not been brought on"
        verb = "is" if self._place == self._story.now else "was"
        told = [_going(each).format(step=each.step, verb=verb) for each in going[:_BUSY_TOLD]]
        return _listed([*told, *([f"{len(going) - _BUSY_TOLD} more"] if len(going) > _BUSY_TOLD else [])])

    def _after(self) -> str:
        places = self._story.causes("after", self._place)
        return _listed(dict.fromkeys(self._story.history[at].step for at in places)) or "something"

    def _stays(self) -> str:
        return _listed(self._entry.details.get("stays", ())) or "nothing"

    def _notable(self) -> str:
        return ", though not straight away" if self._story.causes("notable", self._place) else ""


_BUSY_TOLD, _NAMES_TOLD = 3, 8
_GOING = {
    "ActionStarted": "{step} {verb} being called",
    "RetryScheduled": "{step} {verb} to be tried again",
    "ProbeStarted": "{step} {verb} being looked up",
    "ProbeRetryScheduled": "{step} {verb} to be looked up again",
    "WaitStarted": "it {verb} waiting for the signal {step}",
    "SleepStarted": "it {verb} asleep",
    "ActionAccepted": "{step} {verb} accepted and not done",
    "CompensationAccepted": "undoing {step} {verb} accepted and not done",
    "PollStarted": "it {verb} being asked whether {step} is done",
    "PollPending": "{step} {verb} accepted and not done",
    "PollStarted:undo": "it {verb} being asked whether {step} is undone",
    "PollPending:undo": "undoing {step} {verb} accepted and not done",
    "PollCut": "{step} {verb} accepted and not done",
    "PollCut:undo": "undoing {step} {verb} accepted and not done",
    "CompensationStarted": "{step} {verb} being undone",
    "CompensationRetryScheduled": "undoing {step} {verb} to be tried again",
}


def _going(entry: HistoryEntry) -> str:
    return _GOING[f"{entry.event}:undo" if entry.details.get("undo") else entry.event]


def _lane_of(event: str) -> str:
    return "undos" if event == "CompensationStarted" else "attempts"


def quoted(said: object) -> str:
    """What somebody said, in one line and quotes."""
    return f"'{' '.join(str(said).split())}'"


def _listed(names: Iterable[str]) -> str:
    told = [*names]
    if len(told) > _NAMES_TOLD + 1:
        told[_NAMES_TOLD:] = [f"{len(told) - _NAMES_TOLD} more"]
    *most, last = told or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _told(ends: Sequence[HistoryEntry], noun: str) -> str:
    """How several calls came out: "3 attempts: 'no answer within 5s' (2 times), then 'no', a no"."""
    if not ends:
        return f"no {noun} was made"
    outcomes = [_outcome(each) for each in ends]
    runs = [(said, len(list(run))) for said, run in groupby(outcomes)]
    told = ", then ".join(said if count == 1 else f"{said} ({count} times)" for said, count in runs[-_RUNS_TOLD:])
    more = "…, then " if len(runs) > _RUNS_TOLD else ""
    if not noun:
        return more + told
    if len(ends) == 1:
        return f"one {noun}: {told}"
    if len(runs) == 1:
        return f"{len(ends)} {noun}s, each: {runs[0][0]}"
    return f"{len(ends)} {noun}s: {more}{told}"


_RUNS_TOLD = 4


def _outcome(end: HistoryEntry) -> str:
    details = end.details
    error = quoted(details.get("error") or details.get("cause") or "no word")
    return OUTCOMES[end.event].format(error=error, cut=CUTS.get(str(details.get("cause")), "its worker's end"))
