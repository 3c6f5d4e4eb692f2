"""`Case`: what a saga is verified with: inputs, doubles of the participants, signals, and what must hold.

    class Bank: ...                                     # a double: what the saga's functions call

    case = Case(Order("o-1", 2), resources=[Bank, Stock], signals={"approval": Approval("ada")})

    @case.invariant
    def nothing_vanishes(stock: Stock) -> None:
        assert stock.free + stock.reserved == 10

    @case.state
    def what_counts(bank: Bank, stock: Stock):
        return bank.balance, stock.free

Rules of this file:
  * **Doubles are made anew for each run,** so no run sees what another did. Real services are reset there.
  * An invariant is asked when a saga has ended, however it went; it sees the doubles by their types, the input, and
    the saga's `SagaView`.
  * `state` is what the saga is about. A saga that is compensated must leave it as it was; one that completes must
    leave it as it does when all goes well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ...core.functions import Function, calling_frame, examine
from ...errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
Makers = Callable[[], Any] | Sequence[Callable[[], Any]]
Signals = Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]


class Case:
    """What a saga is verified with.

    Parameters:
        inputs: one input, or several; what only another input reaches is explored with that.
        resources: the doubles: a list of classes, or other callables, that make one each; or a function that returns
            several. Called before each run. What the saga does not ask for is there for the invariants.
        signals: the payload of each signal that the saga waits for, by name; or a function of the input that returns
            them.
        correlation: as `start` takes it.
        network: whether the functions use real sockets, to reach test services: they then run on an asyncio loop of
            their own, in real time, while virtual time stands still.
        error: makes the exception that a call raises when its answer is lost; a ConnectionError when left out. Give
            your client's own, if your functions look at it: `lambda: httpx.ReadTimeout("no answer")`.

    Raises:
        UsageError: AM2570, there is no input, or `resources` holds what cannot be called.
    """

    def __init__(
        self,
        *inputs: Any,
        resources: Makers = (),
        signals: Signals | None = None,
        correlation: Mapping[str, str] | None = None,
        network: bool = False,
        error: Callable[[], Exception] | None = None,
    ) -> None:
        if not inputs:
            raise UsageError("Case(): with which input? Give one, or several: Case(Order(...))", code="AM2570")
        for maker in () if callable(resources) else resources:
            if not callable(maker):
                raise UsageError(
                    f"Case(resources=): {maker!r} would be shared by all runs; give its class, or a function that "
                    f"makes it",
                    code="AM2570",
                )
        self.inputs = inputs
        self.correlation = dict(correlation or {})
        self.network = network
        self.error = error or (lambda: ConnectionError("no answer"))
        self.invariants: list[Function] = []
        self._makers = resources
        self._signals = signals or {}
        self._state: Function | None = None

    def invariant(self, function: F) -> F:
        """A decorator: what must hold whenever a saga has ended.

        The function's parameters take, by their types, the doubles, the input, and the saga's `SagaView`. It raises
        AssertionError, or returns False, when it does not hold.

        Raises:
            DefinitionError: AM1108, it is no plain function.
        """
        self.invariants.append(examine(function, "an invariant", calling_frame(), must_be_sync=True))
        return function

    def state(self, function: F) -> F:
        """A decorator: what the saga is about, as a value that can be compared.

        The function's parameters are an invariant's, but for the `SagaView`.

        Raises:
            DefinitionError: AM1108, it is no plain function.
        """
        self._state = examine(function, "a state", calling_frame(), must_be_sync=True)
        return function

    @property
    def has_state(self) -> bool:
        """Whether there is a function that gives the state."""
        return self._state is not None

    def doubles(self) -> list[object]:
        """Those of one run, made now. Raises UsageError: AM2570."""
        if not callable(self._makers):
            return [make() for make in self._makers]
        made = self._makers()
        if isinstance(made, (str, bytes, Mapping)) or not isinstance(made, Iterable):
            return [made]
        return list(made)

    def signals_for(self, given: Any) -> Mapping[str, Any]:
        """The payloads of signals, by name, for one input."""
        return self._signals(given) if callable(self._signals) else self._signals

    def state_of(self, doubles: Sequence[object], given: Any) -> Any:
        """What `state` says now; None when there is none."""
        return None if self._state is None else ask(self._state, [*doubles, given])


def ask(function: Function, known: Sequence[object]) -> Any:
    """Call a function of the case; its parameters take what is known, by type.

    Raises:
        UsageError: AM2570, a parameter fits nothing, or more than one thing.
        DefinitionError: AM1208, an annotation does not resolve.
    """
    given = {}
    for parameter in function.parameters({}, function.name):
        wanted = parameter.annotation
        fitting = [each for each in known if isinstance(wanted, type) and isinstance(each, wanted)]
        if len(fitting) != 1:
            types = ", ".join(dict.fromkeys(type(each).__name__ for each in known))
            what = f"{len(fitting)} of these fit it" if parameter.annotated else "annotate it"
            raise UsageError(f"{function.name}, parameter {parameter.name}: {what}; there are {types}", code="AM2570")
        given[parameter.name] = fitting[0]
    return function.call(**given)
