"""The doctor's checks of this machine and of the file: nothing is opened for writing, and nothing is changed.

Rules of this file: one check, one question. What cannot be asked on this platform is not guessed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..errors import StoreUnusable
from ..stores.sqlite.schema import applied, missing
from .findings import Finding, MachineCheck, Place

PYTHON_MIN = (3, 11)
SQLITE_MIN = (3, 38, 0)  # the operators -> and ->>; STRICT tables came with 3.37
FREE_ERROR = 64 * 1_048_576
FREE_WARNING = 1_024 * 1_048_576
WAL_WARNING = 256 * 1_048_576  # it is written back at 16 MiB, unless somebody keeps reading
MOUNTS = Path("/proc/self/mountinfo")

# Where the shared memory of a WAL file is not shared, or locks are not kept, by all who mount it.
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "9p", "virtiofs", "ceph", "glusterfs", "lustre", "gfs2",
     "ocfs2", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "vboxsf", "prl_fs"}
)  # fmt: skip
MEMORY = frozenset({"tmpfs", "ramfs"})
EXTRAS = {"uvloop": "a faster event loop", "rich": "the command line", "cryptography": "encryption"}


def python(_: Place) -> Iterator[Finding]:
    """Whether this Python is new enough."""
    said = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < PYTHON_MIN:
        wanted = ".".join(map(str, PYTHON_MIN))
        yield Finding(
            "python", "error", f"Python {said} is too old", f"install Python {wanted} or newer", unusable=True
        )
    else:
        yield Finding("python", "ok", f"Python {said}")


def sqlite(_: Place) -> Iterator[Finding]:
    """Whether this SQLite can do what the store needs."""
    said = sqlite3.sqlite_version
    mend = "install a Python that is built with a newer SQLite"
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        wanted = ".".join(map(str, SQLITE_MIN))
        yield Finding("sqlite", "error", f"SQLite {said} is older than {wanted}", mend, unusable=True)
    elif sqlite3.threadsafety < 1:
        yield Finding("sqlite", "error", f"SQLite {said} is built without threads", mend, unusable=True)
    elif not _has_json():
        yield Finding("sqlite", "error", f"SQLite {said} is built without JSON", mend, unusable=True)
    else:
        yield Finding("sqlite", "ok", f"SQLite {said}, with threads and JSON")


def _has_json() -> bool:
    db = sqlite3.connect(":memory:")
    try:
        return bool(db.execute("""SELECT '{"a":1}' ->> 'a'""").fetchone()[0] == 1)
    except sqlite3.Error:
        return False
    finally:
        db.close()


def extras(_: Place) -> Iterator[Finding]:
    """Which optional packages are here."""
    here = [name for name in EXTRAS if find_spec(name) is not None]
    lacking = [f"{name} ({what})" for name, what in EXTRAS.items() if name not in here]
    said = f"installed: {', '.join(here) or 'none'}"
    yield Finding("extras", "note", said + (f"; not installed: {', '.join(lacking)}" if lacking else ""))


def file_system(place: Place) -> Iterator[Finding]:
    """Whether the file stands where a WAL file may stand."""
    kind = file_system_of(place.path.resolve().parent)
    if kind in NETWORK:
        yield Finding(
            "file_system", "error", f"{place.path} is on {kind}, a file system of a network: SQLite's "
            f"shared memory and "
            "locks do not reach from one machine to another there, and the file may be damaged",
            "move it to a disk of this machine",
        )  # fmt: skip
    elif kind in MEMORY:
        yield Finding(
            "file_system", "warning", f"{place.path} is on {kind}, which is memory: all sagas are gone with the next "
            "restart of the machine", "move it to a disk, unless that is what you want",
        )  # fmt: skip
    elif kind == "overlay":
        yield Finding(
            "file_system", "warning", f"{place.path} is in the writable layer of a container, and goes with it",
            "put it on a volume",
        )  # fmt: skip
    elif kind:
        yield Finding("file_system", "ok", f"{place.path} is on {kind}")


def file_system_of(directory: Path) -> str:
    """The kind of file system, as the kernel names it; "" when that cannot be told here."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        at = left.split()[4].encode().decode("unicode_escape")
        inside = directory == Path(at) or Path(at) in directory.parents
        if inside and len(at) >= len(best):
            best, kind = at, right.split()[0]
    return kind


