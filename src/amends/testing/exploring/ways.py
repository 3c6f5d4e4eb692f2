"""What may become of one call, as a table: the ways in which a scenario lets it go.

    refused           Rejected, and nothing took effect
    lost              no request of it arrives, now or later: the step's outcome stays unknown
    unanswered        it takes effect, and no answer ever comes
    answer-lost       it takes effect, its answer is lost, and it is called once more
    late              as lost; and its request arrives when the saga has ended
    delivered-again   its request arrives once more when the saga has ended
    crash-*           the process dies, and another one takes over
    other             another saga runs from its start to its end, just here, on the same doubles
    ...

Rules of this file: data only. Where a way has a number behind `@`, it happens at that call which the function makes of
a double; `other@0` is before the function begins.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTION, COMPENSATION, PROBE, WAIT, SLEEP = "action", "compensation", "probe", "wait", "sleep"


@dataclass(frozen=True, slots=True)
class Way:
    """One row of the table.

    Attributes:
        name: as it stands in a scenario's text.
        ops: what it may happen to.
        said: it as a sentence of a story; `{path}` and, for a call of a double, `{nth}`.
        rule: the rule of `amends check` that a failure by this way is about, "" for none.
        within: whether it happens at one call of a double.
        goes_on: whether scenarios with a further fault behind this one are worth their time: what is left out
            differs in nothing, for the functions, from a way that is not.
        last: whether it is worth its time as the further fault.
    """

    name: str
    ops: tuple[str, ...]
    said: str
    rule: str = ""
    within: bool = False
    goes_on: bool = True
    last: bool = True


_CALLS = (ACTION, COMPENSATION)
_RESTS = (WAIT, SLEEP)

_TABLE = (
    Way("refused", (ACTION,), "{path} is refused"),
    Way("refused", (COMPENSATION,), "{path} is refused, until an operator asks again", goes_on=False),
    Way("not-sent", (ACTION,), "{path} is never sent", goes_on=False, last=False),
    Way("lost", (ACTION,), "no request of {path} arrives, and nobody can know that", "SG013"),
    Way("stuck", (COMPENSATION,), "{path} fails again and again, until an operator asks again", goes_on=False),
    Way("unanswered", (ACTION,), "{path} takes effect, and its answer never comes", "SG009"),
    Way("answer-lost", (ACTION,), "{path} takes effect, its answer is lost, and it is called again", "SG011"),
    Way("answer-lost", (COMPENSATION,), "{path} takes effect, its answer is lost, and it is called again", "SG012"),
    Way("late", (ACTION,), "no request of {path} arrives until the saga has ended; then it does", "SG013"),
    Way("delivered-again", (ACTION,), "the request of {path} arrives once more when the saga has ended", "SG013"),
    Way("delivered-again", (COMPENSATION,), "the request of {path} arrives once more when the saga has ended", "SG012"),
    Way("crash-before", (ACTION,), "the process dies before {path} begins", goes_on=False, last=False),
    Way("crash-before", (COMPENSATION, PROBE), "the process dies before {path} begins", goes_on=False),
    Way("crash-after", (ACTION,), "the process dies when {path} has taken effect, before that is recorded", "SG011"),
    Way("crash-after", (COMPENSATION,), "the process dies when {path} has taken effect, before that is recorded",
        "SG012"),
    Way("crash-recorded", _CALLS, "the process dies when the outcome of {path} is recorded", goes_on=False),
    Way("not-seen", (PROBE,), "{path} sees nothing"),
    Way("fails", (PROBE,), "{path} fails again and again"),
    Way("no-signal", (WAIT,), "the signal of {path} does not come in time"),
    Way("signal-early", (WAIT,), "the signal of {path} comes before anything else", goes_on=False, last=False),
    Way("cancelled", (ACTION, *_RESTS), "the saga is cancelled during {path}"),
    Way("deadline", (ACTION,), "the deadline passes when {path} has taken effect, before it answers", "SG009"),
    Way("deadline", _RESTS, "the deadline passes during {path}"),
    Way("deadline-before", (ACTION,), "the deadline passes before {path} takes effect", goes_on=False, last=False),
    Way("slow", _CALLS, "{path} takes longer than what runs beside it", "SG018"),
    Way("call-fails", _CALLS, "{nth} of {path} fails, and had no effect", "SG016", within=True),
    Way("call-unanswered", _CALLS, "{nth} of {path} takes effect, and its answer is lost", "SG036", within=True),
    Way("call-crash", _CALLS, "the process dies after {nth} of {path}", "SG036", within=True),
    Way("other", _CALLS, "another saga runs, from its start to its end, before {nth} of {path}", "SG018", within=True),
)  # fmt: skip

WAYS: dict[tuple[str, str], Way] = {(op, way.name): way for way in _TABLE for op in way.ops}
