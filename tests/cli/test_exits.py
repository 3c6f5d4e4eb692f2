"""Every exit code, each with its message on standard error and nothing but data on standard output."""

import subprocess
import sys
from pathlib import Path

import pytest

from amends.cli import app, running
from amends.errors import StoreFailed
from tests.cli.journals import completed, write


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["list"], 0, ""),
        (["--help"], 0, ""),
        (["--version"], 0, ""),
        (["nonsense"], 2, 'Unknown command "nonsense"'),
        (["list", "--limt", "3"], 2, "Did you mean --limit?"),
        (["list", "-o", "yaml"], 2, '"yaml"'),
        (["list", "--limit", "0"], 2, "at least 1"),
        (["list", "--status", "happy"], 2, "no such status"),
        (["list", "--correlation", "customer"], 2, "name=value"),
        (["list", "--store", "mysql://x"], 2, "AM2202"),
        (["signal", "01COMPLETED", "approval", "{"], 2, "is no JSON"),
        (["show", "\udcff"], 2, "no text in UTF-8"),
        (["start", "quick", "--app", "cli_app:nothing"], 2, "has no 'nothing'"),
        (["show", "01NOBODY"], 3, "no saga 01NOBODY"),
        (["history", "01NOBODY"], 3, "no saga 01NOBODY"),
        (["cancel", "01NOBODY", "--reason", "x"], 3, "no saga 01NOBODY"),
        (["start", "quack", "--app", "cli_app:sagas"], 3, "registered: patient, quick"),
        (["list", "--store", "sqlite:///missing.db"], 5, "there is no store sqlite:///missing.db"),
        (["list", "--store", "sqlite:///not_a.db"], 5, "not an SQLite database"),
        (["worker", "--app", "cli_app:sagas", "--store", "sqlite:///no/where.db"], 5, "does not exist"),
    ],
)
def test_each_exit_code_with_what_is_said(place, call, argv, code, said):
    write(place / "amends.db", completed())
    (place / "not_a.db").write_text("certainly no database, and long enough to be read as a header" * 20)
    found = call(*argv)
    assert (found.code, said in found.err) == (code, True), found
    if code:
        assert found.out == "" and found.err.startswith("amends: ")


def test_a_defect_of_ours_is_70_with_its_traceback(call, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(app, "app", broken)
    found = call("list")
    assert found.code == 70 and "Traceback" in found.err and "please report" in found.err


def test_an_interrupt_is_130(call, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "app", interrupted)
    assert call("list").code == 130


def test_a_worker_whose_store_fails_ends_with_5(call, monkeypatch):
    class Failing(running.Orchestrator):
        failed = StoreFailed("the disk is full; make room, then restart")

    monkeypatch.setattr(running, "Orchestrator", Failing)
    found = call("worker", "--app", "cli_app:sagas")
    assert found.code == 5 and "the disk is full" in found.err and found.out == ""


def test_without_the_extra_one_line_says_how_to_get_it():
    code = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'cyclopts' else real(name, *rest)\n"
        "from amends.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'amends: the command line is an extra: pip install "amends[cli]"\n'


def test_help_loads_neither_the_orchestrator_s_stores_nor_the_drawing():
    code = (
        "import sys; from amends.cli.app import run; run(['--help'])\n"
        "print([n for n in sys.modules if n in ('sqlite3', 'amends.cli.timeline', 'amends.cli.looking', 'uvloop')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_demo_that_is_not_there_says_where_to_get_it(call, monkeypatch, place):
    monkeypatch.setattr(running, "__file__", str(place / "a" / "b" / "c" / "d" / "running.py"))
    monkeypatch.setitem(sys.modules, "examples", None)
    for name in [name for name in sys.modules if name.startswith("examples.")]:
        monkeypatch.delitem(sys.modules, name)
    found = call("demo")
    assert found.code == 2 and "clone the repository" in found.err


def test_the_demo_gets_every_option(call, monkeypatch):
    given = {}
    shop = type("Shop", (), {"run_demo": staticmethod(lambda **options: given.update(options) or 1)})
    monkeypatch.setattr(running, "_shop", lambda: shop)
    found = call("demo", "--orders", "-", "--seed", "7", "--faults", "0.3", "--limit", "5", "--plain")
    assert found.code == 1
    assert given == {
        "orders": "-", "seed": 7, "faults": 0.3, "in_flight": 100, "limit": 5, "directory": None, "plain": True,
    }  # fmt: skip


def test_the_demo_of_this_repository_is_found():
    shop = running._shop()
    assert Path(shop.__file__).parts[-3:] == ("examples", "shop", "demo.py") and callable(shop.run_demo)
