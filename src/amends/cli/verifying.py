"""The command that runs an author's saga through everything that can go wrong: verify.

Rules of this file: failures go to standard output, progress and counts to standard error. What the author's code
prints meanwhile goes to standard error as well. `amends.testing` is imported here and nowhere else in the package: this
command is the testing kit's, on the command line.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.definition import Saga
from ..errors import UsageError
from ..testing.exploring.case import Case
from ..testing.exploring.exploration import Exploration
from ..testing.exploring.findings import Verified, failure_lines
from ..testing.exploring.lab import Lab
from ..testing.exploring.parallel import explore_in_processes
from ..testing.exploring.regression import Named, regression_file
from ..testing.exploring.verifying import explore, replayed
from . import output
from .exits import FAILED, INTERRUPTED, OK, say
from .targets import object_of

_ALONE_S = 2.0  # an exploration that takes no longer is not worth the start of a process
_SAY_S = 10.0  # between two lines of progress, where they cannot be redrawn
_REDRAW_S = 0.2


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    depth: int
    max_seconds: float | None
    jobs: int
    resume: Path | None
    write: Path | None
    real_seconds: float


def verify_target(target: str, case: str, wanted: Wanted, *, form: str) -> int:
    """Verify one saga with one case, and report."""
    if wanted.jobs < 0:
        raise UsageError(
            f"--jobs {wanted.jobs}: how many processes? Give 1 or more, or 0 for one per CPU", code="AM2576"
        )
    if wanted.max_seconds is not None and wanted.max_seconds <= 0:
        raise UsageError(f"--max-seconds {wanted.max_seconds:g}: give more than nothing", code="AM2576")
    load = functools.partial(_load, target, case)
    saga, its_case = load()
    lab = Lab(saga, its_case, real_s=wanted.real_seconds)
    exploration = Exploration(saga, its_case, depth=wanted.depth)
    if wanted.resume is not None and wanted.resume.exists():
        _take_up(exploration, wanted.resume)
    interrupted = False
    try:
        with _progress() as tell, contextlib.redirect_stdout(sys.stderr):
            verified = _explore(exploration, lab, load, wanted, tell)
    except KeyboardInterrupt:
        verified, interrupted = exploration.verified(lab), True
    if wanted.resume is not None:
        _put_by(exploration, wanted.resume)
    if wanted.write is not None:
        _write(wanted.write, target, case, saga, its_case, verified)
    _report(verified, form)
    if interrupted:
        say("amends: interrupted; what was found so far is above" + _how_to_go_on(wanted))
        return INTERRUPTED
    if verified.left and not exploration.stopped:
        say(f"amends: time was over{_how_to_go_on(wanted)}")
    return FAILED if verified.failures else OK


def replay_target(target: str, case: str, scenario: str, *, real_seconds: float) -> int:
    """Run one scenario, and tell how it went."""
    saga, its_case = _load(target, case)
    with contextlib.redirect_stdout(sys.stderr):
        failures, timeline = replayed(Lab(saga, its_case, real_s=real_seconds), scenario)
    lines = [line for failure in failures for line in failure_lines(failure, timeline=False)]
    output.write_text("\n".join([*timeline, "", *(lines or ["nothing wrong"])]) + "\n")
    return FAILED if failures else OK


def _explore(exploration: Exploration, lab: Lab, load: Any, wanted: Wanted, tell: Any) -> Verified:
    """In this process as long as that is short, then in several."""
    now = time.monotonic()
    until = None if wanted.max_seconds is None else now + wanted.max_seconds
    jobs = wanted.jobs or os.cpu_count() or 1
    if jobs == 1:
        return explore(exploration, lab, until=until, tell=tell)
    alone_until = now + _ALONE_S if until is None else min(now + _ALONE_S, until)
    verified = explore(exploration, lab, until=alone_until, tell=tell)
    if verified.whole or (until is not None and time.monotonic() >= until):
        return verified
    return explore_in_processes(exploration, lab, load, jobs, until=until, tell=tell)


# --- saga and case -------------------------------------------------------------------------------------


def _load(target: str, case: str) -> tuple[Saga[Any, Any], Case]:
    """The saga and the case, from their texts; in each process anew."""
    with contextlib.redirect_stdout(sys.stderr):
        module, found = object_of(target)
        sagas = [(target, found)] if isinstance(found, Saga) else _of(module, Saga)
        if len(sagas) != 1:
            raise UsageError(
                f"{target}: {_which([name for name, _ in sagas], 'saga')}; name one, as module:saga",
                code="AM2577",
            )
        its_case = _case(module, target, case)
    return sagas[0][1], its_case


def _case(module: Any, target: str, case: str) -> Case:
    if case:
        _, found = object_of(case)
        if not isinstance(found, Case):
            raise UsageError(f"--case {case} is {found!r}; give an amends.testing.Case", code="AM2577")
        return found
    cases = _of(module, Case)
    if len(cases) != 1:
        raise UsageError(
            f"{target}: {_which([name for name, _ in cases], 'case')} beside it; name one with --case module:case",
            code="AM2577",
        )
    return cases[0][1]  # type: ignore[no-any-return]


def _of(module: Any, kind: type) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(module).items() if isinstance(value, kind)]


def _which(names: list[str], what: str) -> str:
    return f"there are {len(names)} {what}s ({', '.join(names)})" if names else f"there is no {what}"


# --- files -------------------------------------------------------------------------------------------------


def _take_up(exploration: Exploration, file: Path) -> None:
    try:
        exploration.take_up(json.loads(file.read_text(encoding="utf-8")))
    except UsageError as error:
        raise UsageError(f"--resume {file}: {error.message}", code=error.code) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--resume {file}: it holds no exploration ({error}); give another file", code="AM2574"
        ) from error


def _put_by(exploration: Exploration, file: Path) -> None:
    """Write it beside, and then in the place of what is there: an interrupt leaves one or the other."""
    beside = file.with_name(f"{file.name}.new")
    try:
        beside.write_text(json.dumps(exploration.saved()), encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        raise UsageError(f"--resume {file}: {error}", code="AM2574") from error


def _write(file: Path, target: str, case: str, saga: Saga[Any, Any], its_case: Case, verified: Verified) -> None:
    if not verified.failures:
        return
    named, its_name = _named(target, saga), _named(case or target, its_case)
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        file.write_text(regression_file(before, named, its_name, verified.failures, saga.name), encoding="utf-8")
    except UsageError as error:
        raise UsageError(f"--write {file}: {error.message}", code=error.code) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--write {file}: {error}", code="AM2575") from error
    say(f"{file}: {len(verified.failures)} tests, each of which fails until what it shows is mended")


def _named(target: str, wanted: object) -> Named:
    """By which module and name a test imports an object."""
    module, found = object_of(target)
    name = module.__spec__.name if module.__spec__ is not None else module.__name__
    if name.endswith(".py"):  # a file that belongs to no package
        name = Path(name).stem
    if found is wanted:
        return Named(name, target.rpartition(":")[2])
    return Named(name, next(each for each, value in vars(module).items() if value is wanted))


# --- telling -----------------------------------------------------------------------------------------------


def _report(verified: Verified, form: str) -> None:
    if form == "json":
        output.write_json(verified.record())
    else:
        output.write_text("".join(f"{line}\n" for line in verified.failure_lines()))
    for line in verified.counted():
        say(line)


def _how_to_go_on(wanted: Wanted) -> str:
    return f"; go on with --resume {wanted.resume}" if wanted.resume is not None else "; --resume FILE would go on"


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    """Tells how far it is: in one line that is redrawn on a terminal, else now and then."""
    began = told = time.monotonic()
    redrawn = sys.stderr.isatty()
    stream = sys.stderr

    def tell(now: Exploration) -> None:
        nonlocal told
        at = time.monotonic()
        if at - told < (_REDRAW_S if redrawn else _SAY_S):
            return
        told = at
        known = now.runs + now.left
        line = f"{now.runs} of {known} runs known so far, {len(now.failures)} found, {at - began:.0f} s"
        stream.write(f"\r{line}\x1b[K" if redrawn else f"{line}\n")
        stream.flush()

    try:
        yield tell
    finally:
        if redrawn and told > began:
            stream.write("\r\x1b[K")
            stream.flush()
