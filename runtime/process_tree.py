"""What the operating system tells about a process and its descendants. Linux reads procfs, other systems ask psutil."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

import psutil

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def children(pid: int) -> list[int]:
    """The direct children of a process; none if it is gone."""
    try:
        if _LINUX:
            return _procfs_children(pid)
        return [child.pid for child in psutil.Process(pid).children()]
    except (OSError, psutil.Error):
        return []


def _procfs_children(pid: int) -> list[int]:
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{task}/children") as listing:
            found += map(int, listing.read().split())
    return found


def tree(pid: int) -> list[int]:
    """The process and all its descendants, parents first."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def resident_bytes(pid: int) -> int:
    """Memory of a process and its descendants that the kernel cannot drop, in bytes; what forks share counts in each.

    On Linux anonymous and shared memory: pages of mapped files, such as a large data set, do not count.
    Elsewhere the resident set.
    """
    return sum(_resident(one) for one in tree(pid))


def _resident(pid: int) -> int:
    try:
        if not _LINUX:
            return int(psutil.Process(pid).memory_info().rss)
        with open(f"/proc/{pid}/status") as status:
            rows = [line.split() for line in status if line.startswith(("RssAnon:", "RssShmem:"))]
        return sum(int(row[1]) * 1024 for row in rows)
    except (OSError, psutil.Error):
        return 0


def adopt_orphans() -> None:
    """Orphaned descendants of this process become its children, so that it can end them (Linux only)."""
    if _LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """This process is killed when its parent ends (Linux only); exits at once if the parent is gone already."""
    if _LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def kill(pid: int) -> None:
    """SIGKILL to a process and all its descendants, its own process group included; gone ones are passed over."""
    for one in tree(pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
