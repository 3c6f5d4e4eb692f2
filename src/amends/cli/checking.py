"""The command that looks for mistakes: check.

Rules of this file: findings go to standard output in one of four forms; how many there are goes to
standard error. Files are named as from the current directory.
"""

from __future__ import annotations

import dataclasses
import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from ..errors import UsageError
from ..lint import RULES, RULES_BY_RUNNING, Finding, Severity, check, junit, line, record, sarif
from ..lint.baseline import known, written
from . import output
from .exits import FAILED, OK, USAGE, complain, say
from .options import Common, project
from .targets import try_targets

_STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def check_sagas(
    common: Common,
    targets: Sequence[str],
    *,
    form: str,
    severity: str,
    fail_on: str,
    baseline: Path | None,
    write: bool,
) -> int:
    """Check the sagas of the targets, and report."""
    if write and baseline is None:
        raise UsageError("--write-baseline: into which file? Give --baseline FILE", code="AM2519")
    with _no_collection():
        loaded = try_targets(named(common, targets))
        found = [_from_here(each) for each in (*loaded.refused, *check(*loaded.sagas))]
    for error in loaded.broken:
        complain(error)
    if not (loaded.sagas or loaded.refused):
        return USAGE
    if baseline is not None and write:
        _write(baseline, written(found))
        say(f"{baseline}: {len(found)} findings are known from now on")
        return USAGE if loaded.broken else OK
    if baseline is not None:
        found, gone = known(found, _read(baseline))
        if gone:
            say(f"{baseline}: {gone} of its findings are mended; --write-baseline forgets them")
    shown = [each for each in found if each.severity.at_least(Severity(severity))]
    _report(shown, [saga.name for saga in loaded.sagas], form)
    for each in loaded.refused:
        say(f"{_from_here(each).place}: the module was left there; what it defines below was not looked at")
    say(_told(len(loaded.sagas), found, len(found) - len(shown)))
    if loaded.broken:
        return USAGE
    return FAILED if any(each.severity.at_least(Severity(fail_on)) for each in found) else OK


@contextmanager
def _no_collection() -> Iterator[None]:
    """No search for garbage: it takes a quarter of the time, and syntax trees are needed to the end."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def explain_rule(name: str) -> int:
    """Print what a rule is about."""
    rules = RULES | RULES_BY_RUNNING
    rule = rules.get(name.upper())
    if rule is None:
        raise UsageError(f"there is no rule {name}; the rules: {', '.join(sorted(rules))}", code="AM2540")
    output.write(
        [
            output.text(f"{rule.id}  {rule.title}", "bold") + output.text(f"  ({rule.severity})"),
            output.text(rule.why),
            output.text(f"To mend it, {rule.mend}."),
        ]
    )
    return OK


def named(common: Common, targets: Sequence[str]) -> Sequence[str]:
    """The targets that are given, or the app. Raises UsageError when there is neither."""
    app = common.app or project().app
    if not (targets or app):
        raise UsageError(
            "which sagas? Give module, module:saga or path/to/file.py, or --app module:object", code="AM2510"
        )
    return targets or [app]


def _report(found: list[Finding], sagas: list[str], form: str) -> None:
    if form == "json":
        output.write_json([record(each) for each in found])
    elif form == "sarif":
        output.write_json(sarif(found))
    elif form == "junit":
        output.write_script(junit(found, sagas))
    else:
        output.write(_lines(found))


def _lines(found: list[Finding]) -> Iterator[Text]:
    for each in found:
        said = output.text(line(each))
        said.highlight_words([each.severity], _STYLES[each.severity])
        yield said
        yield output.text(f"    {each.mend}")


def _told(sagas: int, found: list[Finding], hidden: int) -> str:
    counts = Counter(each.severity for each in found)
    parts = [_number(counts[each], each) for each in Severity if counts[each]]
    more = f" ({hidden} not shown: --severity info)" if hidden else ""
    return f"{_number(sagas, 'saga')} checked: {', '.join(parts) or 'nothing found'}{more}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _from_here(finding: Finding) -> Finding:
    path = Path(finding.place.file)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return dataclasses.replace(finding, place=dataclasses.replace(finding.place, file=path.as_posix()))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--baseline {file}: {error}; --write-baseline makes it", code="AM2519") from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--baseline {file}: {error}", code="AM2519") from error
