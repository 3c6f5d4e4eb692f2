"""Every scene is played on memory and on a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.stage import Ground


@pytest.fixture(params=["memory", "sqlite"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    return Ground(None if request.param == "memory" else tmp_path / "sagas.db")


@pytest.fixture
def file_ground(tmp_path: Path) -> Ground:
    """For scenes with two connections."""
    return Ground(tmp_path / "sagas.db")
