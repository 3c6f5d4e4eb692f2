"""The barrier's rules and each of the known traps, one sentence each."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from amends.errors import PayloadError, UsageError
from amends.participant import Decision, Guard, Reply, Sighting, create_schema, forget, purge
from tests.participant.conftest import connect


def action(step: str = "pay", saga: str = "s1") -> Guard:
    return Guard(saga, step, "action")


def undo(step: str = "pay", saga: str = "s1") -> Guard:
    return Guard(saga, step, "compensation")


def add(connection: sqlite3.Connection, amount: int) -> None:
    connection.execute("UPDATE account SET balance = balance + ?", (amount,))


def balance(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT balance FROM account").fetchone()[0])


def rows(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return connection.execute("SELECT op, reason, state FROM amends_barrier ORDER BY op").fetchall()


def pay(connection: sqlite3.Connection, answer: dict[str, object] | None = None) -> Reply:
    with action().sqlite3(connection) as go:
        if go.run:
            add(connection, 30)
            go.reply(answer or {"payment": "p1"}, status=201)
    return go.stored


def test_a_duplicate_gets_the_very_answer_of_the_first_call(connection: sqlite3.Connection) -> None:
    first = pay(connection, {"payment": "p1", "lines": [1, 2.5, None, "é"]})
    second = pay(connection, {"payment": "another"})
    assert second == first == Reply(201, {"payment": "p1", "lines": [1, 2.5, None, "é"]})
    assert balance(connection) == 30


def test_a_call_that_says_nothing_answers_an_empty_object(connection: sqlite3.Connection) -> None:
    with action().sqlite3(connection) as go:
        pass
    assert go.stored == Reply(200, {})


def test_a_compensation_before_its_action_blocks_it_and_the_late_action_is_refused(
    connection: sqlite3.Connection,
) -> None:
    with undo().sqlite3(connection) as go:
        assert go.decision is Decision.NULL_COMPENSATION
        assert not go.run
    assert go.stored.status == 200
    with action().sqlite3(connection) as late:
        assert late.decision is Decision.LATE_ACTION
        assert not late.run
    assert late.stored.status == 409
    assert rows(connection) == [("action", "compensation", "void"), ("compensation", "compensation", "applied")]


def test_a_refusal_rolls_the_business_writes_back_those_before_and_those_after_it(
    connection: sqlite3.Connection,
) -> None:
    with action().sqlite3(connection) as go:
        add(connection, 1)
        go.refuse(409, {"reason": "insufficient funds"})
        add(connection, 2)
    assert balance(connection) == 0
    assert rows(connection) == [("action", "action", "refused")]


def test_a_stored_refusal_is_conclusive_a_later_attempt_gets_the_same_though_it_would_succeed_now(
    connection: sqlite3.Connection,
) -> None:
    with action().sqlite3(connection) as go:
        go.refuse(409, {"reason": "insufficient funds"})
    assert pay(connection) == go.stored == Reply(409, {"reason": "insufficient funds"})
    assert balance(connection) == 0


def test_the_compensation_of_a_refused_action_has_nothing_to_undo(connection: sqlite3.Connection) -> None:
    with action().sqlite3(connection) as refused:
        refused.refuse()
    with undo().sqlite3(connection) as go:
        assert go.decision is Decision.NULL_COMPENSATION


def test_a_refused_compensation_is_not_kept_so_that_it_can_be_asked_for_again(connection: sqlite3.Connection) -> None:
    pay(connection)
    with undo().sqlite3(connection) as go:
        add(connection, -30)
        go.refuse(409, {"reason": "dispatched"})
    assert go.stored == Reply(409, {"reason": "dispatched"})
    assert balance(connection) == 30
    with undo().sqlite3(connection) as again:
        assert again.run
        add(connection, -30)
    assert balance(connection) == 0


def test_an_exception_keeps_nothing_and_the_next_attempt_is_a_first_one(connection: sqlite3.Connection) -> None:
    with pytest.raises(ZeroDivisionError), action().sqlite3(connection) as go:
        add(connection, 30)
        go.reply({"payment": "lost"})
        raise ZeroDivisionError
    assert balance(connection) == 0
    assert rows(connection) == []
    assert not connection.in_transaction
    assert pay(connection).body == {"payment": "p1"}


def test_a_failed_compensation_rolls_the_block_on_its_action_back_too(connection: sqlite3.Connection) -> None:
    """Otherwise a null compensation that failed to answer would leave half of itself behind."""
    pay(connection)
    with pytest.raises(ZeroDivisionError), undo().sqlite3(connection):
        raise ZeroDivisionError
    assert rows(connection) == [("action", "action", "applied")]


def test_cancellation_inside_the_block_rolls_back_like_any_exception(connection: sqlite3.Connection) -> None:
    with pytest.raises(KeyboardInterrupt), action().sqlite3(connection):
        add(connection, 30)
        raise KeyboardInterrupt
    assert balance(connection) == 0
    assert rows(connection) == []


# --- traps ---------------------------------------------------------------------------------------------


def test_a_connection_that_begins_transactions_by_itself_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="isolation_level=None"):
        action().sqlite3(sqlite3.connect(path))


def test_a_connection_inside_a_transaction_is_refused(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    with pytest.raises(UsageError, match="inside a transaction"):
        action().sqlite3(connection)


def test_two_blocks_on_one_connection_do_not_nest(connection: sqlite3.Connection) -> None:
    with pytest.raises(UsageError, match="one connection serves one block"), action().sqlite3(connection):
        add(connection, 30)
        with action("other").sqlite3(connection):
            pass
    assert balance(connection) == 0


@pytest.mark.parametrize("slip", ["commit", "with", "executescript", "rollback", "commit and begin"])
def test_ending_the_transaction_inside_the_block_is_caught(connection: sqlite3.Connection, slip: str) -> None:
    with pytest.raises(UsageError, match="inside the guarded block"), action().sqlite3(connection):
        add(connection, 30)
        if slip == "with":
            with connection:
                add(connection, 1)
        elif slip == "executescript":
            connection.executescript("CREATE TABLE other (a)")
        else:
            connection.execute("ROLLBACK" if slip == "rollback" else "COMMIT")
            if slip == "commit and begin":
                connection.execute("BEGIN")
    assert not connection.in_transaction


def test_the_write_lock_is_taken_before_anything_else(connection: sqlite3.Connection, path: Path) -> None:
    """A deferred transaction that reads first fails at its first write, and cannot wait."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    with action().sqlite3(connection), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    assert statements[0] == "BEGIN IMMEDIATE"
    other.close()


