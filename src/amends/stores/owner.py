"""Who holds a lease, and whether that process still lives.

Rules of this file: "gone" is said only when it is proven, on the same host, the same boot and in the
same process namespace; in every other case the lease's expiry decides. Two containers may share a
kernel, a host name and a process number, so the namespace is a part of the host's name.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from pathlib import Path

from .base import Owner


def this_process() -> Owner:
    """This process as an owner; each call makes another `id`, so two orchestrators are two owners."""
    pid = os.getpid()
    return Owner(uuid.uuid4().hex, _host(), _boot_id(), pid, _started(pid))


def is_gone(owner: Owner) -> bool:
    """Whether the owner's process is proven dead; False when that cannot be told from here."""
    if owner.pid <= 0 or owner.host != _host() or owner.boot_id != _boot_id():
        return False
    if _has_proc():
        return _started(owner.pid) != owner.process_started
    return not _answers(owner.pid)


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
