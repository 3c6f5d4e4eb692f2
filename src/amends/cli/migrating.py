"""The command that brings a store to this release's schema: migrate.

    amends migrate              apply all that is missing, the last `post` too: no older release may be left
    amends migrate --print      the SQL of every migration as a script, each under its name and whether it is applied
    amends migrate --check      what is missing; exit 1 if anything is

Rules of this file: --print and --check only read. A file that is not there has nothing applied, and is not made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..stores.sqlite.faults import check_path
from ..stores.sqlite.schema import applied, connected, migrate, missing
from ..stores.sqlite.sql import Migration, migrations
from . import output
from .exits import FAILED, OK, say
from .options import Common, open_store

_BUSY_S = 5.0


def migrate_store(common: Common, *, show: bool, check: bool) -> int:
    """Apply, print or check."""
    if show and check:
        raise UsageError("--print and --check: give one of them", code="AM2560")
    path = Path(getattr(open_store(common, make=True), "path"))  # noqa: B009 -- only a store of a file has one
    if not (show or check):
        done = _apply(path)
        _tell(common, path, done, done=True)
        return OK
    has = _applied(path)
    lacking = missing(has, last_post=True)
    if check:
        _tell(common, path, lacking, done=False)
        return FAILED if lacking else OK
    _print(common, path, has)
    return OK


def _applied(path: Path) -> set[int]:
    if not path.exists():
        return set()
    with connected(path, busy_s=_BUSY_S, read_only=True) as db:
        return applied(db, path)


def _apply(path: Path) -> list[Migration]:
    check_path(path)
    with connected(path, busy_s=_BUSY_S, read_only=False) as db:
        applied(db, path)  # a newer release's file is refused before anything is written
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        return migrate(db, path, last_post=True)


def _file(migration: Migration) -> str:
    return f"{migration.number:04d}_{migration.kind}_{migration.name}.sql"


def _record(migration: Migration, *, is_applied: bool) -> dict[str, Any]:
    return {
        "number": migration.number, "kind": migration.kind, "name": migration.name, "applied": is_applied,
    }  # fmt: skip


def _tell(common: Common, path: Path, which: list[Migration], *, done: bool) -> None:
    if common.output != "table":
        output.write_one([_record(each, is_applied=done) for each in which], common.output)
        return
    said = "applied" if done else "missing"
    output.write([output.text(f"{_file(each)}  {said}") for each in which])
    if not which:
        say(f"{path} has the schema of this release")


def _print(common: Common, path: Path, has: set[int]) -> None:
    if common.output != "table":
        records = [
            {**_record(each, is_applied=each.number in has), "sql": each.text} for each in migrations()
        ]  # fmt: skip
        output.write_one(records, common.output)
        return
    for each in migrations():
        state = "applied" if each.number in has else "missing"
        output.write([output.text(f"-- {_file(each)}: {state} in {path}")])
        output.write_script(each.text)
