"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.postgres import Databases, NoServer, databases


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Databases]:
    """A PostgreSQL server for the session. Where none can be had, its tests are skipped, and that is an error in CI."""
    try:
        with databases() as served:
            yield served
    except NoServer as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NO POSTGRESQL, so its tests did not run: {error}")


@pytest.fixture
def postgres(postgres_server: Databases) -> Iterator[Databases]:
    """Databases for one test, dropped after it."""
    try:
        yield postgres_server
    finally:
        postgres_server.drop_all()
