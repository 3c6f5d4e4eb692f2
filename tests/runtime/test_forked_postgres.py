"""A process that was forked off one with an open orchestrator on PostgreSQL: it opens its own, and disturbs nobody."""

from __future__ import annotations

import subprocess
import sys

from tests.processes.harness import ROOT, environment
from tests.runtime.stage import FORKS
from tests.servers.postgres import Databases

PROGRAM = """
import gc, os, sys
from amends import Saga, SyncOrchestrator, UsageError, step

@step
def work(number: int) -> int:
    return number

saga = Saga("forked", work, input=int)
address = sys.argv[1]
orchestrator = SyncOrchestrator(address, sagas=[saga])
handle = orchestrator.start(saga, 1)
print("parent", handle.result(timeout=20), flush=True)
child = os.fork()
if child == 0:
    try:
        print("inherited", orchestrator.start(saga, 2), flush=True)
    except UsageError as error:
        print("inherited", error.code, flush=True)
    with SyncOrchestrator(address, sagas=[saga]) as own:
        print("own", own.start(saga, 3).result(timeout=20), flush=True)
    del orchestrator, handle
    gc.collect()  # a connection that is closed here is the parent's, too
    sys.exit(0)
print("child", os.waitpid(child, 0)[1], flush=True)
print("parent", orchestrator.start(saga, 4).result(timeout=20), orchestrator.leading, flush=True)
orchestrator.close()
"""


@FORKS
def test_a_forked_process_opens_its_own_and_the_parents_connections_live_on(postgres: Databases) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, postgres.new()],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["parent 1", "inherited AM2092", "own 3", "child 0", "parent 4 True"]
