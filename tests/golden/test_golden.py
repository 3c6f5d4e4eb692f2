"""What was written once is read for ever.

`current.jsonl` holds one frame for each event of the journal, byte for byte as a store keeps it.
`older.jsonl` holds frames that this release no longer writes so, and must still read.

How an event may evolve:
  * a line of these files is never changed and never deleted.
  * an event that gets a new field (last, with a default): its line moves to `older.jsonl`, its value
    below to OLDER, and a new line comes to `current.jsonl`.
  * a new event: a new line at the end.
"""

from pathlib import Path
from typing import get_args

import pytest
from msgspec import Raw

from amends.core import events as e

HERE = Path(__file__).parent
AT = 1_700_000_000_000
DUE = 1_700_000_060_000
JSON = Raw(b'{"id":"p1","amount":[1,2.5,null]}')

CURRENT: list[e.Event] = [
    e.Started(
        saga_id="s-1",
        name="place_order",
        version=2,
        fingerprint="0f" * 16,
        input=JSON,
        deadline=DUE,
        deadline_ms=60_000,
        key="order-7",
        correlation={"customer": "ada", "ort": "Kärnten"},
    ),
    e.Began(),
    e.TurnedBack(cause="rejected", node=3, message="card refused"),
    e.Completed(),
    e.Compensated(),
    e.Closed(stays=[2, 5]),
    e.RequiresManual(),
    e.Reactivated(),
    e.FollowUpsEnded(failed=True),
    e.DeadlinePassed(),
    e.Held(reason="version", message="place_order version 2 is not registered"),
    e.Released(),
    e.ActionStarted(3),
    e.ActionSucceeded(3, result=JSON),
    e.ActionRejected(3, error="insufficient funds", conclusive=True),
    e.ActionNotSent(3, error="connection refused"),
    e.ActionUnknown(3, error="TimeoutError", cause="timeout"),
    e.ActionCut(3, cause="shutdown"),
    e.RetryScheduled(3, due=DUE, delay_ms=60_000),
    e.StepRejected(3),
    e.StepFailed(3),
    e.StepUnknown(3),
    e.StepPassed(3),
    e.StepParked(3, reason="key_expired", message="older than a day"),
    e.LateSucceeded(3, result=JSON),
    e.AnomalyNoted(3, message="succeeded after its undo", after_undo=True),
    e.AttemptAbandoned(3, op="compensation"),
    e.ProbeStarted(3),
    e.ProbeFound(3, result=JSON),
    e.ProbeNotSeen(3),
    e.ProbeRejected(3, error="never arrived"),
    e.ProbeFailed(3, error="500"),
    e.ProbeCut(3, cause="lease"),
    e.ProbeRetryScheduled(3, due=DUE, delay_ms=60_000),
    e.CompensationStarted(3),
    e.CompensationSucceeded(3),
    e.CompensationRefused(3, error="already dispatched"),
    e.CompensationFailed(3, error="TimeoutError", cause="timeout"),
    e.CompensationCut(3, cause="shutdown"),
    e.CompensationRetryScheduled(3, due=DUE, delay_ms=60_000),
    e.StepOwed(3, reason="refused", message="already dispatched"),
    e.BranchChosen(4, branch=1),
    e.WaitStarted(5, due=DUE),
    e.WaitSatisfied(5),
    e.WaitTimedOut(5),
    e.SleepStarted(6, due=DUE),
    e.SleepEnded(6),
    e.SignalReceived(name="approval", payload=JSON, id="sig-1"),
    e.CancelRequested(reason="customer", actor="ada"),
    e.CancelRefused(),
    e.RetryRequested(reason="bank is back", actor="ada", deadline=DUE),
    e.Resolved(3, outcome="done", undo=True, result=JSON, reason="by hand", actor="ada"),
    e.Skipped(3, reason="written off", actor="ada"),
    e.Paused(reason="incident 12", actor="ada"),
    e.Resumed(reason="incident over", actor="ada"),
    e.ActionAccepted(3, due=1700000060000, until=1700000090000, every_ms=60000, poll="shop:arrived", token=JSON),
    e.PollStarted(3, undo=True),
    e.PollPending(3, due=1700000060000, every_ms=60000, undo=True, error="bank is down", token=JSON),
    e.PollCut(3, due=1700000060000, undo=True, cause="shutdown"),
    e.CompensationAccepted(3, due=1700000060000, until=1700000090000, every_ms=60000, poll="shop:arrived", token=JSON),
    e.ItemsListed(3, items=[JSON], limit=8, first=12, body=4, size=2),
    e.CallEntered(3, input=JSON),
    e.AlternativeStarted(3, position=1),
    e.AlternativeFailed(3, cause="rejected", step=4, message="no card"),
    e.FirstOfFailed(3),
]

