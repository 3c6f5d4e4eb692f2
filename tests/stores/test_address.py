"""Store addresses: what opens what, and what is said of the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from amends.errors import UsageError
from amends.stores.address import open_address
from amends.stores.memory import MemoryStore
from amends.stores.sqlite import SQLiteStore


def test_three_slashes_are_a_relative_path_and_four_an_absolute_one():
    relative, absolute = open_address("sqlite:///orders.db"), open_address("sqlite:////var/lib/orders.db")
    assert isinstance(relative, SQLiteStore)
    assert isinstance(absolute, SQLiteStore)
    assert (relative.path, absolute.path) == (Path("orders.db"), Path("/var/lib/orders.db"))
    assert (relative.address, absolute.address) == ("sqlite:///orders.db", "sqlite:////var/lib/orders.db")


def test_an_address_without_a_path_is_memory():
    assert isinstance(open_address("sqlite://"), MemoryStore)


@pytest.mark.parametrize(
    "address", ["orders.db", "", "sqlite:orders.db", "sqlite://orders.db", "sqlite:///", "mysql:///orders"]
)
def test_an_address_of_no_store_is_refused_and_tells_the_forms_there_are(address):
    with pytest.raises(UsageError, match="sqlite:////absolute/path.db") as caught:
        open_address(address)
    assert caught.value.code == "AM2202"
    assert ("is not a store address" in str(caught.value)) == ("://" not in address)


def test_a_postgresql_address_opens_its_store_and_never_shows_the_password():
    store = open_address("postgresql://user:secret@host:5433/db?sslpassword=hidden")
    assert store.address == "postgresql://user@host:5433/db"
    assert open_address("postgresql://one:1,two:2/db").address == "postgresql://one,two/db"


@pytest.mark.parametrize(
    "address",
    ["postgresql://user:se%zzcret@host/db", "postgresql://u:secret@host/db?secret=1", "postgresql://u:secret@[x"],
)
def test_an_address_that_libpq_cannot_read_is_refused_without_repeating_the_password(address):
    with pytest.raises(UsageError, match="libpq cannot read") as caught:
        open_address(address)
    assert caught.value.code == "AM2202"
    assert "secret" not in str(caught.value)
    assert "se%zzcret" not in str(caught.value)


def test_without_psycopg_one_is_told_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "psycopg" or "stores.postgres" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"pip install 'amends\[postgres\]'") as caught:
        open_address("postgresql://host/db")
    assert caught.value.code == "AM2203"
