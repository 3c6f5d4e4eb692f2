"""A participant on a real network: an HTTP server on loopback, which misbehaves as it is told.

    with Participant() as bank:
        bank.next_calls("charge_card", apply_then_500(), apply_then_reset())
        ...                                              # the saga under test calls bank.url
        assert bank.recorder.standing == ["charge_card"]

What a request is, is told by the headers that `Context.headers()` gives:

    Idempotency-Key    the key of the effect; a request without one is refused with 400
    Saga-Op            action (also when left out): it takes effect · compensation: what was done under Saga-Action-Key
                       is undone · probe: whether it took effect, 200 with the result, or 404
    Saga-Step          the step that scripts go by

Any path and method will do. The answer to an action is the JSON that `result` gives; the same to the same key.

Rules of this file:
  * **It is a good participant where nothing else is scripted:** its ledger is a `Recorder`'s.
  * An effect is there when the request has arrived; what is scripted decides what the caller hears of it.
  * It uses the network for real: what is cut is cut by the kernel, and time is real time.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from ..core.steps import Step
from ..errors import Rejected, UsageError
from ..policies.durations import Duration, milliseconds
from .recorder import Recorder
from .simulation.faults import at_once

_POLL_S = 0.02
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request is answered.

    Attributes:
        effect: whether it takes effect.
        status: the status; 0 for the one that a good participant gives.
        pause_ms: how long the answer takes; None for ever.
        cut: "" for a whole answer; "reset": the connection is reset instead; "half": it ends in the middle of the body.
        each_byte_ms: how long each byte of the body takes.
        body: the body instead of the result; None for the result.
        headers: further headers.
    """

    effect: bool = True
    status: int = 0
    pause_ms: int | None = 0
    cut: str = ""
    each_byte_ms: int = 0
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


def apply_then_500() -> Answer:
    """It takes effect, and is answered with 500."""
    return Answer(status=500, body={"error": "internal"})


def apply_then_reset() -> Answer:
    """It takes effect, and the connection is reset before an answer."""
    return Answer(cut="reset")


def resets() -> Answer:
    """The connection is reset, and nothing took effect: to the caller the same as `apply_then_reset`."""
    return Answer(effect=False, cut="reset")


def never_answers(*, applied: bool = False) -> Answer:
    """Nothing is answered: the caller's timeout ends it. Parameters: applied: whether it takes effect all the same."""
    return Answer(effect=applied, pause_ms=None)


def answers_late(by: Duration) -> Answer:
    """It takes effect at once, and is answered after a while, of real time."""
    return Answer(pause_ms=milliseconds(by, what="answers_late"))


def dribbles(each_byte: Duration = "50ms") -> Answer:
    """It takes effect, and the answer comes byte by byte: a timeout between two reads never ends it."""
    return Answer(each_byte_ms=milliseconds(each_byte, what="dribbles"))


def cuts_the_answer() -> Answer:
    """It takes effect, and the connection ends in the middle of the answer."""
    return Answer(cut="half")


def answers_nonsense() -> Answer:
    """It takes effect, and is answered with 200 and what is no JSON."""
    return Answer(status=200, body=b"<html>")


def lies_done(result: Any = None) -> Answer:
    """It says 200, and nothing took effect. Parameters: result: what it answers; left out, {}."""
    return Answer(effect=False, status=200, body={} if result is None else result)


def lies_refused(status: int = 409) -> Answer:
    """It says no, and took effect all the same."""
    return Answer(status=status, body={"error": "refused"})


def refuses(status: int = 409) -> Answer:
    """A business "no": nothing takes effect. Parameters: status: of the answer."""
    return Answer(effect=False, status=status, body={"error": "refused"})


def busy(retry_after: int = 1) -> Answer:
    """503: nothing takes effect. Parameters: retry_after: seconds, for the header of that name."""
    return Answer(effect=False, status=503, body={"error": "busy"}, headers=(("Retry-After", str(retry_after)),))


