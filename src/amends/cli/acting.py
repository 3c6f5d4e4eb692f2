"""The commands that act: start, and the operator's verbs.

Rules of this file: like those that look, the verbs need no definitions; only `start` loads the app,
for it needs the input's type. Nothing here runs a saga: what is asked for is written down, and the
worker that leads the store applies it. A verb that nobody has applied yet is `queued`, which is no
failure.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from rich.text import Text

from ..errors import AmendsError, PayloadError, SagaFailed, UsageError
from ..runtime.handle import Handle
from ..runtime.orchestrator import Orchestrator
from ..runtime.views import SagaView
from . import output, records
from .exits import FAILED, OK, code_of, complain, say
from .loading import App, load_app
from .looking import looking, pairs
from .options import Common, keys, open_store
from .words import SAGA_ICONS, UNSEEN, style_of, word_of

Verb = Callable[[Orchestrator, str], Awaitable[bool]]


def user_name() -> str:
    """Who is asking, as the operating system knows it; "" when it does not."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may run under a number without a name
        return ""


def given(said: str) -> bytes:
    """A JSON argument; `-` reads it from standard input."""
    return sys.stdin.buffer.read() if said == "-" else said.encode()


def from_json(said: str, what: str) -> Any:
    """The value of a JSON argument. Raises UsageError."""
    try:
        return msgspec.json.decode(given(said))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{what} is no JSON: {error}; a text needs its own quotes, as in '\"text\"'", code="AM2522"
        ) from error


# --- start ---------------------------------------------------------------------------------------


async def start_saga(
    common: Common, name: str, said: str, *, key: str, correlation: Sequence[str], wait: bool
) -> int:  # fmt: skip
    """Start a saga, and perhaps wait for its end."""
    labels, app = pairs(correlation), load_app(common)
    value = _input(app, name, said)
    store = open_store(common, make=True)
    async with Orchestrator(store, sagas=app.sagas, worker=False, encryption=keys()) as orchestrator:
        handle = await orchestrator.start(name, value, key=key or None, correlation=labels)
        if wait:
            return await _wait(common, orchestrator, handle)
        view = await orchestrator.get(handle.id)
    if common.output == "table":
        _write_started(view)
    else:
        output.write_one(records.started(view), common.output)
    return OK


def _input(app: App, name: str, said: str) -> Any:
    """The input as the type of the version that will be started; of no saga, as it is. Raises UsageError."""
    versions = [saga for saga in app.sagas if saga.name == name]
    if not versions:
        return None  # `start` says which names there are
    try:
        return max(versions, key=lambda saga: saga.version).read_input(given(said))
    except PayloadError as error:
        raise UsageError(error.message, code="AM2523") from error


async def _wait(common: Common, orchestrator: Orchestrator, handle: Handle[Any]) -> int:
    if common.output == "table":
        output.write([output.text(handle.id)])  # at once: who is interrupted must know what goes on
    failure: SagaFailed | None = None
    try:
        await handle.result()
    except SagaFailed as error:
        failure = error
    view = await orchestrator.get(handle.id)
    if common.output != "table":
        output.write_one(records.started(view), common.output)
    elif failure is None:
        output.write([_status(view), output.text(json.dumps(view.result, ensure_ascii=False))])
    else:
        output.write([_status(view)])
    if failure is None:
        return OK
    complain(failure)
    return FAILED


def _write_started(view: SagaView) -> None:
    line = output.text(view.id)
    line.append("  ")
    output.write([line.append_text(_status(view))])


def _status(view: SagaView) -> Text:
    icon = SAGA_ICONS.get(view.status, UNSEEN)
    return output.text(f"{icon} {word_of(view.status)}", style_of(icon))


# --- verbs ---------------------------------------------------------------------------------------


async def act(common: Common, name: str, saga_id: str, verb: Verb) -> int:
    """Apply a verb to one saga."""
    async with looking(common) as (orchestrator, _):
        record = await _apply(orchestrator, name, saga_id, verb)
    if common.output == "table":
        output.write([_line(record)])
    else:
        output.write_one(record, common.output)
    return OK


async def act_on_all(common: Common, name: str, saga_ids: Sequence[str], verb: Verb) -> int:
    """Apply a verb to several sagas; one that is refused stops none of the others."""
    done, code = [], OK
    async with looking(common) as (orchestrator, _):
        for saga_id in dict.fromkeys(saga_ids):
            try:
                record = await _apply(orchestrator, name, saga_id, verb)
            except AmendsError as error:
                complain(error)
                code = max(code, code_of(error))
                record = records.acted(saga_id, name, "refused", error=str(error))
            done.append(record)
            if common.output == "jsonl":
                output.write_jsonl(record)
            elif common.output == "table" and not record["error"]:
                output.write([_line(record)])
    if common.output == "json":
        output.write_json(done)
    return code


async def _apply(orchestrator: Orchestrator, name: str, saga_id: str, verb: Verb) -> records.Record:
    applied = await verb(orchestrator, saga_id)
    view = await orchestrator.get(saga_id)
    if not applied:
        say(f"{name} of {saga_id} is queued: it is applied as soon as a worker leads this store")
    return records.acted(saga_id, name, "applied" if applied else "queued", status=str(view.status))


def _line(record: records.Record) -> Text:
    said = record["result"]
    if said == "applied":
        said = f"{record['verb']} applied, now {word_of(record['status'])}"
    return output.text(f"{record['id']}  {said}")
