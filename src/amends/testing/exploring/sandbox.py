"""One run of a saga through one scenario: a world of its own, in which nothing lasts.

    a store in memory ◀── an orchestrator (a Machine, which may die and be replaced)
            │ each frame that lands                     │ calls
            ▼                                           ▼
    the simulator's monitor, which knows        the stage, and behind it the author's
    what must hold of every journal             functions, and the case's doubles

Rules of this file:
  * Time is virtual, ids and order come from fixed seeds: a scenario gives the same run each time.
  * There is an operator: what is parked is asked for again, once everything works again. So each run comes to an end,
    unless the definition itself keeps it from one.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from ...core import events as ev
from ...core.context import Context
from ...core.definition import Saga
from ...core.events import decode_frame
from ...core.graph import Kind
from ...core.places import split
from ...core.state import SagaState
from ...core.transitions import SagaStatus, StepStatus
from ...errors import AmendsError, UsageError
from ...runtime.orchestrator import Orchestrator
from ...runtime.views import HistoryEntry, SagaView
from ...stores.base import FrameRow
from ..simulation.chance import Chance
from ..simulation.clock import SimulatedClock
from ..simulation.invariants import Monitor
from ..simulation.loop import Machine, Stalled
from ..virtual import ALONE, VirtualLoop
from .case import Case
from .doubles import Taps
from .network import Network
from .running import Point
from .scenario import Scenario
from .staging import Stage, Staged
from .store import SandboxDatabase, SandboxStore
from .ways import ACTION, COMPENSATION, SLEEP, WAIT

if TYPE_CHECKING:
    from ..simulation.world import World

_PATIENCE_S = 400 * 86_400.0  # of virtual time, for the next thing to happen
_OPERATIONS_MAX = 3  # how often the operator asks for what is parked
_CHANCE = Chance(0)  # its marks are the simulator's; here nobody reads them
_OUTCOMES: dict[type, str] = {ev.ActionSucceeded: ACTION, ev.CompensationSucceeded: COMPENSATION}


@dataclass
class Ran:
    """What one run came to.

    Attributes:
        scenario: what it was to go through.
        points: the calls, waits and sleeps it came by.
        came: the texts of the faults that came about.
        state: the saga, as the journal has it.
        view: the saga, as users see it; None when it was never started.
        broken: promises of the engine that were broken.
        unending: why it came to no end, "" when it did.
        doubles: the case's doubles, as they stand at the end.
        given: the input.
        before, after: what the case's `state` said.
        others: what ran besides, on the same doubles.
        history: its journal, for people.
    """

    scenario: Scenario
    points: list[Point] = field(default_factory=list)
    came: list[str] = field(default_factory=list)
    state: SagaState | None = None
    view: SagaView | None = None
    broken: list[str] = field(default_factory=list)
    unending: str = ""
    doubles: list[object] = field(default_factory=list)
    given: Any = None
    before: Any = None
    after: Any = None
    others: list[Ran] = field(default_factory=list)
    history: list[HistoryEntry] = field(default_factory=list)


class Props:
    """What the runs of one saga have in common, and by which none sees another: it is only costly to make.

    Parameters:
        saga: the definition.
        case: what it runs with.

    Attributes:
        taps: taps the doubles.
        network: where functions run that use real sockets; None for in virtual time.
    """

    def __init__(self, saga: Saga[Any, Any], case: Case) -> None:
        self.saga = saga
        self.case = case
        self.taps = Taps()
        self.network = Network() if case.network else None
        self._idle: list[Staged] = []

    @contextlib.contextmanager
    def staged(self) -> Iterator[Staged]:
        """A definition behind a stage, for one run."""
        staged = self._idle.pop() if self._idle else Staged(self.saga)
        try:
            yield staged
        finally:
            self._idle.append(staged)


def _with_deadline(saga: Saga[Any, Any], deadline_ms: int) -> Saga[Any, Any]:
    own = copy.copy(saga)
    own.graph = msgspec.structs.replace(saga.graph, deadline_ms=deadline_ms)
    return own


class Sandbox:
    """The world of one run.

    Parameters:
        props: the saga and its case.
        staged: the definition, whose functions are called by way of a stage.
        scenario: what it goes through.
        doubles: those of another run, which this one shares; None makes them anew.
        seed: decides ids: 0, and another for a run beside it.
        beside: when another saga runs besides, of which no fault of the scenario speaks.
        told: whether its history is wanted.
        deadline_ms: of the saga, instead of its own; 0 for its own.
    """

    def __init__(
        self,
        props: Props,
        staged: Staged,
        scenario: Scenario,
        *,
        doubles: list[object] | None = None,
        seed: int = 0,
        beside: Literal["", "first", "last"] = "",
        told: bool = False,
        deadline_ms: int = 0,
    ) -> None:
        self.ran = ran = Ran(scenario)
        self._props = props
        self._saga = staged.saga if not deadline_ms else _with_deadline(staged.saga, deadline_ms)
        self._case = case = props.case
        self._beside = beside
        self._told = told
        ran.given = case.inputs[scenario.input - 1]
        ran.doubles = case.doubles() if doubles is None else doubles
        if doubles is None:
            ran.before = case.state_of(ran.doubles, ran.given)
            for double in ran.doubles:
                props.taps.on(double)
        self._store = self._store_for(ran.doubles)
        # From here on nothing is refused: the loop is one that `run` closes.
        rng = Random(seed)  # noqa: S311 -- it repeats a run
        self.loop = VirtualLoop(rng)
        self.links: dict[Machine, Any] = {}  # the monitor's: nobody here has a store at the end of a line
        self.leader: Machine | None = None
        self.chance = _CHANCE
        self._clock = SimulatedClock(self.loop, rng)
        self._monitor = Monitor(cast("World", self))
        self._stage = staged.stage = Stage(self, scenario, case.error, props.network)
        self._monitor.sagas[self._saga.name, self._saga.version] = self._saga
        self._orchestrator: Orchestrator | None = None
        self._saga_id = ""
        self._news: asyncio.Future[None] | None = None
        ran.points = self._stage.points

    def _store_for(self, doubles: Sequence[object]) -> SandboxStore:
        graph = self._saga.graph
        if not graph.atomic:
            return SandboxStore(self.landed)
        connection = next((each for each in doubles if isinstance(each, sqlite3.Connection)), None)
        if connection is None:
            steps = ", ".join(graph.nodes[index].path for index in graph.atomic)
            raise UsageError(
                f"{self._saga.name} has atomic steps ({steps}): let Case(resources=) make a sqlite3.Connection as "
                f"well, with the tables that they write to",
                code="AM2572",
            )
        return SandboxDatabase(self.landed, connection)

    def run(self) -> Ran:
        """Run it to its end."""
        ran = self.ran
        if self._beside == "first":
            self.run_another()
        try:
            with contextlib.suppress(Stalled):
                self.loop.run_until_complete(self._drive())
                self.loop.run_until_complete(self._look_back())
                return ran
            ran.unending = self._waits_for()
        finally:
            ran.came = [str(fault) for fault in self._stage.came]
            # What dead processes left behind was never heard of; nobody is to be warned of it.
            self.loop.set_exception_handler(lambda *_: None)
            self.loop.end()
        return ran

    # --- what happens in it -----------------------------------------------------------------------------

    async def _drive(self) -> None:
        operations = 0
        while True:
            state = self.ran.state
            if state is not None and state.finished:
                break
            if self.leader is None or self.leader.killed:
                self._boot()
            elif state is not None and state.status is SagaStatus.REQUIRES_MANUAL:
                operations += 1
                if operations > _OPERATIONS_MAX or not await self._operate():
                    break
                continue
            self._news = self.loop.create_future()
            await asyncio.wait([self._news], timeout=_PATIENCE_S)
            if not self._news.done():
                self.ran.unending = self._waits_for()
                return
            if self.ran.unending:
                return
        await self._stage.deliver_late()
        if self._beside == "last":
            self.run_another()

    def _boot(self) -> None:
        self.leader = machine = Machine(f"worker-{self.loop.time():.3f}")
        self._orchestrator = Orchestrator(
            self._store, sagas=[self._saga], resources=self.ran.doubles, clock=self._clock, **ALONE
        )
        self.loop.on(machine, self._open(machine, self._orchestrator))

    async def _open(self, machine: Machine, orchestrator: Orchestrator) -> None:
        try:
            await orchestrator.__aenter__()
            if self._saga_id:
                self._signal_waits()
                return
            handle = await orchestrator.start(
                self._saga, self.ran.given, correlation=self._case.correlation, key="verified"
            )
            self._saga_id = handle.id
        except AmendsError as error:
            self.ran.unending = f"it could not be started: {error}"
            self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _operate(self) -> bool:
        """Ask for what is parked, now that all works again; whether anything can be asked for."""
        self._stage.heal()
        machine, orchestrator = self.leader, self._orchestrator
        assert machine is not None
        assert orchestrator is not None
        self._monitor.watched[self._saga_id].asked["retry"] += 1
        task = self.loop.on(machine, orchestrator.retry(self._saga_id, reason="verify: all works again"))
        await asyncio.wait([task], timeout=60)
        return task.done() and task.exception() is None

    async def _look_back(self) -> None:
        orchestrator, ran = self._orchestrator, self.ran
        if ran.unending:
            return
        assert orchestrator is not None
        if self._told or self._case.invariants:
            ran.view = await orchestrator.get(self._saga_id)
        if self._told:
            ran.history = await orchestrator.history(self._saga_id)
        ran.after = self._case.state_of(ran.doubles, ran.given)

    # --- what the store tells ----------------------------------------------------------------------------

    def landed(self, rows: Sequence[FrameRow], decided: bool) -> None:
        """Frames are durable: they are checked, and what waits for them happens."""
        for row in rows:
            self._monitor.row(row, "", handing_over=not decided)
            watched = self._monitor.watched[row.saga_id]
            self.ran.state = watched.state
            self._saga_id = row.saga_id
            for event in decode_frame(row.body).events:
                self._event(watched.state, event)
        state = self.ran.state
        if state is not None and (state.finished or state.status is SagaStatus.REQUIRES_MANUAL):
            self._wake()

    def _event(self, state: SagaState, event: ev.Event) -> None:
        op = _OUTCOMES.get(type(event))
        if op is not None and self._stage.dies_at == (op, state.path_of(event.node)):  # type: ignore[attr-defined]
            self._stage.dies_at = None
            self.die()
        if isinstance(event, ev.Started):
            early = [fault for fault in self.ran.scenario.faults if fault.way == "signal-early"]
            for fault in early:
                self._stage.fault_of(fault.op, fault.path)
                self._signal(fault.path)
        if isinstance(event, (ev.WaitStarted, ev.SleepStarted)):
            self._rests(WAIT if isinstance(event, ev.WaitStarted) else SLEEP, state, event.node)

    def _rests(self, op: str, state: SagaState, slot: int) -> None:
        """A wait or a sleep has begun."""
        path = state.path_of(slot)
        self.ran.points.append(Point(op, path, 1, at_ms=int(self.loop.time() * 1_000)))
        fault = self._stage.fault_of(op, path)
        way = fault.way if fault is not None else ""
        if way == "cancelled":
            self.cancel()
        elif op == WAIT and way not in ("no-signal", "deadline"):
            self._signal(path)

    def _signal_waits(self) -> None:
        """After a death: the signals of waits that stand still; those that had come are there already."""
        state = self.ran.state
        assert state is not None
        faults = {fault.path: fault.way for fault in self.ran.scenario.faults if fault.op == WAIT}
        for index, slot in enumerate(state.slots):
            if slot is not None and slot.status is StepStatus.WAITING and state.nodes[index].kind is Kind.WAIT:
                path = state.path_of(index)
                if faults.get(path) not in ("no-signal", "deadline", "cancelled"):
                    self._signal(path)

    def _signal(self, path: str) -> None:
        signals = self._case.signals_for(self.ran.given)
        name = path if path in signals else split(path)[0].rpartition("/")[2]
        machine, orchestrator = self.leader, self._orchestrator
        if name not in signals or machine is None or orchestrator is None:
            return

        async def send() -> None:
            with contextlib.suppress(AmendsError):
                await orchestrator.signal(self._saga_id, path, signals[name], id=f"verify-{path}")

        self.loop.on(machine, send())

    def _waits_for(self) -> str:
        state = self.ran.state
        if self.ran.unending or state is None:
            return self.ran.unending or "it never began"
        waits = [
            state.path_of(index)
            for index, slot in enumerate(state.slots)
            if slot is not None and slot.status is StepStatus.WAITING
        ]
        names = [split(path)[0].rpartition("/")[2] for path in waits]
        missing = [name for name in names if name not in self._case.signals_for(self.ran.given)]
        if missing:
            return f"it waits for the signal {missing[0]}: give Case(signals={{{missing[0]!r}: ...}})"
        return f"it is {state.status}, and does not come to an end within {_PATIENCE_S / 86_400:.0f} days"

    # --- what the stage and the monitor ask of their world ---------------------------------------------------

    def die(self) -> None:
        """The process is dead; the next one boots when the driver hears of it."""
        machine = self.leader
        if machine is None or machine.killed:
            return
        machine.killed = True
        self._store.let_go()
        # Heard in the world outside, for the callbacks of a dead process do not run.
        self.loop.call_later(0.001, self._wake, context=contextvars.Context())

    def cancel(self) -> None:
        """Somebody cancels the saga, as long as that can be."""
        machine, orchestrator = self.leader, self._orchestrator
        assert machine is not None
        assert orchestrator is not None

        async def ask() -> None:
            with contextlib.suppress(AmendsError):
                await orchestrator.cancel(self._saga_id, reason="verify")

        self.loop.on(machine, ask())

    def past_deadline_s(self) -> float:
        """How long until the saga's deadline has passed."""
        state = self.ran.state
        assert state is not None
        return max(0, state.deadline - self._clock.now_ms()) / 1_000 + 0.01

    def run_another(self) -> None:
        """Another saga runs on the same doubles; this one's loop stands still meanwhile."""
        inputs = len(self._case.inputs)
        number = inputs if inputs > 1 and self.ran.scenario.input == 1 else 1
        mine = asyncio._get_running_loop()  # None in the thread of a plain function
        asyncio._set_running_loop(None)
        try:
            with self._props.staged() as staged:
                seed = len(self.ran.others) + 1
                other = Sandbox(self._props, staged, Scenario(number), doubles=self.ran.doubles, seed=seed)
                self.ran.others.append(contextvars.Context().run(other.run))
        finally:
            asyncio._set_running_loop(mine)

    def called(self, context: Context) -> None:
        """A call begins: its intent is durable, says the monitor, or a promise is broken."""
        self._monitor.called(context, self.leader, {})

    def violate(self, promise: str) -> None:
        """Told by the monitor: a promise of the engine is broken."""
        self.ran.broken.append(promise)

    def say(self, who: str, what: str) -> None:
        """The monitor's trace; here nobody keeps one."""
