"""One job in its own process, with limits. Nothing else in the project owns a process.

    with Fence(Limits(seconds=30, bytes=2 << 30)) as fence:
        outcome = fence.run("ein.runtime.candidate:train_job", {"source": text, "data": "digits", ...})

A job is a function at the top of a module, named `package.module:function`, and arguments that JSON can carry; arrays
travel as paths of files. It runs in a fork of a server process that has imported torch and has one thread, so it starts
in tens of milliseconds, whatever threads the calling process has. Every ending is an `Outcome`; none is an exception.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Literal

from ein.grammar.diagnostics import fail
from ein.runtime.wire import Message, Wire

Status = Literal["ok", "error", "timeout", "memory", "crash", "cancelled"]

# torch imports the last of them, 800 modules in two seconds, when an optimiser is first built.
PRELOAD = ("torch", "sklearn.datasets", "ein.runtime.candidate", "torch._dynamo")
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from ein.runtime.fork_server import main; "
_BOOT += "main(sys.argv[2:])"
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one job and its descendants. Memory is looked at 25 times a second: bursts can pass the limit briefly.

    A fresh job holds about 280 MB, most of it shared with the server.
    """

    seconds: float = 60.0
    bytes: int = 2 << 30

    def __post_init__(self) -> None:
        if not self.seconds > 0 or not self.bytes > 0:
            raise ValueError(f"limits must be positive, found seconds={self.seconds}, bytes={self.bytes}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: `value` if it is `ok`, else a `reason` of one sentence. Wall seconds, peak memory in bytes."""

    status: Status
    value: Any
    reason: str
    seconds: float
    peak_bytes: int

    @property
    def ok(self) -> bool:
        return self.status == "ok"


class Handle:
    """A job that was started. `outcome` is None until `Fence.wait` has seen its end."""

    __slots__ = ("id", "job", "outcome")

    def __init__(self, id: int, job: str) -> None:
        self.id = id
        self.job = job
        self.outcome: Outcome | None = None


class Fence:
    """Starts jobs and waits for them. To be used from one thread; the server starts with the first job."""

    def __init__(self, limits: Limits | None = None, preload: Sequence[str] = PRELOAD) -> None:
        """`preload`: modules that the server imports once. They must not run tensor operations at import.

        Raises `EinError` where the system has no fork.
        """
        if not hasattr(os, "fork"):
            raise fail(
                "E890",
                f"running candidates in processes of their own needs fork, which {sys.platform} does not have",
                help="use Linux or macOS; on Windows, the Windows Subsystem for Linux",
            )
        self.limits = limits or Limits()
        self._preload = tuple(preload)
        self._prepared: list[Message] = []
        self._server: _Server | None = None
        self._pending: dict[int, Handle] = {}
        self._started = 0

    def prepare(self, job: str, arguments: Mapping[str, Any]) -> None:
        """Runs a function in the server before the next job, for what it leaves in the memory that jobs inherit.

        It must start no thread and run no tensor operation. Exceptions are left to the job that needs the result.
        """
        message = {"do": "prepare", "job": job, "arguments": dict(arguments)}
        self._prepared.append(message)
        if self._server is not None:
            self._server.wire.put(message)

    def start(self, job: str, arguments: Mapping[str, Any] | None = None, limits: Limits | None = None) -> Handle:
        """Starts a job now, beside those that run. Raises `TypeError` if the arguments are not plain data."""
        bounds = limits or self.limits
        server = self._server = self._server or _Server(self._preload, self._prepared)
        message = {"do": "start", "id": self._started, "job": job, "arguments": dict(arguments or {})}
        server.wire.put({**message, "seconds": bounds.seconds, "bytes": bounds.bytes})
        handle = self._pending[self._started] = Handle(self._started, job)
        self._started += 1
        server.wire.flush()
        return handle

    def wait(self, handles: Iterable[Handle], timeout: float | None = None) -> list[Handle]:
        """The handles that are done, in their order: at least one, or none after `timeout` seconds."""
        wanted = list(handles)
        unknown = [h for h in wanted if h.outcome is None and h.id not in self._pending]
        if unknown:
            raise ValueError(f"handles of another fence: {[h.job for h in unknown]}")
        deadline = None if timeout is None else time.monotonic() + timeout
        while wanted and not any(h.outcome for h in wanted):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self._exchange(left)
        return [h for h in wanted if h.outcome is not None]

    def run(self, job: str, arguments: Mapping[str, Any] | None = None, limits: Limits | None = None) -> Outcome:
        """Starts a job and waits for its end."""
        handle = self.start(job, arguments, limits)
        self.wait([handle])
        assert handle.outcome is not None
        return handle.outcome

    def cancel(self, handle: Handle) -> None:
        """Asks for the end of a job; its outcome, seen by `wait`, is `cancelled` unless it was done before."""
        if handle.outcome is None and self._server is not None:
            self._server.wire.put({"do": "cancel", "id": handle.id})
            self._server.wire.flush()

    def close(self) -> None:
        """Ends the server and every job that still runs; their outcomes are `cancelled`. Can be called twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._give_up("cancelled", "the fence was closed")

    def __enter__(self) -> Fence:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _exchange(self, seconds: float | None) -> None:
        """Sends what is unsent, waits for news, and gives outcomes to their handles."""
        server = self._server
        assert server is not None
        select.select([server.wire.socket], [server.wire.socket] if server.wire.unsent else [], [], seconds)
        server.wire.flush()
        for message in server.wire.take():
            outcome = Outcome(**{name: message[name] for name in Outcome.__dataclass_fields__})
            self._pending.pop(message["id"]).outcome = outcome
        if server.wire.closed:
            self._server = None
            self._give_up("crash", server.last_words())

    def _give_up(self, status: Status, reason: str) -> None:
        for handle in self._pending.values():
            handle.outcome = Outcome(status, None, reason, 0.0, 0)
        self._pending.clear()


class _Server:
    """The fork server as its owner sees it: a process and a wire. It is started by exec, never by a bare fork."""

    def __init__(self, preload: Sequence[str], prepared: Sequence[Message]) -> None:
        ours, theirs = socket.socketpair()
        self.wire = Wire(ours)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        paths = [os.path.abspath(path) for path in sys.path]
        boot = [sys.executable, "-P", "-c", _BOOT, json.dumps(paths), str(theirs.fileno()), str(os.getpid()), *preload]
        with theirs:
            self._process = subprocess.Popen(
                boot,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1")},
                start_new_session=True,
            )
        for message in prepared:
            self.wire.put(message)

    def close(self) -> None:
        self.wire.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def last_words(self) -> str:
        """Why the server ended by itself, from its exit code and the last line of its errors."""
        self.wire.close()
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        return f"the fork server ended with exit code {code}" + (f": {lines[-1][:300]}" if lines else "")
