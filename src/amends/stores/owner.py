"""Who holds a lease, and whether that process still lives.

Rules of this file: "gone" is said only when it is proven, on the same host, the same boot and in the
same process namespace; in every other case the lease's expiry decides. Two containers may share a
kernel, a host name and a process number, so the namespace is a part of the host's name. A process that
is stopped is not gone.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .base import Owner

_left: set[str] = set()  # owners of this process that ended without giving their lease back, as after a failed disk


def this_process() -> Owner:
    """This process as an owner; each call makes another `id`, so two orchestrators are two owners."""
    pid = os.getpid()
    return Owner(uuid.uuid4().hex, _host(), _boot_id(), pid, _started(pid))


def unique() -> str:
    """A name that no other process gives to anything."""
    return uuid.uuid4().hex


def is_gone(owner: Owner) -> bool:
    """Whether the owner is proven to run nothing any more; False when that cannot be told from here."""
    if owner.id in _left:
        return True
    if not _is_here(owner):
        return False
    if _has_proc():
        return _started(owner.pid) != owner.process_started
    return not _answers(owner.pid)


def leave(owner: Owner) -> None:
    """An owner of this process runs nothing any more, and cannot say so in the store."""
    _left.add(owner.id)


def watch(owner: Owner, died: Callable[[], None]) -> Callable[[], None] | None:
    """Have `died` called by the running loop when the owner's process ends.

    Returns:
        what ends the watch; None when that process cannot be watched from here.
    """
    if not hasattr(os, "pidfd_open") or not _is_here(owner):
        return None
    loop = asyncio.get_running_loop()
    try:
        fd = os.pidfd_open(owner.pid)
    except OSError:
        return None  # it is dead already, or the kernel is old: asking shows which

    def end() -> None:
        nonlocal fd
        if fd >= 0:
            with suppress(RuntimeError):  # the loop is closed
                loop.remove_reader(fd)
            os.close(fd)
            fd = -1

    def ended() -> None:
        end()
        died()

    if is_gone(owner):  # asked after the descriptor was opened: the number may be another process's by now
        end()
        return None
    try:
        loop.add_reader(fd, ended)
    except NotImplementedError:
        end()
        return None
    return end


def _is_here(owner: Owner) -> bool:
    return owner.pid > 0 and owner.host == _host() and owner.boot_id == _boot_id()


def _has_proc() -> bool:
    return Path("/proc/self/stat").exists()


def _host() -> str:
    try:
        return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> int:
    """When the process started, in the kernel's ticks; 0 without one, or when it only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    # The command's name stands in parentheses and may hold anything, so fields are counted from its end.
    fields = stat[stat.rindex(")") + 2 :].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def _answers(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # a signal cannot be used to ask there; the lease's expiry decides
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
