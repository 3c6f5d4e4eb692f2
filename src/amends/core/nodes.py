"""The nodes of a saga's graph that are no steps: what `parallel`, `choose`, `when`, `wait_for`, `sleep` make.

Rules of this file: a node is a frozen value that says what its author wrote; what it means within
a saga is the compiler's matter. A tuple or list of nodes is a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar, Union

from ..errors import DefinitionError
from ..policies.durations import Duration
from .annotations import Annotation
from .functions import Function, calling_frame
from .steps import Step, check_name, fit, length

T = TypeVar("T")

AnyStep: TypeAlias = Step[..., Any, Any]
AnyNode: TypeAlias = Union[
    AnyStep, "Parallel", "Choose", "Wait[Any]", "Sleep", "tuple[AnyNode, ...]", "list[Any]"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parallel:
    """Branches that run beside each other; it ends when all have."""

    nodes: tuple[AnyNode, ...]


@dataclass(frozen=True, slots=True)
class When:
    """One alternative of a `choose`."""

    predicate: Function
    nodes: tuple[AnyNode, ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """The first alternative whose predicate is true, else `otherwise`."""

    alternatives: tuple[When, ...]
    otherwise: AnyNode


@dataclass(frozen=True, slots=True)
class Wait(Generic[T]):
    """A wait for a signal. `timeout_ms` 0 means none; `on_timeout` None means turning back."""

    name: str
    type: Annotation
    timeout_ms: int
    on_timeout: AnyNode | None


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause of `length_ms`, or of what `duration` computes."""

    length_ms: int
    duration: Function | None


def parallel(*nodes: AnyNode) -> Parallel:
    """Run `nodes` beside each other.

    Raises:
        DefinitionError: AM1103, there is none.
    """
    if not nodes:
        raise DefinitionError("parallel() has no branch; give it at least one node", code="AM1103")
    return Parallel(nodes)


def when(predicate: object, *nodes: AnyNode) -> When:
    """One alternative of a `choose`: `nodes` run when `predicate` is true.

    Parameters:
        predicate: a plain `def` or lambda; it is wired like a step and takes no Context.
        nodes: may be none, for "then nothing".

    Raises:
        DefinitionError: AM1108, the predicate is no plain function.
    """
    return When(fit(predicate, "a predicate", calling_frame(), must_be_sync=True), nodes)


def choose(*alternatives: When, otherwise: AnyNode = ()) -> Choose:
    """Take the first alternative whose predicate is true.

    Parameters:
        alternatives: made by `when`, tried in their order.
        otherwise: a node, or a tuple of nodes, for when none is true.

    Raises:
        DefinitionError: AM1103, there is no alternative; AM1104, one was not made by `when`.
    """
    if not alternatives:
        raise DefinitionError("choose() has no alternative; give it at least one when(...)", code="AM1103")
    for each in alternatives:
        if not isinstance(each, When):
            raise DefinitionError(f"choose() takes when(predicate, ...), not {each!r}", code="AM1104")
    return Choose(alternatives, otherwise)


def wait_for(
    name: str,
    type: type[T] | Any,
    *,
    timeout: Duration | None = None,
    on_timeout: AnyNode | Literal["turn_back"] = "turn_back",
) -> Wait[T]:
    """Wait for a signal; its payload is assigned under `name`, and by its type, as a step's result is.

    Parameters:
        name: the signal's name, and the wait's path.
        type: of the payload; `None` for a signal without one.
        timeout: how long, in seconds or as a text with a unit; None for ever.
        on_timeout: "turn_back", or the nodes that run instead; after these the saga goes on.

    Raises:
        DefinitionError: AM1101, AM1113, AM1401.
    """
    check_name(name, "a wait")
    where = f'wait_for "{name}"'
    timeout_ms = 0 if timeout is None else length(timeout, f"{where}: timeout=")
    if isinstance(on_timeout, str):
        if on_timeout != "turn_back":
            raise DefinitionError(f'{where}: on_timeout={on_timeout!r}; give "turn_back" or nodes', code="AM1104")
        return Wait(name, type, timeout_ms, None)
    if not timeout_ms:
        raise DefinitionError(f"{where}: on_timeout= has nodes, but there is no timeout; give timeout=", code="AM1113")
    return Wait(name, type, timeout_ms, on_timeout)


def sleep(duration: Duration | Any) -> Sleep:
    """Pause the saga, durably: a saga that sleeps for days holds no task.

    Parameters:
        duration: in seconds, as a text with a unit, or a plain function that computes one of these;
            it is wired like a step and takes no Context.

    Raises:
        DefinitionError: AM1108, AM1401.
    """
    if callable(duration):
        return Sleep(0, fit(duration, "a duration", calling_frame(), must_be_sync=True))
    return Sleep(length(duration, "sleep()"), None)
