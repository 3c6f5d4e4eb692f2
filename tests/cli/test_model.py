"""`amends check --model`: what it prints, and how it ends."""

import json

import pytest

MISTAKE = """
from amends import Saga, step


@step
async def reserve(order: str) -> None: ...


@step(pivot=True)
async def capture(order: str) -> None: ...


sell = Saga("sell", reserve, capture)
"""
UNDO = "@reserve.compensation\nasync def release(order: str) -> None: ...\n\n\n"
MENDED = MISTAKE.replace("@step(pivot", f"{UNDO}@step(pivot")
REFUSED = MISTAKE.replace("(order: str)", "(order)").replace('"sell"', '"no name"')


@pytest.fixture
def write(tmp_path):
    """Writes a module into the current directory, under a name that no other test has."""

    def write(text: str) -> str:
        name = f"{tmp_path.name.replace('-', '_')}_model"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return write


def test_a_story_is_told_and_fails(call, write):
    told = call("check", write(MISTAKE), "--model")
    assert told.code == 1
    assert told.out == (
        'sell v1: the effect of "reserve" may stay\n'
        "    reserve succeeds → capture is refused → reserve has no compensation, so what it did stays\n"
    )
    assert told.err.startswith("sell v1, all of its ") and told.err.endswith(" states: 1 effect may stay\n")


def test_a_saga_without_a_story_passes(call, write):
    told = call("check", write(MENDED), "--model")
    assert (told.code, told.out) == (0, "")
    assert told.err.endswith(" states: no effect stays\n")


def test_as_json_a_story_is_what_happens_in_order(call, write):
    (found,) = json.loads(call("check", write(MISTAKE), "--model", "--format", "json").out)
    assert (found["name"], found["whole"]) == ("sell", True)
    assert found["stories"][0]["told"][:2] == ["reserve succeeds", "capture is refused"]


def test_a_definition_that_is_refused_fails_too(call, write):
    told = call("check", write(REFUSED), "--model")
    assert told.code == 1 and "SG000" in told.err


@pytest.mark.parametrize("more", [["--format", "sarif"], ["--baseline", "known.json"]], ids=str)
def test_what_it_does_not_have_is_told(call, write, more):
    refused = call("check", write(MISTAKE), "--model", *more)
    assert refused.code == 2 and "[AM2526]" in refused.err
