"""Rules on idempotency keys: whether a repeated call can be told for one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .calls import Seen, acts
from .findings import Hit, Rule, Severity
from .source import Files, Source, function_of, source_of, walk
from .subject import Function, Subject
from .words import GIVES, MONEY, words_of

_KEY_NAMES = frozenset({
    "idempotencykey", "xidempotencykey", "idempotencytoken", "key", "requestid", "xrequestid", "requesttoken",
    "clienttoken", "clientrequesttoken", "dedupid", "dedupkey", "dedupeid", "deduplicationid", "messageid",
    "paypalrequestid", "messagededuplicationid", "idempotent", "idem", "idemkey", "idempotency",
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
_SORTS = frozenset({"sorted", "sort", "min", "max", "groupby", "itertools.groupby", "nsmallest", "nlargest"})
_IDENTIFIES = re.compile(
    r"(?:^|[_\W])(?:id|key|number|no|ref|reference|uuid|token|code|handle)s?$|Id$|idempot", re.IGNORECASE
)
_FOLLOWED = 3  # calls of the author's own functions that are followed


def unstable_key(subject: Subject) -> Iterator[Hit]:
    """SG011: a key that is not the same in every attempt."""
    for act in subject.acts:
        for function in act.functions if act.has_effect else ():
            for name, value in _keys(function.source):
                if _is_the_key(function, name, value) and (said := unstable(function, value)):
                    yield Hit(
                        function.source.at(value),
                        act.path,
                        f'the {function.role} of "{act.path}" sends {said} as {name}: a repetition looks like a new '
                        f"call",
                    )


def _is_the_key(function: Function, name: str, value: ast.expr) -> bool:
    """Whether that is what tells repetitions: a request id beside a key of the Context may be for tracing."""
    if _is_header(name) or not function.has_key:
        return True
    return any(isinstance(node, ast.Name) and node.id == function.context for node in walk(value))


def unstable(function: Function, value: ast.expr) -> str:
    """What in an expression differs from attempt to attempt, in words; "" when nothing is known to."""
    return _unstable(function.source, value, function.context, _FOLLOWED, frozenset())


def _keys(source: Source) -> Iterator[tuple[str, ast.expr]]:
    """Every expression that is used as a key, with the name it goes by."""
    for node in source.body:
        match node:
            case ast.Call(keywords=keywords):
                sorts = node.func.attr if isinstance(node.func, ast.Attribute) else source.called(node)
                if sorts not in _SORTS:
                    yield from ((each.arg, each.value) for each in keywords if each.arg and is_key(each.arg))
                yield from ((name, value) for name, value in _by_position(source, node) if is_key(name))
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str) and is_key(key.value):
                        yield f'"{key.value}"', value
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str() as key))], value=value):
                if is_key(key):
                    yield f'"{key}"', value


def _by_position(source: Source, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """The arguments that a function takes by position, with the names of its parameters."""
    found = function_of(source.object_of(call.func))
    names = list(found.__code__.co_varnames[: found.__code__.co_argcount]) if found is not None else []
    if names[:1] in (["self"], ["cls"]):
        names = names[1:]
    yield from zip(names, call.args, strict=False)


def _is_header(name: str) -> bool:
    return "idempot" in name.lower()


def is_key(name: str) -> bool:
    """Whether an argument, a header or a field of that name tells a participant one call from another."""
    return name.lower().replace("_", "").replace("-", "") in _KEY_NAMES


def _unstable(source: Source, value: ast.expr, context: str, depth: int, seen: frozenset[str]) -> str:
    for node in walk(value):
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
    function = function_of(called)
    if function is None:
        return ""
    source = source_of(files, function, {})
    for node in source.body:
        value = node.value if isinstance(node, ast.Return) else None
        if value is not None and (said := _unstable(source, value, "", depth, frozenset())):
            return said
    return ""


def misused_key(subject: Subject) -> Iterator[Hit]:
    """SG011: a key that several calls share."""
    for act in subject.acts:
        for function in act.functions:
            for name, value in _keys(function.source):
                match value:
                    case ast.Attribute(value=ast.Name(id=context), attr="saga_id") if context == function.context:
                        yield Hit(
                            function.source.at(value),
                            act.path,
                            f'the {function.role} of "{act.path}" sends {context}.saga_id as {name}, which all calls '
                            f"of the saga share: the second one looks like a repetition of the first",
                            severity=Severity.WARNING,
                        )
                    case ast.Attribute(value=ast.Name(id=context), attr="action_key") if (
                        context == function.context and function.role == "compensation" and _is_header(name)
                    ):
                        yield Hit(
                            function.source.at(value),
                            act.path,
                            f'the compensation of "{act.path}" sends the key of the action as its own {name}: the '
                            f"participant may take it for a repetition of the action, and do nothing",
                            f"send {context}.idempotency_key as the key of this call, and {context}.action_key as what "
                            f"is to be undone",
                            Severity.WARNING,
                        )


def same_key_twice(subject: Subject) -> Iterator[Hit]:
    """SG011: two functions that send the same idempotency key to the same participant."""
    sent: dict[tuple[str, str], str] = {}
    for act in subject.acts:
        for function in act.functions if act.has_effect else ():
            who = f'the {function.role} of "{act.path}"'
            for name, value, call in _sent_keys(function):
                told = sent.setdefault((function.source.called(call).rpartition(".")[0], ast.unparse(value)), who)
                if told != who:
                    yield Hit(
                        function.source.at(value),
                        act.path,
                        f"{who} sends {ast.unparse(value)} as {name}, as {told} does: the participant may take it for "
                        f"a repetition of that",
                        severity=Severity.WARNING,
                    )


def _sent_keys(function: Function) -> Iterator[tuple[str, ast.expr, ast.Call]]:
    """The idempotency keys that calls are given which do not come from the Context, and are no constant."""
    for call in function.source.calls:
        given = [(each.arg, each.value) for each in call.keywords if each.arg]
        for name, value in (*given, *_by_position(function.source, call)):
            if not _is_header(name) or isinstance(value, ast.Name):  # a local name
                continue
            names = {node.id for node in walk(value) if isinstance(node, ast.Name)}
            if names and function.context not in names:
                yield name, value, call


def own_key_undone(subject: Subject) -> Iterator[Hit]:
    """SG011: a compensation that looks for the action's effect under its own key."""
    for act in subject.acts:
        undo = act.compensation
        if undo is None or not undo.context or undo.source.mentions(undo.context, "action_key", "headers"):
            continue
        for call in undo.source.calls:
            given = [*call.args, *(each.value for each in call.keywords)]
            only = [each for each in given if _is_own_key(each, undo.context)]
            if given and len(only) == len(given) and words_of(undo.source.called(call).rpartition(".")[2]) & GIVES:
                yield Hit(
                    undo.source.at(call),
                    act.path,
                    f'the compensation of "{act.path}" undoes by {undo.context}.idempotency_key, its own key, under '
                    f"which nothing was done",
                    f"undo by {undo.context}.action_key, the key of the action",
                )


