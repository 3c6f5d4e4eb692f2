"""The command that looks for what is wrong, and says how to mend it: doctor.

    ✓ SQLite 3.45.1, with threads and JSON
    ✗ 3 sagas: a person is needed
        `amends list --filter 'status:requires_manual'`, then `amends why ID` and `amends show ID`

Exit codes: 0 all is well, 1 something needs a hand (a warning or an error), 5 the store cannot be used.

Rules of this file: nothing is changed, but that lists are brought up, as by every look; where the schema is older,
what needs the new one is left out. A check that itself fails is a finding too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import AmendsError, StoreError
from ..runtime.clock import SystemClock
from ..runtime.orchestrator import Orchestrator
from ..stores.packaged import Migration, missing_of
from ..stores.sqlite import SQLiteStore
from ..stores.sqlite.schema import applied, connected, missing
from . import output
from .exits import FAILED, OK, STORE, say
from .findings import Finding, Look, Place
from .loading import load_app
from .machine_checks import MACHINE_CHECKS, extras, python
from .options import Common, address_of, keys, open_store, project
from .store_checks import STORE_CHECKS, definitions, people

_BUSY_S = 2.0
_ICONS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}
_STYLES = {"ok": "green", "note": "dim", "warning": "yellow", "error": "bold red"}


async def examine(common: Common) -> int:
    """Run every check that can be run, and say what was found."""
    store = open_store(common, make=False) if _is_server(common) else open_store(common, make=True)
    found = await _of_a_file(common, store) if isinstance(store, SQLiteStore) else await _of_a_server(common, store)
    _write(common, found)
    if any(each.unusable for each in found):
        return STORE
    return FAILED if any(each.level in ("warning", "error") for each in found) else OK


def _is_server(common: Common) -> bool:
    return address_of(common).startswith("postgres")


async def _of_a_server(common: Common, store: Any) -> list[Finding]:
    """Of a store on PostgreSQL: what keeps it from being used, or all that can be seen in it."""
    from .server_checks import SERVER_CHECKS

    found: list[Finding] = []
    for check in (python, extras):
        found += check(Place(Path()))
    try:
        has = store.schema().applied()
        if not has:
            mend = "a worker makes it, or `amends migrate`"
            return [*found, Finding("store", "note", f"there is no store in {store.address} yet", mend)]
        lacking = missing_of(store.schema().known(), has, last_post=True)
        found.append(_schema(lacking))
        if any(each.kind == "pre" for each in lacking):
            return found
        app, finding = _app(common)
        found += [] if finding is None else [finding]
        async with Orchestrator(store, worker=False, encryption=keys()) as orchestrator:
            now = SystemClock().now_ms()
            facts = await store.facts()
            for server_check in SERVER_CHECKS:
                found += server_check(facts, now)
            look = Look(store, orchestrator, None, facts.now, app)
            for each in (people, definitions):
                found += [finding async for finding in each(look)]
    except StoreError as error:
        found.append(Finding("store", "error", error.message, unusable=True))
    return found


def _schema(lacking: list[Migration]) -> Finding:
    if not lacking:
        return Finding("schema", "ok", "the schema is that of this release")
    names = ", ".join(f"{each.number:04d}_{each.kind}_{each.name}" for each in lacking)
    if all(each.kind == "post" for each in lacking):
        return Finding(
            "schema", "note", f"not yet applied: {names}", "run `amends migrate` when no older release is running"
        )
    return Finding("schema", "warning", f"the schema is of an older release; missing: {names}", "run `amends migrate`")


async def _of_a_file(common: Common, store: SQLiteStore) -> list[Finding]:
    found: list[Finding] = []
    if not store.path.exists():
        mend = "a worker makes it, or `amends migrate`"
        found = [
            Finding("store", "note", f"there is no store {store.path} yet", mend),
            *_of_the_machine(Place(store.path)),
        ]
    else:
        try:
            with connected(store.path, busy_s=_BUSY_S, read_only=True) as db:
                found += _of_the_machine(Place(store.path, db))
                if not any(each.unusable for each in found) and not missing(applied(db, store.path), last_post=False):
                    found += await _of_the_store(common, store, db)
        except StoreError as error:
            found += [*_of_the_machine(Place(store.path)), Finding("store", "error", error.message, unusable=True)]
    return found


def _of_the_machine(place: Place) -> list[Finding]:
    if place.db is not None:
        place.db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # a file that is no database says so here
    found: list[Finding] = []
    for check in MACHINE_CHECKS:
        try:
            found += check(place)
        except (OSError, sqlite3.Error) as error:
            found.append(_failed(check.__name__, error))
    return found


async def _of_the_store(common: Common, store: SQLiteStore, db: sqlite3.Connection) -> list[Finding]:
    found: list[Finding] = []
    app, finding = _app(common)
    if finding is not None:
        found.append(finding)
    async with Orchestrator(store, worker=False, encryption=keys()) as orchestrator:
        look = Look(store, orchestrator, db, SystemClock().now_ms(), app)
        for check in STORE_CHECKS:
            try:
                found += [each async for each in check(look)]
            except (AmendsError, OSError, sqlite3.Error) as error:
                found.append(_failed(check.__name__, error))
    return found


def _failed(name: str, error: Exception) -> Finding:
    return Finding(name, "error", f"the check failed: {error}", "mend that, and look again")


def _app(common: Common) -> tuple[Mapping[tuple[str, int], str] | None, Finding | None]:
    if not (common.app or project().app):
        return None, None
    try:
        app = load_app(common)
    except AmendsError as error:
        return None, Finding("app", "error", error.message, "mend the app; a worker would not start with it")
    return {(saga.name, saga.version): saga.fingerprint for saga in app.sagas}, None


def _write(common: Common, found: list[Finding]) -> None:
    if common.output != "table":
        output.write_one([_record(each) for each in found], common.output)
        return
    lines = []
    for each in found:
        lines.append(output.text(f"{_ICONS[each.level]} {each.what}", _STYLES[each.level]))
        if each.mend:
            lines.append(output.text(f"    {each.mend}"))
    output.write(lines)
    bad = sum(each.level in ("warning", "error") for each in found)
    say("all is well" if not bad else f"{bad} of these need a hand")


def _record(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check, "level": finding.level, "what": finding.what, "mend": finding.mend,
        "unusable": finding.unusable,
    }  # fmt: skip
