"""The key ring: what it seals opens at its own place with its own key, and nowhere else."""

from __future__ import annotations

import base64
import subprocess
import sys

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Raw

from amends.core import events as ev
from amends.core.sealing import is_sealed, open_frame, open_sealed, reveal_frame, seal, seal_events
from amends.crypto import KeyRing
from amends.errors import PayloadError, UsageError

NEW, OLD = bytes(range(32)), bytes(range(1, 33))
RING = KeyRing({"2026-11": NEW, "2026-05": OLD}, active="2026-11")
OLD_RING = KeyRing({"2026-05": OLD}, active="2026-05")


def code_of(ring, raw, place=b"place"):
    with pytest.raises(PayloadError) as caught:
        open_sealed(ring, raw, place)
    return caught.value.code


def parts(raw):
    key_id, nonce, ciphertext = msgspec.json.decode(raw)["$sealed"]
    return key_id, base64.b64decode(nonce), base64.b64decode(ciphertext)


def forged(key_id, nonce, ciphertext):
    return Raw(msgspec.json.encode({"$sealed": [key_id, nonce, ciphertext]}))


def test_what_was_sealed_opens_at_its_place_and_shows_nothing():
    sealed = seal(RING, Raw(b'{"card":"4111"}'), b"place")
    assert is_sealed(sealed) and b"4111" not in bytes(sealed)
    assert bytes(open_sealed(RING, sealed, b"place")) == b'{"card":"4111"}'


def test_the_stored_form_is_aes_256_gcm_as_it_is_documented():
    key_id, nonce, ciphertext = parts(seal(RING, Raw(b'"x"'), b"place"))
    assert (key_id, len(nonce), len(ciphertext)) == ("2026-11", 12, 3 + 16)
    assert AESGCM(NEW).decrypt(nonce, ciphertext, b"place\0002026-11") == b'"x"'


def test_every_payload_has_a_nonce_of_its_own():
    assert len({parts(seal(RING, Raw(b"1"), b"place"))[1] for _ in range(200)}) == 200


def test_null_and_what_was_stored_plain_are_left_as_they_are():
    assert bytes(seal(RING, Raw(b"null"), b"place")) == b"null"
    assert bytes(open_sealed(RING, Raw(b'{"a":1}'), b"place")) == b'{"a":1}'
    assert bytes(open_sealed(None, Raw(b'{"a":1}'), b"place")) == b'{"a":1}'


def test_an_old_key_opens_and_the_active_one_seals():
    assert bytes(open_sealed(RING, seal(OLD_RING, Raw(b"1"), b"place"), b"place")) == b"1"
    assert parts(seal(RING, Raw(b"1"), b"place"))[0] == "2026-11"


def test_a_missing_key_is_named():
    sealed = seal(RING, Raw(b"1"), b"place")
    assert code_of(OLD_RING, sealed) == code_of(None, sealed) == "AM2112"
    with pytest.raises(PayloadError, match=r'"2026-11", which is not in the ring \(it holds: 2026-05\)'):
        open_sealed(OLD_RING, sealed, b"place")


def test_another_key_another_place_and_every_changed_byte_are_refused():
    sealed = seal(RING, Raw(b'"xy"'), b"place")
    key_id, nonce, ciphertext = parts(sealed)
    assert code_of(KeyRing({"2026-11": OLD}, active="2026-11"), sealed) == "AM2113"
    assert code_of(RING, sealed, b"elsewhere") == "AM2113"
    assert code_of(RING, forged("2026-05", nonce, ciphertext)) == "AM2113"
    for at in range(len(ciphertext)):
        changed = ciphertext[:at] + bytes([ciphertext[at] ^ 1]) + ciphertext[at + 1 :]
        assert code_of(RING, forged(key_id, nonce, changed)) == "AM2113"
    assert code_of(RING, forged(key_id, nonce[:-1] + b"\0", ciphertext)) == "AM2113"
    assert code_of(RING, forged(key_id, b"", ciphertext)) == "AM2113"
    assert code_of(RING, forged(key_id, nonce, b"")) == "AM2113"
    for damaged in (b'{"$sealed":', b'{"$sealed":1}', b'{"$sealed":["k","?","?"]}'):
        assert code_of(RING, Raw(damaged)) == "AM2113"


def test_a_digest_is_keyed_and_old_digests_stay_comparable():
    digest = RING.digest(b"input")
    assert digest.startswith("2026-11:") and digest == RING.digest(b"input") != RING.digest(b"other")
    assert RING.is_digest_of(OLD_RING.digest(b"input"), b"input")
    assert not RING.is_digest_of(OLD_RING.digest(b"input"), b"other")
    assert KeyRing({"2026-11": OLD}, active="2026-11").digest(b"input") != digest
    with pytest.raises(PayloadError, match="AM2112"):
        OLD_RING.is_digest_of(digest, b"input")


