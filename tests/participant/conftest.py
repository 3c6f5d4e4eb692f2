"""One account in a participant's own database, and the calls of a saga upon it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from amends.participant import create_schema


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "participant.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    opened = connect(path)
    create_schema(opened)
    opened.execute("CREATE TABLE account (balance INTEGER NOT NULL)")
    opened.execute("INSERT INTO account VALUES (0)")
    yield opened
    opened.close()
