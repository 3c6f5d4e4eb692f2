"""The web examples over real HTTP: FastAPI and Starlette under uvicorn, Flask and Django under WSGI servers."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 30


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def serving(path: Path, *command: object) -> Iterator[subprocess.Popen[str]]:
    """A server as a process of its own, ended as an administrator ends it."""
    environment = {**os.environ, "ORDERS_DB": str(path), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    with subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", *map(str, command)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=LIMIT_S)


def until(happened: Callable[[], Any], what: str) -> Any:
    limit = time.monotonic() + LIMIT_S
    while True:
        with contextlib.suppress(httpx2.TransportError):
            seen = happened()
            if seen:
                return seen
        assert time.monotonic() < limit, f"{what} did not happen"
        time.sleep(0.02)


@contextlib.contextmanager
def uvicorn(path: Path, app: str, *options: object) -> Iterator[str]:
    port = free_port()
    command = ("-m", "uvicorn", f"examples.web.{app}:app", "--port", port, "--log-level", "warning", *options)
    with serving(path, *command):
        url = f"http://127.0.0.1:{port}"
        until(lambda: httpx2.get(f"{url}/orders/none").status_code == 404, "the server's first answer")
        yield url


@contextlib.contextmanager
def fastapi(path: Path) -> Iterator[str]:
    with uvicorn(path, "fastapi_app") as url:
        yield url


@contextlib.contextmanager
def starlette(path: Path) -> Iterator[str]:
    with uvicorn(path, "starlette_app") as url:
        yield url


@contextlib.contextmanager
def flask(path: Path) -> Iterator[str]:
    """In a thread of this process: an app with a loop beside ours, and none in its own thread."""
    os.environ["ORDERS_DB"] = str(path)
    for name in ("fulfil", "flask_app"):
        sys.modules.pop(f"examples.web.{name}", None)
    module = importlib.import_module("examples.web.flask_app")
    with make_server("127.0.0.1", 0, module.app, server_class=WSGIServer, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            module.orchestrator.close()


@contextlib.contextmanager
def django(path: Path) -> Iterator[str]:
    with serving(path, "-m", "examples.web.django_shop", 0) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http"), url + process.stdout.read()
        yield url


APPS = {"fastapi": fastapi, "starlette": starlette, "flask": flask, "django": django}


@pytest.mark.parametrize("app", APPS)
def test_an_order_is_taken_with_202_looked_at_approved_and_fulfilled(tmp_path, app):
    with APPS[app](tmp_path / "orders.db") as url, httpx2.Client(base_url=url, timeout=LIMIT_S) as client:
        order = {"number": 1, "item": "kettle", "quantity": 2}
        taken = client.post("/orders", json=order)
        assert taken.status_code == 202
        place = taken.headers["location"]
        assert place == f"/orders/{taken.json()['id']}"
        if app != "django":  # there a second row of the number is refused, and with it the start
            assert client.post("/orders", json=order).json() == taken.json()
        seen = until(lambda: (it := client.get(place).json())["step"] == "approval" and it, "the wait")
        assert (seen["status"], seen["result"]) == ("running", None)
        assert client.post(f"{place}/approval", json={"by": "ann"}).json() == {"applied": True}
        seen = until(lambda: (it := client.get(place).json())["status"] == "completed" and it, "the end")
        assert seen["result"] == {"label": "2 x kettle, approved by ann"}
        refused = client.post("/orders", json={"number": 2, "item": "unicorn"}).headers["location"]
        seen = until(lambda: (it := client.get(refused).json())["status"] == "compensated" and it, "the refusal")
        assert "no unicorns" in seen["cause"]
        assert client.get("/orders/nobody").status_code == 404


@pytest.mark.parametrize("app", ["fastapi", "starlette", "flask"])
def test_what_cannot_be_is_answered_with_the_status_that_fits(tmp_path, app):
    with APPS[app](tmp_path / "orders.db") as url, httpx2.Client(base_url=url, timeout=LIMIT_S) as client:
        place = client.post("/orders", json={"number": 1, "item": "kettle"}).headers["location"]
        other = client.post("/orders", json={"number": 1, "item": "teapot"})
        assert (other.status_code, other.json()["error"]) == (409, "AM4002")
        client.post(f"{place}/approval", json={"by": "ann"})
        until(lambda: client.get(place).json()["status"] == "completed", "the end")
        late = client.post(f"{place}/approval", json={"by": "bob"})
        assert (late.status_code, late.json()["error"]) == (409, "AM4001")


@pytest.mark.parametrize("app", APPS)
def test_what_a_server_left_the_next_one_goes_on_with(tmp_path, app):
    path = tmp_path / "orders.db"
    with APPS[app](path) as url:
        place = httpx2.post(f"{url}/orders", json={"number": 1, "item": "kettle"}).headers["location"]
    with APPS[app](path) as url:
        until(lambda: httpx2.get(f"{url}{place}").json()["step"] == "approval", "the wait")
        httpx2.post(f"{url}{place}/approval", json={"by": "ann"})
        until(lambda: httpx2.get(f"{url}{place}").json()["status"] == "completed", "the end")


@pytest.mark.parametrize("name", ["fastapi_app", "starlette_app"])
def test_the_apps_run_in_a_test_client_too(tmp_path, monkeypatch, name):
    from starlette.testclient import TestClient

    monkeypatch.setenv("ORDERS_DB", str(tmp_path / "orders.db"))
    for module in ("fulfil", name):
        sys.modules.pop(f"examples.web.{module}", None)
    app = importlib.import_module(f"examples.web.{name}").app
    with TestClient(app) as client:
        place = client.post("/orders", json={"number": 1, "item": "kettle"}).headers["location"]
        assert client.post(f"{place}/approval", json={"by": "ann"}).status_code == 202
        until(lambda: client.get(place).json()["status"] == "completed", "the end")


def test_of_several_workers_on_one_file_one_runs_and_all_of_them_start(tmp_path):
    path = tmp_path / "orders.db"
    with uvicorn(path, "fastapi_app", "--workers", 3) as url, ThreadPoolExecutor(8) as threads:
        leading: dict[int, bool] = {}

        def ask(_: object) -> None:
            seen = httpx2.get(f"{url}/worker", timeout=LIMIT_S).json()
            leading[seen["pid"]] = seen["leading"]

        def all_are_seen() -> bool:
            list(threads.map(ask, range(24)))
            return len(leading) == 3 and sum(leading.values()) == 1

        until(all_are_seen, "three workers, and one that leads")

        def order(number: int) -> str:
            taken = httpx2.post(f"{url}/orders", json={"number": number, "item": "kettle"}, timeout=LIMIT_S)
            place = taken.headers["location"]
            httpx2.post(f"{url}{place}/approval", json={"by": "ann"}, timeout=LIMIT_S).raise_for_status()
            return place

        for place in list(threads.map(order, range(24))):
            until(lambda place=place: httpx2.get(f"{url}{place}").json()["status"] == "completed", "the end")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*), count(DISTINCT saga_id) FROM amends_keys").fetchone() == (24, 24)


def test_djangos_rows_and_sagas_are_there_together_or_not_at_all(tmp_path):
    path = tmp_path / "orders.db"

    def there() -> tuple[list[str], list[str]]:
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute("SELECT saga_id FROM shop_order ORDER BY number").fetchall()
            sagas = db.execute("SELECT saga_id FROM amends_journal WHERE seq = 1 ORDER BY position").fetchall()
        return [saga_id for (saga_id,) in rows], [saga_id for (saga_id,) in sagas]

    with django(path) as url, ThreadPoolExecutor(4) as threads:
        first = httpx2.post(f"{url}/orders", json={"number": 1, "item": "kettle"}).json()["id"]
        assert there() == ([first], [first])
        # The row is refused behind the start, which had a key and an input of its own: it is taken back.
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("INSERT INTO shop_order (number, item, saga_id) VALUES (2, 'by hand', '')")
        assert httpx2.post(f"{url}/orders", json={"number": 2, "item": "teapot"}).status_code == 500
        assert there() == ([first, ""], [first])
        posted = threads.map(
            lambda number: httpx2.post(f"{url}/orders", json={"number": number, "item": "cup"}, timeout=LIMIT_S),
            range(3, 23),
        )
        ids = [answer.json()["id"] for answer in posted]
        rows, sagas = there()
        assert sorted(rows) == sorted(["", *sagas]) and set(ids) < set(sagas)
        until(lambda: httpx2.get(f"{url}/orders/{ids[-1]}").json()["step"] == "approval", "the last one's wait")