def test_a_compensation_that_races_its_uncommitted_action_waits_and_then_undoes_it(
    connection: sqlite3.Connection, path: Path
) -> None:
    seen: list[Decision] = []
    began = threading.Event()

    def compensate() -> None:
        rival = connect(path)
        began.set()
        with undo().sqlite3(rival) as go:
            seen.append(go.decision)
            if go.run:
                add(rival, -30)
        rival.close()

    thread = threading.Thread(target=compensate)
    with action().sqlite3(connection):
        thread.start()
        assert began.wait(5)
        add(connection, 30)
        assert seen == []
    thread.join(10)
    assert seen == [Decision.RUN]
    assert balance(connection) == 0


def test_of_many_simultaneous_duplicates_exactly_one_runs(connection: sqlite3.Connection, path: Path) -> None:
    decisions: list[Decision] = []
    replies: list[Reply] = []
    gate = threading.Barrier(6)

    def attempt(number: int) -> None:
        mine = connect(path)
        gate.wait(5)
        with action().sqlite3(mine) as go:
            if go.run:
                add(mine, 30)
                go.reply({"by": number})
        decisions.append(go.decision)
        replies.append(go.stored)
        mine.close()

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(decisions) == sorted([Decision.RUN] + [Decision.DUPLICATE] * 5)
    assert balance(connection) == 30
    assert all(reply == replies[0] for reply in replies)


