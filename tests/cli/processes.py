"""The command line as real processes, and waiting for what they do."""

import subprocess
import sys
import time
from contextlib import contextmanager

# An interrupt is one, also where the tests run in the background of a shell, which has it ignored.
MAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from amends.cli import main; main()"
PATIENCE_S = 20


def amends(*argv, **options):
    """Run one command line to its end."""
    options = {"capture_output": True, "text": True, "timeout": PATIENCE_S, **options}
    return subprocess.run([sys.executable, "-c", MAIN, *argv], check=False, **options)


@contextmanager
def worker(*argv):
    """A worker that leads the store, as a process; it is killed in the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "worker", "--app", "cli_app:sagas", *argv], stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stderr:
            if line.startswith("amends: running"):
                break
        yield process
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


def until(check):
    """Ask until it is so; what the asking found."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.05)  # another process is at work; there is nothing to be told by
    raise AssertionError("it never came to be so")
