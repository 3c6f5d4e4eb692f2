"""What users hand to an orchestrator, checked: definitions, resources, settings, keys, labels, filters.

Rules of this file: pure; every refusal says what was given, what is allowed, and has its code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict, cast

from ..core import codec
from ..core.definition import Saga
from ..core.events import NOTHING
from ..core.filter_text import parse
from ..core.filters import Filter, where
from ..core.sealing import Sealing
from ..core.transitions import SagaStatus
from ..errors import DefinitionError, PayloadError, UsageError
from ..limits import CORRELATION_CHARS_MAX, CORRELATION_ENTRIES_MAX, KEY_CHARS_MAX, REASON_CHARS_MAX
from ..stores.base import GROUPS, GroupBy, Store, Transacting
from .commands import Command
from .settings import Settings


def by_version(sagas: Iterable[Saga[Any, Any]]) -> dict[tuple[str, int], Saga[Any, Any]]:
    """Definitions by name and version. Raises DefinitionError for two of one version."""
    found: dict[tuple[str, int], Saga[Any, Any]] = {}
    for saga in sagas:
        if not isinstance(saga, Saga):
            raise UsageError(f"Orchestrator(sagas=[...]): {saga!r} is no Saga", code="AM2023")
        other = found.setdefault((saga.name, saga.version), saga)
        if other is not saga:
            raise DefinitionError(
                f"two definitions of {saga.name} version {saga.version}: give one another version", code="AM1150"
            )
    return found


def by_type(resources: Iterable[object], sagas: Iterable[Saga[Any, Any]]) -> dict[type, object]:
    """Resources by the types that sagas ask for. Raises UsageError when one is missing or ambiguous."""
    found = {type(resource): resource for resource in resources}
    for saga in sagas:
        for kind in saga.resources:
            if kind in found:
                continue
            fitting = [resource for resource in found.values() if isinstance(resource, kind)]
            if len(fitting) != 1:
                raise UsageError(
                    f"saga {saga.name} needs a resource of type {kind.__name__}, and {len(fitting)} were given: "
                    f"Orchestrator(resources=[...]) must hold exactly one",
                    code="AM2024",
                )
            found[kind] = fitting[0]
    return found


def check_atomic(store: Store, sagas: Iterable[Saga[Any, Any]]) -> None:
    """Raise UsageError for atomic steps that the store's database cannot serve."""
    driver = store.driver if isinstance(store, Transacting) else ""
    for saga in sagas:
        atomic = {index: saga.bindings[index].action for index in saga.graph.atomic}
        steps = ", ".join(saga.graph.nodes[index].path for index in atomic)
        if atomic and not driver:
            raise UsageError(
                f"saga {saga.name} has atomic steps ({steps}), and the store {store.address} has no database that "
                f"they could write to; give the orchestrator a file, sqlite:///..., or a database, postgresql://...",
                code="AM2028",
            )
        for index, action in atomic.items():
            taken = "" if action is None or action.connection is None else action.connection.__module__
            if taken != driver:
                raise UsageError(
                    f"saga {saga.name}, atomic step {saga.graph.nodes[index].path}: it takes a {taken}.Connection, and "
                    f"the store {store.address} gives a {driver}.Connection; annotate the parameter so",
                    code="AM2028",
                )


def settings_of(given: dict[str, Any]) -> Settings:
    """The settings given as keywords. Raises UsageError for an unknown or impossible one."""
    try:
        return Settings(**given)
    except TypeError as error:
        known = ", ".join(Settings.__dataclass_fields__)
        raise UsageError(f"Orchestrator(...): {error}; settings are: {known}", code="AM2025") from error


