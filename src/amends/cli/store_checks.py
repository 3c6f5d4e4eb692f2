"""The doctor's checks of an opened store: who leads, what waits, and what needs a person.

Rules of this file: those of `machine_checks`. Whatever a person must do is said as a command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..core.events import decode_frame
from ..core.transitions import ENDS, SagaStatus
from ..stores.base import POSITION_END, Owner
from ..stores.owner import is_gone
from .findings import Finding, Level, Look, StoreCheck

CLOCK_MS = 5_000  # how far ahead of this clock another one may be
LEASE_MS = 24 * 3_600_000  # no lease is that long by intention
WAITING_MS = 60_000  # a command that waits longer is not about to be answered
LAG_FRAMES = 20_000


async def synchronous(look: Look) -> AsyncIterator[Finding]:
    """Whether what we commit is flushed to the disk."""
    level = await look.store.synchronous()
    if level in (2, 3):
        yield Finding("synchronous", "ok", "each commit is flushed to the disk (synchronous=FULL)")
    else:
        yield Finding(
            "synchronous", "error", f"commits are not flushed (synchronous={level}): a power cut loses what "
            f"was acknowledged",
            "report this: the store sets FULL itself",
        )  # fmt: skip


async def doorbell(look: Look) -> AsyncIterator[Finding]:
    """Whether other processes can be told of changes."""
    bell = look.store.bell("news")
    works = bell.works
    bell.close()
    if works:
        yield Finding("doorbell", "ok", "other processes are told of changes at once")
    else:
        yield Finding(
            "doorbell", "warning", f"no doorbell can be hung in {look.store.path}-amends, so processes look "
            f"for changes "
            "several times a second", "let this user make that directory, and FIFOs in it",
        )  # fmt: skip


async def leader(look: Look) -> AsyncIterator[Finding]:
    """Whether somebody runs the sagas."""
    assert look.db is not None
    row = look.db.execute(
        "SELECT owner, host, boot_id, pid, process_started, expires FROM amends_lease WHERE one = 1"
    ).fetchone()
    owner, expires = Owner(*row[:5]), row[5]
    if not owner.id:
        yield Finding("leader", "note", "no worker leads this store", "start one: `amends worker --app module:object`")
    elif is_gone(owner):
        yield Finding(
            "leader", "warning", f"the worker that led this store (process {owner.pid}) has died, and none "
            f"has followed",
            "start one: `amends worker --app module:object`",
        )  # fmt: skip
    elif expires <= look.now:
        yield Finding(
            "leader", "warning", f"the lease of process {owner.pid} on {owner.host} ran out "
            f"{(look.now - expires) / 1000:,.0f} s ago, and none has followed",
            "look whether it hangs, or start another worker",
        )  # fmt: skip
    else:
        yield Finding("leader", "ok", f"process {owner.pid} on {owner.host.partition('/')[0]} leads this store")


async def clock(look: Look) -> AsyncIterator[Finding]:
    """Whether something was written by a clock that is ahead of ours."""
    last = await look.store.journal_end(before=POSITION_END, limit=1)
    at = 0
    for row in last:
        try:
            at = decode_frame(row.body).at
        except ValueError:
            continue  # that it cannot be read is another check's to say
    assert look.db is not None
    expires = look.db.execute("SELECT expires FROM amends_lease WHERE one = 1").fetchone()[0]
    mend = "set the clocks of all machines by NTP; due times and ages are reckoned by them"
    if at > look.now + CLOCK_MS:
        yield Finding("clock", "warning", f"the last frame is from {(at - look.now) / 1000:,.0f} s in the future", mend)
    elif expires > look.now + LEASE_MS:
        yield Finding(
            "clock", "warning", f"the lease runs for another {(expires - look.now) / 3_600_000:,.0f} h: it "
            f"was taken by a "
            "clock far ahead of this one", mend,
        )  # fmt: skip
    else:
        yield Finding("clock", "ok", "nothing is from the future")


async def inbox(look: Look) -> AsyncIterator[Finding]:
    """Whether commands wait for nobody."""
    assert look.db is not None
    count, oldest = look.db.execute("SELECT count(*), min(posted) FROM amends_inbox WHERE done = 0").fetchone()
    if not count:
        yield Finding("inbox", "ok", "no command waits")
    elif await look.store.holder(now=look.now) is None:
        yield Finding(
            "inbox", "warning", f"{_commands(count)} waiting, and no worker is there",
            "start one: `amends worker --app module:object`",
        )  # fmt: skip
    elif look.now - oldest > WAITING_MS:
        yield Finding(
            "inbox", "warning", f"{_commands(count)} waiting, the oldest for {(look.now - oldest) / 1000:,.0f} "
            f"s, though a "
            "worker leads", "look into its log; a cancel waits for its pivot's outcome",
        )  # fmt: skip
    else:
        yield Finding("inbox", "ok", f"{_commands(count)} being applied")


def _commands(count: int) -> str:
    return "1 command is" if count == 1 else f"{count:,} commands are"


_WAITING: tuple[tuple[str, str, Level], ...] = (
    ("status:requires_manual", "a person is needed", "error"),
    ("hold:poison", "on hold, for something cannot be read or evaluated", "error"),
    ("hold:version", "on hold, for no worker has the definition", "error"),
    ("is:anomalous", "with an anomaly, an effect that came after its undo", "warning"),
    ("is:followup_failed", "ended, and what was to follow has failed", "warning"),
)


async def people(look: Look) -> AsyncIterator[Finding]:
    """Whether sagas wait for a person."""
    found = False
    for said, what, level in _WAITING:
        count = await look.orchestrator.count(said)
        if count:
            found = True
            mend = f"`amends list --filter '{said}'`, then `amends why ID` and `amends show ID`"
            yield Finding("people", level, f"{count:,} {'saga' if count == 1 else 'sagas'}: {what}", mend)
    if not found:
        yield Finding("people", "ok", "no saga waits for a person")


async def definitions(look: Look) -> AsyncIterator[Finding]:
    """Whether the app has every definition that sagas are under way with."""
    if look.app is None:
        yield Finding("definitions", "note", "give --app, and the definitions of open sagas are compared with it")
        return
    opened = [str(status) for status in SagaStatus if status not in ENDS]
    stored = {(row.name, row.version): row.fingerprint for row in await look.store.definitions()}
    counts = await look.orchestrator.count_by("name", "version", status=opened)
    fine = True
    for (name, version), count in counts.items():
        key = (str(name), int(version))
        mine = look.app.get(key)
        if mine is None:
            fine = False
            yield Finding(
                "definitions", "error", f"{count:,} saga(s) are under way with {name} version {version}, "
                f"which the app lacks",
                "keep old versions registered until they are drained",
            )  # fmt: skip
        elif mine != stored.get(key, mine):
            fine = False
            yield Finding(
                "definitions", "error", f"the app's {name} version {version} has another structure than the "
                f"stored one, "
                "and a worker would refuse to start", "give the changed definition the next version",
            )  # fmt: skip
    if fine:
        yield Finding("definitions", "ok", "the app has the definition of every open saga")


async def projection(look: Look) -> AsyncIterator[Finding]:
    """Whether the lists are near the journal."""
    assert look.db is not None
    last = look.db.execute("SELECT coalesce(max(position), 0) FROM amends_journal").fetchone()[0]
    projected = look.db.execute("SELECT value FROM amends_meta WHERE name = 'projected'").fetchone()[0]
    behind = max(0, last - projected)
    if behind > LAG_FRAMES:
        yield Finding(
            "projection", "warning", f"lists are up to {behind:,} frames behind the journal, so the next "
            f"one takes a while",
            "it is brought up by the next `amends list`; if that comes back, look what keeps the worker so busy",
        )  # fmt: skip
    else:
        yield Finding("projection", "ok", f"lists are {behind:,} frames behind the journal, at most")


# `projection` comes first, for whatever looks at lists brings them up.
STORE_CHECKS: tuple[StoreCheck, ...] = (
    projection, synchronous, doorbell, leader, clock, inbox, people, definitions,
)  # fmt: skip