# Each event that has defaults; its line lacks them, and here they are spelled out.
OLDER: list[e.Event] = [
    e.Started(
        saga_id="s-1",
        name="place_order",
        version=1,
        fingerprint="0f" * 16,
        input=JSON,
        deadline=0,
        deadline_ms=0,
        key="",
        correlation={},
    ),
    e.TurnedBack(cause="deadline", node=-1, message=""),
    e.ActionAccepted(3, due=1700000060000, until=1700000090000, every_ms=60000, poll="", token=Raw(b"null")),
    e.PollStarted(3, undo=False),
    e.PollPending(3, due=1700000060000, every_ms=60000, undo=False, error="", token=Raw(b"null")),
    e.PollCut(3, due=1700000060000, undo=False, cause="crash"),
    e.CompensationAccepted(3, due=1700000060000, until=1700000090000, every_ms=60000, poll="", token=Raw(b"null")),
    e.CallEntered(3, input=Raw(b"null")),
    e.AlternativeFailed(3, cause="rejected", step=4, message=""),
    e.Closed(stays=[]),
    e.FollowUpsEnded(failed=False),
    e.Held(reason="poison", message=""),
    e.ActionSucceeded(3, result=Raw(b"null")),
    e.ActionRejected(3, error="", conclusive=False),
    e.ActionNotSent(3, error=""),
    e.ActionUnknown(3, error="", cause="error"),
    e.ActionCut(3, cause="crash"),
    e.StepParked(3, reason="poison", message=""),
    e.LateSucceeded(3, result=Raw(b"null")),
    e.AnomalyNoted(3, message="", after_undo=False),
    e.AttemptAbandoned(3, op="action"),
    e.ProbeFound(3, result=Raw(b"null")),
    e.ProbeRejected(3, error=""),
    e.ProbeFailed(3, error=""),
    e.ProbeCut(3, cause="crash"),
    e.CompensationRefused(3, error=""),
    e.CompensationFailed(3, error="", cause="error"),
    e.CompensationCut(3, cause="crash"),
    e.StepOwed(3, reason="poison", message=""),
    e.WaitStarted(3, due=0),
    e.SignalReceived(name="approval", payload=Raw(b"null"), id=""),
    e.CancelRequested(reason="", actor=""),
    e.RetryRequested(reason="", actor="", deadline=0),
    e.Resolved(3, outcome="not_done", undo=False, result=Raw(b"null"), reason="", actor=""),
    e.Skipped(3, reason="", actor=""),
    e.Paused(reason="", actor=""),
    e.Resumed(reason="", actor=""),
]


def lines(name: str) -> list[bytes]:
    return (HERE / name).read_bytes().splitlines()


def pairs(name: str, events: list[e.Event]) -> list[tuple[bytes, e.Event]]:
    return list(zip(lines(name), events, strict=True))


def plain(event: e.Event) -> tuple[type, list[object]]:
    """Comparable: `Raw` compares by identity."""
    values = [getattr(event, field) for field in event.__struct_fields__]
    return type(event), [_plain(value) for value in values]


def _plain(value: object) -> object:
    return list(map(_plain, value)) if isinstance(value, list) else bytes(value) if isinstance(value, Raw) else value


def name_of(event: e.Event) -> str:
    return type(event).__name__


def test_each_event_of_the_journal_has_its_golden_line():
    assert [type(event) for event in CURRENT] == list(dict.fromkeys(type(event) for event in CURRENT))
    assert {type(event) for event in CURRENT} == set(get_args(e.AnyEvent))
    assert {type(event) for event in OLDER} >= {kind for kind in get_args(e.AnyEvent) if kind.__struct_defaults__}


def test_no_golden_value_hides_behind_a_default():
    for event in CURRENT:
        for field, default in zip(reversed(event.__struct_fields__), reversed(event.__struct_defaults__), strict=False):
            value = getattr(event, field)
            assert value, f"{name_of(event)}.{field} is empty"
            assert value != default, f"{name_of(event)}.{field} is its default"


@pytest.mark.parametrize(("line", "event"), pairs("current.jsonl", CURRENT), ids=map(name_of, CURRENT))
def test_a_golden_line_decodes_to_its_value_and_is_written_the_same_today(line: bytes, event: e.Event):
    frame = e.decode_frame(line)
    assert (frame.version, frame.at) == (1, AT)
    assert [plain(it) for it in frame.events] == [plain(event)]
    assert e.encode_frame(frame.at, list(frame.events)) == line


@pytest.mark.parametrize(("line", "event"), pairs("older.jsonl", OLDER), ids=map(name_of, OLDER))
def test_a_line_of_an_older_release_decodes_with_the_defaults_of_what_it_did_not_know(line: bytes, event: e.Event):
    assert [plain(it) for it in e.decode_frame(line).events] == [plain(event)]


def test_a_frame_holds_many_events_in_their_order():
    line = b"[1,5,[%s]]" % b",".join(line[len(b"[1,1700000000000,[") : -2] for line in lines("current.jsonl"))
    assert [plain(it) for it in e.decode_frame(line).events] == [plain(event) for event in CURRENT]


@pytest.mark.parametrize("body", [b'[2,5,[["begin"]]]', b'[2,5,[["not-yet-known",1]]]', b"[2,5,[{}]]"])
def test_a_frame_of_a_newer_release_says_so(body: bytes):
    with pytest.raises(ValueError, match=r"wire version 2; this release reads up to 1"):
        e.decode_frame(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"\x00\x00", b'[1,5,[["begin"]]', b'{"version":1}', b"[1]", b'["one",5,[]]', b"null"],
)
def test_a_damaged_frame_says_so(body: bytes):
    with pytest.raises(ValueError, match=r"the frame is damaged"):
        e.decode_frame(body)


@pytest.mark.parametrize("body", [b'[1,5,[["nonsense",1]]]', b'[1,5,[["a","one"]]]', b'[1,5,[["a"]]]'])
def test_an_event_that_this_wire_version_does_not_have_is_an_error_and_never_left_out(body: bytes):
    with pytest.raises(ValueError, match=r"the frame does not decode"):
        e.decode_frame(body)
