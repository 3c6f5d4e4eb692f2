"""`step`: a plain function becomes a step, and keeps working as a function.

Rules of this file:
  * a step's options are checked where they are written, so that the traceback points there;
  * the function's signature is kept for type checkers and for calls: in a unit test
    `await reserve_payment(order, ctx)` is the plain function;
  * a compensation or probe may be attached until the step stands in a saga, and no longer: the
    saga's structure was stored with running sagas;
  * `named` copies share their functions, so what is attached to one is attached to all.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from ..errors import DefinitionError, UsageError
from ..limits import PATH_CHARS_MAX
from ..policies.durations import Duration, milliseconds
from ..policies.retry import Retry
from .functions import Function, calling_frame, examine

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)  # a step of `Payment` is a step of `Payment | Accepted` too
F = TypeVar("F", bound=Callable[..., Any])

OnUnknown = Literal["undo", "park", "retry"]

ACTION_TIMEOUT = 30  # seconds; the same for compensations and probes
ACTION_RETRY = Retry(attempts=4)
COMPENSATION_RETRY = Retry(attempts=20, cap="5m")
PROBE_RETRY = Retry(attempts=4)

_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attached:
    """A compensation or a probe with its tuning; the timeout in milliseconds."""

    function: Function
    timeout_ms: int
    retry: Retry


@dataclass(slots=True)
class _Undoing:
    """What the copies of one step share. `saga` is the first saga that any of them stands in."""

    compensation: Attached | None = None
    probe: Attached | None = None
    saga: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What `step(...)` was told, checked; lengths in milliseconds, 0 meaning none."""

    timeout_ms: int
    retry: Retry
    rejects: tuple[type[Exception], ...]
    read_only: bool
    pivot: bool
    retriable: bool
    best_effort: bool
    on_unknown: OnUnknown
    key_ttl_ms: int
    atomic: bool
    expires_ms: int = 0


class Attacher(Protocol):
    """What `compensation(...)` and `probe(...)` with options return: a decorator that changes nothing."""

    def __call__(self, function: F, /) -> F:
        """Attach `function`, and return it."""


class Step(Generic[P, R, T_co]):
    """A function that is a step of sagas; made by `step`, and still callable as the function.

    `P` are the function's parameters, `R` is what a call of it returns (a coroutine, for an
    `async def`), and `T_co` is the step's result.

    Attributes:
        name: its path in a saga.
        action: the function, as the wiring reads it.
        options: what `step(...)` was told.
        function: the plain function.
    """

    def __init__(self, function: Callable[P, R], action: Function, name: str, options: Options) -> None:
        self.function = function
        self.action = action
        self.name = name
        self.options = options
        self._undoing = _Undoing()
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    @property
    def undo(self) -> Attached | None:
        """The compensation attached to it."""
        return self._undoing.compensation

    @property
    def prober(self) -> Attached | None:
        """The probe attached to it."""
        return self._undoing.probe

    def named(self, name: str) -> Step[P, R, T_co]:
        """The same step under another name, to stand a second time in one graph.

        Raises:
            DefinitionError: AM1101, the name is no path.
        """
        check_name(name, "a step")
        twin = copy.copy(self)
        twin.name = name
        return twin

    @overload
    def compensation(self, function: F, /) -> F: ...
    @overload
    def compensation(self, function: None = ..., /, *, timeout: Duration = ..., retry: Retry = ...) -> Attacher: ...
    def compensation(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        timeout: Duration = ACTION_TIMEOUT,
        retry: Retry = COMPENSATION_RETRY,
    ) -> Any:
        """Attach what makes the step good again; usable bare and with options. Returns the plain function.

        Parameters:
            timeout: of one attempt, in seconds or as a text with a unit.
            retry: how often, and how far apart, it is tried.

        Raises:
            DefinitionError: AM1108 to AM1110, AM1401, AM1402, AM1405.
        """
        if function is not None:
            return self._attach("compensation", function, calling_frame(), timeout, retry)
        return lambda given: self._attach("compensation", given, calling_frame(), timeout, retry)

    @overload
    def probe(self, function: F, /) -> F: ...
    @overload
    def probe(self, function: None = ..., /, *, timeout: Duration = ..., retry: Retry = ...) -> Attacher: ...
    def probe(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        timeout: Duration = ACTION_TIMEOUT,
        retry: Retry = PROBE_RETRY,
    ) -> Any:
        """Attach what settles an unknown outcome; usable bare and with options. Returns the plain function.

        It returns the step's result, or None for *not seen* (for a step that returns nothing: True
        or False), and raises `Rejected` when the action never took and never can take effect.

        Parameters:
            timeout: of one attempt, in seconds or as a text with a unit.
            retry: how often, and how far apart, it is tried.

        Raises:
            DefinitionError: AM1108 to AM1110, AM1401, AM1402, AM1405, AM1411.
        """
        if function is not None:
            return self._attach("probe", function, calling_frame(), timeout, retry)
        return lambda given: self._attach("probe", given, calling_frame(), timeout, retry)

    def seal(self, saga: str) -> None:
        """From now on nothing can be attached: the step stands in the saga of that name."""
        self._undoing.saga = self._undoing.saga or saga

    def _attach(
        self,
        what: Literal["compensation", "probe"],
        function: F,
        frame: FrameType,
        timeout: Duration,
        retry: Retry,
    ) -> F:
        where = f'step "{self.name}"'
        present = self._undoing.compensation if what == "compensation" else self._undoing.probe
        if self._undoing.saga:
            raise DefinitionError(
                f'{where}: the {what} comes too late, the step already stands in saga "{self._undoing.saga}"; '
                f"attach it before Saga(...)",
                code="AM1110",
            )
        if present is not None:
            raise DefinitionError(
                f"{where}: it has a {what} ({present.function.name}) already; make one function of the two",
                code="AM1109",
            )
        if self.options.atomic and what == "probe":
            raise DefinitionError(
                f"{where}: it is atomic, so its outcome is never unknown and there is nothing to find; drop the probe",
                code="AM1411",
            )
        if self.options.read_only:
            raise DefinitionError(
                f"{where}: it is read_only and has no effect to {'undo' if what == 'compensation' else 'find'}; "
                f"drop read_only=True or the {what}",
                code="AM1405",
            )
        attached = Attached(
            fit(function, f"the {what} of {where}", frame),
            length(timeout, f"{where}: {what}(timeout=)"),
            _checked_retry(retry, f"{where}: {what}(retry=)"),
        )
        if what == "compensation":
            self._undoing.compensation = attached
        else:
            self._undoing.probe = attached
        return function


