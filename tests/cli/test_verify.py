"""`amends verify`: what it takes, what it prints, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.processes import MAIN, amends as _amends

SHOP = """
import os
import re
import sys
import time
from dataclasses import dataclass

from amends import Context, Saga, step
from amends.testing import Case, Recorder


@dataclass
class Order:
    id: str
    total: int


class Bank:
    def __init__(self) -> None:
        self.recorder = Recorder()

    async def charge(self, key: str) -> str:
        return await self.recorder.apply(key, "receipt")

    async def refund(self, key: str) -> None:
        await self.recorder.undo(key)


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> str:
    print("paying")
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(pay: str | None, bank: Bank, ctx: Context) -> None:
    if pay is not None:  # MISTAKE
        await bank.refund(ctx.action_key)


@step(pivot=True)
async def ship(order: Order, bank: Bank, ctx: Context) -> str:
    return await bank.charge(ctx.idempotency_key)


def steps(count):
    def one(number):
        @step(name=f"s{number}")
        async def act(order: Order, bank: Bank, ctx: Context) -> str:
            return await bank.charge(ctx.idempotency_key)

        @act.compensation
        async def undo(bank: Bank, ctx: Context) -> None:
            await bank.refund(ctx.action_key)

        return act

    return [one(number) for number in range(count)]


