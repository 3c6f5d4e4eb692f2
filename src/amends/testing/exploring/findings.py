"""What an exploration comes to, as data and as text.

Rules of this file: data only. It says what was tried, and what could not be; a number without the other is half of the
truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SHOWN_MAX = 10  # failures that the text shows whole


@dataclass(frozen=True)
class Failure:
    """One thing that is wrong, by the shortest scenario that shows it.

    Attributes:
        check: what found it: "all or nothing", "nothing twice", "state", "ends", "case", "promise", or the name of an
            invariant.
        step: the path of the step that it is about, "" for none.
        what: a sentence.
        rule: the rule of `amends check` whose page explains such a mistake, "" for none.
        scenario: the text that brings it back.
        story: what happens, in order.
        timeline: the saga's, as lines.
    """

    check: str
    step: str
    what: str
    rule: str
    scenario: str
    story: tuple[str, ...]
    timeline: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " → ".join((*self.story, self.what))

    def record(self) -> dict[str, Any]:
        """It as plain JSON."""
        return {
            "check": self.check, "step": self.step, "what": self.what, "rule": self.rule,
            "scenario": self.scenario, "story": list(self.story), "timeline": list(self.timeline),
        }  # fmt: skip

    @classmethod
    def of(cls, record: dict[str, Any]) -> Failure:
        """The failure of a record."""
        return cls(**{**record, "story": tuple(record["story"]), "timeline": tuple(record["timeline"])})


@dataclass(frozen=True)
class Verified:
    """What was explored of a saga, and what was found.

    Attributes:
        name, version: the saga's.
        depth: how many faults one run has at most.
        runs: how many scenarios were run.
        left: how many that are known of were not, for time was over.
        tried, points: how many points were tried, and how many there are: a point is one way in which one action,
            compensation, probe, wait, sleep, or call of a double can go.
        unreached: what no run came by, as sentences.
        failures: what is wrong; each thing once.
        notes: what was not looked at, and why.
    """

    name: str
    version: int
    depth: int
    runs: int
    left: int
    tried: int
    points: int
    unreached: tuple[str, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether everything that was planned was run."""
        return not self.left

    def record(self) -> dict[str, Any]:
        """It as plain JSON."""
        return {
            "saga": self.name, "version": self.version, "depth": self.depth, "runs": self.runs, "left": self.left,
            "points_tried": self.tried, "points": self.points, "unreached": list(self.unreached),
            "failures": [failure.record() for failure in self.failures], "notes": list(self.notes),
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """It as text."""
        yield from self.failure_lines()
        yield from self.counted()

    def failure_lines(self) -> Iterator[str]:
        """What was found, as text."""
        for failure in self.failures[:SHOWN_MAX]:
            yield from failure_lines(failure)
            yield ""
        if len(self.failures) > SHOWN_MAX:
            yield f"and {len(self.failures) - SHOWN_MAX} more"
            yield ""

    def counted(self) -> Iterator[str]:
        """How much was explored, as text."""
        yield self.summary
        yield from (f"  not reached: {each}" for each in self.unreached)
        yield from (f"  note: {each}" for each in self.notes)

    @property
    def summary(self) -> str:
        """It in one line."""
        found = f"{len(self.failures)} found" if self.failures else "nothing found"
        left = f"; {self.left} more are known and were not run" if self.left else ""
        return (
            f"{self.name} v{self.version}: {self.runs} runs with up to {self.depth} faults, {self.tried} of "
            f"{self.points} points tried: {found}{left}"
        )


def failure_lines(failure: Failure, *, timeline: bool = True) -> Iterator[str]:
    """A failure as text: what is wrong, the story, the scenario, and the timeline."""
    rule = f"  ({failure.rule})" if failure.rule else ""
    yield f"{failure.check}: {failure.what}{rule}"
    yield from (f"    {number}. {said}" for number, said in enumerate(failure.story, 1))
    yield f"    scenario: {failure.scenario}"
    if timeline:
        yield from (f"    {line}".rstrip() for line in failure.timeline)
