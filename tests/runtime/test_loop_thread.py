"""The loop in a thread of its own: every question is answered, whatever strikes who asked."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from amends.runtime.loop_thread import LoopEnded, LoopThread

LIMIT_S = 10


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread("test-loop")
    yield loop
    loop.stop()


async def seven() -> int:
    await asyncio.sleep(0)
    return 7


async def broken() -> int:
    raise KeyError("no such thing")


def test_an_answer_and_an_error_come_as_they_are(loop):
    assert loop.ask(seven) == 7
    with pytest.raises(KeyError, match="no such thing"):
        loop.ask(broken, LIMIT_S)


def test_a_timeout_ends_the_waiting_and_cancels_what_was_asked(loop):
    ended = threading.Event()

    async def long() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        loop.ask(long, 0.01)
    assert ended.wait(LIMIT_S)


def test_an_interrupt_at_any_line_leaves_a_loop_that_answers(loop):
    """As Ctrl-C does: at the first line that the asking thread runs, at the second, and so on to the last."""

    def interrupted(at: int) -> bool:
        """Ask, and raise KeyboardInterrupt at a line; False when there are not so many."""
        lines = 0

        def trace(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal lines
            if "weakref" in frame.f_code.co_filename:  # called by the collector, which swallows what is raised there
                return None
            lines += event == "line"
            if lines == at:
                lines += 1
                raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            loop.ask(seven, LIMIT_S)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    at = 1
    while interrupted(at):
        assert loop.ask(seven, LIMIT_S) == 7, f"after an interrupt at line {at}"
        at += 1
    assert at > 20


def test_who_waits_while_the_loop_ends_is_told_so_and_so_is_who_comes_later():
    loop = LoopThread("test-loop")
    waiting = threading.Event()
    told: list[str] = []

    async def long() -> None:
        waiting.set()
        await asyncio.sleep(3600)

    def ask() -> None:
        with pytest.raises(LoopEnded):
            loop.ask(long)
        told.append("ended")

    asking = threading.Thread(target=ask)
    asking.start()
    assert waiting.wait(LIMIT_S)
    loop.stop()
    asking.join(LIMIT_S)
    assert told == ["ended"]
    with pytest.raises(LoopEnded):
        loop.ask(seven)


@pytest.mark.parametrize("moment", ["while its tasks end", "before it is closed"])
def test_a_question_that_comes_too_late_to_begin_is_answered_all_the_same(caplog, moment):
    loop = LoopThread("test-loop")
    inner = loop._loop
    begun, ending, go = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        ending.set()
        assert go.wait(LIMIT_S)

    async def slow_to_end() -> None:
        try:
            begun.set()
            await asyncio.sleep(3600)
        finally:
            if moment == "while its tasks end":
                hold()

    close = inner.close
    if moment == "before it is closed":
        inner.close = lambda: (hold(), close())
    told: list[str] = []

    def ask(question: Callable[[], Any]) -> None:
        with pytest.raises(LoopEnded):
            loop.ask(question)
        told.append(question.__name__)

    threads = [threading.Thread(target=ask, args=(slow_to_end,)), threading.Thread(target=loop.stop)]
    for thread, happened in zip(threads, (begun, ending), strict=True):
        thread.start()
        assert happened.wait(LIMIT_S)
    threads.append(threading.Thread(target=ask, args=(seven,)))
    threads[-1].start()
    while not inner._ready:
        pass
    go.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert sorted(told) == ["seven", "slow_to_end"] and not caplog.records