class StepMaker(Protocol):
    """What `step(...)` with options returns: the decorator."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> Step[P, Coroutine[Any, Any, T], T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Step[P, T, T]: ...


@overload
def step(function: Callable[P, Coroutine[Any, Any, T]], /) -> Step[P, Coroutine[Any, Any, T], T]: ...
@overload
def step(function: Callable[P, T], /) -> Step[P, T, T]: ...
@overload
def step(
    *,
    name: str | None = ...,
    timeout: Duration = ...,
    retry: Retry = ...,
    rejects: tuple[type[Exception], ...] = ...,
    read_only: bool = ...,
    pivot: bool = ...,
    retriable: bool = ...,
    best_effort: bool = ...,
    on_unknown: OnUnknown = ...,
    key_ttl: Duration | None = ...,
    expires: Duration | None = ...,
    atomic: bool = ...,
) -> StepMaker: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: Duration = ACTION_TIMEOUT,
    retry: Retry = ACTION_RETRY,
    rejects: tuple[type[Exception], ...] = (),
    read_only: bool = False,
    pivot: bool = False,
    retriable: bool = False,
    best_effort: bool = False,
    on_unknown: OnUnknown = "undo",
    key_ttl: Duration | None = None,
    expires: Duration | None = None,
    atomic: bool = False,
) -> Any:
    """Make a step of a function; usable bare and with options.

    Parameters:
        name: its path in sagas; the function's own name when left out.
        timeout: of one attempt, in seconds or as a text with a unit.
        retry: how often, and how far apart, it is tried.
        rejects: exceptions that mean a business "no", as `Rejected` does.
        read_only: it has no effect, so there is nothing to undo.
        pivot: the point of no return.
        retriable: it stands after the pivot and is retried until it succeeds.
        best_effort: when it does not succeed the saga passes it, its result None.
        on_unknown: what follows an outcome that stays unknown: "undo", "park" or "retry".
        key_ttl: how long its participant remembers the idempotency key; None for ever.
        expires: how long until its effect lapses by itself, as an authorization does; None for never. It is
            undone all the same, so its compensation takes "it is gone already" for done.
        atomic: it writes to the store's own database, on the connection that it takes (`sqlite3` or `psycopg`), and
            those writes and its frame of the journal are one transaction. It is a plain `def`, and short: the
            worker's commits wait for it, and it is cut after `limits.ATOMIC_MS_MAX`.

    Raises:
        DefinitionError: AM1101, AM1108, AM14xx.
    """
    shown = f'step "{name or getattr(function, "__name__", "")}"' if name or function else "step"
    options = Options(
        length(timeout, f"{shown}: timeout="),
        _checked_retry(retry, f"{shown}: retry="),
        _checked_rejects(rejects, shown),
        read_only,
        pivot,
        retriable,
        best_effort,
        on_unknown,
        0 if key_ttl is None else length(key_ttl, f"{shown}: key_ttl="),
        atomic,
        0 if expires is None else length(expires, f"{shown}: expires="),
    )
    _check_options(options, shown)
    if function is not None:
        return _made(function, name, options, calling_frame())
    return lambda given: _made(given, name, options, calling_frame())


def check_name(name: object, what: str) -> None:
    """Refuse a name that could not stand in an idempotency key, or would be an option on the command line.

    Raises:
        DefinitionError: AM1101.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > PATH_CHARS_MAX:
        raise DefinitionError(
            f"{name!r} cannot be the name of {what}: it is part of idempotency keys, so write 1 to {PATH_CHARS_MAX} of "
            f"the ASCII letters, digits, '_', '.' and '-', with no '-' at its beginning",
            code="AM1101",
        )


