"""The command that says which sagas in flight can go on with today's definitions: diff.

    ✓ shipping v1: 3 sagas go on
    ✗ shipping v2: 2 sagas would stand on hold (version): the app has version 1, 3 of it, and not this one
        in version 3 of the app:
        added    weigh: after pack
        keep version 2 registered until it is drained: 2 sagas left

Exit codes: 0 all can go on, 1 some cannot, or no worker would start with this app.

Rules of this file: it looks, and registers nothing: the app's definitions never reach the orchestrator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.text import Text

from ..core.definition import Saga
from ..core.events import Started
from ..core.graph import graph_from
from ..core.sealing import decode_opened
from ..core.transitions import ENDS, SagaStatus
from ..errors import NotFound, PayloadError
from ..limits import DIFF_INPUTS_MAX
from ..lint.differing import Change, changes, tuning
from ..runtime.orchestrator import Orchestrator
from ..stores.base import DefinitionRow, Store
from . import output
from .exits import FAILED, OK, say
from .loading import load_app
from .looking import looking
from .options import Common, keys

Key = tuple[str, int]  # a definition's name and version
_Sagas = Mapping[Key, Saga[Any, Any]]

_OPEN = [str(status) for status in SagaStatus if status not in ENDS]
_PAGE = 100  # journals that are read at a time
_SHOWN = 3  # sagas with an unreadable input that people are told of; JSON has all
_ICONS = {"goes_on": "✓", "new": "·", "unreadable": "✗", "refused": "✗", "held": "✗", "unknown": "✗"}
_STUCK = ("refused", "held", "unknown")
_STYLES = {"✓": "green", "·": "dim", "✗": "bold red"}


@dataclass(frozen=True)
class Inputs:
    """Whether today's input type reads what open sagas were started with.

    Attributes:
        tried: of how many sagas it was tried, the newest ones.
        sealed: of how many of these it cannot be told, for the key is not here.
        unreadable: what kept the others from being read, by saga.
    """

    tried: int = 0
    sealed: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """How the sagas of one stored version stand with the app.

    Attributes:
        sagas: how many are in flight.
        stands: "goes_on"; "unreadable", some inputs cannot be read; "refused", no worker starts with this app;
            "held", on hold `version`; "unknown", of no stored definition; "new", not stored yet.
        against: the app's version that it is compared with; 0 for none.
        changes: of the structure; they are why it needs a version of its own.
        tuning: what reaches sagas in flight.
    """

    name: str
    version: int
    sagas: int
    stands: str
    why: str
    mend: str = ""
    against: int = 0
    changes: tuple[Change, ...] = ()
    tuning: tuple[Change, ...] = ()
    inputs: Inputs = field(default_factory=Inputs)

    @property
    def lost(self) -> int:
        """How many sagas cannot go on."""
        return len(self.inputs.unreadable) if self.stands == "unreadable" else self.sagas * (self.stands in _STUCK)


async def diff(common: Common, name: str) -> int:
    """Compare the app with the versions that are stored, and say which sagas can go on."""
    app = {(saga.name, saga.version): saga for saga in load_app(common).sagas}
    async with looking(common) as (orchestrator, store):
        stored = {(row.name, row.version): row for row in await store.definitions()}
        if name and not any(name == known for known, _ in (*app, *stored)):
            said = ", ".join(sorted({known for known, _ in (*app, *stored)}))
            raise NotFound(f"no definition {name}, stored or in the app; there is: {said}", code="AM3009")
        counts = await orchestrator.count_by("name", "version", status=_OPEN)
        sagas = {(str(known), int(version)): count for (known, version), count in counts.items()}
        found: list[Standing] = []
        for key in sorted(key for key in {*stored, *app, *sagas} if name in ("", key[0])):
            row, saga, count = stored.get(key), app.get(key), sagas.get(key, 0)
            inputs = Inputs()
            if row is not None and saga is not None and row.fingerprint == saga.fingerprint and count:
                inputs = await _inputs(orchestrator, store, saga)
            latest = max(version for known, version in (*stored, *app, key) if known == key[0])
            found += _standing(key, count, row, app, inputs, latest)
    _write(common, found)
    return FAILED if any(each.stands not in ("goes_on", "new") for each in found) else OK


# --- judging -------------------------------------------------------------------------------------


def _standing(
    key: Key, count: int, row: DefinitionRow | None, app: _Sagas, inputs: Inputs, latest: int
) -> Iterator[Standing]:  # fmt: skip
    name, version = key
    saga = app.get(key)
    if row is None and count:
        yield Standing(
            name, version, count, "unknown", f"{_number(count)} cannot go on: their journals cannot be read, or their "
            f"definition is not stored",
            f"look at them with `amends list --filter 'version:{version}'` and `amends why ID`",
        )  # fmt: skip
    elif row is None:
        yield Standing(name, version, 0, "new", "is not stored yet, so no saga runs by it")
    elif saga is None:
        if count:  # a version that is drained needs nobody
            yield _held(row, count, app)
    elif saga.fingerprint != row.fingerprint:
        yield _refused(row, saga, count, latest)
    else:
        yield _same(row, saga, count, inputs)


def _refused(row: DefinitionRow, saga: Saga[Any, Any], count: int, latest: int) -> Standing:
    version = row.version
    cannot = f"{_number(count)} cannot go on:" if count else "no saga is in flight, but"
    why = (
        f"{cannot} the app's version {version} has another structure than the stored one, and a worker refuses to "
        f"start with it"
    )
    mend = f"give the changed definition the next version, {latest + 1}"
    if count:
        mend += f", and keep the old one registered as version {version} until it is drained: {_number(count)} left"
    more, _ = _compared(row, saga)
    return Standing(row.name, version, count, "refused", why, mend, version, more)


def _held(row: DefinitionRow, count: int, app: _Sagas) -> Standing:
    versions = sorted(version for name, version in app if name == row.name)
    keep = f"keep version {row.version} registered until it is drained: {_number(count)} left"
    if not versions:
        why = f"{_number(count)} would stand on hold (version): the app has no definition of that name"
        return Standing(row.name, row.version, count, "held", why, keep)
    others = ", ".join(map(str, versions))
    why = f"{_number(count)} would stand on hold (version): the app has version {others} of it, and not this one"
    more, _ = _compared(row, app[row.name, versions[-1]])
    return Standing(row.name, row.version, count, "held", why, keep, versions[-1], more)


def _same(row: DefinitionRow, saga: Saga[Any, Any], count: int, inputs: Inputs) -> Standing:
    _, tuned = _compared(row, saga)
    stands, mend = "goes_on", ""
    why = f"{_number(count)} {'goes' if count == 1 else 'go'} on" if count else "no saga is in flight"
    if inputs.unreadable:
        stands = "unreadable"
        why = (
            f"{len(inputs.unreadable):,} of {_number(count)} would stop, as poison, at the next function that takes "
            f"the input: today's input type does not read theirs"
        )
        mend = (
            "let the type read what is stored: a new field needs a default; or keep the old type with this version, "
            "and give the new one to the next"
        )
    if inputs.tried < count:
        why += f"; the inputs of the newest {inputs.tried:,} were tried"
    if inputs.sealed:
        why += f"; {inputs.sealed:,} are encrypted with a key that is not in AMENDS_KEYS, and were not read"
    return Standing(row.name, row.version, count, stands, why, mend, row.version, (), tuned, inputs)


def _compared(row: DefinitionRow, saga: Saga[Any, Any]) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    try:
        stored = graph_from(row.structure, row.fingerprint)
    except ValueError as error:  # or by a later release, with nodes of which this one knows nothing
        return (
            Change("changed", "", f"the stored structure cannot be read here, so nodes are not compared: {error}"),
        ), ()
    return changes(stored, saga.graph), tuning(stored, saga.graph)


def _number(count: int) -> str:
    return f"{count:,} saga{'' if count == 1 else 's'}"


# --- inputs --------------------------------------------------------------------------------------


async def _inputs(orchestrator: Orchestrator, store: Store, saga: Saga[Any, Any]) -> Inputs:
    """Try today's input type on what the newest open sagas were started with."""
    sealing = keys()
    views = orchestrator.list(f"version:{saga.version}", name=saga.name, status=_OPEN, limit=DIFF_INPUTS_MAX)
    ids = [view.id async for view in views]
    tried = sealed = 0
    unreadable: dict[str, str] = {}
    for at in range(0, len(ids), _PAGE):
        journals = await store.frames(ids[at : at + _PAGE])
        for saga_id, rows in journals.items():
            tried += 1
            try:
                started = decode_opened(sealing, saga_id, rows[0].body).events[0]
                if isinstance(started, Started):
                    saga.decode_input(started.input)
            except PayloadError as error:
                if error.code == "AM2112":  # a worker may have the key
                    sealed += 1
                else:
                    unreadable[saga_id] = error.message
            except ValueError as error:
                unreadable[saga_id] = f"its journal cannot be read: {error}"
    return Inputs(tried, sealed, unreadable)


