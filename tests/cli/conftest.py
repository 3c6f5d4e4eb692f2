"""A directory of one's own with an app in it, and the command line called in this process."""

import sys
from types import SimpleNamespace

import pytest

from amends.cli.app import run

APP = '''
"""The app that the command line runs in these tests."""
from dataclasses import dataclass

from amends import Rejected, Retry, Saga, step, wait_for


@dataclass
class Order:
    item: str


@dataclass
class Go:
    by: str


@step
async def reserve(order: Order) -> dict:
    return {"item": order.item}


@reserve.compensation
async def release(order: Order) -> None:
    if order.item == "sealed":
        raise Rejected("already dispatched")


@step(retry=Retry(attempts=1))
async def charge(order: Order) -> dict:
    if order.item in ("poor", "sealed"):
        raise Rejected("no money")
    return {"paid": 1}


@charge.compensation
async def refund(order: Order) -> None:
    pass


quick = Saga("quick", reserve, charge, result=charge)
patient = Saga("patient", reserve.named("hold"), wait_for("go", Go), charge.named("pay"))
sagas = [quick, patient]
'''


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The current directory: an app, and nothing set from outside."""
    for name in ("AMENDS_STORE", "AMENDS_APP", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "cli_app", raising=False)
    (tmp_path / "cli_app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def call(capsys):
    """Run a command line in this process: its exit code, standard output and standard error."""

    def called(*argv):
        code = run([str(each) for each in argv])
        said = capsys.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return called
