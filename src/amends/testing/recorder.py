"""A participant for tests: it notes what took effect, and misbehaves as it is told.

    class Double(Bank):
        def __init__(self) -> None:
            self.recorder = Recorder()

        async def charge(self, order: Order, key: str) -> str:
            return await self.recorder.apply(key, "ch-1")

        async def refund(self, key: str) -> None:
            await self.recorder.undo(key)

    bank.recorder.next_calls("charge_card", apply_then_raise(), slow("5s"))

Rules of this file:
  * **It is a good participant where nothing else is scripted:** one effect per key, the same answer to the same key; an
    undo of what never came is noted, and what is undone is not applied any more.
  * An effect is there when the call arrives; what is scripted decides what the caller hears of it, and when.
  * Scripts go by the step's path, which stands in the key: `{saga}/{path}/action`. A key of another form is its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from ..core.steps import Step
from ..errors import Rejected
from ..policies.durations import Duration, milliseconds

T = TypeVar("T")
_APPLY, _UNDO = "apply", "undo"
# Whose call this is, where something knows: an effect keeps it, so that who judges can tell two of them apart.
TAKEN_BY: ContextVar[object] = ContextVar("amends_taken_by", default=None)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one call does.

    Attributes:
        effect: whether it takes effect.
        pause_ms: how long its answer takes; None for ever.
        error: what it raises instead of an answer.
    """

    effect: bool = True
    pause_ms: int | None = 0
    error: Exception | None = None


def apply_then_raise(error: Exception | None = None) -> Behaviour:
    """It takes effect, and its answer is lost. Parameters: error: what is raised; left out, a ConnectionError."""
    return Behaviour(error=error or ConnectionError("no answer"))


def raises(error: Exception | None = None) -> Behaviour:
    """It fails without an effect, which the caller cannot know. Parameters: error: as in `apply_then_raise`."""
    return Behaviour(effect=False, error=error or ConnectionError("no answer"))


def rejects(reason: str = "rejected") -> Behaviour:
    """It says a business "no": `Rejected`."""
    return Behaviour(effect=False, error=Rejected(reason))


def hangs(*, applied: bool = False) -> Behaviour:
    """It never answers: the step's timeout ends it. Parameters: applied: whether it takes effect all the same."""
    return Behaviour(effect=applied, pause_ms=None)


def slow(by: Duration) -> Behaviour:
    """It takes effect at once, and answers after a while: a step whose timeout is shorter does not hear it."""
    return Behaviour(pause_ms=milliseconds(by, what="slow"))


@dataclass(slots=True)
class Effect:
    """What became of one idempotency key.

    Attributes:
        step: the step's path.
        applied: whether it ever took effect.
        undone: whether it was undone, or will never take effect since its undo came first.
        calls, undo_calls: how often it was called, and called to undo.
        result: what it answered.
        taken_by: the call by which it took effect, where that is known (`amends verify` knows it).
    """

    step: str
    applied: bool = False
    undone: bool = False
    calls: int = 0
    undo_calls: int = 0
    result: Any = None
    taken_by: Any = None

    @property
    def stands(self) -> bool:
        """Whether the effect is there now."""
        return self.applied and not self.undone


class Recorder:
    """Notes what took effect under which key, and behaves as scripted.

    Attributes:
        effects: what became of each idempotency key, in the order of their first calls.
        applied: the steps that took effect, in that order.
        undone: the steps whose effect was undone, in that order.
    """

    def __init__(self) -> None:
        self.effects: dict[str, Effect] = {}
        self.applied: list[str] = []
        self.undone: list[str] = []
        self._scripts: dict[tuple[str, str], deque[Behaviour]] = {}

    def next_calls(self, step: str | Step[..., Any, Any], *behaviours: Behaviour) -> None:
        """Script the next calls of a step's action, one behaviour each; the calls after them go well.

        Parameters:
            step: the step, or its path.
            behaviours: such as `apply_then_raise()`.
        """
        self._script(_APPLY, step, behaviours)

    def next_undos(self, step: str | Step[..., Any, Any], *behaviours: Behaviour) -> None:
        """Script the next calls of a step's compensation, as `next_calls` does."""
        self._script(_UNDO, step, behaviours)

    def _script(self, op: str, step: str | Step[..., Any, Any], behaviours: tuple[Behaviour, ...]) -> None:
        path = step if isinstance(step, str) else step.name
        self._scripts.setdefault((op, path), deque()).extend(behaviours)

    async def apply(self, key: str, result: T) -> T:
        """What an action calls; gives `result`, or what was answered under this key before.

        Parameters:
            key: `ctx.idempotency_key`.

        Raises:
            Rejected: it was undone already. Whatever is scripted.
        """
        effect = self._effect(key)
        effect.calls += 1
        behaviour = self._behaviour(_APPLY, effect.step)
        if behaviour.effect and not effect.applied:
            if effect.undone:
                raise Rejected(f"{effect.step} was undone already", conclusive=True)
            effect.applied, effect.result, effect.taken_by = True, result, TAKEN_BY.get()
            self.applied.append(effect.step)
        await _answer(behaviour)
        return effect.result  # type: ignore[no-any-return]

    async def undo(self, key: str) -> None:
        """What a compensation calls.

        Parameters:
            key: `ctx.action_key`, the key under which the action was called.

        Raises:
            Whatever is scripted.
        """
        effect = self._effect(key)
        effect.undo_calls += 1
        behaviour = self._behaviour(_UNDO, effect.step)
        if behaviour.effect and not effect.undone:
            if effect.applied:
                self.undone.append(effect.step)
            effect.undone = True
        await _answer(behaviour)

    def of(self, step: str | Step[..., Any, Any]) -> Effect:
        """What became of a step's call: of its newest key. Raises KeyError: it was never called."""
        path = step if isinstance(step, str) else step.name
        for effect in reversed(self.effects.values()):
            if effect.step == path:
                return effect
        raise KeyError(path)

    @property
    def standing(self) -> list[str]:
        """The steps whose effect is there now."""
        return [effect.step for effect in self.effects.values() if effect.stands]

    @property
    def unused(self) -> list[str]:
        """The steps with scripted behaviours that no call has met: was the name right?"""
        return [path for (_, path), left in self._scripts.items() if left]

    def _effect(self, key: str) -> Effect:
        path = key.partition("/")[2].rpartition("/")[0] or key
        return self.effects.setdefault(key, Effect(path))

    def _behaviour(self, op: str, path: str) -> Behaviour:
        script = self._scripts.get((op, path))
        return script.popleft() if script else Behaviour()


async def _answer(behaviour: Behaviour) -> None:
    """Take the time that is scripted, and raise what is."""
    if behaviour.pause_ms is None:
        await asyncio.get_running_loop().create_future()
    elif behaviour.pause_ms:
        await asyncio.sleep(behaviour.pause_ms / 1_000)
    if behaviour.error is not None:
        raise behaviour.error
