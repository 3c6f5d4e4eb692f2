"""What `make bench` says and does when a ratio got worse, a target is missed, or a benchmark fails."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SCRIPT = """
import sys
sys.path.insert(0, {bench!r})
from figures import tell
for line in {figures!r}:
    tell(**line)
sys.exit({status})
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with benchmarks and accepted ratios of the test's own."""
    spec = importlib.util.spec_from_file_location("bench_all", BENCH / "all.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "ACCEPTED", tmp_path / "ratios.json")
    return module


def ran(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, *figures: dict[str, object], status: int = 0, asked: str = ""
) -> int:
    """The exit status of a run whose one benchmark tells these figures."""
    script = SCRIPT.format(bench=str(BENCH), figures=list(figures), status=status)
    (bench.HERE / "one.py").write_text(script)
    monkeypatch.setattr(bench, "RUNS", [("one.py", [], [])])
    monkeypatch.setattr("sys.argv", ["all.py", *asked.split()])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("bound", "value", "regresses"),
    [
        ("at_least", 0.50, False),
        ("at_least", 0.41, False),
        ("at_least", 0.39, True),
        ("at_most", 0.50, False),
        ("at_most", 0.62, False),
        ("at_most", 0.63, True),
    ],
)
def test_a_ratio_that_got_worse_by_more_than_a_quarter_fails(bench, monkeypatch, capsys, bound, value, regresses):
    figure = {"name": "speed", "ratio": True, bound: 0.5}
    assert ran(bench, monkeypatch, figure | {"value": 0.5}, asked="--accept") == 0
    assert json.loads(bench.ACCEPTED.read_text()) == {"speed": 0.5}
    assert ran(bench, monkeypatch, figure | {"value": value}) == int(regresses)
    assert ("REGRESSION: it was 0.50" in capsys.readouterr().out) == regresses
    assert json.loads(bench.ACCEPTED.read_text()) == {"speed": 0.5}  # nobody asked for another


def test_a_time_is_never_a_regression_and_a_missed_target_is_said(bench, monkeypatch, capsys):
    figure = {"name": "first moves", "value": 0.5, "unit": "s", "at_most": 1}
    assert ran(bench, monkeypatch, figure, asked="--accept") == 0
    assert json.loads(bench.ACCEPTED.read_text()) == {}
    assert "MISSES" not in capsys.readouterr().out
    assert ran(bench, monkeypatch, figure | {"value": 90.0}) == 0
    assert "MISSES ITS TARGET" in capsys.readouterr().out


def test_a_benchmark_that_fails_is_told_and_fails_the_run(bench, monkeypatch, capsys):
    assert ran(bench, monkeypatch, {"name": "speed", "value": 1.0}, status=3) == 1
    said = capsys.readouterr().out
    assert "one.py FAILED" in said
    assert "speed" in said


def test_every_benchmark_of_the_list_is_there():
    spec = (BENCH / "all.py").read_text()
    files = {line.split('"')[1] for line in spec.splitlines() if line.startswith('    ("')}
    assert len(files) > 10
    assert all((BENCH / file).is_file() for file in files)
