"""Each example runs, says what it did, and its services' own books agree; run again, it does nothing twice."""

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(name: str, where: Path) -> str:
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        cwd=where, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_passes_mypy_in_strict_mode(example: Path):
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(example)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_stands_on_the_page_of_examples(example: Path):
    assert f"`examples/{example.name}`" in (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")


# --- the assisted order --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def assisted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, list[tuple[str, str]]], bytes, bytes]:
    """What it printed, each buyer's effects with their keys, and the books after the first and a second run."""
    where = tmp_path_factory.mktemp("assisted")
    told = run("assisted_order", where)
    first = (where / "assisted_order.jsonl").read_bytes()
    run("assisted_order", where)
    again = (where / "assisted_order.jsonl").read_bytes()
    db = sqlite3.connect(where / "assisted_order.db")
    sagas = {saga: key.removeprefix("order-") for saga, key in db.execute("SELECT saga_id, key FROM amends_keys")}
    db.close()
    effects: dict[str, list[tuple[str, str]]] = {buyer: [] for buyer in sagas.values()}
    for line in first.decode().splitlines():
        row = json.loads(line)
        saga, _, path = row["key"].partition("/")
        effects[sagas[saga]].append((row["what"], path))
    return told, effects, first, again


TRACKED = [("tracking opened", "recommend/action")]
UNDONE = [("released", "reserve_stock/action"), ("tracking cancelled", "recommend/action")]
SOLD = [("charged 30000", "pay/action"), ("delivered", "deliver/action")]


@pytest.mark.parametrize(
    ("buyer", "effects"),
    [
        ("ada", [*TRACKED, ("reserved 2", "reserve_stock/action"), *SOLD]),
        ("bob", [*TRACKED, ("reserved 2", "reserve_stock/action"), *UNDONE]),
        ("cleo", [*TRACKED, ("reserved 1", "reserve_stock/action"), *SOLD]),
        ("dan", [*TRACKED, ("reserved 2", "reserve_stock/action"), *SOLD]),
        ("eve", [*TRACKED, ("reserved 1", "reserve_stock/action"), *UNDONE]),
    ],
)
def test_the_assisted_order_leaves_exactly_what_it_should(buyer: str, effects: list[tuple[str, str]], assisted):
    assert assisted[1][buyer] == effects


def test_the_assisted_order_does_nothing_twice(assisted):
    assert assisted[2] == assisted[3]


def test_the_assisted_order_says_what_became_of_each(assisted):
    told = assisted[0]
    assert told.count("not delivered, nothing left behind: pay rejected: card declined") == 2
    assert told.count("delivered as parcel-") == 3


# --- the experiment ------------------------------------------------------------------------------


def test_the_experiment_is_all_or_nothing_by_the_services_own_tables(tmp_path: Path):
    told = run("experiment", tmp_path)
    assert "the same visitors: True" in told
    db = sqlite3.connect(tmp_path / "experiment-services.db")

    def visitors(query: str) -> list[str]:
        return [row[0] for row in db.execute(query)]

    exposed = visitors("SELECT visitor FROM exposed")
    recorded = visitors("SELECT visitor FROM recorded WHERE key NOT IN (SELECT key FROM retracted)")
    enrolled = visitors("SELECT visitor FROM assigned WHERE key <> 'before'")
    before = visitors("SELECT visitor FROM assigned WHERE key = 'before'")
    db.close()
    refused = {f"visitor-{number:03}" for number in range(0, 200, 10)}
    assert max(Counter(exposed).values()) == max(Counter(recorded).values()) == 1
    assert len(before) == 50  # those were not withdrawn, though some of their sagas turned back
    assert set(exposed) == set(recorded)
    assert set(enrolled) == set(exposed) - set(before)
    assert not refused & set(exposed)
    assert run("experiment", tmp_path) == told


# --- the approval --------------------------------------------------------------------------------


def test_the_approval_pays_what_was_signed_or_small_and_holds_nothing_back(tmp_path: Path):
    told = run("approval", tmp_path)
    books = json.loads((tmp_path / "approval.json").read_text(encoding="utf-8"))
    assert sorted(books["paid"].values()) == [80_00, 2_000_00]
    assert books["held"] == {}
    for line in (
        "80.00 paid, no signature needed",
        "2000.00 paid, signed by the boss",
        "not paid: check_approval rejected: the boss denied it: no first class",
        "not paid: approval timeout: no signal in time",
        "budget left: 7920.00, held: 0.00",
    ):
        assert line in told
    again = run("approval", tmp_path)
    assert json.loads((tmp_path / "approval.json").read_text(encoding="utf-8")) == books
    assert "on hold" not in again


# --- a thousand items ----------------------------------------------------------------------------


def test_the_thousand_get_their_vouchers_and_of_the_other_list_nobody_keeps_one(tmp_path: Path):
    told = run("thousand", tmp_path)
    assert "anniversary: 1000 vouchers" in told
    assert "midsummer: nobody, for activate[637] rejected: the bank knows no such person" in told

    books = (tmp_path / "thousand.jsonl").read_bytes()
    done: dict[str, Counter[str]] = {"activated": Counter(), "voided": Counter()}
    for line in books.decode().splitlines():
        row = json.loads(line)
        done[row["what"]][row["key"]] += 1
    activated, voided = done["activated"], done["voided"]
    kept = {key for key in activated if key not in voided}
    assert set(activated.values()) == set(voided.values()) == {1}
    assert len(kept) == 1_000
    assert len({key.partition("/")[0] for key in kept}) == 1  # all of one saga
    assert len(voided) > 500  # it was well under way, and nothing of it stands
    assert voided.keys() < activated.keys()

    run("thousand", tmp_path)
    assert (tmp_path / "thousand.jsonl").read_bytes() == books
