"""PostgreSQL against the conformance suite of stores."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from amends.stores.base import Store
from amends.stores.postgres import PostgresStore
from amends.stores.postgres.session import Address, connect
from amends.testing.store_suite import StoreSuite
from tests.servers.postgres import Databases


class TestPostgresStore(StoreSuite):
    """The suite, unchanged, on a database of its own for each store."""

    @pytest.fixture(autouse=True)
    def _database(self, postgres: object) -> None:
        self.databases = postgres

    async def make(self, tmp_path: Path) -> Store:
        store = PostgresStore(self.databases.new())
        await store.open()
        return store


def test_connections_are_set_as_the_store_needs_them_whatever_the_database_says(postgres: Databases) -> None:
    address = postgres.new()
    name = address.rpartition("/")[2]
    with postgres.connection() as db:
        db.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
        db.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with connect(Address(address), "test") as db:
        shown = [
            db.execute(f"SHOW {each}").fetchone()[0]
            for each in ("transaction_isolation", "synchronous_commit", "application_name")
        ]
        assert shown == ["read committed", "on", "amends test"]
    with psycopg.connect(address) as other:
        assert other.execute("SHOW transaction_isolation").fetchone() == ("serializable",)

    async def serves() -> None:
        store = PostgresStore(address)
        await store.open()
        store.close()

    asyncio.run(serves())
