"""A guarded request: which saga, step and operation a call belongs to, read from its headers.

`ctx.headers()` on the orchestrator's side sends them:

    Idempotency-Key   "{saga_id}/{step}/action" or ".../compensation"; the only one a guard needs
    Saga-Id, Saga-Step, Saga-Op, Saga-Attempt, Saga-Action-Key

The key is the truth. The other headers must agree with it when they are there, for a proxy or a
hand-written client that mixes two calls up would make the barrier vouch for the wrong one.
A probe has no key of its own: it asks about the action's.
"""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Connection  # not the module: `Guard.sqlite3` would hide it from annotations
from typing import Self

from ..errors import UsageError
from ..limits import KEY_CHARS_MAX
from . import sqlite
from .barrier import Op, Probe


class Guard:
    """One request under the barrier.

    Parameters:
        saga_id: the saga.
        step: the path of the step.
        op: what is asked.
        attempt: the orchestrator's count of attempts, from 1; for logs, it decides nothing.

    Attributes:
        saga_id, step, op, attempt: as given.
    """

    __slots__ = ("_used", "attempt", "op", "saga_id", "step")

    def __init__(self, saga_id: str, step: str, op: Op | str, attempt: int = 1) -> None:
        self.saga_id = saga_id
        self.step = step
        self.op = Op(op)
        self.attempt = attempt
        self._used: set[str] = set()

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self:
        """The guard of a request, from headers in any case.

        Raises:
            UsageError: the headers are missing, malformed or contradict each other (answer 400).
        """
        given = {name.lower(): value for name, value in headers.items()}
        probing = given.get("saga-op") == Op.PROBE
        header = "Saga-Action-Key" if probing and "saga-action-key" in given else "Idempotency-Key"
        key = given.get(header.lower(), "")
        saga_id, step, op = _parts_of(key, header)
        if probing and op is not Op.ACTION:
            raise UsageError(f"{header} {key!r}: a probe asks about an action's key", code="AM2402")
        for name, said, meant in (
            ("Saga-Id", given.get("saga-id"), saga_id),
            ("Saga-Step", given.get("saga-step"), step),
            ("Saga-Op", None if probing else given.get("saga-op"), op),
            ("Saga-Action-Key", given.get("saga-action-key"), f"{saga_id}/{step}/action"),
        ):
            if said is not None and said != meant:
                raise UsageError(
                    f"{name} {said!r} contradicts {header} {key!r}; send what ctx.headers() gives", code="AM2402"
                )
        return cls(saga_id, step, Op.PROBE if probing else op, _attempt_of(given.get("saga-attempt", "1")))

    @property
    def key(self) -> str:
        """The idempotency key of this call; for a probe the action's."""
        return f"{self.saga_id}/{self.step}/{Op.ACTION if self.op is Op.PROBE else self.op}"

    def sqlite3(self, connection: Connection, *, name: str = "") -> sqlite.SqliteGo:
        """A transaction on `connection` that holds the barrier's rows and the caller's own writes.

        Parameters:
            connection: opened with `isolation_level=None`, not inside a transaction, and kept by this
                thread until the block ends. Another connection's write makes the block wait, for as
                long as the connection's own `timeout` says, and then raises `sqlite3.OperationalError`
                with nothing done.
            name: tells several guarded blocks of one request in one database apart. Names, not a
                counter: which block is which must not depend on the order in which they ran.

        Raises:
            UsageError: the connection begins transactions by itself or is inside one, this is a
                probe, or a block of this name was committed in this request before.
        """
        if self.op is Op.PROBE:
            raise UsageError(f"{self.key!r}: a probe only looks; use guard.probe(connection)", code="AM2403")
        if name in self._used:
            raise UsageError(
                f"{self.key!r}: a block named {name!r} was committed in this request before, so this one would be "
                'taken for its duplicate; give each block a name: guard.sqlite3(connection, name="...")',
                code="AM2403",
            )
        return sqlite.SqliteGo(connection, self.saga_id, self.step, self.op, name, self._used)

    def probe(self, connection: Connection, *, name: str = "", seal: bool = False) -> Probe:
        """Look the step's action up, for a probe endpoint: 200 with its reply, 409, or 404.

        Parameters:
            connection: opened with `isolation_level=None`.
            name: the name of the guarded block, if it has one.
            seal: settle it for good: an action not seen is blocked here and now, and the answer is a
                refusal. It waits for a write that is under way, so the answer is never a guess.

        Raises:
            UsageError: `seal` inside a transaction, which might yet be rolled back.
        """
        return sqlite.probe(connection, self.saga_id, self.step, name, seal)


def _parts_of(key: str, header: str) -> tuple[str, str, Op]:
    """Saga, step path and operation of a key. A path may hold slashes; an id and an operation do not."""
    if not key:
        raise UsageError(f"the request has no {header}; send what ctx.headers() gives", code="AM2401")
    if len(key) > KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise UsageError(f"{header}: a key is printable ASCII of at most {KEY_CHARS_MAX} characters", code="AM2401")
    saga_id, _, rest = key.partition("/")
    step, _, op = rest.rpartition("/")
    if not saga_id or not step or op not in (Op.ACTION, Op.COMPENSATION):
        raise UsageError(
            f'{header} {key!r}: a key is "{{saga_id}}/{{step}}/action" or "{{saga_id}}/{{step}}/compensation"',
            code="AM2401",
        )
    return saga_id, step, Op(op)


def _attempt_of(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise UsageError(f"Saga-Attempt {text!r}: give a whole number", code="AM2401")
    return int(text)
