"""The grammar of the commands that look for an author's mistakes: check, verify, diff.

Rules of this file: those of `app`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .grammar import NONE, PROVE, Flag, app, wait_for
from .options import COMMON, Common

Least = Literal["error", "warning", "info"]


@app.command(group=PROVE)
def check(
    targets: Annotated[tuple[str, ...], Parameter(negative_iterable="", show_default=False)] = NONE,
    /,
    *,
    format: Literal["text", "json", "sarif", "junit"] = "text",
    severity: Least = "warning",
    fail_on: Least = "error",
    baseline: Annotated[Path | None, Parameter(show_default=False)] = None,
    write_baseline: Flag = False,
    explain: Annotated[str, Parameter(show_default=False)] = "",
    model: Flag = False,
    common: Common = COMMON,
) -> int:
    """Look for mistakes in sagas, without running anything of them.

    Exit 0 when nothing is found that --fail-on names, 1 when something is, 2 when a module cannot be imported.
    With --model, walk every way through the graph instead: each outcome of each action and compensation, a deadline and
    a cancel at every point; and tell, as the shortest story, how an effect may come to stay.
    `# amends: ignore[SG011] the reason` at the line, or alone above it, silences one place.

    Parameters:
        targets: module, module:saga, path/to/file.py or a directory; that of --app when left out.
        format: For people, for programs, or for tools that show findings beside the code.
        severity: The least that is reported.
        fail_on: The least that makes the command fail.
        baseline: A file of findings that are known and not reported.
        write_baseline: Write what is found now into the baseline's file, and report nothing.
        explain: Say what a rule is about, such as SG011, and check nothing.
        model: The model check instead of the rules; as text or JSON.
    """
    from .checking import check_sagas, explain_rule

    if explain:
        return explain_rule(explain)
    form = "json" if format == "text" and common.output != "table" else format
    if model:
        from .modelling import explore_sagas

        return explore_sagas(common, targets, form=form, known=write_baseline or baseline is not None)
    return check_sagas(
        common, targets, form=form, severity=severity, fail_on=fail_on, baseline=baseline, write=write_baseline
    )


@app.command(group=PROVE)
def verify(
    target: str,
    /,
    *,
    case: Annotated[str, Parameter(show_default=False)] = "",
    depth: int = 2,
    max_seconds: Annotated[float | None, Parameter(show_default=False)] = None,
    jobs: int = 0,
    resume: Annotated[Path | None, Parameter(show_default=False)] = None,
    write: Annotated[Path | None, Parameter(show_default=False)] = None,
    scenario: Annotated[str, Parameter(show_default=False)] = "",
    real_seconds: float = 10,
    common: Common = COMMON,
) -> int:
    """Run a saga's own functions through everything that can go wrong, with doubles and in virtual time.

    Every action, compensation and probe fails in every way; the process dies at every point; requests arrive late, or
    twice; deadline, cancel and another saga come in between. What is found is told by its shortest scenario.
    Exit 0 when nothing is found, 1 when something is, 2 when saga or case cannot be used.

    Parameters:
        target: module:saga, or path/to/file.py:saga.
        case: module:case, an `amends.testing.Case`; the only one in the saga's module when left out.
        depth: How many faults one run has at most.
        max_seconds: Stop after so long; what is left is counted.
        jobs: How many processes; 0 for one per CPU, when it takes longer than some seconds.
        resume: A file in which what is left is kept, and from which it goes on.
        write: A pytest file, to which a test is added for each failure.
        scenario: Run only this one, as a failure names it, and show the saga's timeline.
        real_seconds: How long one run may take of real time, before it counts as standing still.
    """
    from .verifying import Wanted, replay_target, verify_target

    if scenario:
        return replay_target(target, case, scenario, real_seconds=real_seconds)
    wanted = Wanted(depth, max_seconds, jobs, resume, write, real_seconds)
    return verify_target(target, case, wanted, form="text" if common.output == "table" else "json")


@app.command(group=PROVE)
def diff(name: str = "", /, *, common: Common = COMMON) -> int:
    """Compare the sagas of --app with the stored versions, and say which sagas in flight can go on.

    Exit 0 when all can, 1 when some cannot, or when a worker would refuse to start. Nothing is changed, and no
    definition is registered: run it before a deployment, with the new app and the store of the old one.

    Parameters:
        name: Only this definition.
    """
    from .differing import diff as compare

    return wait_for(compare(common, name))
