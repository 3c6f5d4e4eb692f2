"""From `--app module:object` to the sagas and resources it stands for.

The object may be

    a Saga                          a list, tuple or set of sagas
    a dict whose values are sagas   anything with `.sagas`, and `.resources` if it has any
    a function or class that takes no argument and returns one of these

The current directory, and that of the pyproject.toml which named the app, are put on `sys.path`.

Rules of this file: it runs the user's own module, and nothing else of the command line does. What that
raises is reported with the place in the user's file.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core.definition import Saga
from ..errors import UsageError
from .options import Common, project

_FORMS = (
    "an app is a Saga, a list or dict of them, an object with .sagas and perhaps .resources, or a function that "
    "returns one of these"
)


@dataclass(frozen=True)
class App:
    """What `--app` stands for."""

    sagas: tuple[Saga[Any, Any], ...]
    resources: tuple[object, ...] = ()


def load_app(common: Common) -> App:
    """The app of the options, the environment or the project.

    Raises:
        UsageError: none is named, or it is none.
    """
    around = project()
    spec = common.app or around.app
    if not spec:
        raise UsageError(
            "which sagas? Give --app module:object, set AMENDS_APP, or write app = 'module:object' under "
            "[tool.amends] in pyproject.toml",
            code="AM2510",
        )
    for directory in (around.root, Path.cwd()):
        if directory is not None and str(directory) not in sys.path:
            sys.path.insert(0, str(directory))
    return _app(spec, _find(spec))


def _find(spec: str) -> Any:
    module_name, colon, path = spec.partition(":")
    if not (colon and module_name and path):
        raise UsageError(f"--app {spec!r}: write module:object, as in shop.sagas:place_order", code="AM2511")
    found: Any = _import(spec, module_name)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise UsageError(f"--app {spec}: {module_name} has no {path!r}", code="AM2512") from None
    return found


def _import(spec: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(
                f"--app {spec}: there is no module {error.name!r}; looked in {Path.cwd()} and on the Python path",
                code="AM2513",
            ) from error
        raise _broke(spec, error) from error
    except Exception as error:
        raise _broke(spec, error) from error


def _app(spec: str, found: Any, *, called: bool = False) -> App:
    if isinstance(found, Saga):
        return App((found,))
    if isinstance(found, Mapping):
        return App(_all_sagas(spec, tuple(found.values())))
    if isinstance(found, (list, tuple, set, frozenset)):
        return App(_all_sagas(spec, tuple(found)))
    if hasattr(found, "sagas"):
        return App(_app(spec, found.sagas).sagas, tuple(getattr(found, "resources", ())))
    if callable(found) and not called:
        try:
            made = found()
        except Exception as error:
            raise _broke(spec, error) from error
        return _app(spec, made, called=True)
    if inspect.iscoroutine(found):
        found.close()
        raise UsageError(f"--app {spec} is a coroutine function; make it a plain one", code="AM2514")
    raise UsageError(f"--app {spec} is {found!r}; {_FORMS}", code="AM2514")


def _all_sagas(spec: str, found: tuple[Any, ...]) -> tuple[Saga[Any, Any], ...]:
    if not found:
        raise UsageError(f"--app {spec} holds no saga", code="AM2514")
    for each in found:
        if not isinstance(each, Saga):
            raise UsageError(f"--app {spec} holds {each!r}, which is no Saga", code="AM2514")
    return found


def _broke(spec: str, error: Exception) -> UsageError:
    """The user's own code raised: say what, and at which of their lines."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    where = f" ({inner[-1].filename}, line {inner[-1].lineno})" if inner else ""
    return UsageError(f"--app {spec} cannot be loaded: {type(error).__name__}: {error}{where}", code="AM2515")
