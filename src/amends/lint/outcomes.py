"""Rules on what a function says of its outcome: failures that are swallowed, and a "no" that nobody said."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .calls import Seen, acts, calls_of, followed_by, seems_to_act, tables_written
from .findings import Hit, Place, Rule, Severity
from .source import Source, walk, wrappers_of
from .subject import Function, Subject
from .under_none import idle
from .words import GIVES, MONEY, TAKES, words_of

_BROAD = frozenset({"Exception", "BaseException"})
# What is raised when an answer is missing, or says that something went wrong: the call may have taken effect.
_UNKNOWN = _BROAD | {
    "OSError", "IOError", "ConnectionError", "ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError",
    "TimeoutError", "asyncio.TimeoutError", "socket.timeout",
    *(f"{client}.{name}" for client in ("httpx", "httpx2") for name in (
        "HTTPError", "RequestError", "TransportError", "TimeoutException", "ReadTimeout", "WriteTimeout", "ReadError",
        "WriteError", "NetworkError", "RemoteProtocolError", "HTTPStatusError",
    )),
    *(f"requests{inner}.{name}" for inner in ("", ".exceptions") for name in (
        "RequestException", "ConnectionError", "Timeout", "ReadTimeout", "HTTPError",
    )),
    "aiohttp.ClientError", "aiohttp.ServerTimeoutError", "aiohttp.ServerDisconnectedError",
    "aiohttp.client_exceptions.ClientError", "urllib.error.URLError",
}  # fmt: skip
_STATUS = frozenset({
    "raise_for_status", "status_code", "status", "ok", "is_success", "is_error", "is_client_error", "is_server_error",
    "reason_phrase", "reason",
})  # fmt: skip
_SERVER_ERROR = 500
_UNKNOWN_TYPES = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, TimeoutError)


def swallowed(subject: Subject) -> Iterator[Hit]:
    """SG016: a failure that the engine is not told of."""
    for act in subject.acts:
        if act.node.best_effort or act.node.read_only:
            continue
        for function in (act.action, act.compensation):
            if function is None:
                continue
            swallows = [
                *((function.source.at(node)[:1], what) for node, what in _swallowing(function.source)),
                *((function.source.at(node)[:1], what) for node, what in _swallowed_by_a_helper(function.source)),
                *_swallowed_by_a_decorator(function),
            ]
            for place, what in swallows:
                meaning = "is taken for done" if function.role == "compensation" else "is taken for success"
                yield Hit(
                    place + function.source.places,
                    act.path,
                    f'the {function.role} of "{act.path}" catches {what} and goes on: what failed, or may '
                    f"have, {meaning}",
                )


def earlier_attempt(subject: Subject) -> Iterator[Hit]:
    """SG016: a repetition that returns because it is one."""
    for act in subject.acts:
        for function in (act.action, act.compensation):
            if function is None or not function.context:
                continue
            for node in function.source.body:
                if not isinstance(node, ast.If) or not all(idle(each) for each in node.body):
                    continue
                counts = any(_is_attempt(each, function.context) for each in walk(node.test))
                if counts and isinstance(node.body[-1], ast.Return):
                    yield Hit(
                        function.source.at(node)[:1] + function.source.places,
                        act.path,
                        f'the {function.role} of "{act.path}" returns when it is repeated: the attempt before may not '
                        f"have come to anything",
                        "do it again under the same key, and let the participant tell the repetition",
                    )


def _is_attempt(node: ast.AST, context: str) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=name), attr="attempt"):
            return name == context
        case _:
            return False


def _swallowing(source: Source) -> Iterator[tuple[ast.AST, str]]:
    raises = [node.lineno for node in source.body if isinstance(node, ast.Raise)]
    for node in source.body:
        match node:
            case ast.ExceptHandler() if source.runs_itself(node):
                what = _caught(source, node.type)
                last = max(getattr(each, "lineno", 0) for each in walk(node))
                told = any(_tells(each) for each in walk(node)) or any(line > last for line in raises)
                if what and not told:
                    yield node, what
            case ast.Expr(value=ast.Await(value=ast.Call() as gather)) if _gathers(source, gather):
                yield gather, "every failure of asyncio.gather"
            case ast.With(items=items) | ast.AsyncWith(items=items):
                for item in items:
                    call = item.context_expr
                    if isinstance(call, ast.Call) and source.called(call) == "contextlib.suppress":
                        what = next((said for each in call.args if (said := _caught(source, each))), "")
                        if what:
                            yield call, what


def _swallowed_by_a_helper(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Calls of the author's own functions that swallow, when nobody looks at what they return."""
    for call in source.calls:
        helper = followed_by(source, call)
        outer = source.parents.get(call)
        outer = source.parents.get(outer) if isinstance(outer, ast.Await) else outer
        if helper is not None and isinstance(outer, ast.Expr) and source.runs_itself(call):
            what = next((what for _, what in _swallowing(helper)), "")
            verbs = [words_of(helper.called(each).rpartition(".")[2]) for each in helper.calls]
            if what and any(words & (GIVES | MONEY | TAKES) for words in verbs):  # and not an alert, or a metric
                yield call, f"{what} (in {ast.unparse(call.func)})"