def free_space(place: Place) -> Iterator[Finding]:
    """Whether the disk has room."""
    try:
        free = shutil.disk_usage(place.path.resolve().parent).free
    except OSError:
        return
    said = f"{free / 1_048_576:,.0f} MiB are free on the disk of {place.path}"
    mend = "make room: when the disk is full nothing is acknowledged any more"
    level = "error" if free < FREE_ERROR else "warning" if free < FREE_WARNING else "ok"
    yield Finding("free_space", level, said, mend if level != "ok" else "")  # type: ignore[arg-type]


def permission(place: Place) -> Iterator[Finding]:
    """Whether this user may write the file, and the directory for what SQLite puts beside it."""
    directory = place.path.resolve().parent
    if not directory.is_dir():
        yield Finding("permission", "error", f"{directory} does not exist", "make it", unusable=True)
        return
    if place.path.exists() and not os.access(place.path, os.R_OK | os.W_OK):
        who = place.path
    elif not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        who = directory
    else:
        yield Finding("permission", "ok", f"{place.path} and its directory may be written")
        return
    yield Finding(
        "permission", "error", f"{who} may not be written by this user",
        f"chown or chmod it, or run as its owner (uid {who.stat().st_uid})", unusable=True,
    )  # fmt: skip


def integrity(place: Place) -> Iterator[Finding]:
    """Whether SQLite finds the file whole."""
    if place.db is None:
        return
    found = [row[0] for row in place.db.execute("PRAGMA quick_check(5)").fetchall()]
    if found == ["ok"]:
        yield Finding("integrity", "ok", "SQLite finds the file whole")
    else:
        yield Finding(
            "integrity", "error", f"the file is damaged: {'; '.join(found)}",
            "stop every program that uses it, copy it with its -wal beside it, and restore a backup", unusable=True,
        )  # fmt: skip


def journal_mode(place: Place) -> Iterator[Finding]:
    """Whether the file is in WAL mode."""
    if place.db is None:
        return
    mode = place.db.execute("PRAGMA journal_mode").fetchone()[0]
    if mode == "wal":
        yield Finding("journal_mode", "ok", "the file is in WAL mode")
    else:
        yield Finding(
            "journal_mode", "warning", f"the file is in {mode} mode: somebody else has set that",
            "open it once with `amends list`, which sets WAL, and find who sets it back",
        )  # fmt: skip


def schema(place: Place) -> Iterator[Finding]:
    """Whether the file has this release's tables."""
    if place.db is None:
        return
    try:
        lacking = missing(applied(place.db, place.path), last_post=True)
    except StoreUnusable as error:
        yield Finding("schema", "error", error.message, "install that release", unusable=True)
        return
    if not lacking:
        yield Finding("schema", "ok", "the schema is that of this release")
        return
    names = ", ".join(f"{each.number:04d}_{each.kind}_{each.name}" for each in lacking)
    if all(each.kind == "post" for each in lacking):
        yield Finding(
            "schema", "note", f"not yet applied: {names}", "run `amends migrate` when no older release is running"
        )
    else:
        yield Finding(
            "schema", "warning", f"the schema is of an older release; missing: {names}", "run `amends migrate`"
        )


def wal_size(place: Place) -> Iterator[Finding]:
    """Whether the WAL is written back now and then."""
    wal = Path(f"{place.path}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > WAL_WARNING:
        yield Finding(
            "wal_size", "warning", f"{wal} has {size / 1_048_576:,.0f} MiB: somebody keeps a transaction of "
            f"reading open, "
            "so that it cannot be written back", "find and end that program (lsof names those that have it open)",
        )  # fmt: skip
    else:
        yield Finding("wal_size", "ok", f"the WAL has {size / 1_048_576:,.1f} MiB")


MACHINE_CHECKS: tuple[MachineCheck, ...] = (
    python, sqlite, extras, file_system, free_space, permission, integrity, journal_mode, schema, wal_size,
)  # fmt: skip
