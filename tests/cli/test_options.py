"""Where the store and the app come from, and what is said when they do not."""

import sys

import pytest

from amends import Saga, step
from amends.cli.loading import load_app
from amends.cli.options import Common, address_of, open_store, project
from amends.errors import StoreUnusable, UsageError


@step
async def first(order: dict) -> None: ...


one = Saga("one", first, input=dict)
two = Saga("two", first, input=dict)


class Both:
    def __init__(self):
        self.sagas = [one]
        self.resources = [object()]


def app(monkeypatch, **names):
    from types import ModuleType

    module = ModuleType("made_app")
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, "made_app", module)


APPS = {
    "saga": one,
    "list": [one],
    "tuple": (one,),
    "dict": {"a": one},
    "factory": lambda: one,
    "factory of a list": lambda: [one],
    "object": Both(),
    "class": Both,
}


@pytest.mark.parametrize("found", APPS.values(), ids=APPS)
def test_an_app_may_be_many_things(monkeypatch, found):
    app(monkeypatch, found=found)
    assert load_app(Common(app="made_app:found")).sagas == (one,)


def test_an_app_brings_its_resources(monkeypatch):
    app(monkeypatch, found=Both)
    assert len(load_app(Common(app="made_app:found")).resources) == 1


async def coroutine_factory():
    return one


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "which sagas?"),
        ("made_app", "write module:object"),
        ("made_app:", "write module:object"),
        ("nowhere_at_all:x", "there is no module 'nowhere_at_all'"),
        ("made_app:missing", "has no 'missing'"),
        ("made_app:number", "is 3"),
        ("made_app:empty", "holds no saga"),
        ("made_app:mixed", "holds 'x', which is no Saga"),
        ("made_app:coroutine_factory", "make it a plain one"),
        ("made_app:broken", "ZeroDivisionError"),
    ],
)
def test_what_is_no_app_is_refused_with_the_reason(monkeypatch, spec, said):
    names = {"number": 3, "empty": [], "mixed": [one, "x"], "broken": lambda: 1 / 0}
    app(monkeypatch, coroutine_factory=coroutine_factory, **names)
    with pytest.raises(UsageError, match=said):
        load_app(Common(app=spec))


def test_an_error_inside_the_users_module_names_their_file_and_line(place):
    (place / "broken_app.py").write_text("import json\n\nraise RuntimeError('no settings')\n")
    with pytest.raises(UsageError, match=r"RuntimeError: no settings \(.*broken_app.py, line 3\)"):
        load_app(Common(app="broken_app:sagas"))


def test_a_module_that_the_users_module_misses_is_not_taken_for_the_app(place):
    (place / "needy_app.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(UsageError, match="cannot be loaded: ModuleNotFoundError.*line 1"):
        load_app(Common(app="needy_app:sagas"))


def test_the_project_is_found_upwards_and_its_store_counts_from_there(place, monkeypatch):
    (place / "pyproject.toml").write_text('[tool.amends]\nstore = "sqlite:///data/x.db"\napp = "cli_app:sagas"\n')
    (place / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(place / "deep" / "er")
    assert address_of(Common()) == f"sqlite:///{place}/data/x.db"
    assert [saga.name for saga in load_app(Common()).sagas] == ["quick", "patient"]


def test_an_option_comes_before_the_project_and_the_project_before_the_default(place):
    assert address_of(Common()) == "sqlite:///amends.db"
    (place / "pyproject.toml").write_text('[tool.amends]\nstore = "sqlite:////abs/x.db"\n')
    assert address_of(Common()) == "sqlite:////abs/x.db"
    assert address_of(Common(store="sqlite:///y.db")) == "sqlite:///y.db"


def test_the_environment_comes_before_the_project(place, call, monkeypatch):
    (place / "pyproject.toml").write_text('[tool.amends]\nstore = "sqlite:///project.db"\n')
    monkeypatch.setenv("AMENDS_STORE", "sqlite:///environment.db")
    assert "sqlite:///environment.db" in call("list").err
    assert "sqlite:///option.db" in call("list", "--store", "sqlite:///option.db").err
    monkeypatch.setenv("AMENDS_STORE", "")
    assert "project.db" in call("list").err


@pytest.mark.parametrize("said", ["[tool.amends]\napp = 3\n", "[tool]\namends = 3\n", "[tool", "\xff"])
def test_a_pyproject_that_cannot_be_is_a_usage_error_that_names_it(place, said):
    (place / "pyproject.toml").write_text(said, encoding="latin-1")
    with pytest.raises(UsageError, match="pyproject.toml"):
        project()


def test_a_store_in_memory_is_refused():
    with pytest.raises(UsageError, match="ends with this command"):
        open_store(Common(store="sqlite://"), make=True)


def test_looking_never_makes_a_database(place):
    with pytest.raises(StoreUnusable, match="there is no store sqlite:///gone.db"):
        open_store(Common(store="sqlite:///gone.db"), make=False)
    assert not (place / "gone.db").exists()
