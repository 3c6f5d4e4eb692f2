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

import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    spec = common.app or project().app
    if not spec:
        raise UsageError(
            "which sagas? Give --app module:object, set AMENDS_APP, or write app = 'module:object' under "
            "[tool.amends] in pyproject.toml",
            code="AM2510",
        )
    look_around()
    said = f"--app {spec}"
    module, colon, path = spec.partition(":")
    if not (colon and module and path):
        raise UsageError(f"--app {spec!r}: write module:object, as in shop.sagas:place_order", code="AM2511")
    return app_of(said, object_in(said, import_module(said, module), path))


def look_around() -> None:
    """Let modules be found in the current directory, and in the project's."""
    for directory in (project().root, Path.cwd()):
        if directory is not None and str(directory) not in sys.path:
            sys.path.insert(0, str(directory))


def object_in(said: str, module: ModuleType, path: str) -> Any:
    """What a module has at a dotted path; `said` is how the user named it, and begins messages.

    Raises:
        UsageError: AM2512.
    """
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise UsageError(f"{said}: {module.__name__} has no {path!r}", code="AM2512") from None
    return found


def import_module(said: str, name: str) -> ModuleType:
    """A module of the user's; `said` is how the user named it.

    Raises:
        UsageError: AM2513, there is none; AM2515, AM2516, its own code failed.
    """
    try:
        with own_code(said):
            return importlib.import_module(name)
    except UsageError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and f"{name}.".startswith(f"{missing.name}."):
            raise UsageError(
                f"{said}: there is no module {missing.name!r}; looked in {Path.cwd()} and on the Python path",
                code="AM2513",
            ) from missing
        raise


def import_file(said: str, file: Path) -> ModuleType:
    """A file of the user's that belongs to no package, as a module of its own; those beside it can be imported.

    Raises:
        UsageError: AM2515, AM2516, its own code failed.
    """
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    name = str(file)  # no module has such a name, so that it stands in nobody's way
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with own_code(said):
            spec.loader.exec_module(module)
    except UsageError:
        del sys.modules[name]
        raise
    return module


@contextmanager
def own_code(said: str) -> Iterator[None]:
    """Around the user's own code: what it raises becomes an error that names their line.

    Raises:
        UsageError: AM2515; AM2516, it ends the process.
    """
    try:
        yield
    except SystemExit as error:
        raise UsageError(
            f"{said} ends the process when it is imported{_where(error)}; put what is to run below "
            f'`if __name__ == "__main__":`',
            code="AM2516",
        ) from error
    except Exception as error:
        raise _broke(said, error) from error


def app_of(said: str, found: Any, *, called: bool = False) -> App:
    """The sagas and resources that an object stands for.

    Raises:
        UsageError: AM2514, it holds none; AM2515, it is a function that failed.
    """
    if isinstance(found, Saga):
        return App((found,))
    if isinstance(found, Mapping):
        return App(_all_sagas(said, tuple(found.values())))
    if isinstance(found, (list, tuple, set, frozenset)):
        return App(_all_sagas(said, tuple(found)))
    if hasattr(found, "sagas"):
        return App(app_of(said, found.sagas).sagas, tuple(getattr(found, "resources", ())))
    if callable(found) and not called:
        with own_code(said):
            made = found()
        return app_of(said, made, called=True)
    if inspect.iscoroutine(found):
        found.close()
        raise UsageError(f"{said} is a coroutine function; make it a plain one", code="AM2514")
    raise UsageError(f"{said} is {found!r}; {_FORMS}", code="AM2514")


def _all_sagas(said: str, found: tuple[Any, ...]) -> tuple[Saga[Any, Any], ...]:
    if not found:
        raise UsageError(f"{said} holds no saga", code="AM2514")
    for each in found:
        if not isinstance(each, Saga):
            raise UsageError(f"{said} holds {each!r}, which is no Saga", code="AM2514")
    return found


def _broke(said: str, error: Exception) -> UsageError:
    """The user's own code raised: say what, and at which of their lines."""
    what = f"{type(error).__name__}: {error}"
    if "partially initialized module" in str(error):
        return UsageError(
            f"{said} cannot be loaded, for modules import each other in a circle: {what}{_where(error)}; move what "
            f"both need into a third module",
            code="AM2515",
        )
    return UsageError(f"{said} cannot be loaded: {what}{_where(error)}", code="AM2515")


def _where(error: BaseException) -> str:
    frame = user_frame(error)
    return f" ({frame.filename}, line {frame.lineno})" if frame else ""


def user_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost of the user's own lines through which an error came; None when there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = Path(__file__).parent.parent
    inner = [each for each in frames if "importlib" not in each.filename and own not in Path(each.filename).parents]
    written = [each for each in inner if not _of_others(each.filename)]
    return next(reversed(written or inner), None)


def _of_others(file: str) -> bool:
    """Whether a file is Python's or an installed package's."""
    return "site-packages" in file or file.startswith(("<frozen ", sysconfig.get_path("stdlib")))
