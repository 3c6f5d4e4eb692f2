"""Sizes of modules and functions, and how much prose stands beside the code.

    python tools/check_sizes.py [ROOT]        ROOT is `src/amends` when left out

Hard limits, which fail: a module of more than 600 lines, a function of more than 60.
Reported only: modules over 400 lines, and packages of which less than a quarter is docstrings and
comments. A long function hides a decision, and a long module two ideas; but prose by the metre is
no virtue, so its ratio only asks a question.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MODULE_LINES_SOFT = 400
MODULE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
PROSE_MIN = 0.25
PROSE_PACKAGES = ("core", "stores", "runtime")

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_Documented = (ast.Module, ast.ClassDef, *_Function)


@dataclass(frozen=True)
class Module:
    """One source file, measured. `functions` are (name, first line, lines)."""

    path: Path
    lines: int
    prose: int
    functions: tuple[tuple[str, int, int], ...]


def measure(path: Path) -> Module:
    """Count one file's lines, those that are prose, and the length of each function."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, filename=str(path))
    functions = tuple(
        (node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, _Function)
    )
    return Module(path, len(source.splitlines()), len(_docstring_lines(tree) | _comment_lines(source)), functions)


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def _comment_lines(source: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}


def violations(module: Module) -> Iterator[str]:
    """What breaks a hard limit, one line each."""
    if module.lines > MODULE_LINES_MAX:
        yield f"{module.path}: {module.lines} lines; a module has at most {MODULE_LINES_MAX}: split it by idea"
    for name, line, length in module.functions:
        if length > FUNCTION_LINES_MAX:
            yield f"{module.path}:{line}: {name} has {length} lines; a function has at most {FUNCTION_LINES_MAX}"


def report(root: Path, modules: list[Module]) -> Iterator[str]:
    """What does not fail but should be seen."""
    for module in modules:
        if MODULE_LINES_SOFT < module.lines <= MODULE_LINES_MAX:
            yield f"note: {module.path} has {module.lines} lines (more than {MODULE_LINES_SOFT})"
    for package in PROSE_PACKAGES:
        inside = [module for module in modules if module.path.is_relative_to(root / package)]
        if inside:
            ratio = sum(module.prose for module in inside) / max(1, sum(module.lines for module in inside))
            verdict = "" if ratio >= PROSE_MIN else f"  (less than {PROSE_MIN:.0%})"
            yield f"{package}: {len(inside)} modules, {ratio:.0%} docstrings and comments{verdict}"


def main(arguments: list[str]) -> int:
    """Print the report, then the violations; 1 when there is one."""
    root = Path(arguments[0]) if arguments else Path("src/amends")
    modules = [measure(path) for path in sorted(root.rglob("*.py"))]
    if not modules:
        print(f"{root}: no Python file found", file=sys.stderr)
        return 1
    broken = [line for module in modules for line in violations(module)]
    print(*report(root, modules), *broken, sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
