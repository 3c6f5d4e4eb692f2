"""One call of an author's function: what is noted of it while it runs, and what goes wrong at its calls of doubles.

Rules of this file: it knows which of its own calls of doubles is to go wrong, and asks the stage for the means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol

from ..recorder import TAKEN_BY
from .doubles import CALLING
from .scenario import Fault

THREAD = "amends-step"  # the name of those in which plain functions run
_HERE = f"{Path(__file__).parents[2]}/"


class Faulty(Protocol):
    """What can be made to go wrong."""

    def error(self) -> Exception:
        """What a call raises when its answer is lost."""

    async def dies(self) -> NoReturn:
        """The process dies here."""

    def dies_now(self) -> NoReturn:
        """The process dies here, where nothing can be awaited."""

    def run_another(self) -> None:
        """Another saga runs, from its start to its end."""


@dataclass
class Point:
    """One call that was made, and so may go another way.

    Attributes:
        op, path, call: which one.
        doubles: the calls of doubles that it made, by name.
        own_error: what the function raised by itself.
        complete: whether the function ran to its end.
        held: whether it was one of those that fail alike.
        again: whether it was a request delivered late.
        at_ms: when it began, in virtual time from the beginning of the run.
    """

    op: str
    path: str
    call: int
    doubles: list[str] = field(default_factory=list)
    own_error: str = ""
    complete: bool = False
    held: bool = False
    again: bool = False
    at_ms: int = 0


class Running:
    """A call of a function that is under way; told of its calls of doubles.

    Parameters:
        stage: has the means.
        point: the call.
        fault: what goes wrong with it, None for nothing.
        at_once: whether a death unwinds the function; else it is left standing where it is.
    """

    def __init__(self, stage: Faulty, point: Point, fault: Fault | None, *, at_once: bool = False) -> None:
        self.point = point
        self._stage = stage
        self._fault = fault
        self._at_once = at_once

    async def begins(self, name: str) -> int:
        number = self._note(name)
        self._before(number)
        return number

    def begins_now(self, name: str) -> int:
        number = self._note(name)
        self._before(number)
        return number

    async def ended(self, number: int) -> None:
        if self._is("call-crash", number) and not self._at_once:
            await self._stage.dies()
        self.ended_now(number)

    def ended_now(self, number: int) -> None:
        if self._is("call-crash", number):
            self._stage.dies_now()
        self._after(number)

    def _note(self, name: str) -> int:
        self.point.doubles.append(name)
        return len(self.point.doubles)

    def _is(self, way: str, number: int) -> bool:
        fault = self._fault
        return fault is not None and fault.at == number and fault.way == way

    def _before(self, number: int) -> None:
        if self._is("other", number):
            self._stage.run_another()
        elif self._is("call-fails", number):
            raise self._stage.error()

    def _after(self, number: int) -> None:
        if self._is("call-unanswered", number):
            raise self._stage.error()


@contextmanager
def entered(running: Running) -> Iterator[None]:
    """Around a function: the doubles and the recorders know whose call it is."""
    CALLING.set(running)
    TAKEN_BY.set(running.point)
    try:
        yield
    finally:
        CALLING.set(None)
        TAKEN_BY.set(None)


def told(error: BaseException) -> str:
    """An error and the author's line that it came from."""
    frames = list(_frames(error))
    where = f" ({frames[-1]})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _frames(error: BaseException) -> Iterator[str]:
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_ours(code.co_filename):
            yield f"{code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next


def is_ours(file: str) -> bool:
    """Whether a file is one of this package, and so none of the author's."""
    return file.startswith(_HERE)