def fit(function: object, role: str, frame: FrameType, *, must_be_sync: bool = False) -> Function:
    """As `functions.examine`, but a `Step` is refused: called from another function's place, it would be no step.

    Raises:
        DefinitionError: AM1108.
    """
    if isinstance(function, Step):
        raise DefinitionError(
            f'step "{function.name}" cannot be {role}; give a plain function (a step is one by its .function)',
            code="AM1108",
        )
    return examine(function, role, frame, must_be_sync=must_be_sync)


def length(duration: Duration, what: str) -> int:
    """The milliseconds of a duration above zero.

    Raises:
        DefinitionError: AM1401; `what` begins its message.
    """
    try:
        whole = milliseconds(duration, what=what)
    except UsageError as error:
        raise DefinitionError(error.message, code="AM1401") from error
    if whole == 0:
        raise DefinitionError(f"{what}: {duration!r} is no length of time; give more than zero", code="AM1401")
    return whole


def _made(function: Callable[..., Any], name: str | None, options: Options, frame: FrameType) -> Step[..., Any, Any]:
    if isinstance(function, Step):
        raise DefinitionError(
            f'step "{function.name}" is a step already; for a second one write {function.name}.named("other")',
            code="AM1108",
        )
    action = examine(function, "a step", frame)
    if options.atomic and action.is_async:
        raise DefinitionError(
            f'step "{name or action.name}": atomic=True and `async def`: it runs inside one transaction, where nothing '
            f"can be awaited; write a plain `def`",
            code="AM1410",
        )
    own = name or action.name
    if name is None and (not own or own == "<lambda>"):
        raise DefinitionError(f"{function!r} has no name to be a path; write step(name=...)", code="AM1108")
    check_name(own, "a step")
    return Step(function, action, own, options)


def _checked_retry(retry: object, what: str) -> Retry:
    if not isinstance(retry, Retry):
        raise DefinitionError(f"{what}: {retry!r} is no Retry; write Retry(attempts=4)", code="AM1402")
    return retry


def _checked_rejects(rejects: object, shown: str) -> tuple[type[Exception], ...]:
    types = rejects if isinstance(rejects, (tuple, list)) else (rejects,)
    for each in types:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise DefinitionError(f"{shown}: rejects= holds {each!r}, which is no Exception class", code="AM1402")
    return tuple(types)


_LASTS = {
    "read_only": "what has no effect has none that lapses",
    "pivot": "the point of no return cannot lapse, for nothing would make good what comes after it",
    "atomic": "what it writes into the store's own database stays there",
}


def _check_options(options: Options, shown: str) -> None:
    if options.on_unknown not in ("undo", "park", "retry"):
        raise DefinitionError(
            f'{shown}: on_unknown={options.on_unknown!r} is none of "undo", "park", "retry"', code="AM1403"
        )
    told = [name for name in ("read_only", "pivot", "retriable", "best_effort", "atomic") if getattr(options, name)]
    for first, second, why in (
        ("read_only", "pivot", "what has no effect is no point of no return"),
        ("pivot", "best_effort", "the point of no return cannot be passed over"),
        ("pivot", "retriable", "the pivot decides, and what is retried until it succeeds comes after it"),
        ("retriable", "best_effort", "one is retried until it succeeds, the other is passed over"),
        ("read_only", "atomic", "what writes nothing needs no transaction"),
    ):
        if first in told and second in told:
            raise DefinitionError(f"{shown}: {first}=True and {second}=True: {why}; keep one", code="AM1404")
    if options.best_effort and options.on_unknown == "park":
        raise DefinitionError(
            f'{shown}: best_effort=True passes what is unknown, on_unknown="park" stops at it; keep one', code="AM1404"
        )
    lasting = next((name for name in ("read_only", "pivot", "atomic") if name in told), "")
    if options.expires_ms and lasting:
        raise DefinitionError(f"{shown}: expires= and {lasting}=True: {_LASTS[lasting]}; drop one", code="AM1404")
    if options.atomic and (options.on_unknown != "undo" or options.key_ttl_ms):
        raise DefinitionError(
            f"{shown}: atomic=True: its outcome is never unknown, and no participant has to remember its key; "
            f"drop {'on_unknown=' if options.on_unknown != 'undo' else 'key_ttl='}",
            code="AM1404",
        )
