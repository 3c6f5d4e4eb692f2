"""The main job: a thousand orders through five services, with everything going wrong that can.

    amends demo [--orders FILE] [--seed N] [--faults 0.1]
    python -m examples.shop.demo ...

The demo drives real processes: the five services, the clerk, and the worker with the orchestrator in it.
Services and worker are killed with SIGKILL in mid-run and started again. Then everything is audited from
the services' databases, a person ends what needs one, and everything is audited again. The exit status
is 0 only if both audits hold and every order's end is what the orchestrator says it is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from amends import Orchestrator

from . import audit as auditing
from .back_office import BackOffice
from .orders import SHIPPED, Read, read_file, write_orders
from .saga import place_order
from .screen import Screen
from .supervisor import PACKAGE, Supervisor, spawn

SERVICE_KILLS_EVERY_S = (2.0, 5.0)
ENDS = {"completed": auditing.DONE, "compensated": auditing.UNDONE, "closed": auditing.UNDONE}


@dataclass
class Run:
    """What one run of the demo is given, and what it finds out on the way.

    Attributes:
        statuses: order id -> the status that the orchestrator reported last.
        worker_kills_at: shares of all orders; when so many are reported, the worker is killed.
    """

    directory: Path
    read: Read
    seed: int
    faults: float
    in_flight: int
    screen: Screen
    worker_kills_at: list[float] = field(default_factory=lambda: [0.2, 0.55])
    statuses: dict[str, str] = field(default_factory=dict)
    refunds: int = 0
    dispatches: int = 0
    worker_kills: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def store(self) -> str:
        return f"sqlite:///{self.directory / 'journal.db'}"


def run_demo(
    orders: str | None = None,
    *,
    seed: int = 1,
    faults: float = 0.1,
    in_flight: int = 100,
    limit: int | None = None,
    directory: Path | None = None,
    plain: bool | None = None,
) -> int:
    """Run the demo.

    Parameters:
        orders: a file of orders (JSON Lines), `-` for standard input; the shipped one when left out.
        seed: of faults, kills, the clerk and the approver.
        faults: the share of the services' answers that go wrong, 0 to 1.
        in_flight: how many sagas at a time.
        limit: only so many orders of the file.
        directory: where the databases are left; by default a temporary one, kept only after a failure.
        plain: plain lines instead of a live display; by default when standard error is no terminal.

    Returns:
        an exit status: 0, or 1 if one unit is missing, 2 if the orders cannot be read.
    """
    try:
        read = read_file(orders or str(SHIPPED))
    except OSError as error:
        print(f"the orders cannot be read: {error}", file=sys.stderr)
        return 2
    if limit is not None:
        del read.orders[limit:]
    where = directory or Path(tempfile.mkdtemp(prefix="amends-demo-"))
    where.mkdir(parents=True, exist_ok=True)
    with Screen(len(read.orders), plain=plain) as screen:
        run = Run(where, read, seed, faults, in_flight, screen)
        try:
            asyncio.run(_run(run))
        except (KeyboardInterrupt, asyncio.CancelledError):
            run.problems.append("stopped: the demo was interrupted before it was audited")
    if run.problems:
        screen.lines("NOT ALL IS WELL:", run.problems)
        print(f"the databases are kept in {where}", file=sys.stderr)
        return 1
    if directory is None:
        shutil.rmtree(where)
    return 0


async def _run(run: Run) -> None:
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError, RuntimeError):  # not everywhere, and in the main thread only
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    _tell_lines(run)
    with (run.directory / "orders.jsonl").open("wb") as stream:
        write_orders(run.read.orders, stream)
    async with Supervisor(run.directory, seed=run.seed, faults=run.faults) as supervisor:
        run.screen.note(f"five services are up; journal and databases are in {run.directory}")
        async with _clerk(run, supervisor), _torment(run, supervisor):
            worker = await _work(run, supervisor)
        try:
            await _settle(run, supervisor, "first audit, with what waits for a person")
            await _end_by_hand(run, supervisor)
            await _settle(run, supervisor, "second audit, when nothing waits any more")
        finally:
            worker.terminate()
            await worker.wait()
        counters = await supervisor.quiet()
    run.screen.report(
        "what happened on the way",
        {
            "services killed and restarted": supervisor.kills,
            "orchestrator killed and restarted": run.worker_kills,
            "refunds by the clerk": run.refunds,
            "couriers dispatched early": run.dispatches,
            "changed versions retried": counters["changed"],
            "lines malformed / repeated / in conflict": " / ".join(
                str(len(lines)) for lines in (run.read.malformed, run.read.repeated, run.read.conflicting)
            ),
            "seconds": f"{run.screen.elapsed():.1f}",
        },
    )


def _tell_lines(run: Run) -> None:
    for number, why in run.read.malformed:
        run.screen.note(f"line {number} is malformed and left out: {why}")
    for number, order_id in run.read.conflicting:
        run.screen.note(f"line {number} is left out: {order_id} is the id of another order")
    for number in run.read.repeated:
        run.screen.note(f"line {number} repeats an order, which counts once")


# --- while it runs -------------------------------------------------------------------------------


async def _work(run: Run, supervisor: Supervisor) -> Process:
    """Run the worker until every order is reported, killing it now and then; it is left serving."""
    kills_at = [int(share * len(run.read.orders)) for share in run.worker_kills_at]
    while True:
        worker = await spawn(
            f"{PACKAGE}.worker",
            *("--store", run.store, "--urls", json.dumps(supervisor.urls)),
            *("--orders", str(run.directory / "orders.jsonl")),
            *("--seed", str(run.seed), "--in-flight", str(run.in_flight)),
            stdout=PIPE,
        )
        try:
            ready = await _listen(run, worker, kills_at)
        except BaseException:
            worker.kill()
            await worker.wait()
            raise
        if ready:
            return worker
        code = await worker.wait()
        if code != -9:  # not by us
            raise RuntimeError(f"the worker ended by itself with status {code}")
        run.worker_kills += 1
        run.screen.note(f"the orchestrator was killed with {len(run.statuses)} orders reported; it starts again")


async def _listen(run: Run, worker: Process, kills_at: list[int]) -> bool:
    """Take the worker's reports; True when it is done, False when it is gone."""
    assert worker.stdout is not None
    async for line in worker.stdout:
        facts = json.loads(line)
        if "ready" in facts:
            return True
        run.statuses[facts["order"]] = facts["status"]
        run.screen.progress(Counter(run.statuses.values()))
        if kills_at and len(run.statuses) > kills_at[0]:
            del kills_at[0]
            worker.kill()
    return False


