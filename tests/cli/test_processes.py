"""The command line as people run it: several processes on one file."""

import json
import signal
import subprocess
import sys

import pytest

from tests.cli.processes import MAIN, PATIENCE_S, amends, until, worker

pytestmark = pytest.mark.processes


def records(*argv, code=0):
    done = amends(*argv, "-o", "json")
    assert done.returncode == code, done
    return json.loads(done.stdout)


def start(name, item, *more, code=0):
    return records("start", name, json.dumps({"item": item}), "--app", "cli_app:sagas", *more, code=code)


def shown(saga_id):
    return records("show", saga_id)


def stands(saga_id, status, hold=""):
    until(lambda: (found := shown(saga_id))["status"] == status and (not hold or found["hold"] == hold))


def test_start_waits_for_what_a_worker_does_in_another_process(place):
    with worker():
        done = start("quick", "pen", "--wait")
        assert (done["status"], done["result"]) == ("completed", {"paid": 1})
        failed = start("quick", "poor", "--wait", code=1)
        assert (failed["status"], failed["cause"]) == ("compensated", "charge rejected: no money")
        text = amends("start", "quick", '{"item":"pen"}', "--app", "cli_app:sagas", "--wait")
        saga_id, status, result = text.stdout.splitlines()
        assert len(saga_id) == 26 and status == "✓ completed" and result == '{"paid": 1}'


def test_verbs_reach_a_worker_that_runs_on_the_same_file(place):
    with worker():
        saga_id = start("patient", "pen")["id"]
        stands(saga_id, "running", hold="signal")
        (paused,) = records("pause", saga_id)
        assert (paused["result"], shown(saga_id)["paused"]) == ("applied", True)
        conflict = amends("pause", saga_id)
        assert conflict.returncode == 4 and "paused already" in conflict.stderr and "resume" in conflict.stderr
        assert amends("resume", saga_id, "--actor", "ada").stdout == f"{saga_id}  resume applied, now running\n"
        wrong = amends("signal", saga_id, "go", '{"by":3}')
        assert wrong.returncode == 2 and "at `$.by`" in wrong.stderr
        assert amends("signal", saga_id, "stop", "null").returncode in (2, 3)
        assert records("signal", saga_id, "go", '{"by":"eve"}', "--id", "1")["result"] == "applied"
        stands(saga_id, "completed")
        late = amends("cancel", saga_id, "--reason", "too late")
        assert late.returncode == 4 and "completed" in late.stderr
        actors = [each["details"]["actor"] for each in records("history", saga_id) if each["event"] == "Resumed"]
        assert actors == ["ada"]


def test_what_is_parked_is_shown_with_lines_that_end_it(place):
    with worker():
        stuck = start("quick", "sealed", "--wait", code=1)
        assert stuck["status"] == "requires_manual"
        lines = [each["command"] for each in shown(stuck["id"])["remedies"]]
        skip = next(line for line in lines if " skip " in line).replace("WHY", "sealed").split()
        assert amends(*skip[1:]).stdout == f"{stuck['id']}  skip applied, now closed\n"
        assert shown(stuck["id"])["stays"] == ["reserve"]


def test_a_queued_verb_is_applied_by_the_next_worker(place):
    with worker():
        saga_id = start("patient", "pen")["id"]
        stands(saga_id, "running", hold="signal")
    assert records("cancel", saga_id, "--reason", "customer")[0]["result"] == "queued"
    with worker():
        stands(saga_id, "compensated")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_gracefully(place, number):
    with worker() as process:
        saga_id = start("quick", "pen", "--wait")["id"]
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    assert "stopping" in said and "orchestrator.stopped" in said
    (ended,) = [line for line in said.splitlines() if "saga.ended" in line]
    assert saga_id in ended and "completed" in ended


def test_a_worker_until_idle_runs_what_there_is_and_ends(place):
    ids = [start("quick", item)["id"] for item in ("pen", "poor")] + [start("patient", "pen")["id"]]
    done = amends("worker", "--app", "cli_app:sagas", "--until-idle", "-o", "jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    assert [shown(each)["status"] for each in ids] == ["completed", "compensated", "running"]
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    ended = {each["saga"]: each["message"] for each in logged if each["event"] == "saga.ended"}
    assert set(ended) == set(ids[:2])


def test_a_reader_that_has_seen_enough_ends_the_list_quietly(place):
    start("quick", "pen")
    listing = subprocess.Popen(
        [sys.executable, "-c", MAIN, "list", "-o", "jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    listing.stdout.close()  # before a line is printed, so that the first write meets a closed pipe
    said = listing.stderr.read()
    listing.stderr.close()
    assert (listing.wait(), said) == (0, "")
