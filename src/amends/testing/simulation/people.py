"""Those who use the orchestrators: clients that start sagas, people that act on them.

In the wild part they do anything at any time. In the quiet part one operator ends what is parked, so
that every saga must reach its end.

Rules of this file: a person who says "done" or "not done" has looked, and has made it true at the
participant first; how the saga moves meanwhile, nobody can know.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.graph import Kind
from ...core.state import SagaState
from ...core.transitions import STUCK, SagaStatus, StepStatus
from ...errors import Conflict, KeyConflict, NotFound, SagaCompensated, SagaFailed, StoreError, UsageError
from ...runtime.orchestrator import Orchestrator
from .functions import Order
from .hosts import Host, Unanswered
from .loop import this_machine
from .sagas import Made

if TYPE_CHECKING:
    from .invariants import Watched
    from .world import World

_REFUSALS = (Conflict, NotFound, UsageError)


class People:
    """Clients, people and the operator of one world.

    Parameters:
        world: where they live.
        hosts: whom they ask.
        made: the sagas they start.
    """

    def __init__(self, world: World, hosts: list[Host], made: list[Made]) -> None:
        self._world = world
        self._hosts = hosts
        self._made = {each.saga.name: each for each in made}
        self._rng = world.chance.stream("people")
        self._numbers = 0
        self.acknowledged: dict[str, str] = {}  # saga id -> its start key
        self.by_key: dict[tuple[str, str], tuple[str, int]] = {}  # (saga, key) -> (saga id, the input's number)

    # --- starting --------------------------------------------------------------------------------------

    async def start_some(self, count: int) -> None:
        """Start sagas, with keys, with keys again, and with a key's wrong input."""
        rng = self._rng
        for _ in range(count):
            await asyncio.sleep(rng.uniform(0, 2))
            name = rng.choice(sorted(self._made))
            key = f"k{rng.randint(1, 3)}" if rng.random() < 0.6 else None
            number = rng.randint(0, 15)
            if key is not None and rng.random() < 0.8:
                number = len(name) + int(key[1:])
            self._world.loop.on(None, self._start(name, number, key))

    async def _start(self, name: str, number: int, key: str | None) -> None:
        world, host = self._world, self._rng.choice(self._hosts)
        saga = self._made[name].saga
        try:
            handle = await host.ask(lambda o: o.start(saga, Order(number), key=key, correlation={"n": str(number)}))
        except KeyConflict:
            world.chance.mark("key conflict")
            known = self.by_key.get((name, key or ""))
            if known is not None and known[1] == number:
                world.violate(f"S7: a key conflict for the same input of {name} {key}")
            return
        except (Unanswered, StoreError):
            return
        world.say("client", f"started {name} {key}: {handle.id[-6:]}")
        if handle.id not in world.monitor.watched:
            world.violate(f"S6: the start of {handle.id[-6:]} was acknowledged and is not in the store")
        if key is not None:
            known = self.by_key.setdefault((name, key), (handle.id, number))
            if known[0] != handle.id or known[1] != number:
                world.violate(f"S7: the key {key} of {name} gave two sagas, or took two inputs")
            if handle.id in self.acknowledged:
                world.chance.mark("start joined by its key")
        self.acknowledged[handle.id] = key or ""
        await self._watch(host, handle.id)

    async def _watch(self, host: Host, saga_id: str) -> None:
        """Await the result, and hold it against the journal."""
        world = self._world
        state = world.monitor.watched[saga_id].state
        try:
            await host.ask(lambda o: o.handle(saga_id).result(), patience_s=1_000)
        except Unanswered:
            return
        except SagaCompensated:
            promised = SagaStatus.COMPENSATED
        except SagaFailed as error:
            promised = SagaStatus(error.status)
            if promised is SagaStatus.REQUIRES_MANUAL:
                return
        except StoreError:
            return
        else:
            promised = SagaStatus.COMPLETED
        if state.status is not promised:
            world.violate(f"saga {saga_id[-6:]}: result() says {promised}, and the journal says {state.status}")

    # --- acting, at any time ---------------------------------------------------------------------------

    async def meddle(self, length_s: float) -> None:
        """Signals and verbs at random."""
        world, rng = self._world, self._rng
        until = world.loop.time() + length_s
        while world.loop.time() < until:
            await asyncio.sleep(rng.uniform(0, 1.2))
            known = sorted(world.monitor.watched)
            if known:
                world.loop.on(None, self._meddle_with(rng.choice(known)))

    async def _meddle_with(self, saga_id: str) -> None:
        rng, chance = self._rng, self._world.chance
        watched = self._world.monitor.watched[saga_id]
        host = rng.choice(self._hosts)
        pivot = watched.state.pivot >= 0 and not watched.state.committed
        if pivot and chance.fires("people.cancel_pivot", 0.6):
            await self._ask(host, "cancel", watched)
        elif rng.random() < 0.5:
            await self._signal(host, watched)
        elif chance.fires("people.cancel"):
            await self._ask(host, "cancel", watched)
        elif chance.fires("people.pause"):
            await self._ask(host, "resume" if watched.state.paused else "pause", watched)
        elif watched.state.paused:
            await self._ask(host, "resume", watched)
        elif chance.fires("people.retry"):
            await self._ask(host, "retry", watched)
        elif chance.fires("people.end"):
            await self._end_something(host, watched)

    async def _signal(self, host: Host, watched: Watched, *, wanted: bool = False) -> None:
        """A signal: any, or one that a wait of the saga waits for."""
        state = watched.state
        names = self._made[watched.saga.name].signals
        if wanted:
            waits = [index for index in range(len(state.slots)) if _waits(state, index)]
            names = tuple(self._rng.choice((state.nodes[index].signal, state.path_of(index))) for index in waits)
        if not names:
            return
        name = self._rng.choice(names)
        self._numbers += 1
        number, saga_id = self._numbers, watched.state.saga_id
        signal_id = f"g{number}"
        try:
            done = await host.ask(lambda o: o.signal(saga_id, name, {"value": number}, id=signal_id))
        except (*_REFUSALS, Unanswered, StoreError):
            return
        if done and signal_id not in watched.signals:
            self._world.violate(f"S6: signal {signal_id} of {saga_id[-6:]} was acknowledged and is not in the journal")

    async def _ask(self, host: Host, verb: str, watched: Watched, **more: Any) -> bool:
        """One verb; whether it was applied."""
        saga_id = watched.state.saga_id
        self._world.say("person", f"{verb} {saga_id[-6:]} {more or ''}")
        watched.asked[verb] += 1
        try:
            if not await host.ask(lambda o: self._acted(o, verb, saga_id, **more)):
                return False
            watched.answered[verb] += verb != "cancel"  # which says yes also when it turns back already
            if watched.answered[verb] > watched.applied[verb]:
                self._world.violate(f"S6: {verb} of {saga_id[-6:]} was acknowledged and is not in the journal")
            return True
        except _REFUSALS as error:
            self._world.say("person", f"{verb} {saga_id[-6:]} refused: {error}")
        except (Unanswered, StoreError):
            pass
        return False

    async def _acted(self, orchestrator: Orchestrator, verb: str, saga_id: str, **more: Any) -> bool:
        """On the machine: a verb. Who knows that its lease is over must not refuse from what it remembers."""
        machine = this_machine()
        assert machine is not None
        led = orchestrator.leading  # else the refusal comes out of the inbox, from whoever leads
        try:
            applied: bool = await getattr(orchestrator, verb)(saga_id, reason="simulated", **more)
        except Conflict:
            late = self._world.loop.time() > self._world.links[machine].begin_until
            if late and led and orchestrator.leading and machine is not self._world.leader:
                self._world.violate(f"{verb} of {saga_id[-6:]} is refused by one whose lease is over")
            raise
        return applied

    # --- ending what is parked -------------------------------------------------------------------------

    async def operate(self, host: Host) -> None:
        """One round over all sagas: whatever waits for a person is looked at."""
        for _, watched in sorted(self._world.monitor.watched.items()):
            state = watched.state
            if state.finished:
                continue
            if state.paused:
                await self._ask(host, "resume", watched)
            elif state.stuck:
                await self._end_something(host, watched)
            else:
                await self._signal(host, watched, wanted=True)

    async def _end_something(self, host: Host, watched: Watched) -> None:
        """Retry, or make one parked step true and say so, or skip it."""
        state, rng = watched.state, self._rng
        parked = [index for index in range(len(state.slots)) if state.status_of(index) in STUCK]
        if any(state.nodes[index].kind is Kind.WAIT for index in parked):
            # Else a wait that is longer than the deadline parks for ever.
            await self._signal(host, watched, wanted=True)
        parked = [index for index in parked if state.nodes[index].kind is Kind.STEP]
        if not parked or rng.random() < 0.4:
            if (
                state.stuck
                and not await self._ask(host, "retry", watched)
                and not state.committed
                and rng.random() < 0.3
            ):
                await self._ask(host, "cancel", watched)
            return
        await self._end(host, watched, rng.choice(parked))

    async def _end(self, host: Host, watched: Watched, index: int) -> None:
        """Make one parked step true and say so, or skip it."""
        state, rng = watched.state, self._rng
        node, path = state.nodes[index], state.path_of(index)
        spec = self._made[watched.saga.name].specs[node.path.rsplit("/", 1)[-1]]
        key = f"{state.saga_id}/{path}/action"
        participants = self._world.participants
        if state.turned(index):
            if state.back and rng.random() < 0.2 and await self._ask(host, "skip", watched, step=path):
                return
            participants.undo_by_hand(key)
            await self._ask(host, "resolve", watched, step=path, outcome="done")
        elif state.committed or (node.pivot and self._world.chance.quiet):
            # Where there is a way back, "done" could come to mean the compensation before it arrives.
            if state.committed and rng.random() < 0.2 and await self._ask(host, "skip", watched, step=path):
                return
            token = participants.do_by_hand(spec, key) if spec.effect else participants._token(spec)
            result = None if token is None else msgspec.to_builtins(token)
            await self._ask(host, "resolve", watched, step=path, outcome="done", result=result)
        elif not participants.entry(key).stands:
            participants.undo_by_hand(key)
            await self._ask(host, "resolve", watched, step=path, outcome="not_done")
        elif not node.pivot:
            await self._ask(host, "cancel", watched)


def _waits(state: SagaState, index: int) -> bool:
    waiting = state.status_of(index) in (StepStatus.WAITING, StepStatus.PARKED)
    return waiting and state.nodes[index].kind is Kind.WAIT
