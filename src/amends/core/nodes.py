"""The nodes of a saga's graph that are no steps: what `parallel`, `choose`, `each`, `call` and the others make.

Rules of this file: a node is a frozen value that says what its author wrote; what it means within
a saga is the compiler's matter. A tuple or list of nodes is a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, Union

from ..errors import DefinitionError
from ..limits import ITEMS_AT_A_TIME_MAX
from ..policies.durations import Duration
from .annotations import Annotation
from .functions import Function, calling_frame
from .steps import Step, check_name, fit, length

if TYPE_CHECKING:
    from .definition import Saga

T = TypeVar("T")

AnyStep: TypeAlias = Step[..., Any, Any]
AnyNode: TypeAlias = Union[
    AnyStep, "Parallel", "Choose", "Each", "Called", "FirstOf", "Wait[Any]", "Sleep", "tuple[AnyNode, ...]", "list[Any]"
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
class Each:
    """A copy of `nodes` for each item, `limit` at a time. `item` None: what `items` is declared to return."""

    items: Function
    nodes: tuple[AnyNode, ...]
    item: Annotation | None
    limit: int


@dataclass(frozen=True, slots=True)
class Called:
    """The nodes of another saga, in a scope of their own. `input` None: the input of what is around."""

    saga: Saga[Any, Any]
    name: str
    input: Function | None


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Alternatives of one result type, tried in their order. `name` "" for none."""

    nodes: tuple[AnyNode, ...]
    name: str


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
    for given in alternatives:
        if not isinstance(given, When):
            raise DefinitionError(f"choose() takes when(predicate, ...), not {given!r}", code="AM1104")
    return Choose(alternatives, otherwise)


def each(items: object, *nodes: AnyNode, item: Any = None, limit: int = 8) -> Each:
    """Run `nodes` once for each item, at most `limit` items at a time.

    Inside, a parameter named `item`, or annotated with the item's type, takes the item; keys and paths
    bear its number: `reserve[3]`. Its value is the list of the last node's results, in the items' order;
    later steps take it by that node's name. When an item fails, the saga turns back and undoes what was
    done of every item, from the last, as many at a time.

    Parameters:
        items: a plain `def` or lambda that returns the list; it is wired like a predicate and called once.
        nodes: what runs for each item, in order.
        item: the item's type; left out, what `items` is annotated to return (`list[Item]`), else plain JSON.
        limit: how many items run at a time. One that is parked keeps its place.

    Raises:
        DefinitionError: AM1103, there is no node; AM1108, `items` is no plain function; AM1402.
    """
    if not nodes:
        raise DefinitionError("each() has no node to run for an item; give it at least one", code="AM1103")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= ITEMS_AT_A_TIME_MAX:
        raise DefinitionError(
            f"each(limit={limit!r}): give a whole number from 1 to {ITEMS_AT_A_TIME_MAX}", code="AM1402"
        )
    return Each(fit(items, "the items of an each", calling_frame(), must_be_sync=True), nodes, item, limit)


def call(saga: Saga[Any, Any], input: object = None, *, name: str | None = None) -> Called:
    """Run another saga's nodes here: a scope of this saga, not a second one.

    Its steps run in this saga's journal, their paths behind the call's name: `ship/label`. Every check
    applies to the whole. Its status, deadline, version and follow-ups are those of a saga of its own
    and play no part here. Its value is the called saga's result, which later steps take by the call's
    name, or by type.

    Parameters:
        saga: what is called.
        input: a plain `def` or lambda that returns its input, wired like a predicate; left out, it takes
            the input of what is around, which must then be of its type.
        name: the path; left out, the called saga's name. Two calls of one saga need two names.

    Raises:
        DefinitionError: AM1101; AM1104, it is no Saga; AM1108, `input` is no plain function.
    """
    from .definition import Saga

    if not isinstance(saga, Saga):
        raise DefinitionError(f"call() takes a Saga, not {saga!r}", code="AM1104")
    own = saga.name if name is None else name
    check_name(own, "a call")
    fn = None if input is None else fit(input, "the input of a call", calling_frame(), must_be_sync=True)
    return Called(saga, own, fn)


def first_of(*nodes: AnyNode, name: str = "") -> FirstOf:
    """Try alternatives in their order, until one succeeds.

    The next is tried when one was rejected, or failed without effect; one whose outcome is unknown is
    undone first, and so is what an alternative of several steps had done before it failed. If that
    cannot be undone, the saga turns back. When none is left the saga turns back for the last one's
    reason. A parameter annotated `Refusals` tells why alternatives were given up.

    Parameters:
        nodes: any nodes, a tuple of nodes being one alternative; all give the same type of value.
        name: its path, which prefixes those of its steps (`payment/card`), and the name by which later
            steps take its value; left out, its steps keep their paths and its value is taken by type.

    Raises:
        DefinitionError: AM1101; AM1103, there is no alternative.
    """
    if not nodes:
        raise DefinitionError("first_of() has no alternative; give it at least one node", code="AM1103")
    if name:
        check_name(name, "a first_of")
    return FirstOf(nodes, name)


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
