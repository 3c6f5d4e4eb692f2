"""All short sequences of calls, checked against a model that is written from the promises alone."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import dataclass, field

import pytest

from amends.participant import Decision, Guard, Reply, create_schema

CALLS = ("action", "action-refused", "action-fails", "compensation", "compensation-refused", "compensation-fails")
LONGEST = 5


class Broken(Exception):
    """The participant's code fails after its writes."""


def call(connection: sqlite3.Connection, kind: str, number: int) -> tuple[Decision, Reply] | None:
    """One request; None when it failed with a 500. Each answer carries the number of the call that made it."""
    op, _, ending = kind.partition("-")
    guard = Guard("s1", "reserve", op)
    try:
        with guard.sqlite3(connection) as go:
            if go.run:
                connection.execute("UPDATE account SET balance = balance + ?", (30 if op == "action" else -30,))
                if ending == "fails":
                    raise Broken
                if ending == "refused":
                    go.refuse(409, {"call": number})
                else:
                    go.reply({"call": number}, status=201)
    except Broken:
        return None
    return go.decision, go.stored


@dataclass
class Model:
    """What the promises say: no rows, no SQL, only what has been answered."""

    balance: int = 0
    action: Reply | None = None
    undone: Reply | None = None
    blocked: bool = False
    problems: list[str] = field(default_factory=list)

    def expect(self, kind: str, number: int) -> tuple[Decision, Reply | None] | None:
        op, _, ending = kind.partition("-")
        answer = Reply(201, {"call": number}) if not ending else Reply(409, {"call": number})
        if op == "action":
            if self.blocked:
                return Decision.LATE_ACTION, None
            if self.action is not None:
                return Decision.DUPLICATE, self.action
            if ending == "fails":
                return None
            self.action = answer
            self.balance += 30 if not ending else 0
            return Decision.RUN, answer
        if self.undone is not None:
            return Decision.DUPLICATE, self.undone
        if self.action is None or self.action.status == 409:
            self.blocked = self.action is None
            self.undone = Reply(200, {})
            return Decision.NULL_COMPENSATION, self.undone
        if ending == "fails":
            return None
        if not ending:
            self.undone = answer
            self.balance -= 30
        return Decision.RUN, answer


def test_every_sequence_of_up_to_five_calls_keeps_the_promises() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_schema(connection)
    connection.execute("CREATE TABLE account (balance INTEGER NOT NULL)")
    connection.execute("INSERT INTO account VALUES (0)")
    sequences = 0
    seen: set[Decision] = set()
    for length in range(1, LONGEST + 1):
        for sequence in itertools.product(CALLS, repeat=length):
            sequences += 1
            connection.execute("DELETE FROM amends_barrier")
            connection.execute("UPDATE account SET balance = 0")
            seen |= run_sequence(connection, sequence)
    assert sequences == sum(len(CALLS) ** n for n in range(1, LONGEST + 1)) == 9_330
    assert seen == set(Decision)


def run_sequence(connection: sqlite3.Connection, sequence: tuple[str, ...]) -> set[Decision]:
    model = Model()
    seen = set()
    for number, kind in enumerate(sequence):
        expected = model.expect(kind, number)
        got = call(connection, kind, number)
        balance = connection.execute("SELECT balance FROM account").fetchone()[0]
        if expected is None or got is None:
            assert got is expected, f"{sequence} at {number}: {got} instead of {expected}"
        else:
            seen.add(got[0])
            assert got[0] is expected[0], f"{sequence} at {number}: {got} instead of {expected}"
            if expected[1] is None:
                assert got[1].status == 409, f"{sequence} at {number}: a late action is not refused"
            else:
                assert got[1] == expected[1], f"{sequence} at {number}: {got[1]} instead of {expected[1]}"
        assert balance == model.balance, f"{sequence} at {number}: balance {balance}"
        assert balance in (0, 30)
        assert not (model.undone and balance), f"{sequence} at {number}: undone, and yet something is left"
        assert not connection.in_transaction
    return seen


@pytest.mark.parametrize("kind", CALLS)
def test_the_model_itself_is_not_blind(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A barrier that lets every call run is caught for each kind of call that leaves or takes something."""
    from amends.participant import sqlite

    def always_run(op: object, inserted: bool, own: sqlite.Row, action: sqlite.Row) -> tuple[Decision, Reply]:
        return Decision.RUN, Reply(200, {})

    monkeypatch.setattr(sqlite, "decide", always_run)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_schema(connection)
    connection.execute("CREATE TABLE account (balance INTEGER NOT NULL)")
    connection.execute("INSERT INTO account VALUES (0)")
    with pytest.raises(AssertionError):
        run_sequence(connection, ("action", "compensation", kind, "compensation"))
