"""Rules on effects in the wrong place: inside a transaction, in what only looks or decides, in the definition."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from .calls import Seen, acts, calls_of, commits_after, reaches_out, seems_to_act, tables_written
from .findings import Hit, Place, Rule, Severity
from .source import Files, Source, walk
from .subject import Subject
from .words import ACTS, words_of

_TRANSACTIONS = frozenset({"begin", "begin_nested", "transaction", "atomic", "sqlite3"})  # of a guard, or a database
_FOLLOWED = 3  # names, one bound to another
_VARYING = frozenset({"os.getenv", "os.environ.get", "uuid.uuid4", "uuid.uuid1", "time.time", "datetime.datetime.now"})


def reaches_out_of_a_transaction(subject: Subject) -> Iterator[Hit]:
    """SG014: a call to elsewhere while a transaction is open."""
    for act in subject.acts:
        for function in act.functions:
            for seen in calls_of(function.source):
                if not (reaches_out(seen) or seems_to_act(seen)):
                    continue
                if act.atomic and function.role != "probe":
                    where = "an atomic function, which holds the store's write lock"
                elif (
                    _in_a_transaction(function.source, seen.through)
                    or _in_a_transaction(seen.source, seen.call)
                    or commits_after(function.source, seen.through)
                ):
                    where = "a transaction"
                else:
                    continue
                yield Hit(
                    function.source.at(seen.through),
                    act.path,
                    f'the {function.role} of "{act.path}" calls {ast.unparse(seen.call.func)} inside {where}: a '
                    f"rollback does not take it back",
                    severity=None if reaches_out(seen) else Severity.WARNING,
                )


def _in_a_transaction(source: Source, call: ast.AST) -> bool:
    for outer in source.around(call):
        for item in outer.items if isinstance(outer, (ast.With, ast.AsyncWith)) else ():
            expression = item.context_expr
            if source.dotted(expression).startswith(("sqlite3.connect()", "sqlite3.Connection()")):
                return True
            verb = _last(expression.func) if isinstance(expression, ast.Call) else ""
            if verb in _TRANSACTIONS and "Client" not in source.dotted(expression):
                return True
    return False


def varying_definition(subject: Subject) -> Iterator[Hit]:
    """SG015: a graph that is another one in another process."""
    found = _definition(subject)
    if found is None:
        return
    call, scope = found
    file = subject.saga.place[0]
    names = subject.files.imports(file)
    given = [*call.args, *(each.value for each in call.keywords if each.arg not in {"deadline", "resources"})]
    for expression in given:
        for node, varies in _varying(expression, scope, names, _FOLLOWED):
            yield Hit(
                (Place(file, node.lineno, node.col_offset + 1), *subject.places),
                "",
                f"the definition depends on {varies}: another process, or the next release, may have another graph "
                f"under the same version",
            )


Bound: TypeAlias = Mapping[str, Sequence[tuple[ast.expr, tuple[ast.expr, ...]]]]


def _varying(expression: ast.AST, scope: Bound, names: dict[str, str], depth: int) -> Iterator[tuple[ast.expr, str]]:
    """What an expression depends on that is not the same everywhere, also through names of its scope."""
    for node in walk(expression):
        match node:
            case ast.Call(func=function) if _varies(_full_name(function, names)):
                yield node, ast.unparse(node)
            case ast.Subscript(value=value) if _full_name(value, names) == "os.environ":
                yield node, ast.unparse(node)
            case ast.Starred(value=ast.Set() | ast.SetComp() as value):
                yield value, "the order of a set"
            case ast.comprehension(iter=value) if _is_set(value, scope):
                yield value, "the order of a set"
            case ast.Name(id=name, ctx=ast.Load()) if depth:
                for value, conditions in scope.get(name, ()):
                    for part in (value, *conditions):
                        for _, varies in _varying(part, scope, names, depth - 1):
                            yield node, varies
                            break


def _varies(name: str) -> bool:
    return name in _VARYING or name.partition(".")[0] in {"random", "secrets"}


def _is_set(node: ast.expr, scope: Bound) -> bool:
    if isinstance(node, ast.Name):
        return any(_is_set(value, {}) for value, _ in scope.get(node.id, ()))
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, (ast.Set, ast.SetComp)) or (isinstance(called, ast.Name) and called.id == "set")


def _bound(
    scope: Sequence[ast.stmt], conditions: tuple[ast.expr, ...] = ()
) -> Iterator[tuple[str, ast.expr, tuple[ast.expr, ...]]]:
    """The names of a scope: what each is bound to, or extended by, and under which conditions."""
    for statement in scope:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AugAssign(target=ast.Name(id=name), value=value)
                | ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)), args=[value, *_]))
            ):
                yield name, value, conditions
            case ast.If(test=test, body=body, orelse=orelse):
                yield from _bound([*body, *orelse], (*conditions, test))


def _scope(files: Files, around: ast.FunctionDef | ast.Module) -> Bound:
    """The same by name; kept, for a module may hold many sagas."""
    if around not in files.scopes:
        found: dict[str, list[tuple[ast.expr, tuple[ast.expr, ...]]]] = {}
        for name, value, conditions in _bound(around.body):
            found.setdefault(name, []).append((value, conditions))
        files.scopes[around] = found
    bound: Bound = files.scopes[around]
    return bound


def _definition(subject: Subject) -> tuple[ast.Call, Bound] | None:
    """The call of `Saga`, and what is bound in the function or module around it."""
    file, line = subject.saga.place
    files = subject.files
    found = [each for each in files.of_kind(file, ast.Call) if each.lineno == line and _last(each.func) == "Saga"]
    if len(found) != 1:
        return None
    around = [each for each in files.of_kind(file, ast.FunctionDef) if each.lineno <= line <= (each.end_lineno or 0)]
    scope = around[-1] if around else files.tree(file)  # the nodes come outermost first
    assert isinstance(scope, (ast.FunctionDef, ast.Module))
    return found[0], _scope(files, scope)


def _full_name(node: ast.AST, names: dict[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return names.get(name, name)
        case ast.Attribute(value=value, attr=attribute):
            return f"{_full_name(value, names)}.{attribute}"
        case _:
            return ""


def effect_before_its_record(subject: Subject) -> Iterator[Hit]:
    """SG036: a call to elsewhere and a write to a database, in one step."""
    for act in subject.acts:
        if not act.has_effect or act.atomic:
            continue
        source = act.action.source
        seen = list(calls_of(source))
        call = next((each for each in seen if seems_to_act(each)), None)
        if call is None:
            continue
        others = [each for each in seen if seems_to_act(each) and each.name != call.name and each.through is each.call]
        if others and call.through is call.call and not act.action.source.chooses_between(call.call, others[0].call):
            yield Hit(
                source.at(others[0].call),
                act.path,
                f'"{act.path}" calls {ast.unparse(call.call.func)} and {ast.unparse(others[0].call.func)}: when the '
                f"second fails, does its compensation undo the first alone?",
                "make two steps of it, each with its own compensation",
                Severity.INFO,
            )
        after = [each for each in seen if each.through.lineno > call.through.lineno and tables_written(each)]
        if after:
            yield Hit(
                source.at(after[0].through),
                act.path,
                f'"{act.path}" calls {ast.unparse(call.call.func)} and then records it: a crash between the two leaves '
                f"an effect that nobody has a record of",
            )


def deciders_act(subject: Subject) -> Iterator[Hit]:
    """SG037: a predicate, or what gives items, an input or a duration, that changes something."""
    for function in subject.deciders:
        for seen in calls_of(function.source):
            if reaches_out(seen) or tables_written(seen):
                yield Hit(
                    function.source.at(seen.through),
                    "",
                    f"{function.call.where.partition(', ')[2]}, calls {ast.unparse(seen.call.func)}: it is no step, "
                    f"so nothing retries it, undoes it, or keeps it from being called twice",
                )


def lookers_act(subject: Subject) -> Iterator[Hit]:
    """SG038: a probe, or a read-only step, that changes something."""
    for act in subject.acts:
        looking = [act.probe] if act.probe else []
        if act.node.read_only:
            looking.append(act.action)
        for function in looking:
            call = next((each for each in calls_of(function.source) if _changes(each)), None)
            if call is not None:
                which = f'the probe of "{act.path}"' if function.role == "probe" else f'the read-only step "{act.path}"'
                yield Hit(
                    function.source.at(call.through),
                    act.path,
                    f"{which} calls {ast.unparse(call.call.func)}, which changes something: nothing undoes that",
                )


def _changes(seen: Seen) -> bool:
    if tables_written(seen):
        return True
    verb = seen.name.rpartition(".")[2]
    if acts(seen):
        return verb != "post"  # many a search is posted
    holder = seen.call.func.value if isinstance(seen.call.func, ast.Attribute) else None
    first = verb.partition("_")[0]
    return holder is not None and seen.source.class_of(holder) is not None and bool(words_of(first) & ACTS)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


RULES = (
    Rule(
        "SG014",
        Severity.ERROR,
        "another system is called inside a transaction",
        "make it a step of its own, before or after the one that writes",
        "A transaction that rolls back takes its own rows back, and not the call. The effect stands, and the row that "
        "should tell of it is gone, so that its compensation finds nothing to do. And the lock is held as long as the "
        "other system takes to answer.",
        check=reaches_out_of_a_transaction,
    ),
    Rule(
        "SG015",
        Severity.ERROR,
        "the definition is another one in another process",
        "write the graph down as it is, and let a choose decide by the input",
        "Running sagas go on with the definition of their name and version. One whose graph depends on the "
        "environment, the clock or chance is refused by the next process, and its sagas stay on hold.",
        check=varying_definition,
    ),
    Rule(
        "SG036",
        Severity.WARNING,
        "one step has an effect and then records it",
        "make two steps of it, or record the intent in a step before; the journal keeps what a step returned",
        "Two effects in one step cannot be told apart when the process dies between them. The retry finds no record "
        "and, without a key, does it again.",
        check=effect_before_its_record,
    ),
    Rule(
        "SG037",
        Severity.ERROR,
        "what only decides calls another system",
        "ask in a read-only step before, and let the predicate look at its result",
        "Predicates, items, inputs and durations are called between attempts, without timeout, retry or key. One that "
        "raises puts the saga on hold.",
        check=deciders_act,
    ),
    Rule(
        "SG038",
        Severity.WARNING,
        "what only looks changes something",
        "drop read_only=True and give the step a compensation; let a probe only ask",
        "A read-only step is not undone, and a probe is asked at any time, also after the deadline. What they change "
        "stays changed.",
        check=lookers_act,
    ),
)
