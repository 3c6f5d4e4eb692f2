"""What was sealed once opens for ever: the form, the place it is bound to, and the digest of a start key.

Lines of `sealed.jsonl` are never changed. An event that gains a field gets a line of its own.
"""

from pathlib import Path

import msgspec
from msgspec import Raw

from amends.core import events as ev
from amends.core.sealing import decode_opened
from amends.crypto import KeyRing

SAGA_ID = "01JZX0000000000000000000S1"
RING = KeyRing({"2026-11": bytes(range(32))}, active="2026-11")
OPENED = [
    ev.Started(SAGA_ID, "trip", 1, "f1", Raw(b'{"card":"4111"}'), key="k", correlation={"a": "b"}),
    ev.ActionSucceeded(2, Raw(b'"r"')),
    ev.ProbeFound(3, Raw(b"7")),
    ev.LateSucceeded(2, Raw(b'"late"')),
    ev.SignalReceived("go", Raw(b"true"), "id-1"),
    ev.SignalReceived("go", Raw(b"false")),
    ev.Resolved(4, "done", False, Raw(b'{"by":"hand"}'), "why", "ann"),
    ev.ItemsListed(5, [Raw(b"1"), Raw(b"null"), Raw(b'"x"')], 8, 9, 6, 2),
    ev.CallEntered(7, Raw(b'{"c":1}')),
    ev.ActionAccepted(2, 1, 2, 3, "poll", Raw(b'"token"')),
]


def test_every_sealed_sample_still_opens():
    lines = (Path(__file__).parent / "sealed.jsonl").read_bytes().splitlines()
    assert len(lines) == len(OPENED)
    for line, event in zip(lines, OPENED, strict=True):
        assert b"$sealed" in line
        assert decode_opened(RING, SAGA_ID, line).events == [event]


def test_a_start_key_s_digest_stays_comparable():
    assert RING.digest(b'{"card":"4111"}') == "2026-11:841aa51a3911bc5c99e73803b422f5065db6b64ed9eb9e7f5cd42a6759425702"


def test_the_samples_are_json_that_anybody_can_read_around_the_seal():
    first = (Path(__file__).parent / "sealed.jsonl").read_text().splitlines()[0]
    assert msgspec.json.decode(first)[2][0][:4] == ["start", SAGA_ID, "trip", 1]