@contextlib.asynccontextmanager
async def _torment(run: Run, supervisor: Supervisor) -> AsyncIterator[None]:
    """Kills of services, while it lasts; afterwards all five are up."""
    tormenting = asyncio.create_task(supervisor.torment(random.Random(run.seed), SERVICE_KILLS_EVERY_S))
    try:
        yield
    finally:
        tormenting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tormenting
        for name in supervisor.urls:
            await supervisor.start(name)


@contextlib.asynccontextmanager
async def _clerk(run: Run, supervisor: Supervisor) -> AsyncIterator[None]:
    urls = ("--payment", supervisor.urls["payment"], "--shipping", supervisor.urls["shipping"])
    clerk = await spawn(f"{PACKAGE}.clerk", *urls, "--seed", str(run.seed), stdout=PIPE)
    listening = asyncio.create_task(_hear(run, clerk))
    try:
        yield
    finally:
        clerk.kill()
        await clerk.wait()
        await listening


async def _hear(run: Run, clerk: Process) -> None:
    assert clerk.stdout is not None
    async for line in clerk.stdout:
        act = json.loads(line)["clerk"]
        run.refunds += act == "refund"
        run.dispatches += act == "dispatch"


# --- afterwards ----------------------------------------------------------------------------------


async def _settle(run: Run, supervisor: Supervisor, title: str) -> None:
    """Audit when nothing moves any more, and hold the orchestrator's word against what was found."""
    await supervisor.quiet(mails=sum(status in ("completed", "compensated") for status in run.statuses.values()))
    manual = {order_id for order_id, status in run.statuses.items() if status == "requires_manual"}
    report = auditing.audit(run.directory, manual)
    run.problems += report.violations
    for order in run.read.orders:
        said = run.statuses.get(order.order_id, "nothing")
        found = report.orders.get(order.order_id, "no trace")
        due = auditing.MANUAL if said == "requires_manual" else ENDS.get(said)
        if found != due:
            run.problems.append(f"word: {order.order_id}: the orchestrator says {said}, the databases say {found}")
    strangers = report.orders.keys() - {order.order_id for order in run.read.orders}
    run.problems += [f"word: {order_id}: nobody ordered this" for order_id in sorted(strangers)]
    run.screen.report(title, {**Counter(run.statuses.values()), **report.figures, "violations": len(report.violations)})
    run.screen.lines("in requires_manual:", [f"{order_id} holds {holds}" for order_id, holds in report.holds.items()])


async def _end_by_hand(run: Run, supervisor: Supervisor) -> None:
    async with (
        Orchestrator(run.store, sagas=[place_order], worker=False) as orchestrator,
        httpx2.AsyncClient(timeout=5) as client,
    ):
        office = BackOffice(orchestrator, supervisor.urls, client)
        ended = await office.end_all()
    for order_id, status in ended.items():
        if status not in ENDS:
            run.problems.append(f"manual: {order_id}: still {status} after the back office was there")
    run.statuses |= ended
    if office.acts:
        run.screen.report("ended by hand", dict(sorted(office.acts.items())))


def main() -> int:
    parser = argparse.ArgumentParser(description="a thousand orders through five services, with faults")
    parser.add_argument("--orders", help="a file of orders, - for standard input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=float, default=0.1)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--limit", type=int, help="only so many orders")
    parser.add_argument("--directory", type=Path, help="leave the databases here")
    given = parser.parse_args()
    return run_demo(
        given.orders,
        seed=given.seed,
        faults=given.faults,
        in_flight=given.in_flight,
        limit=given.limit,
        directory=given.directory,
    )


if __name__ == "__main__":
    sys.exit(main())