# --- writing -------------------------------------------------------------------------------------


def _write(common: Common, found: Sequence[Standing]) -> None:
    if common.output == "table":
        output.write(_lines(found))
    elif common.output == "json":
        output.write_json([asdict(each) for each in found])
    else:
        for each in found:
            output.write_jsonl(asdict(each))
    say(_told(found))


def _lines(found: Sequence[Standing]) -> Iterator[Text]:
    for each in found:
        icon = _ICONS[each.stands]
        yield output.text(f"{icon} {each.name or '(no name)'} v{each.version}: {each.why}", _STYLES[icon])
        if each.changes and each.against != each.version:
            yield output.text(f"    in version {each.against} of the app:")
        yield from _listed(each.changes)
        if each.tuning:
            yield output.text("    of no matter to sagas in flight, which take it over:")
            yield from _listed(each.tuning)
        for saga_id, why in list(each.inputs.unreadable.items())[:_SHOWN]:
            yield output.text(f"    {saga_id}: {why}")
        if len(each.inputs.unreadable) > _SHOWN:
            yield output.text(f"    and {len(each.inputs.unreadable) - _SHOWN:,} more; -o json has all")
        if each.mend:
            yield output.text(f"    {each.mend}")


def _listed(changes: Iterable[Change]) -> Iterator[Text]:
    for change in changes:
        yield output.text(f"    {change.kind:<8} {change.path or 'the saga'}: {change.what}")


def _told(found: Sequence[Standing]) -> str:
    lost = sum(each.lost for each in found)
    going = sum(each.sagas for each in found) - lost
    told = f"{_number(going)} can go on, {lost:,} cannot"
    if any(each.stands == "refused" for each in found):
        told += "; and no worker starts with this app, so that none does before it is mended"
    return told
