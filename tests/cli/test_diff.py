"""diff: stores with sagas in flight of two versions, held against apps that changed."""

import asyncio
import json
import sqlite3
import sys
from contextlib import closing

import pytest

from amends import Orchestrator
from amends.cli.loading import import_file
from amends.crypto import KeyRing
from amends.errors import Conflict

OLD = """
from dataclasses import dataclass

from amends import Saga, sleep, step, wait_for


@dataclass
class Order:
    id: str


@step
async def pack(order: Order) -> str:
    return "packed"


@step(expires="1h")
async def weigh(order: Order) -> str:
    return "weighed"


@step
async def ship(order: Order) -> str:
    return "shipped"


one = Saga("shipping", pack, wait_for("go", str), ship, version=1)
two = Saga("shipping", pack, weigh, wait_for("go", str), ship, version=2)
billing = Saga("billing", pack, wait_for("paid", str))
drained = Saga("drained", pack)
sagas = [one, two, billing, drained]
"""


@pytest.fixture
def old(place):
    """Two sagas of shipping v1, one of v2, one of billing, and one of `drained` that has ended; their app is `old`."""
    return app(place, "old", OLD)


def app(place, name, text):
    """A module of a test; its name, for --app."""
    (place / f"{name}.py").write_text(text)
    sys.modules.pop(name, None)
    return f"{name}:sagas"


def started(place, **settings):
    """The store of `old`, with its sagas waiting."""

    async def main():
        old = import_file("old", place / "old.py")
        async with Orchestrator(f"sqlite:///{place / 'amends.db'}", sagas=old.sagas, **settings) as orchestrator:
            ids = []
            for saga, order in ((old.one, "a"), (old.one, "b"), (old.two, "c"), (old.billing, "d")):
                ids.append((await orchestrator.start(saga, old.Order(order))).id)
            assert await (await orchestrator.start(old.drained, old.Order("e"))).result() == "packed"
            return ids

    return asyncio.run(main())


def judged(call, *words):
    """How each stored version stands, and the exit code."""
    said = call("diff", *words, "-o", "json")
    return {(each["name"], each["version"]): each for each in json.loads(said.out)}, said.code


def test_with_the_app_of_the_sagas_all_go_on(place, call, old):
    started(place)
    said = call("diff", "--app", old)
    assert said.out == (
        "✓ billing v1: 1 saga goes on\n"
        "✓ drained v1: no saga is in flight\n"
        "✓ shipping v1: 2 sagas go on\n"
        "✓ shipping v2: 1 saga goes on\n"
    )
    assert (said.err, said.code) == ("4 sagas can go on, 0 cannot\n", 0)


def test_a_version_that_the_app_lacks_leaves_its_sagas_on_hold(place, call, old):
    started(place)
    new = app(place, "new", OLD.replace("sagas = [one, two, billing, drained]", "sagas = [two]"))
    said = call("diff", "--app", new)
    assert said.out == (
        "✗ billing v1: 1 saga would stand on hold (version): the app has no definition of that name\n"
        "    keep version 1 registered until it is drained: 1 saga left\n"
        "✗ shipping v1: 2 sagas would stand on hold (version): the app has version 2 of it, and not this one\n"
        "    in version 2 of the app:\n"
        "    added    weigh: after pack\n"
        "    keep version 1 registered until it is drained: 2 sagas left\n"
        "✓ shipping v2: 1 saga goes on\n"
    )
    assert (said.err, said.code) == ("1 saga can go on, 3 cannot\n", 1)


def test_what_it_says_of_holds_is_what_a_worker_does(place, call, old):
    ids = started(place)
    new = app(place, "new", OLD.replace("sagas = [one, two, billing, drained]", "sagas = [two]"))
    found, _ = judged(call, "--app", new)
    assert call("worker", "--until-idle", "--app", new).code == 0
    held = json.loads(call("list", "--hold", "version", "-o", "json").out)
    assert {each["id"] for each in held} == {ids[0], ids[1], ids[3]}
    assert {(each["name"], each["version"]) for each in held} == {
        key for key, each in found.items() if each["stands"] == "held"
    }


def test_a_version_with_another_structure_is_refused_and_its_nodes_are_named(place, call, old):
    started(place)
    new = app(place, "new", OLD.replace('Saga("shipping", pack, weigh, wait', 'Saga("shipping", weigh, pack, wait'))
    said = call("diff", "shipping", "--app", new)
    assert said.out == (
        "✓ shipping v1: 2 sagas go on\n"
        "✗ shipping v2: 1 saga cannot go on: the app's version 2 has another structure than the stored one, and a "
        "worker refuses to start with it\n"
        "    moved    weigh: first; it was after pack\n"
        "    give the changed definition the next version, 3, and keep the old one registered as version 2 until it is "
        "drained: 1 saga left\n"
    )
    assert said.code == 1
    assert said.err == (
        "2 sagas can go on, 1 cannot; and no worker starts with this app, so that none does before it is mended\n"
    )


def test_another_structure_is_refused_also_when_no_saga_of_it_is_in_flight(place, call, old):
    started(place)
    new = app(place, "new", OLD.replace('Saga("drained", pack)', 'Saga("drained", ship)'))
    found, code = judged(call, "--app", new)
    assert (found["drained", 1]["stands"], found["drained", 1]["sagas"], code) == ("refused", 0, 1)
    with pytest.raises(Conflict):

        async def main():
            new = import_file("new", place / "new.py")
            async with Orchestrator(f"sqlite:///{place / 'amends.db'}", sagas=new.sagas):
                pass

        asyncio.run(main())