@pytest.mark.parametrize(
    ("keys", "active"),
    [
        ({}, "a"),
        ({"a": NEW}, "b"),
        ({"a": NEW[:31]}, "a"),
        ({"a": NEW + b"\0"}, "a"),
        ({"a": "not base64!"}, "a"),
        ({"a": base64.b64encode(NEW[:16]).decode()}, "a"),
        ({"a": 5}, "a"),
        ({"": NEW}, ""),
        ({"a:b": NEW}, "a:b"),
        ({"k" * 65: NEW}, "k" * 65),
        ({5: NEW}, 5),
    ],
    ids=[
        "empty",
        "no active",
        "short",
        "long",
        "no base64",
        "short base64",
        "no bytes",
        "no id",
        "colon",
        "long id",
        "5",
    ],
)
def test_a_ring_that_cannot_be_is_refused_without_its_keys(keys, active):
    with pytest.raises(UsageError, match="AM2114") as caught:
        KeyRing(keys, active=active)
    assert "AAEC" not in str(caught.value)  # how the base64 of these keys begins


def test_a_ring_never_shows_its_keys():
    assert repr(RING) == "<key ring, active 2026-11, 2 keys>"
    assert not hasattr(RING, "__dict__")


def test_a_ring_is_read_from_the_environment_the_first_key_active(monkeypatch):
    new, old = KeyRing.generate(), KeyRing.generate()
    assert new != old and len(base64.b64decode(new)) == 32
    monkeypatch.setenv("AMENDS_KEYS", f" b={new} , a={old},")
    ring = KeyRing.from_env()
    assert ring.active == "b"
    assert bytes(open_sealed(ring, seal(KeyRing({"a": old}, active="a"), Raw(b"1"), b""), b"")) == b"1"
    for said in ("", "b", f"b={new},b={old}", "b=short", f"={new}", ","):
        monkeypatch.setenv("AMENDS_KEYS", said)
        with pytest.raises(UsageError, match="AM2114"):
            KeyRing.from_env()
    monkeypatch.setenv("OTHER", f"c={new}")
    assert KeyRing.from_env("OTHER").active == "c"


# --- frames -----------------------------------------------------------------------------------------


def frame_of(*events):
    return ev.decode_frame(ev.encode_frame(7, list(events)))


STARTED = ev.Started("S1", "s", 1, "f", Raw(b'{"a":1}'), key="k")
EVENTS = [STARTED, ev.ActionSucceeded(3, Raw(b'"r"')), ev.SignalReceived("go", Raw(b"5"), "id"), ev.Began()]


def test_a_frame_stays_readable_around_its_sealed_payloads():
    body = ev.encode_frame(7, seal_events(RING, "S1", EVENTS))
    first = msgspec.json.decode(body)[2][0]
    assert first[:4] == ["start", "S1", "s", 1] and list(first[5]) == ["$sealed"]
    assert open_frame(RING, "S1", ev.decode_frame(body)) == frame_of(*EVENTS)
    assert seal_events(RING, "S1", EVENTS)[3] is EVENTS[3]


def test_a_payload_moved_to_another_saga_event_node_signal_or_id_does_not_open():
    ok, signal = (seal_events(RING, "S1", EVENTS)[at] for at in (1, 2))
    replace = msgspec.structs.replace
    elsewhere = [
        ("S2", ok),
        ("S1", replace(ok, node=4)),
        ("S1", ev.ProbeFound(3, ok.result)),
        ("S1", replace(signal, name="stop")),
        ("S1", replace(signal, id="other")),
        ("S1", replace(STARTED, input=ok.result)),
    ]
    for saga_id, event in elsewhere:
        with pytest.raises(PayloadError, match="AM2113"):
            open_frame(RING, saga_id, frame_of(event))
    assert open_frame(RING, "S1", frame_of(ok, signal)) == frame_of(*EVENTS[1:3])


def test_who_looks_without_the_key_sees_which_one_is_missing():
    sealed = frame_of(*seal_events(RING, "S1", EVENTS))
    for ring, expected in (
        (None, "<sealed: key 2026-11>"),
        (OLD_RING, "<sealed: key 2026-11>"),
        (KeyRing({"2026-11": OLD}, active="2026-11"), "<sealed: key 2026-11, which does not open it>"),
    ):
        shown = reveal_frame(ring, "S1", sealed).events
        assert [msgspec.json.decode(raw) for raw in (shown[0].input, shown[1].result, shown[2].payload)] == [
            expected
        ] * 3
    assert reveal_frame(RING, "S1", sealed) == frame_of(*EVENTS)
    plain = frame_of(*EVENTS)
    assert reveal_frame(None, "S1", plain) is plain


def test_every_payload_of_every_event_is_sealed():
    """A later event with a payload is sealed by its field's type, so nobody must remember to."""
    from amends.core.payloads import payload_fields

    holding = {kind.__name__ for kind in ev.Event.__subclasses__() if payload_fields(kind)}
    assert holding >= {"Started", "ActionSucceeded", "ProbeFound", "LateSucceeded", "SignalReceived", "Resolved"}
    for kind in ev.Event.__subclasses__():
        for field in msgspec.structs.fields(kind):
            assert ("Raw" in str(field.type)) == (field.name in payload_fields(kind)), (kind, field.name)


def test_without_the_package_it_says_what_to_install():
    code = """
import sys
sys.modules["cryptography"] = None
try:
    import amends.crypto
except ImportError as error:
    assert 'pip install "amends[crypto]"' in str(error)
else:
    raise SystemExit("imported all the same")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
