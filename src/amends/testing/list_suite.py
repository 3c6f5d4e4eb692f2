"""The conformance suite of stores, as far as lists go: the projection, filters, pages, counts.

Rules of this file: those of `store_suite`. What a filter means is `stores.projection.matches`; here a
store is held to it, on texts with every sign that a careless query could take for more than a sign.
"""

from __future__ import annotations

from pathlib import Path

from ..core import events as e
from ..core.filter_text import parse
from ..core.filters import where
from ..stores.base import Batch, FrameRow, Store
from ..stores.figures import Figures
from .journals import NOW, definition, folded, saga_frames, story
from .store_stage import EVERYTHING, StoreStage, ids, leading

WILD = "50%_off' -- \\ \" *é\U0001f600"  # signs that a query could take for more than signs
QUOTED = '"' + WILD.replace("\\", "\\\\").replace('"', '\\"') + '"'


class ListSuite(StoreStage):
    """What every store's lists must do. Override `make`."""

    # -- the projection --------------------------------------------------------------------------

    def test_the_projection_equals_the_fold_and_the_rebuild_however_the_journal_is_cut(self, tmp_path: Path) -> None:
        definitions = [definition(), definition("order")]
        expected = folded(story(), definitions)

        for cut in (1, 2, 3, 5, 7, 100):

            async def body(store: Store, cut: int = cut) -> None:
                await store.register(definitions)
                lease, rows = await leading(store), story()
                for number, at in enumerate(range(0, len(rows), cut)):
                    await store.commit(lease, Batch(number + 1, frames=rows[at : at + cut]))
                    if number % 3 == 1:
                        await store.project(limit=cut + 1)
                assert await store.summaries(EVERYTHING, before="", limit=100) == expected
                assert await store.project(limit=100) == 0
                await store.rebuild()
                assert await store.summaries(EVERYTHING, before="", limit=100) == expected

            folder = tmp_path / str(cut)
            folder.mkdir()
            self.run(folder, body)

    def test_project_folds_no_more_than_its_limit(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.commit(await leading(store), Batch(1, frames=story()))
            done = [await store.project(limit=4) for _ in range(len(story()) // 4 + 2)]
            assert sum(done) == len(story())
            assert max(done) == 4
            assert done[-1] == 0

        self.run(tmp_path, body)

    def test_lists_that_need_not_be_fresh_are_as_far_as_the_projection(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.commit(await leading(store), Batch(1, frames=story()))
            assert await store.summaries(EVERYTHING, before="", limit=100, fresh=False) == []
            while await store.project(limit=4):
                pass
            assert len(await store.summaries(EVERYTHING, before="", limit=100, fresh=False)) == 6

        self.run(tmp_path, body)

    def test_lists_are_filtered_by_every_field(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.commit(await leading(store), Batch(1, frames=story()))
            customer = ("customer", "ann@example.com")
            for which, expected in (
                (EVERYTHING, ["s6", "s5", "s4", "s3", "s2", "s1"]),
                (where(status=("completed",)), ["s1"]),
                (where(status=("completed", "compensated", "closed")), ["s2", "s1"]),
                (where(name="order"), ["s6", "s5"]),
                (where(name="order", status=("requires_manual",)), ["s5"]),
                (where(key="k-5"), ["s5"]),
                (where(hold="signal"), ["s3"]),
                (where(hold="paused"), ["s4"]),
                (where(hold="manual"), ["s5"]),
                (where(hold="version"), ["s6"]),
                (where(correlation=(customer,)), ["s3", "s2"]),
                (where(correlation=(customer, ("tour", "north"))), ["s2"]),
                (where(correlation=(("customer", "tour"),)), []),
                (where(anomalous=True), ["s5"]),
                (where(anomalous=False, name="order"), ["s6"]),
                (where(followup_failed=True), []),
                (where(name="' OR 1 = 1 --"), []),
            ):
                assert await ids(store, which) == expected, which
                assert await store.count(which) == len(expected), which

        self.run(tmp_path, body)

    def test_lists_are_filtered_by_every_term_of_a_text(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.register([definition(), definition("order")])
            rows = [*story(), *saga_frames("s7", correlation={"customer": WILD, WILD: "x"}, key=WILD)]
            await store.commit(await leading(store), Batch(1, frames=rows))
            now = NOW + 5_000
            for text, expected in (
                ("customer:ann@*", ["s3", "s2"]),
                ("-customer:ann@example.com,nobody -name:order", ["s7", "s4", "s1"]),
                ("failed:book", ["s5", "s2"]),
                ("failed:book* -is:manual", ["s2"]),
                ("-failed:*", ["s7", "s6", "s4", "s3", "s1"]),
                ("waiting>3s", ["s6", "s4", "s3"]),
                ("waiting<3s", ["s5"]),
                ("hold:signal,version", ["s6", "s3"]),
                ("is:anomalous,paused", ["s5", "s4"]),
                ("is:turned_back -is:ended", ["s5"]),
                ("step:book,rest", ["s5", "s4", "s2", "s1"]),
                ('cause:"NO SEAT",gone', ["s2"]),
                ("ended<1s", ["s2"]),
                ("ended<=3s", ["s2", "s1"]),
                ("duration>=5s status:compensated", ["s2"]),
                ("started>2026-01-01 started<1m version<2 id:s*", ["s7", "s6", "s5", "s4", "s3", "s2", "s1"]),
                ("deadline<55s", []),
                ("deadline<1m name:order", ["s6", "s5"]),
                (f"customer:{QUOTED}", ["s7"]),
                (f"customer:{QUOTED}*", ["s7"]),
                (f"correlation.{QUOTED}:x", ["s7"]),
                (f"key:{QUOTED}", ["s7"]),
                (r'customer:"%"*,"\\"*,"_"*', []),
            ):
                which = parse(text).at(now)
                assert await ids(store, which) == expected, text
                assert await store.count(which) == len(expected), text

        self.run(tmp_path, body)

    def test_sagas_are_counted_by_the_values_of_their_fields(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.register([definition(), definition("order")])
            await store.commit(await leading(store), Batch(1, frames=story()))
            assert await store.tally(EVERYTHING, ["name"]) == [(("order",), 2), (("trip",), 4)]
            assert await store.tally(where(name="order"), ["name", "version", "status"]) == [
                (("order", 1, "requires_manual"), 1),
                (("order", 1, "running"), 1),
            ]
            assert await store.tally(where(name="trip"), ["hold"]) == [(("",), 2), (("paused",), 1), (("signal",), 1)]
            assert await store.tally(where(name="nobody"), ["status"]) == []

        self.run(tmp_path, body)

    def test_figures_are_counted_by_definition_and_version_within_a_time(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.register([definition(), definition("order")])
            assert await store.figures(EVERYTHING, since=0) == []
            await store.commit(await leading(store), Batch(1, frames=story()))
            order, trip = await store.figures(EVERYTHING, since=0)
            assert order == Figures(
                name="order", version=1, started=2, in_flight=2, standing=1, by_hand=1, failed_step="book", failed=1
            )
            assert trip == Figures(
                name="trip", version=1, started=4, in_flight=2, completed=1, compensated=1,
                p50_ms=2_000, p95_ms=5_000, p99_ms=5_000, failed_step="book", failed=1,
            )  # fmt: skip
            assert await store.figures(where(name="order"), since=0) == [order]
            late = await store.figures(EVERYTHING, since=NOW + 4_000)
            assert [(each.started, each.in_flight, each.settled) for each in late] == [(0, 2, 1), (0, 2, 1)]
            assert late[1].compensated == 1
            assert await store.figures(where(status=("completed",)), since=NOW + 4_000) == []

        self.run(tmp_path, body)

    def test_lists_are_paged_newest_first(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.commit(await leading(store), Batch(1, frames=story()))
            assert await ids(store, limit=4) == ["s6", "s5", "s4", "s3"]
            assert await ids(store, before="s3", limit=4) == ["s2", "s1"]
            assert await ids(store, before="s1", limit=4) == []
            assert await ids(store, where(name="trip"), before="s4", limit=2) == ["s3", "s2"]

        self.run(tmp_path, body)

    def test_a_list_never_lags_behind_what_this_store_was_told(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            first, second, third = saga_frames("a", [e.Began()], [e.Completed()])
            await store.start(first, None)
            assert [row.status for row in await store.summaries(EVERYTHING, before="", limit=9)] == ["scheduled"]
            await store.commit(lease, Batch(1, frames=[second]))
            assert await store.count(where(status=("running",))) == 1
            await store.commit(lease, Batch(2, frames=[third]))
            assert await store.count(where(status=("completed",))) == 1

        self.run(tmp_path, body)

    def test_a_frame_that_cannot_be_read_is_listed_as_poison_and_hides_nobody(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            good, bad = saga_frames("good"), saga_frames("bad", [e.Began()])
            newer = FrameRow("bad", 3, b'[9,1,[["from-the-future",1]]]')
            rows = [*bad, newer, FrameRow("worse", 1, b"\xff"), *good]
            await store.commit(await leading(store), Batch(1, frames=rows))
            assert await ids(store) == ["worse", "good", "bad"]
            (row,) = await store.summaries(where(hold="poison", name="trip"), before="", limit=9)
            assert (row.saga_id, row.seq, row.status) == ("bad", 3, "running")
            assert "wire version 9" in row.cause

        self.run(tmp_path, body)