def test_a_drained_version_that_the_app_lacks_is_not_missed(place, call, old):
    started(place)
    new = app(place, "new", OLD.replace("billing, drained]", "billing]"))
    found, code = judged(call, "--app", new)
    assert code == 0 and ("drained", 1) not in found


def test_a_version_that_is_not_stored_is_new(place, call, old):
    started(place)
    new = app(place, "new", OLD + 'sagas.append(Saga("shipping", ship, version=3))\n')
    found, code = judged(call, "shipping", "--app", new)
    assert code == 0 and list(found) == [("shipping", 1), ("shipping", 2), ("shipping", 3)]
    assert found["shipping", 3]["stands"] == "new"


def test_an_input_that_todays_type_does_not_read_is_told_by_saga(place, call, old):
    ids = started(place)
    new = app(place, "new", OLD.replace("id: str", "id: str\n    weight: int"))
    found, code = judged(call, "shipping", "--app", new)
    assert code == 1 and {each["stands"] for each in found.values()} == {"unreadable"}
    unreadable = found["shipping", 1]["inputs"]["unreadable"]
    assert set(unreadable) == set(ids[:2]) and all("`weight`" in why for why in unreadable.values())
    said = call("diff", "shipping", "--app", new)
    assert said.err == "0 sagas can go on, 3 cannot\n" and f"    {ids[2]}: " in said.out


def test_what_it_says_of_inputs_is_what_a_worker_does(place, call, old):
    ids = started(place)
    new = app(place, "new", OLD.replace("id: str", "id: str\n    weight: int"))
    found, _ = judged(call, "shipping", "--app", new)
    assert "1 of 1 saga would stop, as poison, at the next function" in found["shipping", 2]["why"]
    call("signal", ids[2], "go", '"yes"')
    assert call("worker", "--until-idle", "--app", new).code == 0
    (stopped,) = json.loads(call("list", "--hold", "poison", "-o", "json").out)
    assert stopped["id"] == ids[2] and stopped["status"] == "requires_manual"


def test_an_input_type_that_gained_a_default_reads_them_all(place, call, old):
    started(place)
    new = app(place, "new", OLD.replace("id: str", "id: str\n    weight: int = 0"))
    found, code = judged(call, "--app", new)
    assert code == 0 and found["shipping", 1]["inputs"] == {"tried": 2, "sealed": 0, "unreadable": {}}


def test_when_not_every_input_is_tried_it_says_so(place, call, old, monkeypatch):
    monkeypatch.setattr("amends.cli.differing.DIFF_INPUTS_MAX", 1)
    started(place)
    said = call("diff", "shipping", "--app", old)
    assert "✓ shipping v1: 2 sagas go on; the inputs of the newest 1 were tried\n" in said.out


def test_inputs_whose_key_is_elsewhere_are_not_called_unreadable(place, call, old):
    started(place, encryption=KeyRing({"k1": b"0" * 32}, active="k1"))
    found, code = judged(call, "shipping", "--app", old)
    assert code == 0 and found["shipping", 1]["inputs"] == {"tried": 2, "sealed": 2, "unreadable": {}}
    assert "2 are encrypted with a key that is not in AMENDS_KEYS, and were not read" in found["shipping", 1]["why"]


def test_tuning_matters_to_no_saga_in_flight(place, call, old):
    started(place)
    new = app(place, "new", OLD.replace('expires="1h"', 'timeout="9s", expires="2h"'))
    said = call("diff", "shipping", "--app", new)
    assert said.code == 0 and said.out.endswith(
        "    of no matter to sagas in flight, which take it over:\n"
        "    changed  weigh: expires after 2h; it was after 1h\n"
    )


def test_sagas_of_no_stored_definition_are_not_passed_over(place, call, old):
    started(place)
    with closing(sqlite3.connect(place / "amends.db")) as db, db:
        db.execute("DELETE FROM amends_definitions WHERE name = 'billing'")
    found, code = judged(call, "--app", old)
    assert code == 1 and (found["billing", 1]["stands"], found["billing", 1]["sagas"]) == ("unknown", 1)


def test_a_stored_structure_that_cannot_be_read_is_still_judged(place, call, old):
    started(place)
    with closing(sqlite3.connect(place / "amends.db")) as db, db:
        db.execute("UPDATE amends_definitions SET structure = x'00', fingerprint = 'x' WHERE name = 'billing'")
    found, code = judged(call, "billing", "--app", old)
    assert code == 1 and found["billing", 1]["stands"] == "refused"
    assert "cannot be read here" in found["billing", 1]["changes"][0]["what"]


def test_it_changes_nothing_in_the_store(place, call, old):
    started(place)
    call("list")  # brings lists up, as every look does

    def content():
        with closing(sqlite3.connect(place / "amends.db")) as db:
            return list(db.iterdump())

    before = content()
    assert call("diff", "--app", app(place, "new", OLD + 'sagas.append(Saga("fresh", ship))\n')).code == 0
    assert content() == before and "fresh" not in "".join(before)


def test_what_it_is_not_given_or_does_not_find(place, call, old):
    assert call("diff", "--app", old).code == 5 and not (place / "amends.db").exists()
    started(place)
    assert call("diff").code == 2
    missing = call("diff", "parcels", "--app", old)
    assert missing.code == 3 and "there is: billing, drained, shipping" in missing.err
