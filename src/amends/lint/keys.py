"""Rules on idempotency keys: whether a repeated call can be told for one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .findings import Hit, Rule, Severity
from .source import Files, Source, source_of
from .subject import Function, Subject

_KEY_NAMES = frozenset({
    "idempotencykey", "xidempotencykey", "idempotencytoken", "key", "requestid", "xrequestid", "requesttoken",
    "clienttoken", "clientrequesttoken", "dedupid", "dedupkey", "dedupeid", "deduplicationid", "messageid",
    "paypalrequestid", "messagededuplicationid", "idempotent",
})  # fmt: skip
_UNSTABLE = {
    "uuid.uuid1": "another one in each attempt", "uuid.uuid4": "another one in each attempt",
    "os.urandom": "another one in each attempt",
    "time.time": "the time of the attempt", "time.time_ns": "the time of the attempt",
    "time.monotonic": "the time of the attempt", "time.monotonic_ns": "the time of the attempt",
    "time.perf_counter": "the time of the attempt",
    "datetime.datetime.now": "the time of the attempt", "datetime.datetime.utcnow": "the time of the attempt",
    "datetime.datetime.today": "the time of the attempt", "datetime.date.today": "the time of the attempt",
    "id": "another one in each process", "hash": "another one in each process",
    "os.getpid": "another one in each process",
}  # fmt: skip
_UNSTABLE_MODULES = {"random": "another one in each attempt", "secrets": "another one in each attempt"}
_FOLLOWED = 3  # calls of the author's own functions that are followed


def unstable_key(subject: Subject) -> Iterator[Hit]:
    """SG011: a key that is not the same in every attempt."""
    for act in subject.acts:
        for function in act.functions:
            for name, value in _keys(function.source):
                if said := unstable(function, value):
                    yield Hit(
                        function.source.at(value),
                        act.path,
                        f'the {function.role} of "{act.path}" sends {said} as {name}: a repetition looks like a new '
                        f"call",
                    )


def unstable(function: Function, value: ast.expr) -> str:
    """What in an expression differs from attempt to attempt, in words; "" when nothing is known to."""
    return _unstable(function.source, value, function.context, _FOLLOWED, frozenset())


def _keys(source: Source) -> Iterator[tuple[str, ast.expr]]:
    """Every expression that is used as a key, with the name it goes by."""
    for node in source.body:
        match node:
            case ast.Call(keywords=keywords):
                yield from ((each.arg, each.value) for each in keywords if each.arg and _is_key(each.arg))
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str) and _is_key(key.value):
                        yield f'"{key.value}"', value
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str() as key))], value=value):
                if _is_key(key):
                    yield f'"{key}"', value


def _is_key(name: str) -> bool:
    return name.lower().replace("_", "").replace("-", "") in _KEY_NAMES


def _unstable(source: Source, value: ast.expr, context: str, depth: int, seen: frozenset[str]) -> str:
    for node in ast.walk(value):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr="attempt") if name == context and context:
                return f"{name}.attempt, the number of the attempt,"
            case ast.Call():
                called = source.called(node)
                why = _UNSTABLE.get(called) or _UNSTABLE_MODULES.get(called.partition(".")[0])
                if why:
                    return f"{ast.unparse(node.func)}(), {why},"
                if depth and (said := _returned(source.files, source.object_of(node.func), depth - 1)):
                    return f"{ast.unparse(node.func)}(), which returns {said.rstrip(',')},"
            case ast.Name(id=name) if name not in seen:
                for assigned in source.assigned.get(name, ()):
                    if said := _unstable(source, assigned, context, depth, seen | {name}):
                        return said
    return ""


def _returned(files: Files, called: object, depth: int) -> str:
    """What an author's own function returns that is not stable."""
    if not callable(called) or isinstance(called, type):
        return ""
    source = source_of(files, called, {})
    for node in source.body:
        value = node.value if isinstance(node, ast.Return) else None
        if value is not None and (said := _unstable(source, value, "", depth, frozenset())):
            return said
    return ""


RULES = (
    Rule(
        "SG011",
        Severity.ERROR,
        "an idempotency key differs from attempt to attempt",
        "send ctx.idempotency_key (or ctx.headers()), which is the same in every attempt, worker and restart",
        "An attempt whose answer was lost is repeated. Under a new key the participant takes the repetition for "
        "another order, and charges twice.",
        check=unstable_key,
    ),
)