def _swallowed_by_a_decorator(function: Function) -> Iterator[tuple[tuple[Place, ...], str]]:
    """Of the author's own decorators, what swallows; its place is the function's, for others may want it so."""
    for wrapper in wrappers_of(function.source.files, function.call.function):
        for _, what in _swallowing(wrapper):
            yield function.source.places[:1], f"{what} (in a decorator, line {wrapper.line})"


def _gathers(source: Source, call: ast.Call) -> bool:
    """Whether failures are returned instead of raised, to nobody."""
    return source.called(call) == "asyncio.gather" and any(
        each.arg == "return_exceptions" and isinstance(each.value, ast.Constant) and each.value.value
        for each in call.keywords
    )


def _tells(node: ast.AST) -> bool:
    """Whether a handler says that it failed, or that it is not done yet."""
    match node:
        case ast.Raise():
            return True
        case ast.Return(value=ast.Call(func=ast.Name(id="Accepted") | ast.Attribute(attr="Accepted"))):
            return True
        case _:
            return False


def _caught(source: Source, node: ast.expr | None) -> str:
    """What a handler catches that may hide an effect, as it is written; "" for nothing of the kind."""
    if node is None:
        return "everything"
    kinds = node.elts if isinstance(node, ast.Tuple) else [node]
    return next((ast.unparse(each) for each in kinds if source.dotted(each) in _UNKNOWN), "")


def no_that_nobody_said(subject: Subject) -> Iterator[Hit]:
    """SG029: an unknown outcome that is told as a refusal."""
    for act in subject.acts:
        if act.node.read_only:
            continue
        broad = [kind for kind in act.step.options.rejects if any(issubclass(each, kind) for each in _UNKNOWN_TYPES)]
        for kind in broad:
            yield Hit(
                act.places,
                act.path,
                f'step "{act.path}" has {kind.__name__} in rejects=: an answer that was lost is taken for "no", and '
                f"its effect is not undone",
            )
        for function in act.functions:
            for node, what, said in (*_claimed(function.source), *_claimed_by_a_helper(function.source)):
                yield Hit(
                    function.source.at(node)[:1] + function.source.places,
                    act.path,
                    f'the {function.role} of "{act.path}" raises {said} for {what}: the call may have taken effect, '
                    f"and is not undone",
                )


def _claimed(source: Source) -> Iterator[tuple[ast.AST, str, str]]:
    for handler in source.body:
        if not isinstance(handler, ast.ExceptHandler) or not (what := _caught(source, handler.type)):
            continue
        for statement in handler.body:  # below an `if` it looked what happened
            if isinstance(statement, ast.Raise) and statement.exc is not None:
                raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
                name = source.dotted(raised).rpartition(".")[2]
                if name in {"Rejected", "NotSent"} and not _answered(source, handler):
                    yield statement, what, name


def _claimed_by_a_helper(source: Source) -> Iterator[tuple[ast.AST, str, str]]:
    for call in source.calls:
        helper = followed_by(source, call)
        for _, what, said in _claimed(helper) if helper is not None else ():
            yield call, f"{what} (in {ast.unparse(call.func)})", said


