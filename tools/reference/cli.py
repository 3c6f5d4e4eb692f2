"""docs/reference/cli.md: every command with its arguments, from the grammar that the command line itself uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amends.cli import exits
from amends.cli.app import app
from amends.cli.options import Common
from tools.reference.text import generated, parse, table

COMMON = frozenset(f"--{name}" for name in Common.__dataclass_fields__)
INTRODUCTION = """\
`pip install 'amends[cli]'` adds the command `amends`. Data goes to standard output, everything else to standard
error. The commands work beside a running worker; those that look and act need no definitions of yours.
"""


def page() -> str:
    """The whole page."""
    lines = [*generated("The command line", "src/amends/cli/app.py"), INTRODUCTION]
    groups: dict[str, list[str]] = {}
    for name in app:
        if not name.startswith("-"):
            groups.setdefault(str(app[name].group[0].name), []).append(name)
    first = next(name for names in groups.values() for name in names if _shared(name))
    lines += ["## What all commands share", "", *_rows(_shared(first)), *_exit_codes()]
    for group, names in groups.items():
        lines += [f"## {group}", ""]
        for name in names:
            lines += _command(name)
    return "\n".join(lines).rstrip() + "\n"


def _arguments(name: str) -> list[Any]:
    return [each for each in app[name].assemble_argument_collection(parse_docstring=True) if each.show]


def _shared(name: str) -> list[Any]:
    return [each for each in _arguments(name) if each.names[0] in COMMON]


def _command(name: str) -> Iterator[str]:
    arguments = [each for each in _arguments(name) if each.names[0] not in COMMON]
    usage = ["amends", name]
    for each in arguments:
        if each.index is not None:
            plain = each.names[0].removeprefix("--").replace("-", "_").upper()
            usage.append(plain if each.required else f"[{plain}]")
        elif each.required:
            usage.append(f"{each.names[0]} {each.names[0].removeprefix('--').upper()}")
    optional = any(each.index is None and not each.required for each in arguments)
    yield f"### amends {name}"
    yield ""
    yield "```text"
    yield " ".join(usage) + (" [OPTIONS]" if optional else "")
    yield "```"
    yield ""
    yield parse(app[name].default_command.__doc__).text
    yield ""
    if arguments:
        yield from _rows(arguments)


def _rows(arguments: list[Any]) -> Iterator[str]:
    yield from table(("argument", "", "default"), [_row(each) for each in arguments])


def _row(argument: Any) -> tuple[str, str, str]:
    names = ", ".join(
        f"`{name.removeprefix('--') if argument.index is not None and name.startswith('--') else name}`"
        for name in argument.names
    )
    told = argument.parameter.help or ""
    choices = argument.get_choices()
    if choices:
        told += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if argument.parameter.env_var:
        told += f" Or {', '.join(f'`{name}`' for name in argument.parameter.env_var)} in the environment."
    return names, told, _default(argument)


def _default(argument: Any) -> str:
    if argument.required:
        return "required"
    value = argument.field_info.default
    return "" if value in ("", (), None, False) else f"`{value}`"


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes"
    yield ""
    rows = []
    for line in (exits.__doc__ or "").splitlines():
        code, _, meaning = line.strip().partition(" ")
        if line.startswith("    ") and code.isdigit():
            rows.append((f"`{code}`", meaning.strip()))
    yield from table(("code", ""), rows)
    yield "A command given several ids does what it can for each, and ends with the highest code of all."
    yield ""