class Participant:
    """An HTTP participant on a free port of loopback, from `with` to the end of it.

    Parameters:
        result: gives the JSON that an action is answered with, from the request's own; `{"id": "1"}` and so on when
            left out.

    Attributes:
        recorder: what took effect under which key.
        requests: what arrived, in its order: method, path, headers in lower case, and the body as JSON.
    """

    def __init__(self, result: Callable[[Any], Any] | None = None) -> None:
        self.recorder = Recorder()
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self._result = result
        self._scripts: dict[tuple[str, bool], deque[Answer]] = {}
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash behind it. Raises UsageError: it was never started."""
        if not self._port:
            raise UsageError("this Participant has no address yet; use it in a `with`", code="AM2580")
        return f"http://127.0.0.1:{self._port}"

    def next_calls(self, step: str | Step[..., Any, Any], *answers: Answer) -> None:
        """Script the next requests of a step's action, one answer each; those after them go well.

        Parameters:
            step: the step, or its path.
            answers: such as `apply_then_500()`.
        """
        self._script(step, False, answers)

    def next_undos(self, step: str | Step[..., Any, Any], *answers: Answer) -> None:
        """Script the next requests of a step's compensation, as `next_calls` does."""
        self._script(step, True, answers)

    def _script(self, step: str | Step[..., Any, Any], undo: bool, answers: tuple[Answer, ...]) -> None:
        path = step if isinstance(step, str) else step.name
        with self._lock:
            self._scripts.setdefault((path, undo), deque()).extend(answers)

    @property
    def unused(self) -> list[str]:
        """The steps with scripted answers that no request has met: was the name right?"""
        with self._lock:
            return [path for (path, _), left in self._scripts.items() if left]

    # --- up and down ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; after a `stop` on the same port as before."""
        if self._server is None:
            self._server = server = _Server(("127.0.0.1", self._port), self)
            self._port = server.server_address[1]
            threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="participant", daemon=True).start()

    def stop(self) -> None:
        """Listen no more: connections are refused, and those that stand are given up. Its ledger stays."""
        server, self._server = self._server, None
        if server is not None:
            server.ending.set()
            server.shutdown()
            server.server_close()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """It refuses connections meanwhile: nothing is sent, and nothing can take effect."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    # --- what a request does ---------------------------------------------------------------------------

    def _served(self, method: str, path: str, headers: dict[str, str], body: Any) -> tuple[Answer, int, Any]:
        """The scripted answer, and what a good participant would have answered: a status and a body."""
        with self._lock:
            self.requests.append((method, path, headers, body))
            key, op = headers.get("idempotency-key", ""), headers.get("saga-op", "action")
            if not key:
                said = "no Idempotency-Key: send ctx.headers() with the request"
                return Answer(status=400, body={"error": said}), 400, None
            if op == "probe":
                effect = self.recorder.effects.get(key)
                return (Answer(), 200, effect.result) if effect is not None and effect.stands else (Answer(), 404, None)
            undo = op == "compensation"
            step = headers.get("saga-step") or key.partition("/")[2].rpartition("/")[0] or key
            script = self._scripts.get((step, undo))
            answer = script.popleft() if script else Answer()
            if not answer.effect:
                return answer, 200, None
            if undo:
                at_once(self.recorder.undo(headers.get("saga-action-key", key)))
                return answer, 204, None
            try:
                return answer, 200, at_once(self.recorder.apply(key, self._made(body)))
            except Rejected as error:
                return answer, 409, {"error": str(error)}

    def _made(self, body: Any) -> Any:
        return {"id": str(len(self.recorder.effects) + 1)} if self._result is None else self._result(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # one that is never answered would keep us
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], participant: Participant) -> None:
        self.participant = participant
        self.ending = threading.Event()
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is what it is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        """As every method's."""
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = json.loads(sent) if sent else None
        except ValueError:
            body = sent.decode(errors="replace")
        answer, status, result = self.server.participant._served(self.command, self.path, headers, body)
        self._answer(answer, answer.status or status, result if answer.body is None else answer.body)

    def _answer(self, answer: Answer, status: int, said: Any) -> None:
        limit = None if answer.pause_ms is None else answer.pause_ms / 1_000
        if answer.pause_ms != 0 and self.server.ending.wait(limit):
            self._reset()
            return
        if answer.cut == "reset":
            self._reset()
            return
        body = said if isinstance(said, bytes) else b"" if status == 204 else json.dumps(said).encode()
        self.send_response(status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if answer.cut == "half":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        for piece in [body] if not answer.each_byte_ms else (body[at : at + 1] for at in range(len(body))):
            self.wfile.write(piece)
            if answer.each_byte_ms:
                self.server.ending.wait(answer.each_byte_ms / 1_000)

    def _reset(self) -> None:
        """Close without a word: the caller's kernel says ECONNRESET."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            os.close(self.connection.detach())

    def finish(self) -> None:
        """Whoever was reset has nothing to be sent any more."""
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test shows what it wants to show."""