def _is_own_key(node: ast.expr, context: str) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=name), attr="idempotency_key"):
            return name == context
        case _:
            return False


def no_key(subject: Subject) -> Iterator[Hit]:
    """SG011: a call that moves money or makes something, by which a repetition cannot be told."""
    for act in subject.acts:
        if not act.has_effect or act.atomic:
            continue
        for function in (act.action, act.compensation):
            if function is None or function.has_key:
                continue
            call = next((each for each in function.source.calls if _needs_key(function.source, each)), None)
            if call is not None:
                yield Hit(
                    function.source.at(call),
                    act.path,
                    f'the {function.role} of "{act.path}" calls {ast.unparse(call.func)} without a key: a repetition '
                    f"looks like a new call",
                    severity=Severity.WARNING,
                )


def _needs_key(source: Source, call: ast.Call) -> bool:
    """A request that makes something, or a call of a resource that moves money, and nothing in it identifies."""
    seen = Seen(source, call, call)
    verb = seen.name.rpartition(".")[2]
    of_a_client = acts(seen) and verb in {"post", "create", "charge", "request", "send_message"}
    if verb == "request" and call.args:
        of_a_client = of_a_client and str(getattr(call.args[0], "value", "POST")).upper() == "POST"
    holder = call.func.value if isinstance(call.func, ast.Attribute) else None
    of_a_resource = holder is not None and source.class_of(holder) is not None and bool(words_of(verb) & MONEY)
    return (of_a_client or of_a_resource) and not any(_identifies(node) for node in walk(call))


def _identifies(node: ast.AST) -> bool:
    """Whether something that a call is given may tell it from others."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name) | ast.keyword(arg=str(name)) | ast.Constant(value=str(name)):
            return bool(_IDENTIFIES.search(name))
        case _:
            return False


RULES = (
    Rule(
        "SG011",
        Severity.ERROR,
        "a repeated call cannot be told for one",
        "send ctx.idempotency_key (or ctx.headers()), which is the same in every attempt, worker and restart",
        "An attempt whose answer was lost is repeated. Without a key, or under a new one, the participant takes the "
        "repetition for another order, and charges twice.",
        check=lambda subject: (
            *unstable_key(subject),
            *misused_key(subject),
            *own_key_undone(subject),
            *same_key_twice(subject),
            *no_key(subject),
        ),
    ),
)
