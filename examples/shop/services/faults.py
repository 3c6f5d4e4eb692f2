"""Faults between the network and a service's code, drawn from a seed.

Which fault a call meets depends on the seed, the request's path, the operation and the attempt, and
on nothing else, so that a run can be repeated. (The idempotency key itself holds the saga's id, which
is new in every run; the path holds the order's.)

    before   500 and no effect                 cut      the effect, then the connection is cut
    after    the effect, then 500              hang     no answer until the caller has long given up;
    slow     the effect, a little later        lapse    ... the effect comes at the very end: a late action
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HANG_S = 2.0  # longer than any step's timeout
SLOW_S = 0.15
KINDS = ("before", "before", "after", "after", "cut", "cut", "slow", "slow", "hang", "lapse")


def fault_of(seed: int, rate: float, path: str, op: str, attempt: str) -> str:
    """The fault that this call meets, "" for none."""
    digest = hashlib.blake2b(f"{seed} {path} {op} {attempt}".encode(), digest_size=8).digest()
    if int.from_bytes(digest[:6], "big") / 2**48 >= rate:
        return ""
    return KINDS[int.from_bytes(digest[6:], "big") % len(KINDS)]


class Faults:
    """ASGI middleware: faults for the saga's calls (paths under /orders/), none for anybody else."""

    def __init__(self, app: App, *, seed: int, rate: float) -> None:
        self.app = app
        self.seed = seed
        self.rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/orders/"):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        op, attempt = (headers.get(name, b"").decode("latin-1") for name in (b"saga-op", b"saga-attempt"))
        kind = fault_of(self.seed, self.rate, scope["path"], op, attempt)
        if kind:
            await self._fail(kind, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _fail(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        # The whole request is read first: a caller that gives up takes an unread body with it, and
        # then the late effect, which is the point of a lapse, would never come.
        kept = await _whole(receive)
        if kind == "before":
            await JSONResponse({"reason": "injected, before the effect"}, 500)(scope, kept, send)
            return
        if kind in ("slow", "lapse"):
            await asyncio.sleep(SLOW_S if kind == "slow" else HANG_S)
            await self.app(scope, kept, send)
            return
        await self.app(scope, kept, _nowhere)
        if kind == "hang":
            await asyncio.sleep(HANG_S)
        if kind == "cut":
            # An answer that promises more than it sends makes the server close the connection.
            start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]}
            await send(start)
            return
        await JSONResponse({"reason": "injected, after the effect"}, 500)(scope, kept, send)


async def _whole(receive: Receive) -> Receive:
    messages = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body"):
            break

    async def replay() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return replay


async def _nowhere(message: Message) -> None:
    """Where a lost answer goes."""
