"""A function of the author's, with what is needed to call it and to read its annotations later.

Annotations are resolved when a saga is built, not when a function is decorated: by then every
class of the module exists. Names are looked up where the function was written (its globals, kept
by the function), where it was decorated (kept here, so that classes local to a test or a factory
resolve, also under `from __future__ import annotations`), and where the saga is built.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType, SimpleNamespace
from typing import Any

from ..errors import DefinitionError
from .annotations import Annotation

EMPTY = inspect.Parameter.empty
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter with its annotation resolved; `annotation` is `EMPTY` when there is none."""

    name: str
    annotation: Annotation
    has_default: bool
    positional: bool  # may be passed by position
    keyword: bool  # may be passed by name

    @property
    def annotated(self) -> bool:
        """Whether it has an annotation."""
        return self.annotation is not EMPTY


@dataclass(frozen=True, slots=True)
class Function:
    """A callable that was found fit to be called by a saga.

    Attributes:
        call: the plain callable.
        name: its `__name__`, for messages and as a step's default name; "" when it has none.
        is_async: whether calling it makes a coroutine.
        names: what the decorating frame knew of the words in its annotations.
    """

    call: Callable[..., Any]
    name: str
    is_async: bool
    names: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def parameters(self, known: Mapping[str, Any], where: str) -> tuple[Parameter, ...]:
        """Its parameters, their annotations resolved; `known` are further names, `where` begins messages.

        Raises:
            DefinitionError: AM1208, an annotation does not resolve.
        """
        return tuple(
            Parameter(
                parameter.name,
                EMPTY
                if parameter.annotation is EMPTY
                else self._resolve(parameter.annotation, known, f'{where}, parameter "{parameter.name}"'),
                parameter.default is not EMPTY,
                parameter.kind is not parameter.KEYWORD_ONLY,
                parameter.kind is not parameter.POSITIONAL_ONLY,
            )
            for parameter in inspect.signature(self.call).parameters.values()
        )

    def returns(self, known: Mapping[str, Any], where: str) -> Annotation:
        """What it is declared to return; `Any` when it does not say.

        Raises:
            DefinitionError: AM1208, the annotation does not resolve.
        """
        annotation = inspect.signature(self.call).return_annotation
        return Any if annotation is EMPTY else self._resolve(annotation, known, f"{where}, its result")

    def _resolve(self, annotation: Any, known: Mapping[str, Any], where: str) -> Annotation:
        written_in = getattr(inspect.unwrap(innermost(self.call)), "__globals__", {})
        holder: Any = SimpleNamespace(__annotations__={"it": annotation})
        try:
            hints = typing.get_type_hints(holder, written_in, {**known, **self.names}, include_extras=True)
        except Exception as error:
            raise DefinitionError(
                f"{where}: the annotation {annotation!r} does not resolve ({error}); "
                f"import the name, or define it before the saga",
                code="AM1208",
            ) from error
        return hints["it"]


def examine(function: object, role: str, frame: FrameType, *, must_be_sync: bool = False) -> Function:
    """The `Function` of a callable of the author's.

    Parameters:
        function: what the author gave.
        role: what it is to be ("a step", "a predicate"); it stands in messages.
        frame: the author's frame, whose names may stand in the annotations.
        must_be_sync: a coroutine function is refused.

    Raises:
        DefinitionError: AM1108, it cannot serve as that.
    """
    if not callable(function):
        raise _unfit(f"{function!r} cannot be {role}: it is no function")
    name = getattr(function, "__name__", "") or ""
    shown = name or repr(function)
    inner = innermost(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise _unfit(f"{shown} cannot be {role}: it yields; return one value")
    is_async = inspect.iscoroutinefunction(inner)
    if is_async and must_be_sync:
        raise _unfit(f"{shown} cannot be {role}: it must be a plain `def`, for it only looks at what is known")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise _unfit(
            f"{shown} cannot be {role}: its parameters cannot be read ({error}); wrap it in a `def`"
        ) from error
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            star = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise _unfit(
                f"{shown} cannot be {role}: nothing can be wired to {star}{parameter.name}; name each parameter"
            )
    return Function(function, name, is_async, _kept_names(inner, frame))


def calling_frame(depth: int = 1) -> FrameType:
    """The frame of the caller's caller, or further out."""
    return sys._getframe(depth + 1)  # noqa: SLF001 -- there is no other way to see an author's local classes


def local_names(frame: FrameType) -> Mapping[str, Any]:
    """The frame's local names; none at module level, where functions keep their globals themselves."""
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def _kept_names(function: Any, frame: FrameType) -> Mapping[str, Any]:
    """Only the names that stand in annotations: keeping all would keep a test's whole frame alive."""
    if frame.f_locals is frame.f_globals:
        return {}
    try:
        annotations = inspect.unwrap(function).__annotations__.values()
    except (AttributeError, NameError):  # Python 3.14 evaluates late, with names of its own
        return {}
    words = {word for annotation in annotations for word in _WORD.findall(str(annotation))}
    return {name: value for name, value in frame.f_locals.items() if name in words}


def innermost(function: Any) -> Any:
    """The routine that runs in the end: behind a `partial`, or an object that is called like a function."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__


def _unfit(message: str) -> DefinitionError:
    return DefinitionError(message, code="AM1108")