def _answered(source: Source, handler: ast.ExceptHandler) -> bool:
    """Whether nothing can have been sent in the `try`: there is no call to wait for in it."""
    outer = source.parents.get(handler)
    body = outer.body if isinstance(outer, ast.Try) else []
    return not any(isinstance(node, (ast.Await, ast.Call)) for statement in body for node in walk(statement))


def refused_after_the_effect(subject: Subject) -> Iterator[Hit]:
    """SG029: a refusal that comes after the function itself has changed something."""
    for act in subject.acts:
        source = act.action.source
        if act.node.read_only or act.atomic:
            continue
        done = [seen.call for seen in calls_of(source, 0) if seems_to_act(seen) or tables_written(seen)]
        for node in source.body if done else ():
            if not isinstance(node, ast.Raise) or node.exc is None or not source.runs_itself(node):
                continue
            before = [call for call in done if call.lineno < node.lineno and not _answers(source, call, node)]
            if before and "Rejected" in ast.unparse(node.exc):
                yield Hit(
                    source.at(node)[:1] + source.places,
                    act.path,
                    f'"{act.path}" raises Rejected behind {ast.unparse(before[0].func)}, which has changed something '
                    f"by then: what is rejected is not undone",
                    "ask before it acts, or let it succeed and reject in a step behind it",
                    Severity.WARNING,
                )


def _answers(source: Source, call: ast.Call, raised: ast.Raise) -> bool:
    """Whether the refusal is the answer of that very call, or excludes it."""
    ours, theirs = list(source.around(raised)), list(source.around(call))
    for handler in (each for each in ours if isinstance(each, ast.ExceptHandler)):
        if source.parents.get(handler) in theirs:
            return True
    branches = [each for each in ours if isinstance(each, (ast.If, ast.Match))]
    if any(branch in theirs and not _within(branch, raised, call) for branch in branches):
        return True
    names = {
        node.id
        for each in branches
        for node in walk(each.test if isinstance(each, ast.If) else each.subject)
        if isinstance(node, ast.Name)
    }
    if any(node is call for each in branches for node in walk(each)):
        return True
    return any(node is call for name in names for value in source.assigned.get(name, ()) for node in walk(value))


def _within(branch: ast.AST, one: ast.AST, other: ast.AST) -> bool:
    """Whether two nodes stand in the same arm of a branch."""
    arms = (
        [branch.body, branch.orelse]
        if isinstance(branch, ast.If)
        else [each.body for each in getattr(branch, "cases", [])]
    )
    return any({id(one), id(other)} <= {id(node) for statement in arm for node in walk(statement)} for arm in arms)


def unseen_is_refused(subject: Subject) -> Iterator[Hit]:
    """SG029: a probe that takes "not seen" for "never will be"."""
    for act in subject.acts:
        source = act.probe.source if act.probe is not None else None
        if source is None or any("seal" in ast.unparse(call) for call in source.calls):
            continue
        for branch in source.body:
            if isinstance(branch, ast.If) and _is_unseen(branch.test):
                raised = next((each for each in branch.body if isinstance(each, ast.Raise)), None)
                if raised is not None and "Rejected" in ast.unparse(raised) and "conclusive" not in ast.unparse(raised):
                    yield Hit(
                        source.at(raised)[:1] + source.places,
                        act.path,
                        f'the probe of "{act.path}" raises Rejected when it sees nothing: the call may still be on its '
                        f"way, and is not undone",
                        "return None (or False) for what was not seen; reject what can never come any more",
                        Severity.WARNING,
                    )


def _is_unseen(test: ast.expr) -> bool:
    match test:
        case ast.Compare(ops=[ast.Is() | ast.Eq()], comparators=[ast.Constant(value=None | 404)]):
            return True
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name() | ast.Await() | ast.Call()):
            return True
        case _:
            return False


def every_status_refused(subject: Subject) -> Iterator[Hit]:
    """SG029: whatever is no success is told as a refusal, a 500 too."""
    for act in subject.acts:
        if act.node.read_only:
            continue
        for function in act.functions:
            branches = [node for node in function.source.body if isinstance(node, ast.If) and _no_success(node.test)]
            for branch in branches:
                raised = next((each for each in branch.body if isinstance(each, ast.Raise)), None)
                if raised and "Rejected" in ast.unparse(raised) and not _server_errors_gone(function, branch):
                    yield Hit(
                        function.source.at(raised)[:1] + function.source.places,
                        act.path,
                        f'the {function.role} of "{act.path}" raises Rejected for every status that is no success: '
                        f"behind a 500 the call may have taken effect, and is not undone",
                    )


