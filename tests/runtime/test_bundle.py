"""A bundle is its saga: it opens without its store as it looked there, or says why it does not."""

import asyncio
import json
import random
import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from amends import NotFound, Orchestrator
from amends.errors import UsageError
from amends.runtime import bundle
from amends.runtime.reading import Reader
from amends.stores.memory import MemoryStore
from amends.testing.journals import NOW
from tests.cli.journals import Trip, book_trip, compensated, completed, requires_manual, write
from tests.simulated import simulated


def exported(store, saga_id, **options):
    return asyncio.run(bundle.write(store, saga_id, now_ms=NOW, release="0.1.0", **options))


async def looked(store, saga_id):
    reader = Reader(store, {})
    return await reader.view(saga_id), await reader.history(saga_id)


def opened(data):
    async def main():
        found = bundle.read(data, "it")
        return await looked(await bundle.store_of(found, "it"), found.saga_id)

    return asyncio.run(main())


def journals():
    """(store, saga id) of many sagas that real runs left behind."""
    for seed in range(12):
        store = simulated(seed)
        asyncio.run(store.open())
        yield from ((store, saga_id) for saga_id in store._journal)


def test_what_a_bundle_shows_is_what_its_store_showed():
    seen = 0
    for store, saga_id in journals():
        assert opened(exported(store, saga_id)) == asyncio.run(looked(store, saga_id))
        seen += 1
    assert seen > 10


@pytest.fixture
def one(tmp_path):
    """The bundle of a saga with a key and labels."""
    write(tmp_path / "amends.db", completed(), compensated(), requires_manual())

    async def main():
        async with Orchestrator(f"sqlite:///{tmp_path}/amends.db", worker=False) as orchestrator:
            with pytest.raises(NotFound):
                await orchestrator.export("nobody")
            return await orchestrator.export("01COMPLETED"), await orchestrator.export("01COMPLETED", payloads=False)

    return asyncio.run(main())


def test_a_bundle_says_what_it_holds(one):
    whole = json.loads(one[0])
    assert list(whole) == ["format", "version", "checksum", "content"]
    content = whole["content"]
    assert content["key"] == {"name": "book_trip", "key": "lisbon", "saga_id": "01COMPLETED", "input_hash": "-"}
    assert content["correlation"] == {"customer": "ada"}
    assert content["definition"]["fingerprint"] == book_trip.fingerprint
    assert content["payloads"] is True and "Lisbon" in str(content["frames"][0])


def test_without_payloads_the_story_stays_and_what_it_was_about_goes(one):
    whole, less = opened(one[0]), opened(one[1])
    content = json.loads(one[1])["content"]
    assert not any(word in one[1].decode() for word in ("Lisbon", "12A", "room", "plate", "eve"))
    assert content["payloads"] is False and content["key"]["input_hash"] == ""
    assert [(each.seq, each.event, each.step) for each in less[1]] == [
        (each.seq, each.event, each.step) for each in whole[1]
    ]
    assert less[0].input is None and less[0].result is None
    assert [each.status for each in less[0].steps] == [each.status for each in whole[0].steps]


def test_white_space_may_change_on_the_way_and_nothing_else(one):
    indented = msgspec.json.format(one[0], indent=4)
    assert indented != one[0] and opened(indented) == opened(one[0])
    for old, new in ((b"Lisbon", b"Lisbob"), (b'"payloads":true', b'"payloads":false'), (b"lisbon", b"london")):
        assert old in one[0]
        with pytest.raises(UsageError, match="AM2071.*it is damaged: its checksum does not fit"):
            opened(one[0].replace(old, new, 1))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_bundle_that_was_cut_or_harmed_is_refused_with_a_code_and_never_shown_otherwise(one, data):
    good = one[0]
    harmed = bytearray(good)
    if data.draw(st.booleans()):
        harmed = harmed[: data.draw(st.integers(0, len(good) - 3))]
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            harmed[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        shown = opened(bytes(harmed))
    except UsageError as error:
        said = str(error)
    else:
        assert shown == opened(good)  # white space for white space
        return
    assert re.match(r"\[AM207[0-3]\] it is ", said)


def test_a_cut_bundle_says_that_it_ends_too_early(one):
    for data in (one[0][: len(one[0]) // 2], msgspec.json.format(one[0], indent=2)[:3_000]):
        with pytest.raises(UsageError, match="AM2071.*ends too early"):
            opened(data)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b"hello", b"\xff\xfe", b'{"format":"other","version":1}', b"null"]
)
def test_what_is_no_bundle_is_told_so(data):
    with pytest.raises(UsageError, match="AM2070.*is no bundle; give a saga's id"):
        opened(data)


def test_a_bundle_of_a_later_release_is_refused_before_anything_of_it_is_read(one):
    later = one[0].replace(b'"version":1', b'"version":2', 1)
    with pytest.raises(UsageError, match="AM2072.*format version 2; this release reads up to 1"):
        opened(later)


def sealed(content):
    data = msgspec.json.encode(content)
    return msgspec.json.encode(
        {"format": bundle.FORMAT, "version": 1, "checksum": bundle._checksum(data), "content": msgspec.Raw(data)}
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content.update(frames=[]), "its journal does not begin with the start"),
        (lambda content: content.update(frames=content["frames"][1:]), "does not begin with the start"),
        (lambda content: content.update(saga_id="another"), "does not begin with the start of another"),
        (lambda content: content["definition"].update(fingerprint="0"), "another definition than book_trip version 1"),
        (lambda content: content["definition"].update(structure={}), "missing required field"),
        (lambda content: content["frames"][2].__setitem__(0, 9), "wire version 9; this release reads up to 1"),
        (lambda content: content["frames"].append([1, 1, [["nonsense"]]]), "does not decode"),
        (lambda content: content["frames"].append([1, 1, [["a", 999]]]), "frame 9: it does not follow from"),
        (lambda content: content["frames"].pop(3), "frame 4: it does not follow from those before it"),
    ],
)  # fmt: skip
def test_parts_that_do_not_belong_together_are_refused_although_the_checksum_fits(one, change, said):
    content = json.loads(one[0])["content"]
    assert opened(sealed(content))[0].id == "01COMPLETED"
    change(content)
    with pytest.raises(UsageError, match=f"AM2073.*{said}"):
        opened(sealed(content))


def test_every_character_of_a_journal_survives_and_none_can_steer_a_terminal(one):
    rng = random.Random(1)
    text = "".join(chr(rng.choice([*range(32, 0x250), 0x202E, 0x9B, 0x1F600, 0xFEFF])) for _ in range(200)) + "\x00\x1b"
    store = MemoryStore()

    async def main():
        async with Orchestrator(store, sagas=[book_trip]) as orchestrator:
            saga = await orchestrator.start(book_trip, Trip(text))
            await orchestrator.pause(saga.id, reason="a look")
            return saga.id, await orchestrator.export(saga.id), await orchestrator.get(saga.id)

    saga_id, data, view = asyncio.run(main())
    assert not {"\x1b", "\x9b", "\u202e", "\ufeff", "\x7f"} & set(data.decode())
    shown, _ = opened(data)
    assert (shown.id, shown.input) == (saga_id, {"city": text}) and shown.seq == view.seq
