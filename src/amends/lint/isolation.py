"""Rules on what others see meanwhile: branches beside each other, locks, and fields that nobody may read."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.annotations import Annotation, bare
from ..core.graph import Kind
from ..core.redaction import paths_in
from .calls import calls_of, inserts, tables_written
from .findings import Hit, Place, Rule, Severity
from .source import Source
from .subject import Act, Subject
from .words import GIVES, LOCKS, is_secret, things_of, words_of

_DEPTH = 4  # of types inside types


def beside_each_other(subject: Subject) -> Iterator[Hit]:
    """SG018: two branches that write the same thing."""
    for node in subject.graph.nodes:
        if node.kind is not Kind.PARALLEL:
            continue
        written: dict[str, Act] = {}
        for branch in node.children:
            within = range(branch, branch + subject.graph.sizes[branch])
            acts = [act for act in subject.acts if act.node.index in within]
            own = {what: act for act in acts for what in _written(act.action.source)}
            for what, act in own.items():
                if what in written:
                    other = written[what]
                    yield Hit(
                        act.places,
                        act.path,
                        f'"{other.path}" and "{act.path}" run beside each other and both change {what}: one may '
                        f"overwrite what the other wrote",
                    )
            written |= own


def _written(source: Source) -> Iterator[str]:
    for seen in calls_of(source):
        if not inserts(seen):
            yield from (f"the table {table}" for table in tables_written(seen))
    for node in source.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AugAssign):
            targets = [node.target]
        for target in targets:
            match target:
                case ast.Attribute(value=ast.Name(id=name)) if name in source.types:
                    yield f"{source.types[name].__name__}.{target.attr}"
                case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant()) if name not in source.local:
                    yield ast.unparse(target)


def lock_order(subjects: Sequence[Subject]) -> Iterator[tuple[Subject, Hit]]:
    """SG019: two sagas that take the same two locks, each in its own order."""
    taken: dict[tuple[frozenset[str], frozenset[str]], tuple[Subject, Act]] = {}
    for subject in subjects:
        locks = [act for act in subject.acts if _takes_lock(act) and things_of(act.step.name)]
        for place, first in enumerate(locks):
            for second in locks[place + 1 :]:
                pair = things_of(first.step.name), things_of(second.step.name)
                other = taken.get((pair[1], pair[0]))
                if other is not None and pair[0] != pair[1]:
                    yield (
                        subject,
                        Hit(
                            second.places,
                            second.path,
                            f'saga "{subject.saga.name}" takes "{first.path}" before "{second.path}", and saga '
                            f'"{other[0].saga.name}" the other way round: each may wait for the other',
                        ),
                    )
                taken.setdefault(pair, (subject, first))


def _takes_lock(act: Act) -> bool:
    words = words_of(act.step.name)
    return bool(words & LOCKS) and not words & GIVES and not act.node.follow_up


def lock_kept(subject: Subject) -> Iterator[Hit]:
    """SG020: a lock that is taken, and released only when the saga turns back."""
    for act in subject.acts:
        if not _takes_lock(act):
            continue
        things = things_of(act.step.name)
        released = any(
            other is not act
            and (words_of(other.step.name) & GIVES or _releases(other.action.source))
            and (not things or things & things_of(other.step.name) or not things_of(other.step.name))
            for other in subject.acts
        )
        if not released:
            yield Hit(
                act.places, act.path, f'"{act.path}" takes a lock, and no later step releases it: does it stay locked '
                f"when the saga completes?",
            )  # fmt: skip


def _releases(source: Source) -> bool:
    return any(words_of(source.called(call).rpartition(".")[2]) & {"release", "unlock"} for call in source.calls)


def secrets(subject: Subject) -> Iterator[Hit]:
    """SG027: a field that everybody who looks at the saga can read."""
    types = [("the input", subject.saga.input_type)]
    for node, binding in zip(subject.graph.nodes, subject.saga.bindings, strict=True):
        if binding.payload is not None and node.kind in (Kind.STEP, Kind.WAIT):
            types.append((f'the result of "{node.path}"', binding.payload.declared))
    seen: set[Any] = set()
    for what, annotation in types:
        for owner, field in _secret_fields(annotation, _DEPTH, seen):
            name = owner.__name__
            yield Hit(
                _field_place(subject, owner, field),
                "",
                f"{what} holds {name}.{field}, which everybody who looks at the saga or its journal can read",
            )


def _secret_fields(annotation: Annotation, depth: int, seen: set[Any]) -> Iterator[tuple[type, str]]:
    for inner in typing.get_args(annotation):
        yield from _secret_fields(inner, depth, seen)
    kind = bare(annotation)
    if not isinstance(kind, type) or kind in seen or not depth or kind.__module__ in {"builtins", "typing"}:
        return
    seen.add(kind)
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:  # a name that only its function knows
        return
    for name, hint in hints.items():
        if paths_in(hint):
            continue
        if is_secret(name):
            yield kind, name
        else:
            yield from _secret_fields(hint, depth - 1, seen)


def _field_place(subject: Subject, owner: type, field: str) -> tuple[Place, ...]:
    try:
        file = inspect.getsourcefile(owner) or ""
    except (TypeError, OSError):
        return subject.places
    for node in subject.files.nodes(file):
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__:
            for statement in node.body:
                match statement:
                    case ast.AnnAssign(target=ast.Name(id=name)) if name == field:
                        return (Place(file, statement.lineno, statement.col_offset + 1), *subject.places)
    return subject.places


RULES = (
    Rule(
        "SG018",
        Severity.WARNING,
        "branches beside each other change the same thing",
        "put one after the other, or let one step change it",
        "In a `parallel` neither branch comes first, and their compensations run beside each other too. Whoever writes "
        "last wins, and undoing one may undo the other.",
        check=beside_each_other,
    ),
    Rule(
        "SG019",
        Severity.WARNING,
        "two sagas take the same locks in another order",
        "take them in one order everywhere, such as that of their names",
        "One saga holds the first lock and waits for the second, the other holds the second and waits for the first, "
        "until their deadlines turn both back.",
        check_all=lock_order,
    ),
    Rule(
        "SG020",
        Severity.WARNING,
        "a lock is taken and not released on every way to the end",
        "release it in a step behind the pivot as well as in the compensation",
        "A compensation runs only when the saga turns back. What is locked at the start of a saga that completes stays "
        "locked, unless a step of the way forward releases it.",
        check=lock_kept,
    ),
    Rule(
        "SG027",
        Severity.WARNING,
        "a payload shows a secret",
        "mark it Annotated[str, Redacted], or keep it out of the saga and pass a reference",
        "Inputs and results are kept in the journal and shown by `amends show`, in logs and in exports. A marked field "
        "is shown as `[redacted]` to everybody who looks.",
        check=secrets,
    ),
)
