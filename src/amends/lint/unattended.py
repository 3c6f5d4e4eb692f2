"""The rule on work that a function begins and does not wait for."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from .findings import Hit, Rule, Severity
from .source import Source, function_of
from .subject import Function, Subject

_TASKS = frozenset({"asyncio.create_task", "asyncio.ensure_future"})
_STARTS = ("().create_task", "().run_in_executor", "Executor().submit")


def left_alone(subject: Subject) -> Iterator[Hit]:
    """SG039: work that the function does not wait for."""
    for act in subject.acts:
        for function in act.functions:
            for call, what in _left(function):
                yield Hit(
                    function.source.at(call), act.path, f'the {function.role} of "{act.path}" {what}: it ends, and is '
                    f"journalled, whatever becomes of that",
                )  # fmt: skip


def _left(function: Function) -> Iterator[tuple[ast.Call, str]]:
    source = function.source
    for call in source.calls:
        if not _unused(source, call):
            continue
        name, shown = source.called(call), ast.unparse(call.func)
        begins = (
            name.endswith(("().create_task", "().run_in_executor", "Executor().submit")) and "TaskGroup" not in name
        )
        if name in _TASKS or begins or name.endswith("get_event_loop().run_in_executor"):
            yield call, f"starts something with {shown} and does not wait for it"
        elif name.endswith("Thread().start"):
            yield call, "starts a thread and does not wait for it"
        elif source.is_async and _is_coroutine_function(source, call):
            yield call, f"calls {shown} without await, so that it never runs"


def _unused(source: Source, call: ast.Call) -> bool:
    """Whether nobody takes what a call returns, or only to hang something on it."""
    match source.parents.get(call):
        case ast.Expr():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            uses = [node for node in source.body if isinstance(node, ast.Name) and node.id == name]
            loads = [node for node in uses if isinstance(node.ctx, ast.Load)]
            return all(
                isinstance(outer := source.parents.get(node), ast.Attribute) and outer.attr == "add_done_callback"
                for node in loads
            )
        case _:
            return False


def _is_coroutine_function(source: Source, call: ast.Call) -> bool:
    return inspect.iscoroutinefunction(function_of(source.object_of(call.func)))


RULES = (
    Rule(
        "SG039",
        Severity.ERROR,
        "a function does not wait for what it began",
        "await it",
        "A step has succeeded when its function returns. What it left running may fail afterwards, and nobody knows; "
        "what was never awaited never ran.",
        check=left_alone,
    ),
)
