"""The case's doubles, tapped: each call that a saga's function makes of one is a point at which something may go wrong.

    CALLING     the call of a saga's function that runs in this context, or None
    Taps().on   from now on the object's public methods tell that call when they begin and when they have ended

Rules of this file:
  * The object stays what it is; only its class becomes a subclass made for that, so that `isinstance` and attributes
    are as before. An object that allows no such thing is left as it is.
  * What a double calls of itself, or of another double, is its own business: only the outermost call is a point.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from types import FunctionType
from typing import Any, Protocol


class Caller(Protocol):
    """A call of a saga's function, told of the calls it makes."""

    async def begins(self, name: str) -> int:
        """A call of a double begins; its number. Raises what is to go wrong."""

    async def ended(self, number: int) -> None:
        """It has ended well. Raises what is to go wrong."""

    def begins_now(self, name: str) -> int:
        """`begins`, where nothing can be awaited."""

    def ended_now(self, number: int) -> None:
        """`ended`, where nothing can be awaited."""


CALLING: ContextVar[Caller | None] = ContextVar("amends_calling", default=None)


class Taps:
    """Taps doubles; one for an exploration, for it keeps the classes that it made."""

    def __init__(self) -> None:
        self._made: dict[type, type | None] = {}

    def on(self, double: object) -> bool:
        """Tap an object, for good; whether that can be done."""
        kind = type(double)
        if kind not in self._made:
            self._made[kind] = _tapped(kind)
        tapped = self._made[kind]
        if tapped is None:
            return False
        try:
            double.__class__ = tapped
        except TypeError:  # of a layout that lets no other class in
            return False
        return True


def _tapped(kind: type) -> type | None:
    """A subclass whose public methods tell; None for a class that has none, or that allows no subclass."""
    methods: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        for name, member in vars(base).items():
            if isinstance(member, FunctionType) and (not name.startswith("_") or name == "__call__"):
                methods[name] = _telling(name, member)
    if not methods:
        return None
    own = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    try:
        return type(kind)(kind.__name__, (kind,), methods | own)
    except Exception:
        return None


def _telling(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            caller = CALLING.get()
            if caller is None:
                return await method(*args, **kwargs)
            number = await caller.begins(name)
            CALLING.set(None)
            try:
                answer = await method(*args, **kwargs)
            finally:
                CALLING.set(caller)
            await caller.ended(number)
            return answer

        return awaited

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        caller = CALLING.get()
        if caller is None:
            return method(*args, **kwargs)
        number = caller.begins_now(name)
        CALLING.set(None)
        try:
            answer = method(*args, **kwargs)
        finally:
            CALLING.set(caller)
        caller.ended_now(number)
        return answer

    return called