def _no_success(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Attribute(attr="status_code" | "status"), ops=[ast.NotEq()]):
            return True
        case ast.Compare(
            left=ast.Attribute(attr="status_code" | "status"),
            ops=[ast.GtE() | ast.Gt()],
            comparators=[ast.Constant(value=int() as least)],
        ):
            return least < _SERVER_ERROR
        case ast.UnaryOp(op=ast.Not(), operand=ast.Attribute(attr="ok" | "is_success")):
            return True
        case ast.Attribute(attr="is_error"):
            return True
        case _:
            return False


def _server_errors_gone(function: Function, branch: ast.If) -> bool:
    """Whether a statement before it has seen to what the service itself failed at."""
    return any(
        getattr(node, "lineno", branch.lineno) < branch.lineno
        and (
            (isinstance(node, ast.Attribute) and node.attr in {"is_server_error", "raise_for_status"})
            or (isinstance(node, ast.Constant) and node.value in range(_SERVER_ERROR - 1, _SERVER_ERROR + 100))
        )
        for node in function.source.body
    )


def status_ignored(subject: Subject) -> Iterator[Hit]:
    """SG029: an answer of a service that nobody looks at."""
    for act in subject.acts:
        for function in (act.action, act.compensation) if act.has_effect else ():
            source = function.source if function else None
            if source is None or any(isinstance(node, ast.Attribute) and node.attr in _STATUS for node in source.body):
                continue
            for call in source.calls:
                if acts(Seen(source, call, call)) and _over_http(source.called(call)) and not _handed_on(source, call):
                    yield Hit(
                        source.at(call),
                        act.path,
                        f"the answer of {ast.unparse(call.func)} is not looked at: a 500 is taken for success",
                        "call raise_for_status(), and say by the status what is a business no (raise Rejected)",
                        Severity.WARNING,
                    )


def _over_http(name: str) -> bool:
    return name.partition(".")[0] in {"httpx", "httpx2", "requests", "aiohttp"} and "raise_for_status" not in name


def _handed_on(source: Source, call: ast.Call) -> bool:
    """Whether somebody else gets the response: it is returned, or given to a function."""
    node: ast.AST = call
    outer = source.parents.get(node)
    while isinstance(outer, ast.Await):
        node, outer = outer, source.parents.get(outer)
    match outer:
        case ast.Return() | ast.Call() | ast.keyword():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return any(_gives(each, name) for each in source.body)
        case ast.withitem(optional_vars=ast.Name(id=name)):
            return any(_gives(each, name) for each in source.body)
        case _:
            return False


def _gives(node: ast.AST, name: str) -> bool:
    given: list[ast.expr | None] = []
    if isinstance(node, ast.Call):
        given = [*node.args, *(each.value for each in node.keywords)]
    elif isinstance(node, ast.Return):
        given = [node.value]
    return any(isinstance(each, ast.Name) and each.id == name for each in given)


RULES = (
    Rule(
        "SG016",
        Severity.WARNING,
        "a failure is swallowed",
        "let it be raised: the engine retries, probes and undoes; raise Rejected only for a business no",
        "What a function returns is believed. A compensation that catches its failure and returns is *acknowledged*, "
        "and the saga is `compensated` while the effect stands.",
        check=lambda subject: (*swallowed(subject), *earlier_attempt(subject)),
    ),
    Rule(
        "SG029",
        Severity.ERROR,
        "an outcome is told that nobody knows",
        "raise Rejected for what the participant refused, NotSent for what provably never left, and let everything "
        "else be raised",
        "`Rejected` and `NotSent` vouch that there is no effect, so that nothing is undone. A timeout or a lost "
        "connection vouches for nothing: the call may have landed.",
        check=lambda subject: (
            *no_that_nobody_said(subject),
            *refused_after_the_effect(subject),
            *every_status_refused(subject),
            *unseen_is_refused(subject),
            *status_ignored(subject),
        ),
    ),
)
