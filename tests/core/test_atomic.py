"""Atomic steps, as definitions: what they take, what contradicts them, what the fingerprint says of them."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace

import pytest

from amends import Context, DefinitionError, Saga, parallel, step
from amends.core import events as ev
from amends.core.events import Frame
from amends.core.fold import load
from amends.core.graph import structure_from, structure_of
from amends.core.transitions import StepStatus


@step(atomic=True)
def debit(amount: int, db: sqlite3.Connection) -> int:
    return amount


@debit.compensation
def credit_back(amount: int, db: sqlite3.Connection) -> None: ...


@step
async def tell(amount: int, ctx: Context) -> None: ...


def test_the_connection_is_wired_by_its_type_and_is_never_the_input():
    @step(atomic=True)
    def first(db: sqlite3.Connection, amount: int) -> int:
        return amount

    saga = Saga("bank", first)
    assert saga.input_type is int
    assert saga.bindings[1].action.connection is sqlite3.Connection
    given = SimpleNamespace(input=lambda _: b"5")
    args, kwargs = saga.bindings[1].action.arguments(given, resources={sqlite3.Connection: "the store's"})
    assert (args, kwargs) == (["the store's", 5], {})


def test_a_compensation_may_take_the_connection_too_or_do_without():
    saga = Saga("bank", debit, tell, input=int)
    binding = saga.bindings[1]
    assert binding.compensation.connection is sqlite3.Connection
    assert saga.bindings[2].action.connection is None

    @step(atomic=True)
    def other(amount: int, db: sqlite3.Connection) -> None: ...

    @other.compensation
    async def call_somebody(amount: int) -> None: ...

    assert Saga("bank", other, input=int).bindings[1].compensation.connection is None


def test_only_atomic_functions_get_the_connection():
    @step
    def plain(amount: int, db: sqlite3.Connection) -> None: ...

    with pytest.raises(DefinitionError, match=r'AM1220.*step "plain", action, parameter "db.*atomic=True'):
        Saga("bank", plain, input=int)

    @step
    async def undone(amount: int) -> None: ...

    @undone.compensation
    def undo(amount: int, db: sqlite3.Connection) -> None: ...

    with pytest.raises(DefinitionError, match=r"AM1220.*compensation"):
        Saga("bank", undone, input=int)


def test_a_connection_declared_as_a_resource_is_the_authors_own_except_in_an_atomic_step():
    @step
    def plain(amount: int, db: sqlite3.Connection) -> None: ...

    saga = Saga("bank", plain, debit, input=int, resources=[sqlite3.Connection])
    assert saga.bindings[1].action.connection is None
    assert saga.bindings[2].action.connection is sqlite3.Connection


def test_an_atomic_step_without_a_connection_has_nothing_to_write_with():
    @step(atomic=True)
    def idle(amount: int) -> None: ...

    with pytest.raises(DefinitionError, match="AM1221.*sqlite3.Connection"):
        Saga("bank", idle, input=int)


def test_an_atomic_function_cannot_be_a_coroutine():
    with pytest.raises(DefinitionError, match="AM1410.*write a plain"):

        @step(atomic=True)
        async def waits(amount: int, db: sqlite3.Connection) -> None: ...

    @step(atomic=True)
    def fine(amount: int, db: sqlite3.Connection) -> None: ...

    @fine.compensation
    async def undo(amount: int, db: sqlite3.Connection) -> None: ...

    with pytest.raises(DefinitionError, match="AM1410.*compensation"):
        Saga("bank", fine, input=int)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"read_only": True}, "AM1404"),
        ({"on_unknown": "park"}, "AM1404"),
        ({"on_unknown": "retry"}, "AM1404"),
        ({"key_ttl": "1d"}, "AM1404"),
    ],
)
def test_what_speaks_of_an_unknown_outcome_contradicts_atomic(options, code):
    with pytest.raises(DefinitionError, match=f"{code}.*atomic"):
        step(atomic=True, **options)


def test_an_atomic_step_has_no_probe():
    @step(atomic=True)
    def fine(amount: int, db: sqlite3.Connection) -> None: ...

    with pytest.raises(DefinitionError, match="AM1411"):

        @fine.probe
        def find(amount: int) -> bool: ...


def test_atomic_is_a_part_of_the_structure_and_sagas_without_it_keep_their_fingerprints():
    @step(name="debit")
    def plain(amount: int) -> int:
        return amount

    @plain.compensation
    def undo(amount: int) -> None: ...

    with_it, without = Saga("bank", debit, tell, input=int), Saga("bank", plain, tell, input=int)
    assert with_it.fingerprint != without.fingerprint
    # What release 0.1 made of it, before there were atomic steps.
    assert without.fingerprint == "0c82fbbbff9ba617cf6c0f5c6d75b15f"
    assert b"atomic" not in structure_of(without.graph)
    assert structure_from(structure_of(with_it.graph)).atomic == with_it.graph.atomic == (1,)


def frames(saga: Saga, *events: ev.Event) -> list[Frame]:
    started = ev.Started("s", saga.name, saga.version, saga.fingerprint, saga.encode_input(5))
    return [Frame(1, 1, [started, ev.Began(), *events])]


def test_an_atomic_attempt_that_was_cut_off_is_not_unknown_and_one_beside_it_is():
    saga = Saga("bank", parallel(debit, tell), input=int)
    graph = saga.graph
    atomic, other = graph.find("debit"), graph.find("tell")
    state = load(
        graph,
        frames(
            saga,
            ev.ActionStarted(atomic),
            ev.ActionStarted(other),
            ev.ActionCut(atomic, "crash"),
            ev.ActionCut(other, "crash"),
        ),
    )
    assert not state.slot(atomic).unknown
    assert state.slot(atomic).status is StepStatus.SETTLING
    assert state.slot(other).unknown
