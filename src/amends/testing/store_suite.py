"""The conformance suite of stores: every sentence of `stores/base.py`, as a test (those about lists: `list_suite`).

Subclass it, and override `make`:

    class TestMyStore(StoreSuite):
        async def make(self, tmp_path):
            store = MyStore(tmp_path / "journal")
            await store.open()
            return store

Rules of this file: the methods are plain functions that run a loop of their own, so pytest needs no
plugin, and only its `tmp_path` fixture. Every test begins with an empty store. Time is made up, and the
owners are of other hosts, so that nothing depends on this machine.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace

from ..errors import Conflict, LeaseLost, StoreFailed, UsageError
from ..limits import BATCH_FRAMES_MAX, PAYLOAD_BYTES_MAX
from ..stores.base import ASLEEP, POSITION_END, Batch, DefinitionRow, FrameRow, KeyRow, Lease, Store
from .bell_suite import BellSuite
from .journals import NOW, definition
from .list_suite import ListSuite
from .prune_suite import PruneSuite
from .store_stage import TTL, leading, open_ids, owner, refused


class StoreSuite(ListSuite, BellSuite, PruneSuite):
    """What every store must do. Override `make`."""

    # -- the journal -----------------------------------------------------------------------------

    def test_what_is_committed_is_read_back_in_order(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            rows = [FrameRow("b", 1, b"b1"), FrameRow("a", 1, b"a1"), FrameRow("b", 2, b"b2")]
            assert await store.commit(lease, Batch(1, frames=rows)) == {}
            await store.commit(lease, Batch(2, frames=[FrameRow("b", 3, b"b3"), FrameRow("a", 2, b"a2")]))
            found = await store.frames(["a", "b", "nobody"])
            assert {saga_id: [row.body for row in journal] for saga_id, journal in found.items()} == {
                "a": [b"a1", b"a2"],
                "b": [b"b1", b"b2", b"b3"],
            }
            assert [row.seq for row in found["b"]] == [1, 2, 3]
            assert await store.frames(["b"]) == {"b": found["b"]}
            assert await store.frames([]) == {}

        self.run(tmp_path, body)

    def test_bodies_of_every_kind_come_back_byte_for_byte(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            bodies = [b"", "é \U0001f600 ‮".encode(), bytes(range(256)), b"\0", b"", b"x" * PAYLOAD_BYTES_MAX, b"end"]
            rows = [FrameRow("a", at + 1, each) for at, each in enumerate(bodies)]
            lease = await leading(store)
            await store.commit(lease, Batch(1, frames=rows))
            await store.commit(lease, Batch(2, frames=[FrameRow("only-empty", 1, b"")]))
            assert await store.frames(["a", "only-empty"]) == {
                "a": rows,
                "only-empty": [FrameRow("only-empty", 1, b"")],
            }

        self.run(tmp_path, body)

    def test_a_frame_that_exists_is_a_conflict_and_nothing_of_its_batch_is_applied(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, Batch(1, frames=[FrameRow("a", 1, b"")], opened=["a"]))
            again = Batch(
                2,
                frames=[FrameRow("b", 1, b""), FrameRow("a", 1, b"other")],
                opened=["b"],
                keys=[KeyRow("trip", "k", "b", "h")],
                closed=["a"],
            )
            error = await refused(Conflict, store.commit(lease, again))
            assert error.code == "AM4101"
            assert "frame 1 of saga a" in str(error)
            assert await store.frames(["a", "b"]) == {"a": [FrameRow("a", 1, b"")]}
            assert await open_ids(store) == ["a"]
            assert await store.key("trip", "k") is None
            await store.commit(lease, Batch(2, frames=[FrameRow("a", 2, b"")]))
            assert len((await store.frames(["a"]))["a"]) == 2

        self.run(tmp_path, body)

    def test_a_journal_has_no_gaps(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            for rows in (
                [FrameRow("a", 2, b"")],
                [FrameRow("a", 1, b""), FrameRow("a", 3, b"")],
                [FrameRow("a", 2, b""), FrameRow("a", 1, b"")],
            ):
                error = await refused(Conflict, store.commit(lease, Batch(1, frames=rows)))
                assert error.code == "AM4102"
                assert f"frame {3 if rows[0].seq == 1 else 2} of saga a" in str(error)
            assert await store.frames(["a"]) == {}

        self.run(tmp_path, body)

    def test_the_largest_batch_lands_whole(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            rows = [FrameRow(f"s{at % 1024:04d}", at // 1024 + 1, b"%d" % at) for at in range(BATCH_FRAMES_MAX)]
            opened = [row.saga_id for row in rows[:1024]]
            due = {saga_id: NOW + at for at, saga_id in enumerate(opened)}
            await store.commit(lease, Batch(1, frames=rows, opened=opened, due=due))
            found = await store.frames(opened)
            assert sum(len(journal) for journal in found.values()) == BATCH_FRAMES_MAX
            assert found["s0001"][3] == rows[3 * 1024 + 1]
            rows_open = await store.open_sagas(after=0, due_from=1, due_before=ASLEEP, limit=2_000)
            assert [row.due for row in rows_open] == list(due.values())

        self.run(tmp_path, body)

    # -- batches and the lease -------------------------------------------------------------------

    def test_the_journal_of_all_sagas_is_paged_by_position_and_grows_at_its_end(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            assert await store.journal(after=0, limit=10) == []
            assert await store.journal_end(before=POSITION_END, limit=10) == []
            lease = await leading(store)
            written = [FrameRow("b", 1, b"b1"), FrameRow("a", 1, b""), FrameRow("b", 2, b"\xff\0")]
            await store.commit(lease, Batch(1, frames=written))
            await store.start(started := FrameRow("c", 1, b"c1"), None)
            await store.commit(lease, Batch(2, frames=[last := FrameRow("a", 2, b"a2")]))
            written += [started, last]
            rows = await store.journal(after=0, limit=10)
            places = [row.position for row in rows]
            assert [FrameRow(row.saga_id, row.seq, row.body) for row in rows] == written
            assert [0, *places] == sorted({0, *places})
            after, paged = 0, []
            while page := await store.journal(after=after, limit=2):
                paged += page
                after = page[-1].position
            assert paged == rows
            assert await store.journal_end(before=POSITION_END, limit=2) == rows[-2:]
            assert await store.journal_end(before=places[3], limit=2) == rows[1:3]
            assert await store.journal_end(before=places[0], limit=2) == []
            assert await store.journal(after=places[-1], limit=2) == []
            await store.commit(lease, Batch(3, frames=[FrameRow("b", 3, b"b3")]))
            assert [row.body for row in await store.journal(after=places[-1], limit=2)] == [b"b3"]

        self.run(tmp_path, body)

    def test_a_batch_sent_again_is_acknowledged_and_not_applied_twice(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, Batch(1, frames=[FrameRow("a", 1, b"")], opened=["a"]))
            second = Batch(2, frames=[FrameRow("a", 2, b"")], closed=["a"])
            assert await store.commit(lease, second) == {}
            assert await store.commit(lease, second) == {}
            await store.commit(lease, Batch(3, frames=[FrameRow("b", 1, b"")], opened=["b"]))
            assert await store.commit(lease, second) == {}
            assert [row.seq for row in (await store.frames(["a"]))["a"]] == [1, 2]
            assert await open_ids(store) == ["b"]

        self.run(tmp_path, body)

    def test_a_batch_sent_again_tells_the_same_taken_keys(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, _start_batch(1, ("a", "k")))
            mixed = _start_batch(2, ("b", "k"), ("c", "free"))
            assert await store.commit(lease, mixed) == {"b": "a"}
            assert await store.commit(lease, mixed) == {"b": "a"}

        self.run(tmp_path, body)

    def test_batch_numbers_begin_anew_under_each_epoch(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, Batch(7, frames=[FrameRow("a", 1, b"")]))
            await store.release(lease)
            second = await leading(store, "second")
            await store.commit(second, Batch(1, frames=[FrameRow("a", 2, b"")]))
            assert len((await store.frames(["a"]))["a"]) == 2

        self.run(tmp_path, body)

    def test_the_lease_has_one_holder_until_it_expires(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            assert await store.holder(now=NOW) is None
            lease = await leading(store)
            assert lease == Lease(lease.epoch, "first", NOW + TTL)
            assert await store.acquire(owner("second"), ttl_ms=TTL, now=NOW + TTL - 1) is None
            assert await store.holder(now=NOW + TTL - 1) == lease
            assert await store.owner(now=NOW + TTL - 1) == (owner("first"), NOW + TTL)
            assert await store.owner(now=NOW + TTL) is None
            assert await store.holder(now=NOW + TTL) is None
            second = await leading(store, "second", now=NOW + TTL)
            assert second.epoch == lease.epoch + 1

        self.run(tmp_path, body)

    def test_a_renewed_lease_lasts_longer_under_the_same_epoch(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            renewed = await store.renew(lease, ttl_ms=TTL, now=NOW + 5_000)
            assert renewed == Lease(lease.epoch, "first", NOW + 5_000 + TTL)
            assert await store.acquire(owner("second"), ttl_ms=TTL, now=NOW + TTL) is None
            assert await store.holder(now=NOW + TTL) == renewed

        self.run(tmp_path, body)

    def test_a_released_lease_is_free_at_once_and_writes_no_more(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.release(lease)
            assert await store.holder(now=NOW) is None
            await refused(LeaseLost, store.commit(lease, Batch(1, frames=[FrameRow("a", 1, b"")])))
            await refused(LeaseLost, store.release(lease))
            assert (await leading(store, "second")).epoch == lease.epoch + 1
            assert await store.frames(["a"]) == {}

        self.run(tmp_path, body)

    def test_whoever_lost_the_lease_writes_renews_and_releases_nothing(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lost = await leading(store)
            await store.commit(lost, Batch(1, frames=[FrameRow("a", 1, b"")], opened=["a"]))
            lease = await leading(store, "second", now=NOW + TTL)
            late = Batch(2, frames=[FrameRow("a", 2, b"late")], closed=["a"])
            error = await refused(LeaseLost, store.commit(lost, late))
            assert error.code == "AM6004"
            await refused(LeaseLost, store.commit(lost, Batch(1)))
            await refused(LeaseLost, store.renew(lost, ttl_ms=TTL, now=NOW + TTL))
            await refused(LeaseLost, store.release(lost))
            assert len((await store.frames(["a"]))["a"]) == 1
            assert await open_ids(store) == ["a"]
            assert await store.holder(now=NOW + TTL) == lease
            await store.commit(lease, Batch(1, frames=[FrameRow("a", 2, b"")]))

        self.run(tmp_path, body)

    # -- starts and keys -------------------------------------------------------------------------

    def test_a_taken_key_leaves_its_saga_out_and_the_rest_of_the_batch_lands(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, _start_batch(1, ("a", "k")))
            batch = _start_batch(2, ("b", "k"), ("c", "free"), ("d", "free"))
            batch.frames.append(FrameRow("b", 2, b""))
            batch.frames.append(FrameRow("a", 2, b"on"))
            batch.due = {"a": NOW, "b": NOW, "c": NOW}
            assert await store.commit(lease, batch) == {"b": "a", "d": "c"}
            found = await store.frames(["a", "b", "c", "d"])
            assert {saga_id: len(journal) for saga_id, journal in found.items()} == {"a": 2, "c": 1}
            assert await open_ids(store) == ["a", "c"]
            assert await store.key("trip", "k") == KeyRow("trip", "k", "a", "h-a")
            assert await store.key("trip", "free") == KeyRow("trip", "free", "c", "h-c")
            assert await store.key("order", "k") is None

        self.run(tmp_path, body)

    def test_a_key_is_taken_within_its_sagas_name_only(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            assert await store.start(FrameRow("a", 1, b""), KeyRow("trip", "k", "a", "h")) == ""
            assert await store.start(FrameRow("b", 1, b""), KeyRow("order", "k", "b", "h")) == ""

        self.run(tmp_path, body)

    def test_anybody_may_start_a_saga_without_the_lease(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            assert await store.start(FrameRow("a", 1, b"in"), KeyRow("trip", "k", "a", "h")) == ""
            assert await store.start(FrameRow("b", 1, b"in"), KeyRow("trip", "k", "b", "h")) == "a"
            assert await store.start(FrameRow("c", 1, b"in"), None) == ""
            assert await open_ids(store) == ["a", "c"]
            assert await store.frames(["a", "b", "c"]) == {
                "a": [FrameRow("a", 1, b"in")],
                "c": [FrameRow("c", 1, b"in")],
            }
            await store.commit(lease, Batch(1, frames=[FrameRow("a", 2, b"")]))

        self.run(tmp_path, body)

    def test_a_start_sent_again_is_the_same_start_and_another_one_a_conflict(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for _ in range(2):
                assert await store.start(FrameRow("a", 1, b"in"), KeyRow("trip", "k", "a", "h")) == ""
            await refused(Conflict, store.start(FrameRow("a", 1, b"other"), None))
            assert await store.frames(["a"]) == {"a": [FrameRow("a", 1, b"in")]}
            assert await open_ids(store) == ["a"]

        self.run(tmp_path, body)

    def test_keys_may_hold_any_character_but_nul(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            key = KeyRow("trip", "é'\"\\ \U0001f600\n?1", "a", "h")
            assert await store.start(FrameRow("a", 1, b""), key) == ""
            assert await store.key("trip", key.key) == key
            error = await refused(UsageError, store.start(FrameRow("b", 1, b""), KeyRow("trip", "a\0b", "b", "h")))
            assert error.code == "AM2201"

        self.run(tmp_path, body)

    # -- the open set ----------------------------------------------------------------------------

    def test_the_open_set_is_paged_by_number_and_filtered_by_due_time(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            opened = [f"s{at}" for at in range(6)]
            due = {"s1": NOW + 1_000, "s2": ASLEEP, "s4": NOW}
            await store.commit(lease, _open_batch(1, opened, due))
            rows = await store.open_sagas(after=0, due_from=0, due_before=ASLEEP + 1, limit=100)
            assert [row.saga_id for row in rows] == opened
            assert [row.due for row in rows] == [0, NOW + 1_000, ASLEEP, 0, NOW, 0]
            assert [row.number for row in rows] == sorted({row.number for row in rows})
            page = await store.open_sagas(after=rows[1].number, due_from=0, due_before=ASLEEP, limit=2)
            assert [row.saga_id for row in page] == ["s3", "s4"]
            assert await open_ids(store, due_before=1) == ["s0", "s3", "s5"]
            assert await open_ids(store, due_from=1, due_before=NOW + 1) == ["s4"]
            assert await open_ids(store, due_from=1, due_before=ASLEEP) == ["s1", "s4"]
            assert await open_ids(store, due_from=NOW + 1, due_before=ASLEEP) == ["s1"]
            assert await open_ids(store, due_from=0, due_before=NOW + 1_000) == ["s0", "s3", "s4", "s5"]

        self.run(tmp_path, body)

    def test_a_due_time_is_moved_and_cleared_and_a_closed_saga_has_none(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, _open_batch(1, ["a", "b"], {"a": NOW, "b": NOW}))
            await store.commit(lease, Batch(2, due={"a": 0, "b": NOW + 5, "nobody": NOW}))
            rows = await store.open_sagas(after=0, due_from=0, due_before=ASLEEP, limit=9)
            assert [(row.saga_id, row.due) for row in rows] == [("a", 0), ("b", NOW + 5)]
            await store.commit(lease, Batch(3, due={"b": NOW}, closed=["b", "nobody"]))
            assert await open_ids(store) == ["a"]

        self.run(tmp_path, body)

    def test_a_number_is_never_given_out_twice(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            await store.commit(lease, _open_batch(1, ["a"], {}))
            (first,) = await store.open_sagas(after=0, due_from=0, due_before=1, limit=9)
            await store.commit(lease, Batch(2, closed=["a"]))
            await store.commit(lease, _open_batch(3, ["b", "c"], {}))
            await store.commit(lease, Batch(4, closed=["c"]))
            await store.start(FrameRow("d", 1, b""), None)
            rows = await store.open_sagas(after=first.number, due_from=0, due_before=1, limit=9)
            assert [row.saga_id for row in rows] == ["b", "d"]
            assert rows[1].number > rows[0].number + 1

        self.run(tmp_path, body)

    def test_a_saga_opened_and_closed_in_one_batch_is_not_open(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            batch = _open_batch(1, ["a"], {"a": NOW})
            batch.closed.append("a")
            await store.commit(lease, batch)
            assert await open_ids(store) == []

        self.run(tmp_path, body)

    # -- inbox and definitions -------------------------------------------------------------------

    def test_the_inbox_gives_commands_oldest_first_until_they_are_answered(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            numbers = [await store.post(f"s{at}", '{"verb":"é"}'.encode(), now=NOW) for at in range(3)]
            assert numbers == sorted(set(numbers))
            rows = await store.commands(limit=2)
            assert [(row.id, row.saga_id, row.done) for row in rows] == [
                (numbers[0], "s0", False),
                (numbers[1], "s1", False),
            ]
            assert rows[0].body == '{"verb":"é"}'.encode()
            await store.commit(lease, Batch(1, answered={numbers[0]: "", numbers[1]: "no such säga"}))
            assert [row.id for row in await store.commands(limit=9)] == [numbers[2]]
            answered = await store.command(numbers[1])
            assert answered is not None
            assert (answered.done, answered.error, answered.saga_id) == (True, "no such säga", "s1")
            waiting = await store.command(numbers[2])
            assert waiting is not None
            assert not waiting.done
            assert await store.command(numbers[2] + 1) is None
            assert await store.unanswered([*numbers, numbers[2] + 1]) == {numbers[2]}
            assert await store.unanswered([]) == set()

        self.run(tmp_path, body)

    def test_commands_posted_at_once_are_all_kept_and_each_has_a_number_of_its_own(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            bodies = [f'{{"verb":"\\u0000é","number":{at}}}'.encode() for at in range(1_100)]
            posts = [store.post(f"s{at}", each, now=NOW + at) for at, each in enumerate(bodies)]
            numbers = await asyncio.gather(*posts)
            rows = await store.commands(limit=2_000)
            assert len(set(numbers)) == len(rows) == 1_100
            assert {row.id: (row.saga_id, row.body) for row in rows} == {
                number: (f"s{at}", bodies[at]) for at, number in enumerate(numbers)
            }

        self.run(tmp_path, body)

    def test_a_definition_with_another_fingerprint_is_refused_and_nothing_beside_it_is_kept(
        self, tmp_path: Path
    ) -> None:
        async def body(store: Store) -> None:
            await store.register([definition(), definition("order")])
            await store.register([definition()])
            error = await refused(Conflict, store.register([definition("new"), definition(fingerprint="f2")]))
            assert error.code == "AM4103"
            assert "'trip' version 1" in str(error)
            await store.register([definition(version=2, fingerprint="f2")])
            known = {(row.name, row.version): row for row in await store.definitions()}
            assert set(known) == {("trip", 1), ("order", 1), ("trip", 2)}
            assert known["order", 1] == definition("order")

        self.run(tmp_path, body)

    def test_what_is_redacted_is_kept_beside_a_definition_and_the_last_registration_holds(self, tmp_path: Path) -> None:
        def marked(redactions: bytes, fingerprint: str = "f1") -> DefinitionRow:
            return replace(definition(fingerprint=fingerprint), redactions=redactions)

        async def body(store: Store) -> None:
            await store.register([definition("order")])
            for redactions in (b"", b'{"book":[["card"]]}', b'{"":[[]]}', b""):
                await store.register([marked(redactions)])
                assert marked(redactions) in await store.definitions()
            await store.register([marked(b'{"book":[[]]}')])
            await refused(Conflict, store.register([marked(b"", fingerprint="f2")]))
            assert set(await store.definitions()) == {marked(b'{"book":[[]]}'), definition("order")}

        self.run(tmp_path, body)

    # -- the end ---------------------------------------------------------------------------------

    def test_a_closed_store_may_be_closed_again_and_refuses_to_serve(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            lease = await leading(store)
            store.close()
            store.close()
            error = await refused(StoreFailed, store.commit(lease, Batch(1)))
            assert error.code == "AM6024"
            await refused(StoreFailed, store.frames(["a"]))

        self.run(tmp_path, body)


def _start_batch(number: int, *starts: tuple[str, str]) -> Batch:
    return Batch(
        number,
        frames=[FrameRow(saga_id, 1, b"") for saga_id, _ in starts],
        opened=[saga_id for saga_id, _ in starts],
        keys=[KeyRow("trip", key, saga_id, f"h-{saga_id}") for saga_id, key in starts],
    )


def _open_batch(number: int, opened: list[str], due: dict[str, int]) -> Batch:
    return Batch(number, frames=[FrameRow(saga_id, 1, b"") for saga_id in opened], opened=opened, due=due)