def hash_of(canonical: bytes, sealing: Sealing | None) -> str:
    """What a start key keeps of its input: 32 hexadecimal digits, or a keyed digest with its key's id."""
    if sealing is not None:  # a plain hash of an input with little in it can be guessed
        return sealing.digest(canonical)
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def is_hash_of(kept: str, canonical: bytes, sealing: Sealing | None) -> bool:
    """Whether that was kept of this input, by whichever key, or by none. Raises PayloadError AM2112."""
    if ":" not in kept:
        return kept == hash_of(canonical, None)
    if sealing is None:
        raise PayloadError(
            f'the start key\'s input is known by a digest of the key "{kept.partition(":")[0]}", and there are no keys '
            f"here: give them to Orchestrator(encryption=KeyRing(...))",
            code="AM2112",
        )
    return sealing.is_digest_of(kept, canonical)


def verb_command(verb: str, reason: str, actor: str | None, **more: Any) -> Command:
    """A verb with its reason and actor checked. Raises UsageError."""
    for name, text in (("reason", reason), ("actor", actor or "")):
        if not _is_text(text, REASON_CHARS_MAX):
            raise UsageError(
                f"{verb}({name}=...): give a text of at most {REASON_CHARS_MAX} characters, {_PLAIN}", code="AM2013"
            )
    if not reason.strip():
        raise UsageError(f"{verb}(reason=...): say why; it is kept in the journal", code="AM2013")
    return Command(verb=verb, reason=reason, actor=actor or "", **more)


def signal_command(name: str, payload: Any, signal_id: str) -> Command:
    """A signal. Raises UsageError, PayloadError."""
    raw = codec.Codec(Any).encode(payload, what=f"the payload of signal {name!r}")
    return Command(verb="signal", name=name, id=checked_id(signal_id), payload=raw, has_payload=True)


def resolve_command(step: str, outcome: str, result: Any, reason: str, actor: str | None) -> Command:
    """A resolve. Raises UsageError, PayloadError."""
    if outcome not in ("done", "not_done"):
        raise UsageError(f'resolve(outcome={outcome!r}): give "done" or "not_done"', code="AM2010")
    given = result is not None
    raw = codec.Codec(Any).encode(result, what=f"the result of {step}") if given else NOTHING
    return verb_command("resolve", reason, actor, step=step, outcome=outcome, payload=raw, has_payload=given)


BulkVerb = Literal["retry", "resume", "pause", "cancel", "resolve", "skip", "signal"]


class Words(TypedDict, total=False):
    """What the verbs take beside the saga; each verb takes its own of them."""

    reason: str
    actor: str | None
    step: str
    outcome: Literal["done", "not_done"]
    result: Any
    name: str
    payload: Any
    id: str


_BULK_WORDS: dict[BulkVerb, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "retry": (("reason",), ("actor",)),
    "resume": (("reason",), ("actor",)),
    "pause": (("reason",), ("actor",)),
    "cancel": (("reason",), ("actor",)),
    "resolve": (("step", "outcome", "reason"), ("result", "actor")),
    "skip": (("step", "reason"), ("actor",)),
    "signal": (("name",), ("payload", "id")),
}  # verb -> what it needs, what it may have


def bulk_command(verb: BulkVerb, words: Words) -> Command:
    """A verb for many sagas. Raises UsageError for one that there is not, or whose words are not its own."""
    if verb not in _BULK_WORDS:
        raise UsageError(f"bulk({verb!r}): the verbs are {', '.join(_BULK_WORDS)}", code="AM2043")
    needed, possible = _BULK_WORDS[verb]
    missing = [word for word in needed if word not in words]
    foreign = [word for word in words if word not in needed + possible]
    if missing or foreign:
        said = f"it needs {', '.join(missing)}" if missing else f"it takes no {', '.join(foreign)}"
        raise UsageError(f"bulk({verb!r}): {said}; it takes {', '.join(needed + possible)}", code="AM2043")
    reason, actor, step = words.get("reason", ""), words.get("actor"), words.get("step", "")
    if verb == "signal":
        return signal_command(words["name"], words.get("payload"), words.get("id", ""))
    if verb == "resolve":
        return resolve_command(step, words["outcome"], words.get("result"), reason, actor)
    return verb_command(verb, reason, actor, step=step)


