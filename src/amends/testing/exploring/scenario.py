"""A scenario: which input, and which calls go which way. It has a text, which brings it back.

    action charge_card unanswered; compensation charge_card answer-lost
    input 2; action ship call 2 call-crash@1

A fault names the call (`action`, `compensation`, `probe`, `wait` or `sleep` of a path), which one of them it is
(`call 2`; left out, the first), the way it goes, and for a call of a double inside the function, its number (`@1`).

Rules of this file: values, and their text. A scenario says nothing of ids, times or workers, so that it stays the same
from run to run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import UsageError
from .ways import COMPENSATION, PROBE, WAYS, Way

_FAULT = re.compile(r"(\w+) (\S+)(?: call (\d+))? ([\w-]+)(?:@(\d+))?")
_INPUT = re.compile(r"input (\d+)")
_ORDINALS = ("", "the first", "the second", "the third", "the fourth", "the fifth")


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One call that does not go as it should.

    Attributes:
        op: "action", "compensation", "probe", "wait" or "sleep".
        path: of the step, wait or sleep.
        call: which call of that op and path, from 1.
        way: the name of what becomes of it.
        at: the number of the function's call of a double, 0 for none.
    """

    op: str
    path: str
    call: int
    way: str
    at: int = 0

    @property
    def row(self) -> Way:
        """Its row in the table of ways."""
        return WAYS[self.op, self.way]

    def __str__(self) -> str:
        call = f" call {self.call}" if self.call > 1 else ""
        at = f"@{self.at}" if self.row.within else ""
        return f"{self.op} {self.path}{call} {self.way}{at}"

    @property
    def said(self) -> str:
        """It as a sentence of a story."""
        whole = {COMPENSATION: f"the compensation of {self.path}", PROBE: f"the probe of {self.path}"}
        path = whole.get(self.op, self.path)
        if self.call > 1:
            path = f"{_ordinal(self.call)} call of {path}"
        if self.way == "other" and not self.at:
            return f"another saga runs, from its start to its end, before {path}"
        nth = f"{_ordinal(self.at)} call of a participant" if self.at else ""
        return self.row.said.format(path=path, nth=nth)


@dataclass(frozen=True, slots=True, order=True)
class Scenario:
    """What one run is to go through.

    Attributes:
        input: which of the case's inputs, from 1.
        faults: in the order in which they happen; none for a run where all goes well.
    """

    input: int = 1
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        parts = [f"input {self.input}"] if self.input > 1 or not self.faults else []
        return "; ".join([*parts, *map(str, self.faults)])

    def then(self, fault: Fault) -> Scenario:
        """The same with one more fault."""
        return Scenario(self.input, (*self.faults, fault))


def parse(text: str) -> Scenario:
    """The scenario of a text.

    Raises:
        UsageError: AM2571, it is none; the message says which part, and what may stand there.
    """
    number, faults = 1, []
    for part in filter(None, (each.strip() for each in text.split(";"))):
        if found := _INPUT.fullmatch(part):
            number = int(found[1])
            continue
        match = _FAULT.fullmatch(part)
        way = match and WAYS.get((match[1], match[4]))
        if match is None or way is None or bool(match[5]) != way.within:
            known = ", ".join(f"{op} PATH {name}{'@N' if way.within else ''}" for (op, name), way in WAYS.items())
            raise UsageError(f"scenario {text!r}: {part!r} is no fault; one is: {known}", code="AM2571")
        faults.append(Fault(match[1], match[2], int(match[3] or 1), match[4], int(match[5] or 0)))
    return Scenario(number, tuple(faults))


def _ordinal(number: int) -> str:
    return _ORDINALS[number] if number < len(_ORDINALS) else f"call {number},"