sell = Saga("sell", pay, ship, input=Order, resources=[Bank])
long = Saga("long", *steps(4), input=Order, resources=[Bank])
case = Case(Order("o-1", 3), resources=[Bank])
"""
RIGHT = SHOP.replace("if pay is not None:  # MISTAKE", "if ctx.action_key:")


@pytest.fixture
def write(tmp_path):
    """Writes a module into the current directory, under a name that no other test has."""
    names = iter(range(100))

    def write(text: str) -> str:
        name = f"{tmp_path.name.replace('-', '_')}_{next(names)}"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return write


def amends(*argv, **options):
    return _amends(*map(str, argv), timeout=120, **options)


def test_a_mistake_is_told_with_its_scenario_and_fails(call, write):
    name = write(SHOP)
    done = call("verify", f"{name}:sell", "--case", f"{name}:case")
    assert done.out.startswith(
        "all or nothing: the saga is compensated, and what pay did stands  (SG009)\n"
        "    1. pay takes effect, and its answer never comes\n"
        "    scenario: action pay unanswered\n"
        "    ↩ compensated  sell v1"
    )
    assert "points tried: 2 found" in done.err
    assert "paying" in done.err  # and not among what was found
    assert "paying" not in done.out
    assert done.code == 1


def test_nothing_found_is_said_and_succeeds(call, write):
    done = call("verify", f"{write(RIGHT)}:sell")  # its only case
    assert done.out == ""
    assert done.err.splitlines()[-1].endswith("points tried: nothing found")
    assert done.code == 0


def test_it_may_be_a_file(call, write):
    assert call("verify", f"{write(SHOP)}.py:sell", "--depth", 1).code == 1


def test_json_is_one_value(call, write):
    done = call("verify", f"{write(SHOP)}:sell", "-o", "json", "--depth", 1)
    record = json.loads(done.out)
    assert record["saga"] == "sell"
    assert [each["scenario"] for each in record["failures"]] == ["action pay unanswered", "action pay late"]
    assert record["left"] == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["{0}"], "AM2577", "there are 2 sagas (sell, long)"),
        (["{0}:case"], "AM2577", "there are 2 sagas"),
        (["{0}:nobody"], "AM2512", "has no 'nobody'"),
        (["{0}:sell", "--case", "{0}:Bank"], "AM2577", "give an amends.testing.Case"),
        (["cli_app:quick"], "AM2577", "there is no case beside it"),
        (["{0}:sell", "--depth", "9"], "AM2573", "Give 1 to 4"),
        (["{0}:sell", "--jobs", "-1"], "AM2576", "how many processes?"),
        (["{0}:sell", "--max-seconds", "0"], "AM2576", "more than nothing"),
        (["{0}:sell", "--scenario", "action pay explodes"], "AM2571", "'action pay explodes' is no fault"),
        (["{0}:sell", "--scenario", "input 2"], "AM2571", "the case has 1 input"),
        (["no_such_module:sell"], "AM2513", "there is no module"),
    ],
)
def test_what_cannot_be_is_refused(call, write, words, code, said):
    name = write(SHOP)
    done = call("verify", *(word.format(name) for word in words))
    assert done.code == 2
    assert f"[{code}]" in done.err
    assert said in done.err
    assert done.out == ""


def test_one_scenario_is_replayed_with_the_timeline(call, write):
    name = write(SHOP)
    done = call("verify", f"{name}:sell", "--scenario", "action pay unanswered")
    assert done.code == 1
    assert "↩ compensated  sell v1" in done.out
    assert "all or nothing: the saga is compensated, and what pay did stands  (SG009)" in done.out
    done = call("verify", f"{name}:sell", "--scenario", "action pay refused")
    assert done.code == 0
    assert done.out.endswith("nothing wrong\n")
    done = call("verify", f"{name}:sell", "--scenario", "action pay call 7 refused")
    assert done.code == 2
    assert "action pay call 7 refused does not come about" in done.err


def test_a_regression_file_fails_until_the_mistake_is_mended(call, write, tmp_path):
    name = write(SHOP)
    file = tmp_path / "test_found.py"
    done = call("verify", f"{name}:sell", "--write", file)
    assert f"{file}: 2 tests, each of which fails until what it shows is mended" in done.err

    def tried():
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return ran.stdout.splitlines()[-1]

    assert tried().startswith("2 failed")
    before = file.read_text()
    assert call("verify", f"{name}:sell", "--write", file).code == 1
    assert file.read_text() == before  # what is there is not written twice
    (tmp_path / f"{name}.py").write_text(RIGHT)
    assert tried().startswith("2 passed")


def test_a_regression_file_of_something_else_is_not_touched(call, write, tmp_path):
    file = tmp_path / "test_mine.py"
    file.write_text("def test_mine() -> None: ...\n")
    done = call("verify", f"{write(SHOP)}:sell", "--write", file)
    assert done.code == 2
    assert "AM2575" in done.err
    assert file.read_text() == "def test_mine() -> None: ...\n"


def test_time_that_is_over_leaves_the_rest_to_be_resumed(call, write, tmp_path):
    name = write(RIGHT)
    file = tmp_path / "left.json"
    done = call("verify", f"{name}:long", "--max-seconds", "0.3", "--jobs", 1, "--resume", file)
    assert done.code == 0
    assert "more are known and were not run" in done.err
    assert f"time was over; go on with --resume {file}" in done.err
    first = int(done.err.partition(" runs with")[0].rpartition(" ")[2])
    done = call("verify", f"{name}:long", "--resume", file, "--depth", 1)
    assert done.code == 2
    assert "it was saved for depth 2, and this is 1" in done.err
    done = call("verify", f"{name}:long", "--resume", file)
    assert "not run" not in done.err
    whole = call("verify", f"{name}:long")
    assert done.err.splitlines()[-1] == whole.err.splitlines()[-1]
    assert int(whole.err.partition(" runs with")[0].rpartition(" ")[2]) > first


def test_what_is_no_exploration_is_not_resumed(call, write, tmp_path):
    file = tmp_path / "left.json"
    for text in ("", "[]", "{}", "\x00"):
        file.write_text(text)
        done = call("verify", f"{write(RIGHT)}:sell", "--resume", file)
        assert done.code == 2
        assert "AM2574" in done.err
        assert file.read_text() == text


def test_what_is_found_does_not_depend_on_how_many_processes_look(write, tmp_path):
    name = write(SHOP + "\nmixed = Saga('mixed', pay, *steps(4), input=Order, resources=[Bank])\n")
    alone, many = (amends("verify", f"{name}:mixed", "--jobs", jobs, "-o", "json", cwd=tmp_path) for jobs in (1, 3))
    assert json.loads(alone.stdout) == json.loads(many.stdout)
    assert json.loads(alone.stdout)["failures"]
    assert (alone.returncode, many.returncode) == (1, 1)


def test_an_interrupt_reports_and_keeps_what_is_left(write, tmp_path):
    name = write(RIGHT)
    command = [sys.executable, "-c", MAIN, "verify", f"{name}:long", "--depth", "3", "--jobs", "1"]
    process = subprocess.Popen(
        [*command, "--resume", "left.json"], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    time.sleep(4)  # some thousand runs long
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=15)
    except subprocess.TimeoutExpired:  # Python drops an interrupt that falls into a weak reference's callback
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; what was found so far is above; go on with --resume left.json" in err
    assert "Traceback" not in err or "Exception ignored" in err
    left = json.loads((tmp_path / "left.json").read_text())
    assert left["runs"] > 10
    assert len(left["waiting"]) > 10
    assert out == ""


HOSTILE = {
    "waits": ("    time.sleep(100)", "takes more than 1 s of real time, at "),
    "spins": ("    while True: pass", "takes more than 1 s of real time, at "),
    "exits": ("    sys.exit(3)", "it ends the process: SystemExit(3)"),
    "raises": ("    raise BaseException('no')", "pay raises, and nothing was made to go wrong: BaseException: no"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("spelled", ["async def", "def"])
def test_a_function_that_does_not_play_along_is_named(write, tmp_path, kind, spelled):
    body, said = HOSTILE[kind]
    if (kind, spelled) == ("exits", "def"):
        said = "SystemExit"  # in a thread it is an exception like any other
    text = SHOP.replace('    print("paying")', body)
    if spelled == "def":
        text = text.replace("async def pay", "def pay").replace(
            f"{body}\n    return await bank.charge", f"{body}\n    return str"
        )
    done = amends("verify", f"{write(text)}:sell", "--depth", 1, "--real-seconds", 1, cwd=tmp_path)
    assert said in done.stdout
    if "at " in said:
        assert f"{tmp_path}" in done.stdout
    assert done.returncode == 1


def test_a_process_that_dies_is_told_by_the_scenario_it_had(write, tmp_path):
    undo = "        async def undo(bank: Bank, ctx: Context) -> None:\n"
    dies = "            if os.environ.get('IN_A_RUN') and ctx.step == 's3' and ctx.attempt == 2: os._exit(9)\n"
    text = RIGHT.replace(undo, undo + dies) + (
        "\nmixed = Saga('mixed', pay, *steps(4), input=Order, resources=[Bank])\n"
        "import multiprocessing\n"
        "if multiprocessing.parent_process() is not None: os.environ['IN_A_RUN'] = '1'\n"
    )
    done = amends("verify", f"{write(text)}:mixed", "--jobs", 2, cwd=tmp_path)
    assert "case: it ends the process in the middle of a run" in done.stdout
    assert "    scenario: " in done.stdout
    assert re.search(r"note: given up: \d+ runs ended their process", done.stderr)
    assert done.returncode == 1
    assert os.environ.get("IN_A_RUN") is None
