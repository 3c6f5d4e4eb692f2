"""The participants: one ledger of effects, guarded as the barrier guards, behind a bad network.

What the ledger knows of each action key: whether its effect stands, how often it was applied, whether
it was undone, and whether the key is closed (its compensation came first, or a person closed it). An
action on a closed key is refused for good; a repeated one gets the stored answer. Some take an action, or
a compensation, and are done with it later, refuse it in the end, or never come back to it. The ledger lives
in the world outside of all machines: killing an orchestrator changes nothing here.

Rules of this file: the ledger is the truth that the journal is held against; it never asks the journal.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.context import Context
from ...errors import NotSent, Rejected
from .loop import this_machine

if TYPE_CHECKING:
    from .world import World

_USUAL_S = 0.05
_GIVES_UP_S = 20.0


@dataclass
class Token:
    """What a step returns: it names the effect, so that a wrong or stale one is seen."""

    step: str
    number: int


@dataclass(frozen=True)
class Taken:
    """An answer: it was taken, and is not done; `number` is what to ask by."""

    number: int


@dataclass(frozen=True)
class Spec:
    """How one simulated step behaves.

    Attributes:
        name: its name.
        effect: whether it has one (a read-only step has none).
        refuses: the chance that its participant says no to a key, for ever.
        conclusive: whether its refusals are stored, and vouch for every attempt under the key.
        returns: whether it returns a Token (else nothing).
        slow: the chance that its participant only takes an action, and is done with it later.
        slow_undo: the same of its compensation.
    """

    name: str
    effect: bool = True
    refuses: float = 0.0
    conclusive: bool = True
    returns: bool = True
    slow: float = 0.0
    slow_undo: float = 0.0


@dataclass
class Entry:
    """One action key in the ledger."""

    applied: int = 0
    undone: int = 0
    stands: bool = False
    closed: bool = False
    refused: bool | None = None
    token: Token | None = None
    slow: bool | None = None
    taken: int = 0  # by what to ask for the action; 0: it was not taken
    slow_undo: bool | None = None
    undo_taken: int = 0
    undo_refused: bool = False
    by_hand: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether nothing of the action may land any more."""
        return self.closed or self.undone > 0 or self.undo_taken > 0


class HangsUp(Exception):
    """A 500, or a connection that broke: it may have taken effect."""


