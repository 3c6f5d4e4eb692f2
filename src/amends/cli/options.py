"""The options that all commands share, and where their values come from.

    --store    then AMENDS_STORE, then `store` under `[tool.amends]`, then sqlite:///amends.db
    --app      then AMENDS_APP, then `app` under `[tool.amends]`
    keys       AMENDS_KEYS alone: id=key,id=key, the first one active; a command line is seen by everybody
    -o         table (for people), json (one value), jsonl (one object a line)

`[tool.amends]` is read from the nearest pyproject.toml, from the current directory upwards; a relative
path of `store` there counts from that file's directory, so that every directory of a project means the
same database.

    AM2115   AMENDS_KEYS is set, and the package that encrypts is not there

Rules of this file: an empty value is no value. Nothing is opened here.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..errors import StoreUnusable, UsageError

if TYPE_CHECKING:
    from ..core.sealing import Sealing
    from ..stores.base import Store

DEFAULT_STORE = "sqlite:///amends.db"
Format = Literal["table", "json", "jsonl"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command on a store takes."""

    store: Annotated[str, Parameter(env_var="AMENDS_STORE", show_default=False)] = ""
    """Where the sagas are: sqlite:///relative.db, sqlite:////absolute.db or postgresql://... [default: sqlite:///amends.db]."""

    app: Annotated[str, Parameter(env_var="AMENDS_APP", show_default=False)] = ""
    """Your sagas, as module:object; start, worker, check, diff and graph --rollback need them."""

    output: Annotated[Format, Parameter(alias="-o")] = "table"
    """The form of what is printed."""


COMMON = Common()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Many:
    """What every verb takes beside ids: which sagas it is for, and how carefully."""

    filter: Annotated[str | None, Parameter(allow_leading_hyphen=True, show_default=False)] = None
    """Instead of ids: all sagas that fit, as in 'status:running customer:ann waiting>1h'."""

    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Say for each saga whether the verb would be asked for or refused, and change nothing."""

    limit: Annotated[int | None, Parameter(show_default=False)] = None
    """At most so many of those that fit, newest first; without it more than 1,000 are refused."""

    yes: Annotated[bool, Parameter(alias="-y", negative="")] = False
    """Ask nothing; without a terminal nothing is asked anyway."""


MANY = Many()


@dataclass(frozen=True)
class Project:
    """`[tool.amends]` of the nearest pyproject.toml; `root` is None when there is none."""

    root: Path | None = None
    store: str = ""
    app: str = ""


def project(start: Path | None = None) -> Project:
    """The project around a directory, the current one when left out.

    Raises:
        UsageError: its pyproject.toml cannot be read, or says something that cannot be.
    """
    here = (start or Path.cwd()).resolve()
    for directory in (here, *here.parents):
        file = directory / "pyproject.toml"
        if file.is_file():
            return _read(file)
    return Project()


def _read(file: Path) -> Project:
    try:
        tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}", code="AM2501") from error
    table: Any = tool.get("amends", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise UsageError(f"{file}: [tool.amends] is no table; write app= and store= under it", code="AM2501")
    values = {}
    for name in ("store", "app"):
        values[name] = table.get(name, "")
        if not isinstance(values[name], str):
            raise UsageError(f"{file}: [tool.amends] {name} = {values[name]!r}; give a text", code="AM2501")
    return Project(file.parent, _from(file.parent, values["store"]), values["app"])


def _from(root: Path, address: str) -> str:
    scheme, slashes, path = address.partition(":///")
    if scheme != "sqlite" or not slashes or path.startswith(("/", ":memory:")) or not path:
        return address
    return f"sqlite:///{root / path}"


def address_of(common: Common) -> str:
    """The store's address."""
    return common.store or project().store or DEFAULT_STORE


def named_store(common: Common) -> str:
    """The address that a command line must repeat to mean this store; "" when it is found without."""
    address = address_of(common)
    found_without = os.environ.get("AMENDS_STORE", "") or project().store or DEFAULT_STORE
    from ..stores.address import shown

    return "" if address == found_without else shown(address)


def keys() -> Sealing | None:
    """The ring of AMENDS_KEYS; None when it is not set.

    Raises:
        UsageError: AM2114, it is none; AM2115, the package that encrypts is missing.
    """
    if not os.environ.get("AMENDS_KEYS"):
        return None
    try:
        from ..crypto import KeyRing
    except ImportError as error:
        raise UsageError(f"AMENDS_KEYS is set, and {error}", code="AM2115") from error
    return KeyRing.from_env()


def open_store(common: Common, *, make: bool) -> Store:
    """The store, not yet opened.

    Parameters:
        make: whether a database that does not exist may be made; commands that look must not.

    Raises:
        UsageError: no such address. StoreUnusable: there is no such database.
    """
    from ..stores.address import open_address
    from ..stores.memory import MemoryStore

    address = address_of(common)
    store = open_address(address, make=make)
    if isinstance(store, MemoryStore):
        raise UsageError(
            f"--store {address}: a store in memory ends with this command; give a file, as sqlite:///amends.db",
            code="AM2502",
        )
    path = getattr(store, "path", None)
    if path is not None and not make and not Path(path).exists():
        raise StoreUnusable(
            f"there is no store {address} (in {Path.cwd()}); give --store or AMENDS_STORE, or make it "
            "with `amends worker` or `amends start`",
            code="AM6051",
        )
    return store
