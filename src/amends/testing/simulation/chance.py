"""Chance with a seed: streams of randomness, two-stage faults, the marks of what was hit, the trace.

Two stages: for each seed every named section of faults is on with probability 1/4, and one that is on
fires with probability 1/4 each time it is passed. So a seed is wild in a few ways and tame in the
others, which finds more than being a little wild everywhere.

A mark is a "sometimes" assertion: it says that some seed must come by here. A run in which a mark was
never hit has proven nothing about what stands behind it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from random import Random
from typing import NoReturn

ON = 0.25
FIRES = 0.25

MARKS = {
    "ambiguous commit: it had landed": "the batch was sent again and told apart by its number",
    "ambiguous commit: it had not landed": "the batch was sent again and applied",
    "duplicated batch harmless": "the network delivered a batch twice",
    "fenced write refused": "a batch under an old epoch",
    "fenced renewal refused": "a renewal under an old epoch",
    "lease taken from a stopped orchestrator": "SIGSTOP for longer than the lease",
    "crash between intent and call": "killed when the intent was durable and the call not made",
    "crash after call, before result": "killed while a call ran",
    "crash during a compensation": "killed while a compensation ran",
    "compensation retried after a worker's death": "and acknowledged in the end",
    "recovery interrupted by the store": "the store failed while sagas were being taken up",
    "the store failed and a restart recovered": "StoreFailed ends a machine",
    "null compensation": "a compensation for an action that never arrived",
    "late action refused": "an action that arrived after its compensation",
    "effect, then an error": "the participant did it and said 500",
    "answer lost after the effect": "the caller timed out",
    "unknown outcome undone": "a compensation ran for an unknown action",
    "late success settled a step": "after its attempt was given up",
    "late success noted as an anomaly": "after its undo had begun",
    "probe found the effect": "an unknown outcome became a success",
    "probe proved there is none": "an unknown outcome became a rejection",
    "plain refusal proved nothing": "after an unknown attempt, the step stays unknown",
    "straggler abandoned": "a call that did not end when it was cancelled",
    "deadline passed": "before the saga was through",
    "deadline during compensation": "the deadline does not bound it",
    "deadline after the pivot": "requires_manual, forward",
    "cancel during the pivot refused": "the pivot succeeded",
    "cancel during the pivot granted": "the pivot was rejected or failed",
    "wake-up late": "changed() said no when it should have said yes",
    "wake-up duplicated, harmless": "changed() said yes for nothing",
    "doorbell unheard": "a ring was lost, and what it was for was found by looking",
    "command through the inbox": "a verb at an orchestrator that stands by",
    "start through the store": "a start at an orchestrator that stands by",
    "start joined by its key": "the same saga for the same key",
    "key conflict": "the same key with another input",
    "saga slept on disk": "not in memory until it was due",
    "clock stepped back": "while sagas ran",
    "clock stepped forward": "while sagas ran",
    "poison": "a step that was running at too many deaths, or a predicate that raised",
    "key expired": "no attempt uses a key older than key_ttl",
    "best effort passed": "a step that did not succeed was passed",
    "signal before its wait": "kept, and consumed when the wait was reached",
    "wait timed out": "with nodes, or turning back",
    "compensation refused": "for good: parked",
    "closed": "a person skipped what is owed",
    "each without items": "its list is empty",
    "item failed with others running": "the saga turned back while other items of its each ran",
    "items undone": "some items of an each were done, and undone",
    "items or an input that raised": "poison: parked, and asked again",
    "next alternative tried": "after one without effect",
    "alternative undone before the next": "what it did was undone, and that acknowledged",
    "first_of could not be undone": "something of an alternative is owed: the saga turns back",
    "no alternative left": "the last one failed: the saga turns back",
    "turned back while an alternative was undone": "the saga's way back begins when that is over",
    "first_of in an item failed": "an alternative of one item was given up",
    "called saga undone": "a step of a call was compensated",
    "accepted, then done": "a poll brought the result",
    "accepted, then refused": "a poll brought a no",
    "accepted, then given up": "its time was over: unknown",
    "accepted, then turned back": "undone as unknown",
    "accepted within an item": "each polled for itself",
    "crash during a poll": "and asked again",
    "poll failed": "and asked again",
    "compensation accepted, then done": "a poll brought the acknowledgement",
    "compensation accepted, then refused": "for good: parked",
    "compensation accepted, then given up": "its time was over: parked",
    "pivot accepted": "neither back nor forward until it is done",
    "completed": "the end",
    "compensated": "the end",
    "follow-up failed": "listed",
    "graceful hand-over": "a machine was shut down while sagas ran",
}


class Violation(Exception):
    """A promise was broken; the message says which."""


class Trace:
    """What happened, in order; its hash proves that a seed repeats.

    Parameters: keep: whether to keep the lines, for reading.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.lines: list[str] = []
        self._keep = keep
        self._hash = hashlib.blake2b(digest_size=16)

    def say(self, at: float, who: str, what: str) -> None:
        """Note one thing."""
        line = f"{at:10.4f} {who:<9} {what}"
        self._hash.update(line.encode())
        if self._keep:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """The hash of all lines so far."""
        return self._hash.hexdigest()


class Chance:
    """All of one seed's randomness.

    Attributes:
        quiet: no fault fires any more.
        marks: how often each mark was hit.
        fired: how often each section fired.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.quiet = False
        self.marks: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        self._on: dict[str, bool] = {}
        self._rng = self.stream("faults")

    def stream(self, name: str) -> Random:
        """An independent stream; drawing from one never moves another."""
        return Random(f"{self.seed}/{name}")  # noqa: S311 -- a seed that repeats is what is wanted

    def is_on(self, section: str) -> bool:
        """The first stage: whether this seed has the section at all."""
        known = self._on.get(section)
        if known is None:
            known = self._on[section] = self.stream(f"section/{section}").random() < ON
        return known

    def fires(self, section: str, rate: float = FIRES) -> bool:
        """The second stage: whether the fault happens now."""
        if self.quiet or not self.is_on(section) or self._rng.random() >= rate:
            return False
        self.fired[section] += 1
        return True

    def latency(self, usual_s: float) -> float:
        """A length around `usual_s`, with a long tail."""
        return min(usual_s * 20, self._rng.lognormvariate(0, 0.8) * usual_s)

    def mark(self, name: str) -> None:
        """A sometimes-assertion was hit."""
        if name not in MARKS:
            raise KeyError(f"no mark {name!r}")
        self.marks[name] += 1


def broken(promise: str) -> NoReturn:
    """Report a broken promise."""
    raise Violation(promise)
