"""From the targets of `amends check` to sagas, and to what kept a saga from being built.

    module            every saga at its top level      module:object     what --app would take
    path/to/file.py   as the module it is              path/to/file.py:object
    directory         every file below it that calls `Saga`

Rules of this file: a module is imported, and nothing else of it is run. One that would run something when
it is imported is refused before. What a module prints meanwhile goes to standard error.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core.definition import Saga
from ..errors import DefinitionError, UsageError
from ..lint import Finding, refused
from ..lint.findings import Place
from .loading import app_of, import_file, import_module, look_around, object_in, user_frame

_RUNS = frozenset({
    "asyncio.run", "anyio.run", "trio.run", "uvloop.run", "uvicorn.run", "sys.exit", "exit", "quit", "os._exit",
    "input",
})  # fmt: skip
_NOT_OURS = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"})
_CALLS = re.compile(r"\bSaga\(")
_RUN_METHODS = frozenset({"run_until_complete", "run_forever", "serve_forever"})
_MAY_RUN = re.compile(rf"\b(?:{'|'.join(name.rpartition('.')[2] for name in (*_RUNS, *_RUN_METHODS))})\s*\(")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The sagas that were found, what kept others from being built, and the targets that could not be looked at."""

    sagas: tuple[Saga[Any, Any], ...]
    refused: tuple[Finding, ...]
    broken: tuple[UsageError, ...] = ()


def load_targets(targets: Sequence[str]) -> Loaded:
    """The sagas of targets, each once.

    Raises:
        UsageError: a target is none, cannot be imported, would run something, or holds no saga.
    """
    loaded = try_targets(targets)
    for error in loaded.broken:
        raise error
    return loaded


def try_targets(targets: Sequence[str]) -> Loaded:
    """The same; one target that is broken does not keep the others from being looked at."""
    look_around()
    sagas: dict[int, Saga[Any, Any]] = {}
    refused: list[Finding] = []
    broken: list[UsageError] = []
    for given in targets:
        before = len(refused) + len(broken)
        seen: dict[int, Saga[Any, Any]] = {}
        for target in _files_below(given):
            try:
                with contextlib.redirect_stdout(sys.stderr), _no_threads(target):
                    seen |= {id(saga): saga for saga in _sagas_of(target)}
            except DefinitionError as error:  # from a function that makes sagas
                refused.append(_refused(error))
            except UsageError as error:
                if isinstance(error.__cause__, DefinitionError):
                    refused.append(_refused(error.__cause__))
                else:
                    broken.append(error)
        if not seen and before == len(refused) + len(broken):
            broken.append(_holds_none(given))
        sagas |= seen
    return Loaded(tuple(sagas.values()), tuple(refused), tuple(broken))


def _holds_none(target: str) -> UsageError:
    return UsageError(
        f"{target}: no saga at the top level; name the object that holds or makes them, as module:object",
        code="AM2514",
    )


@contextlib.contextmanager
def _no_threads(target: str) -> Iterator[None]:
    """Around an import: what it leaves running would keep the command from ending."""
    before = set(threading.enumerate())
    yield
    left = [each.name for each in threading.enumerate() if each not in before and not each.daemon]
    if left:
        raise UsageError(
            f'{target}: importing it started the thread {", ".join(left)}; put that below `if __name__ == "__main__":`',
            code="AM2517",
        )


def object_of(target: str) -> tuple[ModuleType, Any]:
    """The module that a target names, and the object in it; the module itself when none is named.

    Raises:
        UsageError: as `load_targets`, but for the sagas.
    """
    look_around()
    name, path = _parted(target)
    module = _module(target, name)
    return module, object_in(target, module, path) if path else module


def _files_below(target: str) -> list[str]:
    """The files of a directory that call `Saga`; any other target as it is."""
    directory = Path(target)
    if not directory.is_dir():
        return [target]
    found = []
    for file in sorted(directory.rglob("*.py")):
        inside = file.relative_to(directory).parts
        hidden = any(part.startswith(".") or part in _NOT_OURS for part in inside)
        if not hidden and _CALLS.search(file.read_text(encoding="utf-8", errors="replace")):
            found.append(str(file))
    return found


def _sagas_of(target: str) -> Sequence[Saga[Any, Any]]:
    name, path = _parted(target)
    module = _module(target, name)
    return app_of(target, object_in(target, module, path)).sagas if path else _at_the_top(module)


def _parted(target: str) -> tuple[str, str]:
    name, colon, path = target.rpartition(":")
    return (name, path) if colon and path.replace(".", "").isidentifier() else (target, "")


def _module(target: str, name: str) -> ModuleType:
    if not (name.endswith(".py") or "/" in name):
        _refuse_what_runs(target, name)
        return import_module(target, name)
    file = Path(name).resolve()
    if not file.is_file() or file.suffix != ".py":
        raise UsageError(f"{target} is no Python file; give module, module:saga or path/to/file.py", code="AM2518")
    root, parts = file.parent, [] if file.stem == "__init__" else [file.stem]
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    _refuse_calls(target, file)
    if root == file.parent:
        return import_file(target, file)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return import_module(target, ".".join(parts))


def _at_the_top(module: ModuleType) -> Sequence[Saga[Any, Any]]:
    found: list[Saga[Any, Any]] = []
    for value in vars(module).values():
        group = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else (value,)
        found += [each for each in group if isinstance(each, Saga)]
    return found


def _refuse_what_runs(target: str, name: str) -> None:
    if name in sys.modules:
        return
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # whatever it is, importing says it better
        return
    if spec is not None and spec.origin is not None:
        _refuse_calls(target, Path(spec.origin))


def _refuse_calls(target: str, file: Path) -> None:
    try:
        text = file.read_text(encoding="utf-8")
        if not _MAY_RUN.search(text):  # parsing takes longer than all the rest of a module's check
            return
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError):  # the same
        return
    for call in _calls_at_the_top(tree.body):
        called = ast.unparse(call.func)
        if called in _RUNS or called.rpartition(".")[2] in _RUN_METHODS:
            raise UsageError(
                f"{target}: importing it would run `{ast.unparse(call)}` (line {call.lineno}); put that below "
                f'`if __name__ == "__main__":`',
                code="AM2517",
            )


def _calls_at_the_top(body: Sequence[ast.stmt]) -> Iterator[ast.Call]:
    for statement in body:
        match statement:
            case ast.Expr(value=value) | ast.Assign(value=value):
                yield from (each for each in ast.walk(value) if isinstance(each, ast.Call))
            case ast.With(body=inner) | ast.Try(body=inner) | ast.For(body=inner) | ast.While(body=inner):
                yield from _calls_at_the_top(inner)


def _refused(error: DefinitionError) -> Finding:
    frame = user_frame(error)
    place = Place(frame.filename, frame.lineno or 1, (frame.colno or 0) + 1) if frame else Place("", 1)
    return refused(error, place)
