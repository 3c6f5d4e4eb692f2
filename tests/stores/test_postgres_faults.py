"""A database that is not to be had, each for its own reason: what is said, and that nothing was lost or made."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from amends import Orchestrator, StoreError
from amends.errors import StoreUnavailable, StoreUnusable
from amends.stores.packaged import Migration
from amends.stores.postgres import PostgresStore, schema, session
from tests.servers.postgres import Cluster, Databases, free_port


def refused(address: str, **options: bool) -> StoreError:
    """What opening it raises."""

    async def main() -> StoreError:
        store = PostgresStore(address, **options)
        with pytest.raises(StoreError) as caught:
            await store.open()
        store.close()
        return caught.value

    return asyncio.run(main())


def with_user(address: str, user: str, password: str = "") -> str:
    return address.replace("amends@", f"{user}:{password}@" if password else f"{user}@")


def test_a_server_that_is_not_there(postgres: Databases):
    error = refused(f"postgresql://amends@127.0.0.1:{free_port()}/sagas")
    assert (type(error), error.code) == (StoreUnavailable, "AM6041")
    assert "Check that it runs, and host and port" in str(error)


def test_a_database_that_is_not_there(postgres: Databases):
    error = refused(postgres.address("amends_test_nowhere"))
    assert (type(error), error.code) == (StoreUnusable, "AM6044")
    assert "CREATE DATABASE" in str(error)


def test_a_wrong_password_is_refused_and_not_repeated(tmp_path: Path):
    server = Cluster()
    try:
        server.create()
        hba = server.data / "pg_hba.conf"
        hba.write_text("host all amends 127.0.0.1/32 trust\nhost all guarded 127.0.0.1/32 scram-sha-256\n")
        server.start()
        with psycopg.connect(server.address("postgres"), autocommit=True) as db:
            db.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        error = refused(with_user(server.address("postgres"), "guarded", "wrong-secret"))
        assert (type(error), error.code) == (StoreUnusable, "AM6043")
        assert "Check user and password" in str(error)
        assert "wrong-secret" not in str(error)
        nobody = refused(with_user(server.address("postgres"), "nobody_at_all"))
        assert (type(nobody), nobody.code) == (StoreUnusable, "AM6043")
    finally:
        server.remove()


@pytest.fixture
def reader(postgres: Databases) -> Iterator[str]:
    """A role that may connect and nothing else."""
    with postgres.connection() as db:
        db.execute("DROP ROLE IF EXISTS amends_reader")
        db.execute("CREATE ROLE amends_reader LOGIN")
    yield "amends_reader"
    postgres.drop_all()
    with postgres.connection() as db:
        db.execute("DROP OWNED BY amends_reader")
        db.execute("DROP ROLE amends_reader")


def test_a_role_that_may_not_make_the_tables_and_one_that_may_not_use_them(postgres: Databases, reader: str):
    address = postgres.new()
    error = refused(with_user(address, reader))
    assert (type(error), error.code) == (StoreUnusable, "AM6045")
    assert "amends migrate --print" in str(error)
    asyncio.run(opened(address))
    error = refused(with_user(address, reader))
    assert (type(error), error.code) == (StoreUnusable, "AM6045")
    with psycopg.connect(address) as db:
        db.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {reader}")
        db.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {reader}")
    asyncio.run(opened(with_user(address, reader)))  # what the message names is enough


async def opened(address: str) -> None:
    async with Orchestrator(address):
        pass


def test_a_server_that_is_too_old(postgres: Databases, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "VERSION_MIN", 990_000)
    error = refused(postgres.new())
    assert (type(error), error.code) == (StoreUnusable, "AM6046")
    assert "at least 99 is needed" in str(error)


def test_a_database_that_only_reads(postgres: Databases):
    address = postgres.new()
    with postgres.connection() as db:
        db.execute(f"ALTER DATABASE {address.rpartition('/')[2]} SET default_transaction_read_only = on")
    error = refused(address)
    assert type(error) is StoreUnavailable
    assert error.code in ("AM6041", "AM6049")  # libpq looks for one that writes, as it is told to


def test_a_database_without_tables_is_not_given_any_by_one_who_only_looks(postgres: Databases):
    address = postgres.new()
    error = refused(address, make=False)
    assert (type(error), error.code) == (StoreUnusable, "AM6051")
    assert "amends migrate" in str(error)
    with psycopg.connect(address) as db:
        assert db.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'amends%'").fetchone() == (0,)


def test_a_schema_that_a_newer_release_has_changed_for_good(postgres: Databases):
    address = postgres.new()
    asyncio.run(opened(address))
    with psycopg.connect(address) as db:
        db.execute("INSERT INTO amends_migrations VALUES (9000, 'pre', 'later')")
    asyncio.run(opened(address))  # a `pre` is no hindrance
    with psycopg.connect(address) as db:
        db.execute("INSERT INTO amends_migrations VALUES (9001, 'post', 'later')")
    error = refused(address)
    assert (type(error), error.code) == (StoreUnusable, "AM6047")
    assert "9001_post_later" in str(error)


def test_a_migration_that_is_missing_is_applied_once_by_many_that_open_at_the_same_time(
    postgres: Databases, monkeypatch: pytest.MonkeyPatch
):
    address = postgres.new()
    known = schema.migrations()

    async def at_once() -> None:
        stores = [PostgresStore(address) for _ in range(6)]
        await asyncio.gather(*(store.open() for store in stores))
        for store in stores:
            store.close()

    asyncio.run(at_once())
    later = Migration(900, "pre", "later", "CREATE TABLE amends_later (a integer)")
    last = Migration(901, "post", "last", "DROP TABLE amends_later")
    monkeypatch.setattr(schema, "migrations", lambda: (*known, later, last))
    asyncio.run(at_once())
    with psycopg.connect(address) as db:
        numbers = [row[0] for row in db.execute("SELECT number FROM amends_migrations ORDER BY number")]
        assert numbers == [*(each.number for each in known), 900]  # the `post` waits for a person
    done = PostgresStore(address).schema().migrate()
    assert [each.number for each in done] == [901]


@pytest.fixture
def bouncer(postgres_server: Databases, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """PgBouncer before the session's server; its configuration and port."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(program).exists():
        pytest.skip("PGBOUNCER IS MISSING: how we tell a pooler was NOT tested")
    port = free_port()
    users = tmp_path / "users"
    users.write_text('"amends" ""\n')
    settings = tmp_path / "pgbouncer.ini"
    tmp_path.chmod(0o755)
    running: list[subprocess.Popen[bytes]] = []

    def start(mode: str) -> int:
        server = session.Address(postgres_server.address("postgres"))
        given = psycopg.conninfo.conninfo_to_dict(server.conninfo)
        settings.write_text(
            f"[databases]\n* = host={given['host']} port={given['port']} user=amends\n[pgbouncer]\npool_mode = {mode}\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n"
            f"auth_file = {users}\nlogfile = /dev/null\npidfile =\nignore_startup_parameters = extra_float_digits\n"
        )
        running.append(subprocess.Popen([program, "-q", "-u", "nobody", str(settings)]))
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            try:
                psycopg.connect(f"postgresql://amends@127.0.0.1:{port}/postgres").close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return port
        raise AssertionError("pgbouncer never answered")

    try:
        yield start
    finally:
        for process in running:
            process.terminate()
            process.wait()


def test_a_pooler_of_transactions_is_refused_and_one_of_sessions_serves(postgres: Databases, bouncer):
    address = postgres.new()
    port = bouncer("transaction")
    through = f"postgresql://amends@127.0.0.1:{port}/{address.rpartition('/')[2]}"
    error = refused(through)
    assert (type(error), error.code) == (StoreUnusable, "AM6048")
    assert "pool_mode=session" in str(error)


def test_a_pooler_of_sessions_serves(postgres: Databases, bouncer):
    address = postgres.new()
    port = bouncer("session")
    asyncio.run(opened(f"postgresql://amends@127.0.0.1:{port}/{address.rpartition('/')[2]}"))