class Participants:
    """All participants of one world.

    Parameters:
        world: whose chance and clock they live by.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.chance
        self._rng = world.chance.stream("participants")
        self._numbers = 0
        self.ledger: dict[str, Entry] = {}
        self.calls = 0

    def entry(self, key: str) -> Entry:
        """What is known of an action key."""
        return self.ledger.setdefault(key, Entry())

    # --- the caller's side -----------------------------------------------------------------------------

    async def call(self, spec: Spec, ctx: Context, inputs: dict[str, Any]) -> Any:
        """What the body of every simulated function does."""
        world, chance = self._world, self._chance
        machine = this_machine()
        self.calls += 1
        op = ctx.op
        try:
            world.monitor.called(ctx, machine, inputs)
        except Exception as error:  # else the runtime would take it for the outcome of the call
            world.violate(f"the monitor failed: {error!r}")
        world.say(machine.name if machine else "?", f"calls {ctx.step} {op} #{ctx.attempt} of {ctx.saga_id[-6:]}")
        if chance.fires(f"{op}.refused_connection"):
            raise NotSent("connection refused")
        with world.monitor.running(ctx, machine):
            return await self._send(spec, ctx)

    async def _send(self, spec: Spec, ctx: Context) -> Any:
        """Send the request, perhaps in vain, and wait for the answer, perhaps for too long."""
        world, chance, op = self._world, self._chance, ctx.op
        if chance.fires(f"{op}.at_once") and not spec.effect:
            return Token(spec.name, 0) if spec.returns else None
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if not chance.fires(f"{op}.lost_request"):
            world.later(self._latency(op), self._arrive, spec, op, ctx.action_key, answer)
            if chance.fires(f"{op}.duplicated_request"):
                world.later(chance.latency(3), self._arrive, spec, op, ctx.action_key, None)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if not chance.fires(f"{op}.ignores_cancellation"):
                raise
        # A function that swallows its cancellation and goes on: its attempt was given up long ago.
        await asyncio.wait([answer], timeout=_GIVES_UP_S)
        if not answer.done():
            raise HangsUp("no answer, long after it was given up")
        return answer.result()

    def _latency(self, op: str) -> float:
        slow = self._chance.fires(f"{op}.slow_request")
        return self._chance.latency(2.0 if slow else _USUAL_S)

    # --- the participant's side ------------------------------------------------------------------------

    def _arrive(self, spec: Spec, op: str, key: str, answer: asyncio.Future[Any] | None) -> None:
        """A request arrives; the answer, if it is not lost, travels back."""
        chance = self._chance
        outcome = getattr(self, f"_{op}")(spec, key)
        self._world.say("services", f"{op} of {key[-24:]}: {outcome!r}")
        if answer is None:
            return
        if chance.fires(f"{op}.lost_answer"):
            if op == "action" and not isinstance(outcome, Exception):
                chance.mark("answer lost after the effect")
            return
        self._world.later(self._latency(op), _settle, answer, outcome)

    def _action(self, spec: Spec, key: str) -> Any:
        chance = self._chance
        if not spec.effect:
            return HangsUp("500") if chance.fires("action.error") else self._token(spec)
        entry = self.entry(key)
        if entry.over:
            chance.mark("late action refused")
            return Rejected("its compensation came first", conclusive=True)
        if entry.stands:
            if chance.fires("action.says_it_is_there") and not spec.conclusive:
                return Rejected("there is one already")
            return entry.token
        if entry.refused is None:
            entry.refused = self._rng.random() < spec.refuses
        if entry.refused:
            return Rejected("no", conclusive=spec.conclusive)
        if chance.fires("action.error"):
            return HangsUp("500, and nothing was done")
        if entry.slow is None:
            entry.slow = self._rng.random() < spec.slow
        if entry.slow:
            return self._take(spec, entry)
        self._apply(spec, entry)
        leader = self._world.leader
        if leader is not None and chance.fires("nemesis.kills_at_effect", 0.1):
            self._world.kill(leader)
        if chance.fires("action.error_after_effect"):
            chance.mark("effect, then an error")
            return HangsUp("500, and it was done")
        return entry.token

    def _take(self, spec: Spec, entry: Entry) -> Taken:
        """Take an action, to be done with it later, if ever."""
        if not entry.taken:
            entry.taken = self._next()
            if not self._chance.fires("action.never_done"):
                self._world.later(self._rng.choice([0.3, 2, 8]), self._finish, spec, entry)
        return Taken(entry.taken)

    def _finish(self, spec: Spec, entry: Entry) -> None:
        if entry.over or entry.stands:
            return
        if self._chance.fires("action.refused_in_the_end"):
            entry.refused = True
        else:
            self._apply(spec, entry)

    def _poll(self, spec: Spec, key: str) -> Any:
        """Whether an action that was taken is done."""
        entry = self.entry(key)
        if self._chance.fires("poll.error"):
            return HangsUp("500")
        if entry.stands:
            return entry.token if spec.returns else True
        if entry.over or entry.refused:
            return Rejected("it was refused in the end")
        if self._chance.fires("poll.taken_again"):
            entry.taken = self._next()
            return Taken(entry.taken)
        return None if spec.returns else False

    def _compensation(self, spec: Spec, key: str) -> Any:
        chance, entry = self._chance, self.entry(key)
        if entry.undone or entry.closed:
            return None
        if entry.undo_refused or chance.fires("compensation.refused", 0.1):
            chance.mark("compensation refused")
            return Rejected("already dispatched")
        if chance.fires("compensation.error"):
            return HangsUp("500, and nothing was undone")
        if entry.slow_undo is None:
            entry.slow_undo = self._rng.random() < spec.slow_undo
        if entry.slow_undo:
            return self._take_undo(entry)
        self._undo(entry)
        return HangsUp("500, and it was undone") if chance.fires("compensation.error_after_effect") else None

    def _undo(self, entry: Entry) -> None:
        if entry.stands:
            entry.stands = False
            entry.undone += 1
        else:
            entry.closed = True
            self._chance.mark("null compensation")

    def _take_undo(self, entry: Entry) -> Taken:
        """Take a compensation, to be done with it later, if ever; from now on no action lands."""
        if not entry.undo_taken:
            entry.undo_taken = self._next()
            if not self._chance.fires("compensation.never_done"):
                self._world.later(self._rng.choice([0.3, 2, 8]), self._finish_undo, entry)
        return Taken(entry.undo_taken)

    def _finish_undo(self, entry: Entry) -> None:
        if entry.closed or entry.undone:
            return
        if self._chance.fires("compensation.refused_in_the_end"):
            entry.undo_refused = True
        else:
            self._undo(entry)

    def _compensation_poll(self, spec: Spec, key: str) -> Any:
        """Whether a compensation that was taken is done."""
        entry = self.entry(key)
        if self._chance.fires("poll.error"):
            return HangsUp("500")
        if entry.undo_refused:
            self._chance.mark("compensation refused")
            return Rejected("it was dispatched meanwhile")
        return bool(entry.undone or entry.closed)

    def _probe(self, spec: Spec, key: str) -> Any:
        chance, entry = self._chance, self.entry(key)
        if chance.fires("probe.error"):
            return HangsUp("500")
        if entry.stands:
            return entry.token if spec.returns else True
        if entry.over or entry.refused or chance.fires("probe.closes_the_key"):
            entry.closed = True
            return Rejected("it never took, and never will")
        return None if spec.returns else False

    def _apply(self, spec: Spec, entry: Entry) -> None:
        entry.stands = True
        entry.applied += 1
        entry.token = self._token(spec)

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _token(self, spec: Spec) -> Token | None:
        self._next()
        return Token(spec.name, self._numbers) if spec.returns else None

    # --- what a person does by hand ----------------------------------------------------------------------

    def do_by_hand(self, spec: Spec, key: str) -> Token | None:
        """Make the effect stand, and tell its result."""
        entry = self.entry(key)
        if not entry.stands:
            self._apply(spec, entry)
        entry.by_hand.append("done")
        return entry.token

    def undo_by_hand(self, key: str) -> None:
        """Make the effect go, and see to it that none lands later."""
        entry = self.entry(key)
        entry.stands, entry.closed = False, True
        entry.by_hand.append("undone")


def _settle(answer: asyncio.Future[Any], outcome: Any) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
        answer.exception()  # the caller may have given up: then nobody looks at it
    else:
        answer.set_result(outcome)