_PLAIN = "without NUL and halves of surrogate pairs"
_SHOWN_CHARS_MAX = 60  # of a wrong text that a message repeats


def _is_text(value: object, most: int) -> bool:
    """Whether every store can keep it."""
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _short(value: object) -> str:
    """What was given, as a message repeats it."""
    said = repr(value)
    return said if len(said) <= _SHOWN_CHARS_MAX else f"{said[:_SHOWN_CHARS_MAX]}…"


def checked_key(key: str | None) -> str:
    """A start key, "" for none. Raises UsageError."""
    if key is None:
        return ""
    if not _is_text(key, KEY_CHARS_MAX) or not key:
        raise UsageError(
            f"start(key={_short(key)}): give a text of 1 to {KEY_CHARS_MAX} characters, {_PLAIN}", code="AM2014"
        )
    return key


def checked_id(signal_id: str) -> str:
    """A signal's id, empty for none. Raises UsageError."""
    if not _is_text(signal_id, KEY_CHARS_MAX):
        raise UsageError(
            f"signal(id={_short(signal_id)}): give a text of at most {KEY_CHARS_MAX} characters, {_PLAIN}",
            code="AM2015",
        )
    return signal_id


def checked_correlation(correlation: Mapping[str, str] | None) -> dict[str, str]:
    """A start's labels. Raises UsageError."""
    if not correlation:
        return {}
    labels = dict(correlation)
    if len(labels) > CORRELATION_ENTRIES_MAX:
        raise UsageError(f"start(correlation=...): at most {CORRELATION_ENTRIES_MAX} entries", code="AM2016")
    for name, value in labels.items():
        for text in (name, value):
            if not _is_text(text, CORRELATION_CHARS_MAX) or not text:
                raise UsageError(
                    f"start(correlation={{{_short(name)}: {_short(value)}}}): both are texts of 1 to "
                    f"{CORRELATION_CHARS_MAX} characters, {_PLAIN}",
                    code="AM2016",
                )
    return labels


class Narrowing(TypedDict, total=False):
    """The keyword arguments that narrow a list; each says what a term of a filter could say."""

    status: SagaStatus | str | Iterable[SagaStatus | str]
    name: str
    key: str
    hold: str
    correlation: Mapping[str, str] | None
    anomalous: bool | None
    followup_failed: bool | None


def filter_of(
    text: str | Filter = "", *, status: SagaStatus | str | Iterable[SagaStatus | str] = (), name: str = "",
    key: str = "", hold: str = "", correlation: Mapping[str, str] | None = None, anomalous: bool | None = None,
    followup_failed: bool | None = None,
) -> Filter:  # fmt: skip
    """What a list is narrowed to: the text's terms, and those of the keywords. Raises UsageError."""
    wanted = (status,) if isinstance(status, str) else tuple(status)
    for each in wanted:
        if each not in {known.value for known in SagaStatus}:
            known = ", ".join(SagaStatus)
            raise UsageError(f"list(status={each!r}): no such status; there are: {known}", code="AM2017")
    narrowed = where(
        status=wanted, name=name, key=key, hold=hold, correlation=sorted((correlation or {}).items()),
        anomalous=anomalous, followup_failed=followup_failed,
    )  # fmt: skip
    said = text if isinstance(text, Filter) else parse(text)
    return Filter((*narrowed.terms, *said.terms))


def checked_groups(by: tuple[str, ...]) -> tuple[GroupBy, ...]:
    """What a count is grouped by. Raises UsageError."""
    for each in by or ("",):
        if each not in GROUPS:
            raise UsageError(f"count_by({each!r}): give one or several of {', '.join(GROUPS)}", code="AM2018")
    return cast("tuple[GroupBy, ...]", tuple(dict.fromkeys(by)))
