"""The command that draws definitions: graph.

A definition is looked for in the store, where every one that a worker ever had is kept; then in --app. The
names of functions, and lengths of time, are not kept: they are drawn when --app has the same structure.

A rollback table is made of functions, so it is always the app's own definition.

Rules of this file: a definition that the store has is drawn also when the app is broken.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ..core.definition import Saga
from ..core.graph import Node, structure_of
from ..core.transitions import ENDS, StepStatus as S
from ..drawing import (
    Mark,
    Names,
    mermaid,
    names_of,
    plan,
    rollback_html,
    rollback_mermaid,
    rollback_text,
    svg,
    text,
)  # fmt: skip
from ..errors import AmendsError, NotFound, StoreUnusable, UsageError
from ..lint.rollback import rollback
from ..runtime.reading import Reader
from ..runtime.views import SagaView, StepView
from ..stores.base import DefinitionRow
from . import output
from .exits import OK, say
from .loading import load_app
from .looking import looking
from .options import Common, project
from .subjects import looking_at
from .words import SAGA_ICONS, STEP_ICONS, UNSEEN, word_of

_FORMATS = {"text": text, "mermaid": mermaid, "svg": svg}
_ROLLBACKS = {"text": rollback_text, "mermaid": rollback_mermaid, "html": rollback_html}
_ITEM = re.compile(r"\[\d+\]")  # the number of an item, in a path
_TONES: dict[str, str] = {
    S.SUCCEEDED: "good",
    S.REJECTED: "bad", S.FAILED: "bad", S.TIMED_OUT: "bad",
    S.UNKNOWN: "unknown",
    S.PARKED: "manual", S.OWED: "manual",
    S.COMPENSATED: "undone", S.SKIPPED: "undone",
    S.PENDING: "idle", S.DROPPED: "idle", S.PASSED: "idle",
}  # fmt: skip
_WORST_FIRST = ("manual", "unknown", "bad", "going", "undone", "good", "idle")


async def graph(common: Common, name: str, *, version: int, form: str, saga: str) -> int:
    """Draw a definition, or the one of a saga with how its nodes stand."""
    if form not in _FORMATS:
        raise UsageError(f"--format {form} is for --rollback; a graph has {', '.join(_FORMATS)}", code="AM2556")
    if saga:
        row, view = await _of_saga(common, saga)
        if (name and name != row.name) or (version and version != row.version):
            raise UsageError(
                f"saga {view.id} is of {row.name} version {row.version}; leave NAME and --version out", code="AM2555"
            )
    elif not name:
        raise UsageError("which definition? Give its NAME, or --saga ID", code="AM2555")
    else:
        row, view = await _of_name(common, name, version), None
    names = _names(common, row)
    if common.output != "table":
        output.write_one(_record(row, view), common.output)
        return OK
    marks = marks_of(view) if view else {}
    icon = SAGA_ICONS.get(view.status, UNSEEN) if view else ""
    told = f"{icon} {word_of(view.status)}  {view.id}" if view else ""
    output.write_text(_FORMATS[form](plan(row.structure, names=names, marks=marks, told=told)))
    return OK


def rollback_table(common: Common, name: str, *, version: int, form: str, saga: str) -> int:
    """Print what is undone wherever a definition of the app fails."""
    if form not in _ROLLBACKS:
        raise UsageError(
            f"--rollback is a table: --format {form} draws none; it has text, mermaid, html", code="AM2556"
        )
    if saga or not name:
        raise UsageError("--rollback is of a definition: give its NAME, and no --saga", code="AM2556")
    if not (common.app or project().app):
        raise UsageError(
            "--rollback tells what functions are called with, which a store does not keep: give --app module:object",
            code="AM2556",
        )
    sagas = load_app(common).sagas
    fitting = [each for each in sagas if each.name == name and version in (0, each.version)]
    if not fitting:
        known = ", ".join(sorted(f"{each.name} v{each.version}" for each in sagas))
        which = f"{name} version {version}" if version else name
        raise NotFound(f"no definition {which}; the app has: {known}", code="AM3009")
    table = rollback(max(fitting, key=lambda each: each.version))
    if common.output != "table":
        output.write_one(dataclasses.asdict(table), common.output)
    else:
        output.write_text(_ROLLBACKS[form](table))
    return OK


async def _of_saga(common: Common, said: str) -> tuple[DefinitionRow, SagaView]:
    async with looking_at(common, said) as subject:
        view = await subject.orchestrator.get(subject.saga_id)
        started = (await Reader(subject.store, {}).state(subject.saga_id)).started
        assert started is not None
        rows = await subject.store.definitions()
    (row,) = [each for each in rows if each.fingerprint == started.fingerprint and each.name == started.name]
    return row, view


async def _of_name(common: Common, name: str, version: int) -> DefinitionRow:
    stored: Sequence[DefinitionRow] = ()
    try:
        async with looking(common) as (_, store):
            stored = await store.definitions()
    except StoreUnusable as error:
        if error.code != "AM6051":  # without a store there may still be an app
            raise
    found = _newest(stored, name, version)
    if found is None and (common.app or project().app):
        found = _newest([_row(each) for each in load_app(common).sagas], name, version)
    if found is None:
        known = ", ".join(sorted({f"{each.name} v{each.version}" for each in stored})) or "none"
        which = f"{name} version {version}" if version else name
        raise NotFound(f"no definition {which}; the store has: {known}. Give --app for one of yours", code="AM3009")
    return found


def _row(saga: Saga[Any, Any]) -> DefinitionRow:
    return DefinitionRow(saga.name, saga.version, saga.fingerprint, structure_of(saga.graph))


def _newest(rows: Iterable[DefinitionRow], name: str, version: int) -> DefinitionRow | None:
    fitting = [each for each in rows if each.name == name and version in (0, each.version)]
    return max(fitting, key=lambda each: each.version, default=None)


def _names(common: Common, row: DefinitionRow) -> Names | None:
    """What the app knows of a definition, if it has it."""
    if not (common.app or project().app):
        return None
    try:
        sagas = load_app(common).sagas
    except AmendsError as error:
        say(f"drawn without the names of functions: {error}")
        return None
    return next((names_of(each) for each in sagas if each.fingerprint == row.fingerprint), None)


# --- how nodes stand -----------------------------------------------------------------------------


def marks_of(view: SagaView) -> dict[str, Mark]:
    """The marks of a saga's nodes; the items of one node share one, which is the worst's and counts all."""
    by_path: dict[str, list[StepView]] = {}
    for step in view.steps:
        by_path.setdefault(_ITEM.sub("", step.path), []).append(step)
    return {path: _mark(view, steps) for path, steps in by_path.items()}


def _mark(view: SagaView, steps: list[StepView]) -> Mark:
    worst = min(steps, key=lambda step: _WORST_FIRST.index(_tone(step)))
    icon, tone = STEP_ICONS.get(worst.status, UNSEEN), _tone(worst)
    if len(steps) == 1:
        attempts = f" x{worst.attempts}" if worst.attempts > 1 else ""
        return Mark(icon, f"{_word(view, worst)}{attempts}", tone)
    steps = sorted(steps, key=lambda step: _WORST_FIRST.index(_tone(step)))
    counts = Counter(_word(view, step) for step in steps)
    return Mark(icon, ", ".join(f"{count} {word}" for word, count in counts.items()), tone)


def _tone(step: StepView) -> str:
    return _TONES.get(step.status, "going")


def _word(view: SagaView, step: StepView) -> str:
    return "not reached" if step.status == S.PENDING and view.status in ENDS else word_of(step.status)


# --- JSON ----------------------------------------------------------------------------------------


def _record(row: DefinitionRow, view: SagaView | None) -> dict[str, Any]:
    """The structure by the names of its fields; see `amends.core.graph.Node`."""
    stored = msgspec.json.decode(row.structure)
    statuses = {step.path: str(step.status) for step in view.steps} if view else {}
    nodes = [dict(zip(Node.__struct_fields__, each, strict=False)) for each in stored.pop("nodes")]
    for node in nodes:
        if node["path"] in statuses:
            node["status"] = statuses[node["path"]]
    return {**stored, "fingerprint": row.fingerprint, "saga": view.id if view else "", "nodes": nodes}
