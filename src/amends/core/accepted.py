"""`Accepted`: an answer that says "taken, not done yet", and how to ask for the end.

    @reserve_payment.compensation
    async def refund_payment(order: Order, payment: Payment | None, ctx: Context) -> Accepted | None:
        await bank.refund(key=ctx.idempotency_key, of=ctx.action_key)
        return Accepted(poll=refund_arrived, every="1h", until="7d")

    async def refund_arrived(ctx: Context) -> bool:
        return await bank.refund_state(ctx.idempotency_key) == "booked"

A poll answers as a probe does: the step's result, or True where there is none, when it is done; None or
False while it is not. `Accepted` again may change the rhythm; `Rejected` says that it was refused in the end.
Polls use up no attempts, and survive restarts: the journal keeps the function's name.

Rules of this file: a stored name never imports anything. It chooses among the functions that the code
of the step itself names, and so does an unknown one choose nothing.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ..errors import UsageError
from ..policies.durations import Duration, milliseconds
from .annotations import NONE, Annotation, bare
from .calls import Argument, Call, Source
from .context import Context
from .functions import innermost


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Returned by an action or a compensation: the participant took it, and is not done.

    Parameters:
        poll: a function of the same module, or beside the step, that asks whether it is done. It takes
            the Context, and of what the step's function takes whatever it names. Left out, the step's
            function itself is called again, under the same idempotency key; a `Rejected` of it then proves
            as little as that of any later attempt, unless it is conclusive.
        every: how long until the next poll, in seconds or as a text with a unit.
        until: how long to go on asking, counted from the first acceptance. After that an action's outcome
            is unknown, and a compensation is owed.
        token: plain JSON to ask by, such as the participant's own number; the poll reads `ctx.accepted`.

    Raises:
        UsageError: AM2001, a length of time is none, not above zero, or `until` no longer than `every`; AM2005,
            the poll is no function.
    """

    poll: Callable[..., Any] | None = None
    every: Duration = "1m"
    until: Duration = "30d"
    token: Any = None

    def __post_init__(self) -> None:
        for name in ("every", "until"):
            if milliseconds(getattr(self, name), what=f"Accepted({name}=)") < 1:
                raise UsageError(f"Accepted({name}={getattr(self, name)!r}): give more than zero", code="AM2001")
        if milliseconds(self.until) <= milliseconds(self.every):
            raise UsageError(
                f"Accepted(every={self.every!r}, until={self.until!r}): it would never be asked after; give more time",
                code="AM2001",
            )
        if self.poll is not None and not isinstance(self.poll, FunctionType):
            raise UsageError(f"Accepted(poll={self.poll!r}): give a plain function", code="AM2005")


def without_accepted(declared: Annotation) -> Annotation:
    """A step's declared result without `Accepted`: what it gives in the end."""
    if declared is Accepted:
        return Any
    arguments = typing.get_args(declared)
    if Accepted not in arguments:
        return declared
    rest = tuple(argument for argument in arguments if argument is not Accepted)
    return typing.Union[rest] if rest != (NONE,) else NONE


def name_of(call: Call, poll: Callable[..., Any]) -> str:
    """The name under which a restart will find the poll of a step's function again.

    Raises:
        UsageError: AM2005, it would not be found.
    """
    if any(found is poll for found in _named_by(call.function)):
        return f"{poll.__module__}:{poll.__qualname__}"
    raise UsageError(
        f"{call.where}: Accepted(poll={poll.__qualname__}) would not be found again after a restart; define it with a "
        f"name of its own, at module level or beside the step, and name it in the step's function itself",
        code="AM2005",
    )


def poll_of(call: Call, name: str) -> Call:
    """The poll of that name, its parameters wired as those of the step's function.

    Raises:
        UsageError: AM2005, the step's function names no such function (any more); AM2006, a parameter fits nothing.
    """
    for found in _named_by(call.function):
        if f"{found.__module__}:{found.__qualname__}" == name:
            return _wired(call, found)
    raise UsageError(
        f"{call.where}: it was accepted, and is to be polled by {name}, which its function does not name any more; "
        f"bring the function back, or resolve the step",
        code="AM2005",
    )


def _named_by(function: Callable[..., Any]) -> Iterator[FunctionType]:
    """The functions that a function's own code names: globals, cells, and attributes of modules and classes."""
    function = inspect.unwrap(innermost(function))
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        return
    known = dict(function.__globals__)
    for cell_name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            known[cell_name] = cell.cell_contents
        except ValueError:  # an empty cell: the name is bound later
            continue
    names = set(_names(function.__code__))
    for name in sorted(names & known.keys()):
        value = known[name]
        if isinstance(value, FunctionType):
            yield value
        elif isinstance(value, (ModuleType, type)):
            members = (vars(value).get(attribute) for attribute in sorted(names))
            yield from (member for member in members if isinstance(member, FunctionType))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _wired(call: Call, poll: FunctionType) -> Call:
    where = f"{call.where}, its poll {poll.__name__}"
    taken = {argument.name: argument for argument in call.wired}
    try:
        hints = typing.get_type_hints(poll)
    except Exception:  # names that only the step's module knows: then parameters go by their names
        hints = {}
    wired = []
    for name, parameter in inspect.signature(poll).parameters.items():
        argument = _argument(name, hints.get(name), taken)
        if argument is not None:
            wired.append(replace(argument, name=name, by_keyword=True))
        elif parameter.default is parameter.empty:
            raise UsageError(
                f'{where}: nothing fits its parameter "{name}"; it takes the Context ("{name}: Context") and the '
                f"parameters of the step's function, which are: {', '.join(taken) or 'none'}",
                code="AM2006",
            )
    return Call(poll, inspect.iscoroutinefunction(poll), where, tuple(wired))


def _argument(name: str, wanted: Annotation, taken: dict[str, Argument]) -> Argument | None:
    if wanted is not None and bare(wanted) is Context:
        return Argument(name, Source.CONTEXT)
    if name in taken:
        return taken[name]
    alike = [each for each in taken.values() if each.codec is not None and bare(each.codec.declared) == bare(wanted)]
    return alike[0] if wanted is not None and len(alike) == 1 else None
