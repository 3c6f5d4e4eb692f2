"""The commands that run sagas: worker, demo.

`worker` ends at the first SIGINT or SIGTERM: calls that run may end within the grace, the rest is
handed over. A second signal ends the process at once, which loses nothing either: what was cut off is
taken up again from the journal.

Rules of this file: a worker prints nothing on standard output; its log goes to standard error, as
lines for people, or with `-o json` and `-o jsonl` as one object a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..observe.logging import LoggingSubscriber
from ..runtime.orchestrator import Orchestrator
from ..runtime.tuning import tune_process
from ..stores.base import Shared
from .exits import OK, STORE, complain, say
from .loading import App, load_app
from .options import Common, Format, keys, open_store
from .words import safe

_JOINING_S = 15.0  # how long a worker waits for shards before it says that it waits
_STANDS_BY = "standing by: another worker runs this store;"
_FIELDS = ("event", "saga", "saga_name", "step", "attempt", "duration", "correlation")

# --- worker --------------------------------------------------------------------------------------


def work(common: Common, *, until_idle: bool, level: str, settings: dict[str, Any]) -> int:
    """Run the app's sagas until told to stop, or until none is awake."""
    # This process is ours, so it may be set for many small objects that die young.
    gc.collect()
    gc.freeze()
    tune_process()
    app = load_app(common)
    with _logging(level, common.output), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_work(common, app, until_idle=until_idle, settings=settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _until_it_has_shards(orchestrator: Orchestrator) -> None:
    """Others give some up when somebody joins; that takes a moment."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_JOINING_S):
            while not orchestrator.leading and orchestrator.failed is None:  # noqa: ASYNC110 -- once, at the start
                await asyncio.sleep(0.02)


async def _work(common: Common, app: App, *, until_idle: bool, settings: dict[str, Any]) -> int:
    store = open_store(common, make=True)
    stop = _signals()
    orchestrator = Orchestrator(store, sagas=app.sagas, resources=app.resources, encryption=keys(), **settings)
    orchestrator.subscribe(LoggingSubscriber())
    async with orchestrator:
        names = ", ".join(f"{saga.name} v{saga.version}" for saga in app.sagas)
        shared = isinstance(store, Shared)
        if shared:
            await _until_it_has_shards(orchestrator)
        other = "waiting: other workers run all shards of this store;" if shared else _STANDS_BY
        state = "running" if orchestrator.leading else other
        say(f"amends: {state} {names} on {store.address}")
        await _until_over(orchestrator, stop, until_idle=until_idle)
        failed = orchestrator.failed
    if failed is not None:
        complain(failed)
        return STORE
    return OK


def _signals() -> asyncio.Event:
    """An event that the first SIGINT or SIGTERM sets; the second has its ordinary effect."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    both = (signal.SIGINT, signal.SIGTERM)

    def first() -> None:
        say("amends: stopping; a second signal ends at once")
        for number in both:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in both:
        loop.add_signal_handler(number, first)
    return stop


async def _until_over(orchestrator: Orchestrator, stop: asyncio.Event, *, until_idle: bool) -> None:
    """Until a signal, a store that failed or, if asked for, nothing awake (which only the leader can tell).

    It is told of changes of the lease, and of a store that failed, and so has no need to look now and then.
    """
    stopped = asyncio.create_task(stop.wait())
    told = asyncio.Event()
    subscription = orchestrator.subscribe(lambda _: told.set(), "lease.*", "store.*")
    idle: asyncio.Task[None] | None = None
    try:
        while orchestrator.failed is None:
            if until_idle and idle is None and orchestrator.leading:
                idle = asyncio.create_task(orchestrator.drain())
            news = asyncio.create_task(told.wait())
            watched: list[asyncio.Task[Any]] = [stopped, news] if idle is None else [stopped, news, idle]
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            told.clear()
            if stopped in done:
                return
            if idle is not None and idle in done:
                if orchestrator.leading:
                    idle.result()  # a defect must not pass for idleness
                    return
                idle = None  # it lost the lease meanwhile: whoever has it now goes on
    finally:
        subscription.close()
        for task in (stopped, idle):
            if task is not None:
                task.cancel()
        await asyncio.gather(stopped, *([idle] if idle is not None else []), return_exceptions=True)


class _Lines(logging.Formatter):
    """A line for people, with the correlation at its end; what participants wrote is made safe."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        head = f"{self.formatTime(record, '%H:%M:%S')}.{int(record.msecs):03d} {record.levelname:<7} "
        trace = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        pairs = ", ".join(f"{key}={value}" for key, value in getattr(record, "correlation", {}).items())
        return "\n".join([head + safe(record.getMessage()) + (safe(f" [{pairs}]") if pairs else ""), *map(safe, trace)])


class _Objects(logging.Formatter):
    """A JSON object for programs, with the fields of the `LoggingSubscriber`."""

    def format(self, record: logging.LogRecord) -> str:
        """The object of a record."""
        said = {"at": record.created, "level": record.levelname.lower(), "message": record.getMessage()}
        said |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


@contextmanager
def _logging(level: str, form: Format) -> Iterator[None]:
    """The logger `amends` on standard error, for as long as this lasts."""
    logger, handler = logging.getLogger("amends"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines() if form == "table" else _Objects())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


# --- demo ----------------------------------------------------------------------------------------


def demonstrate(**options: Any) -> int:
    """Run the shop of `examples/shop`, from the repository that this package was installed from."""
    module = _shop()
    code: int = module.run_demo(**options)
    return code


def _shop() -> Any:
    root = Path(__file__).resolve().parents[3]
    if (root / "examples" / "shop" / "demo.py").is_file() and str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return importlib.import_module("examples.shop.demo")
    except ModuleNotFoundError as error:
        if error.name in ("examples", "examples.shop", "examples.shop.demo"):
            raise UsageError(
                f"the shop is not part of the installed package (no examples/shop in {root}); clone the repository and "
                "run `make demo` there",
                code="AM2530",
            ) from error
        raise UsageError(
            f"the shop needs the package {error.name!r}; pip install 'amends[shop]'", code="AM2531"
        ) from error
