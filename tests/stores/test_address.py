"""Store addresses: what opens what, and what is said of the others."""

from __future__ import annotations

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


def test_postgresql_comes_later_and_its_password_is_not_repeated():
    with pytest.raises(UsageError, match="later release") as caught:
        open_address("postgresql://user:secret@host/db")
    assert caught.value.code == "AM2203"
    assert "secret" not in str(caught.value)
