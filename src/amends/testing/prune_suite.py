"""The conformance suite of stores, as far as pruning goes: what goes, what stays, and what comes late.

Rules of this file: those of `store_suite`.
"""

from __future__ import annotations

from pathlib import Path

from ..core import events as e
from ..core.filter_text import parse
from ..core.filters import where
from ..stores.base import POSITION_END, Batch, FrameRow, KeyRow, Store, Trace
from .journals import NOW, definition, folded, saga_frames, story
from .store_stage import EVERYTHING, StoreStage, ids, leading, open_ids

DAY = 86_400_000


def ended(saga_id: str, began: int = NOW, key: str = "") -> list[FrameRow]:
    """The journal of a saga that has completed within two seconds."""
    return saga_frames(saga_id, [e.Began()], [e.Completed()], began=began, key=key)


class PruneSuite(StoreStage):
    """What every store's pruning must do. Override `make`."""

    def test_all_of_an_ended_saga_goes_but_its_key_and_a_trace(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.register([definition(), definition("order")])
            rows = story()
            keys = [KeyRow("trip", f"key-{at}", f"s{at}", "h") for at in (1, 2)]
            await store.commit(lease, Batch(1, frames=rows, keys=keys))
            gone = await store.prunable(EVERYTHING, limit=10)
            assert gone == ["s1", "s2"]
            before = {each.saga_id: each for each in await store.summaries(EVERYTHING, before="", limit=10)}
            assert await store.prune(gone, now=NOW + DAY) == 2
            assert await store.frames(gone) == {}
            assert await ids(store) == ["s6", "s5", "s4", "s3"]
            assert await ids(store, parse("customer:ann@example.com")) == ["s3"]
            for each in gone:
                was = before[each]
                for step in ("*", *was.failed):
                    assert each not in await ids(store, parse(f"failed:{step}"))
                assert await store.trace(each) == Trace(
                    each, was.name, was.key, was.status, was.ended, NOW + DAY
                )  # fmt: skip
            assert await store.trace("s3") is None
            assert await store.key("trip", "key-1") == keys[0]
            assert await store.prunable(EVERYTHING, limit=10) == []

        self.run(tmp_path, body)

    def test_what_is_not_at_its_end_or_not_wholly_told_of_is_never_removed(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            running = saga_frames("running", [e.Began()])
            following = ended("following")
            await store.commit(lease, Batch(1, frames=[*running, *following], opened=["running", "following"]))
            await store.count(EVERYTHING)
            assert await store.prunable(EVERYTHING, limit=10) == []
            assert await store.count_prunable(EVERYTHING) == 0
            assert await store.prune(["running", "following", "nobody"], now=NOW) == 0
            await store.commit(lease, Batch(2, frames=ended("untold"), opened=["untold"], closed=["untold"]))
            assert await store.prune(["untold"], now=NOW) == 0
            await store.count(EVERYTHING)
            later = FrameRow("untold", 4, saga_frames("x")[0].body)
            await store.commit(lease, Batch(3, frames=[later]))
            assert await store.prune(["untold"], now=NOW) == 0
            assert len((await store.frames(["untold"]))["untold"]) == 4
            await store.commit(lease, Batch(4, closed=["following"]))
            assert set(await store.prunable(EVERYTHING, limit=10)) == {"following", "untold"}
            assert await store.count_prunable(EVERYTHING) == 2
            assert await store.prune(["running", "following"], now=NOW) == 1
            assert await open_ids(store) == ["running"]

        self.run(tmp_path, body)

    def test_those_that_ended_first_are_named_first_and_a_filter_narrows(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            rows = [*ended("b", NOW + 2 * DAY), *ended("c", NOW), *ended("a", NOW + DAY)]
            await store.commit(lease, Batch(1, frames=rows))
            assert await store.count_prunable(EVERYTHING) == 3  # which brings the projection up first, too
            assert await store.prunable(EVERYTHING, limit=10) == ["c", "a", "b"]
            assert await store.prunable(EVERYTHING, limit=2) == ["c", "a"]
            assert await store.prunable(parse("ended<1d").at(NOW + 3 * DAY), limit=10) == ["b"]
            assert await store.prunable(parse("ended>36h").at(NOW + 3 * DAY), limit=10) == ["c", "a"]
            assert await store.prunable(where(status=["compensated"]), limit=10) == []
            assert await store.count_prunable(parse("ended>36h").at(NOW + 3 * DAY)) == 2
            assert await store.count_prunable(where(status=["compensated"])) == 0

        self.run(tmp_path, body)

    def test_the_projection_is_right_after_pruning_however_it_is_made(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            definitions = [definition(), definition("order")]
            await store.register(definitions)
            lease, rows = await leading(store), story()
            await store.commit(lease, Batch(1, frames=rows))
            await store.count(EVERYTHING)
            assert await store.prune(["s1", "s2"], now=NOW) == 2
            rest = [row for row in rows if row.saga_id not in ("s1", "s2")]
            expected = folded(rest, definitions)
            assert await store.summaries(EVERYTHING, before="", limit=10) == expected
            await store.rebuild()
            assert await store.summaries(EVERYTHING, before="", limit=10) == expected
            more = ended("s7")
            await store.commit(lease, Batch(2, frames=more))
            expected = folded([*rest, *more], definitions)
            assert await store.project(limit=100) == 3
            assert await store.summaries(EVERYTHING, before="", limit=10) == expected
            assert await store.prune(["s7"], now=NOW) == 1
            assert await store.project(limit=100) == 0
            await store.rebuild()
            assert await ids(store) == ["s6", "s5", "s4", "s3"]

        self.run(tmp_path, body)

    def test_a_frame_that_comes_late_is_left_out_and_its_batch_lands(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, Batch(1, frames=ended("gone")))
            await store.count(EVERYTHING)
            await store.prune(["gone"], now=NOW)
            late = [FrameRow("gone", 4, b"late"), FrameRow("gone", 5, b"later")]
            batch = Batch(2, frames=[late[0], FrameRow("a", 1, b"a1"), late[1], FrameRow("a", 2, b"a2")], opened=["a"])
            assert await store.commit(lease, batch) == {}
            assert await store.frames(["gone", "a"]) == {"a": [FrameRow("a", 1, b"a1"), FrameRow("a", 2, b"a2")]}
            assert await store.commit(lease, batch) == {}
            assert await open_ids(store) == ["a"]
            assert await ids(store) == ["a"]

        self.run(tmp_path, body)

    def test_a_key_is_taken_until_it_is_forgotten_with_its_trace(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            for at, saga_id in enumerate(("a", "b", "c")):
                key = KeyRow("trip", saga_id, saga_id, "h")
                batch = Batch(
                    at + 1, frames=ended(saga_id, key=saga_id), opened=[saga_id], closed=[saga_id], keys=[key]
                )
                await store.commit(lease, batch)
                await store.count(EVERYTHING)
                if saga_id != "c":
                    assert await store.prune([saga_id], now=NOW + at) == 1
            assert await store.start(FrameRow("d", 1, b""), KeyRow("trip", "a", "d", "h")) == "a"
            assert await store.forget(pruned_before=NOW, posted_before=0, limit=10) == 0
            assert await store.forget(pruned_before=NOW + 10, posted_before=0, limit=1) == 1
            assert await store.trace("a") is None
            assert await store.key("trip", "a") is None
            assert await store.key("trip", "b") is not None
            assert await store.start(FrameRow("e", 1, b""), KeyRow("trip", "a", "e", "h")) == ""
            assert await store.forget(pruned_before=NOW + 10, posted_before=0, limit=10) == 1
            assert await store.key("trip", "b") is None
            assert (await store.key("trip", "a")) == KeyRow("trip", "a", "e", "h")
            assert await store.key("trip", "c") is not None

        self.run(tmp_path, body)

    def test_a_key_that_another_saga_has_is_never_forgotten_with_a_trace(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.start(FrameRow("holder", 1, b""), KeyRow("trip", "k", "holder", "h"))
            await store.commit(lease, Batch(1, frames=ended("other", key="k")))
            await store.count(EVERYTHING)
            assert await store.prune(["other"], now=NOW) == 1
            assert await store.forget(pruned_before=NOW + 1, posted_before=0, limit=10) == 1
            assert await store.key("trip", "k") == KeyRow("trip", "k", "holder", "h")

        self.run(tmp_path, body)

    def test_answered_commands_are_forgotten_and_no_id_is_given_out_twice(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            numbers = [await store.post("a", b"{}", now=NOW + at) for at in range(5)]
            await store.commit(lease, Batch(1, answered=dict.fromkeys(numbers[1:], "")))
            assert await store.forget(pruned_before=0, posted_before=NOW + 3, limit=1) == 1
            assert await store.command(numbers[1]) is None
            assert await store.forget(pruned_before=0, posted_before=NOW + 3, limit=10) == 1
            assert await store.command(numbers[3]) is not None
            assert [row.id for row in await store.commands(limit=9)] == [numbers[0]]
            await store.forget(pruned_before=0, posted_before=NOW + 9, limit=10)
            assert await store.post("a", b"{}", now=NOW) > numbers[-1]

        self.run(tmp_path, body)

    def test_positions_stay_and_whoever_follows_the_journal_misses_nothing(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, Batch(1, frames=[*ended("a"), *ended("b"), *ended("c")]))
            await store.count(EVERYTHING)
            seen = await store.journal(after=0, limit=100)
            await store.prune(["b"], now=NOW)
            left = [row for row in seen if row.saga_id != "b"]
            assert await store.journal(after=0, limit=100) == left
            assert await store.journal(after=seen[3].position, limit=2) == left[3:5]
            assert await store.journal_end(before=POSITION_END, limit=4) == left[-4:]
            assert await store.journal_end(before=left[3].position, limit=2) == left[1:3]
            await store.prune(["c"], now=NOW)
            await store.commit(lease, Batch(2, frames=ended("d")))
            (first, *_) = await store.journal(after=seen[-1].position, limit=100)
            assert first.saga_id == "d"
            assert first.position > seen[-1].position

        self.run(tmp_path, body)

    def test_space_is_given_back_and_nothing_is_lost_by_it(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, Batch(1, frames=[*ended("a"), *ended("b")]))
            await store.count(EVERYTHING)
            await store.prune(["a"], now=NOW)
            assert await store.shrink() >= 0
            assert await ids(store) == ["b"]
            await store.commit(lease, Batch(2, frames=ended("c")))
            assert sorted(await store.frames(["a", "b", "c"])) == ["b", "c"]

        self.run(tmp_path, body)
