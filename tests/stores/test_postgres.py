"""PostgreSQL against the conformance suite of stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from amends.stores.base import Store
from amends.stores.postgres import PostgresStore
from amends.testing.store_suite import StoreSuite


class TestPostgresStore(StoreSuite):
    """The suite, unchanged, on a database of its own for each store."""

    @pytest.fixture(autouse=True)
    def _database(self, postgres: object) -> None:
        self.databases = postgres

    async def make(self, tmp_path: Path) -> Store:
        store = PostgresStore(self.databases.new())
        await store.open()
        return store
