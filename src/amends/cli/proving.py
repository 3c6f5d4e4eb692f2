"""The grammar of the commands that look for an author's mistakes: check, diff.

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
def diff(name: str = "", /, *, common: Common = COMMON) -> int:
    """Compare the sagas of --app with the stored versions, and say which sagas in flight can go on.

    Exit 0 when all can, 1 when some cannot, or when a worker would refuse to start. Nothing is changed, and no
    definition is registered: run it before a deployment, with the new app and the store of the old one.

    Parameters:
        name: Only this definition.
    """
    from .differing import diff as compare

    return wait_for(compare(common, name))
