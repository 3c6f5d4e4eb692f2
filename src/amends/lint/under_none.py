"""What a compensation does when the step's own result is None: a reading of its statements under that assumption.

Rules of this file: a test that is not about the result may go either way; what cannot be told counts as something
done, so that nothing is claimed of code that is not understood.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from .source import Source
from .words import words_of


class Ends(Enum):
    """How a way through the function ends."""

    GOES_ON = 0
    RETURNS = 1
    RAISES = 2


@dataclass
class Reading:
    """What was read so far.

    Attributes:
        nothing: the names that are None, or false.
        acts: whether anything was done, or might have been.
        raised: the expression that cannot be evaluated when the result is None.
        leaves: the statement that returned before anything was done.
    """

    source: Source
    nothing: set[str]
    acts: bool = False
    raised: ast.AST | None = None
    leaves: ast.AST | None = field(default=None)


def read(source: Source, name: str) -> Reading:
    """Read a function with its parameter `name` being None."""
    reading = Reading(source, {name})
    body = source.tree.body if source.tree is not None and isinstance(source.tree.body, list) else []
    ends = _statements(reading, body)
    if ends is Ends.GOES_ON and reading.leaves is None and body:
        reading.leaves = body[-1]
    return reading


def idle(statement: ast.stmt) -> bool:
    """Whether a statement does nothing: it passes, returns a constant, or only logs."""
    match statement:
        case ast.Pass() | ast.Return(value=None | ast.Constant()):
            return True
        case ast.Expr(value=value):
            return isinstance(value, ast.Constant) or _logs(value)
        case _:
            return False


def _logs(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    words: frozenset[str] = frozenset()
    while isinstance(function, ast.Attribute):
        words |= words_of(function.attr)
        function = function.value
    words |= words_of(function.id) if isinstance(function, ast.Name) else frozenset()
    return bool(words & {"log", "logger", "logging"})


def _statements(reading: Reading, body: Sequence[ast.stmt]) -> Ends:
    for statement in body:
        ends = _statement(reading, statement)
        if ends is not Ends.GOES_ON:
            return ends
    return Ends.GOES_ON


def _statement(reading: Reading, statement: ast.stmt) -> Ends:
    if idle(statement) and not isinstance(statement, ast.Return):
        return Ends.GOES_ON
    match statement:
        case ast.If(test=test, body=body, orelse=orelse):
            return _branches(reading, test, body, orelse)
        case ast.Return(value=value):
            if value is not None:
                _evaluate(reading, value)
            if not reading.acts and reading.raised is None:
                reading.leaves = reading.leaves or statement
            return Ends.RETURNS
        case ast.Raise():
            if not reading.acts and "Rejected" not in ast.unparse(statement):  # who refuses says so knowingly
                reading.raised = reading.raised or statement
            return Ends.RAISES
        case ast.Assert(test=test):
            if _truth(reading, test) is False:
                reading.raised = reading.raised or statement
                return Ends.RAISES
            _evaluate(reading, test)
        case ast.Assign(targets=[ast.Name(id=target)], value=value):
            _evaluate(reading, value)
            (reading.nothing.add if _truth(reading, value) is False else reading.nothing.discard)(target)
        case ast.Try(body=body, finalbody=final):
            ends = _statements(reading, body)
            return ends if ends is not Ends.GOES_ON else _statements(reading, final)
        case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
            for item in items:
                _evaluate(reading, item.context_expr)
            return _statements(reading, body)
        case ast.For(iter=items) | ast.AsyncFor(iter=items) if _truth(reading, items) is False:
            pass
        case ast.For() | ast.AsyncFor() | ast.While() | ast.Match():
            reading.acts = True
        case _:
            for child in ast.iter_child_nodes(statement):
                if isinstance(child, ast.expr):
                    _evaluate(reading, child)
    return Ends.RAISES if reading.raised is not None else Ends.GOES_ON


def _branches(reading: Reading, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> Ends:
    truth = _truth(reading, test)
    _evaluate(reading, test)
    if truth is not None:
        return _statements(reading, body if truth else orelse)
    ways = []
    for branch in (body, orelse):
        before = set(reading.nothing)
        ways.append(_statements(reading, branch))
        reading.nothing &= before
    return ways[0] if ways[0] is ways[1] else Ends.GOES_ON


def _truth(reading: Reading, node: ast.expr) -> bool | None:
    """Whether an expression is true, false, or may be either."""
    match node:
        case ast.Constant(value=value):
            return bool(value)
        case ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]):
            return False
        case ast.Name(id=name):
            return False if name in reading.nothing else None
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            truth = _truth(reading, operand)
            return None if truth is None else not truth
        case ast.Compare(left=ast.Name(id=name), ops=[operator], comparators=[ast.Constant(value=None)]):
            known = name in reading.nothing
            return isinstance(operator, (ast.Is, ast.Eq)) if known else None
        case ast.IfExp(test=test, body=body, orelse=orelse):
            truth = _truth(reading, test)
            return None if truth is None else _truth(reading, body if truth else orelse)
        case ast.BoolOp(op=operator, values=values):
            decides = isinstance(operator, ast.Or)
            found = [_truth(reading, each) for each in values]
            if decides in found:
                return decides
            return None if None in found else not decides
        case _:
            return None


def _evaluate(reading: Reading, node: ast.expr) -> None:
    """What evaluating an expression comes to; what is not reached in it does not count."""
    match node:
        case ast.Attribute(value=ast.Name(id=name)) | ast.Subscript(value=ast.Name(id=name)):
            if name in reading.nothing:
                reading.raised = reading.raised or node
        case ast.IfExp(test=test, body=body, orelse=orelse):
            truth = _truth(reading, test)
            _evaluate(reading, test)
            for branch in [body, orelse] if truth is None else [body if truth else orelse]:
                _evaluate(reading, branch)
        case ast.BoolOp(op=operator, values=values):
            for value in values:
                _evaluate(reading, value)
                if _truth(reading, value) is isinstance(operator, ast.Or):
                    break
        case ast.Call():
            for child in ast.iter_child_nodes(node):
                _evaluate(reading, child.value if isinstance(child, ast.keyword) else child)  # type: ignore[arg-type]
            if reading.raised is None and not _logs(node):
                reading.acts = True
        case ast.Lambda():
            pass
        case _:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, (ast.expr, ast.keyword, ast.comprehension)):
                    _evaluate(reading, child)  # type: ignore[arg-type]
