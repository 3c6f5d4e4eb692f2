"""The command that brings a store to this release's schema: migrate.

    amends migrate              apply all that is missing, the last `post` too: no older release may be left
    amends migrate --print      the SQL of every migration as a script, each under its name and whether it is applied
    amends migrate --check      what is missing; exit 1 if anything is

Rules of this file: --print and --check only read. A file that is not there has nothing applied, and is not made.
"""

from __future__ import annotations

from typing import Any, cast

from ..errors import UsageError
from ..stores.packaged import Migration, Schema, missing_of
from . import output
from .exits import FAILED, OK, say
from .options import Common, open_store


def migrate_store(common: Common, *, show: bool, check: bool) -> int:
    """Apply, print or check."""
    if show and check:
        raise UsageError("--print and --check: give one of them", code="AM2560")
    schema = cast("Schema", open_store(common, make=True).schema())  # type: ignore[attr-defined]  # all but that in memory have one
    if not (show or check):
        _tell(common, schema, schema.migrate(), done=True)
        return OK
    has = schema.applied()
    lacking = missing_of(schema.known(), has, last_post=True)
    if check:
        _tell(common, schema, lacking, done=False)
        return FAILED if lacking else OK
    _print(common, schema, has)
    return OK


def _file(migration: Migration) -> str:
    return f"{migration.number:04d}_{migration.kind}_{migration.name}.sql"


def _record(migration: Migration, *, is_applied: bool) -> dict[str, Any]:
    return {
        "number": migration.number, "kind": migration.kind, "name": migration.name, "applied": is_applied,
    }  # fmt: skip


def _tell(common: Common, schema: Schema, which: list[Migration], *, done: bool) -> None:
    if common.output != "table":
        output.write_one([_record(each, is_applied=done) for each in which], common.output)
        return
    said = "applied" if done else "missing"
    output.write([output.text(f"{_file(each)}  {said}") for each in which])
    if not which:
        say(f"{schema.place} has the schema of this release")


def _print(common: Common, schema: Schema, has: set[int]) -> None:
    if common.output != "table":
        records = [
            {**_record(each, is_applied=each.number in has), "sql": each.text} for each in schema.known()
        ]  # fmt: skip
        output.write_one(records, common.output)
        return
    for each in schema.known():
        state = "applied" if each.number in has else "missing"
        output.write([output.text(f"-- {_file(each)}: {state} in {schema.place}")])
        output.write_script(each.text)