def test_a_process_killed_inside_the_block_leaves_nothing(connection: sqlite3.Connection, path: Path) -> None:
    program = """
import os, signal, sqlite3, sys
from amends.participant import Guard
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
with Guard("s1", "pay", "action").sqlite3(connection) as go:
    connection.execute("UPDATE account SET balance = balance + 30")
    go.reply({"payment": "never said"})
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    assert balance(connection) == 0
    assert rows(connection) == []
    assert pay(connection).body == {"payment": "p1"}


def test_a_second_block_of_the_same_name_in_one_request_is_an_error_not_a_silent_duplicate(
    connection: sqlite3.Connection,
) -> None:
    guard = action()
    with guard.sqlite3(connection):
        add(connection, 30)
    with pytest.raises(UsageError, match="give each block a name"):
        guard.sqlite3(connection)


def test_named_blocks_of_one_request_are_told_apart_whatever_their_order(connection: sqlite3.Connection) -> None:
    def request(names: list[str], op: str) -> list[Decision]:
        guard, seen = Guard("s1", "pay", op), []
        for name in names:
            with guard.sqlite3(connection, name=name) as go:
                seen.append(go.decision)
        return seen

    assert request(["debit", "credit"], "action") == [Decision.RUN, Decision.RUN]
    assert request(["credit", "debit"], "action") == [Decision.DUPLICATE, Decision.DUPLICATE]
    assert request(["credit", "fee"], "compensation") == [Decision.RUN, Decision.NULL_COMPENSATION]


def test_a_block_that_failed_may_be_entered_again_in_the_same_request(connection: sqlite3.Connection) -> None:
    guard = action()
    with pytest.raises(ZeroDivisionError), guard.sqlite3(connection):
        raise ZeroDivisionError
    with guard.sqlite3(connection) as go:
        assert go.run


def test_a_row_factory_of_the_caller_does_not_confuse_the_barrier(connection: sqlite3.Connection) -> None:
    connection.row_factory = lambda cursor, row: {"only": row}
    assert pay(connection).status == 201
    with undo().sqlite3(connection) as go:
        assert go.run


def test_steps_and_sagas_do_not_share_rows(connection: sqlite3.Connection) -> None:
    for guard in (action("a"), action("b"), action("a", "s2"), action("a[1]"), action("call/a")):
        with guard.sqlite3(connection) as go:
            assert go.run


def test_an_answer_that_is_not_json_is_an_error_before_anything_is_kept(connection: sqlite3.Connection) -> None:
    with pytest.raises(PayloadError), action().sqlite3(connection) as go:
        add(connection, 30)
        go.reply({"what": object()})
    assert balance(connection) == 0
    assert rows(connection) == []


def test_reply_and_refuse_belong_to_a_call_that_runs(connection: sqlite3.Connection) -> None:
    pay(connection)
    with pytest.raises(UsageError, match=r"under `if go\.run:`"), action().sqlite3(connection) as go:
        go.reply({"payment": "again"})
    with pytest.raises(UsageError, match="cannot become a success"), action("b").sqlite3(connection) as go:
        go.refuse()
        go.reply({})
    with pytest.raises(UsageError, match="200 to 299"), action("c").sqlite3(connection) as go:
        go.reply({}, status=409)
    with pytest.raises(UsageError, match="400 to 499"), action("d").sqlite3(connection) as go:
        go.refuse(500)


# --- probe, forget, purge ------------------------------------------------------------------------------


def test_a_probe_tells_found_refused_and_not_seen_apart(connection: sqlite3.Connection) -> None:
    guard = Guard("s1", "pay", "probe")
    unseen = guard.probe(connection)
    assert (unseen.sighting, unseen.reply.status) == (Sighting.NOT_SEEN, 404)
    pay(connection)
    assert guard.probe(connection).sighting is Sighting.FOUND
    assert guard.probe(connection).reply == Reply(201, {"payment": "p1"})
    with action("other").sqlite3(connection) as go:
        go.refuse(402, {"reason": "no"})
    refused = Guard("s1", "other", "probe").probe(connection)
    assert (refused.sighting, refused.reply) == (Sighting.REFUSED, Reply(402, {"reason": "no"}))


def test_a_probe_that_looks_leaves_the_action_free_to_land(connection: sqlite3.Connection) -> None:
    Guard("s1", "pay", "probe").probe(connection)
    assert pay(connection).status == 201


def test_a_sealing_probe_turns_not_seen_into_a_refusal_that_holds(connection: sqlite3.Connection) -> None:
    sealed = Guard("s1", "pay", "probe").probe(connection, seal=True)
    assert (sealed.sighting, sealed.reply.status) == (Sighting.REFUSED, 409)
    with action().sqlite3(connection) as late:
        assert late.decision is Decision.LATE_ACTION
    with undo().sqlite3(connection) as go:
        assert go.decision is Decision.NULL_COMPENSATION
    assert balance(connection) == 0


def test_a_sealing_probe_of_an_action_that_landed_finds_it(connection: sqlite3.Connection) -> None:
    pay(connection)
    assert Guard("s1", "pay", "probe").probe(connection, seal=True).sighting is Sighting.FOUND


def test_a_probe_is_no_block_and_a_seal_is_not_left_to_a_transaction(connection: sqlite3.Connection) -> None:
    with pytest.raises(UsageError, match="only looks"):
        Guard("s1", "pay", "probe").sqlite3(connection)
    connection.execute("BEGIN")
    with pytest.raises(UsageError, match="inside a transaction"):
        Guard("s1", "pay", "probe").probe(connection, seal=True)


def test_forget_deletes_one_saga_and_no_other(connection: sqlite3.Connection) -> None:
    pay(connection)
    with action(saga="s2").sqlite3(connection):
        pass
    assert forget(connection, "s1") == 1
    assert forget(connection, "s1") == 0
    assert connection.execute("SELECT saga_id FROM amends_barrier").fetchall() == [("s2",)]


def test_purge_keeps_the_old_rows_of_a_saga_that_still_calls(connection: sqlite3.Connection) -> None:
    """An action's row without which a late compensation would be judged null: a lost undo."""
    for saga in ("old", "busy"):
        with action("a", saga).sqlite3(connection):
            pass
    connection.execute("UPDATE amends_barrier SET created_at = 1000")
    with action("b", "busy").sqlite3(connection):
        pass
    connection.execute("UPDATE amends_barrier SET created_at = 90000 WHERE step = 'b'")
    assert purge(connection, older_than="60s", now_ms=100_000) == 1
    assert connection.execute("SELECT saga_id, step FROM amends_barrier").fetchall() == [("busy", "a"), ("busy", "b")]
    assert purge(connection, older_than="5s", now_ms=100_000, sagas=1) == 2


def test_purge_keeps_what_is_exactly_as_old_as_the_limit(connection: sqlite3.Connection) -> None:
    pay(connection)
    connection.execute("UPDATE amends_barrier SET created_at = 40000")
    assert purge(connection, older_than="60s", now_ms=100_000) == 0
    assert purge(connection, older_than="60s", now_ms=100_001) == 1


def test_the_schema_is_created_once_and_again_without_harm(connection: sqlite3.Connection) -> None:
    pay(connection)
    create_schema(connection)
    assert pay(connection).body == {"payment": "p1"}
    connection.execute("BEGIN")
    with pytest.raises(UsageError, match="inside a transaction"):
        create_schema(connection)
