"""The process behind `ein.runtime.fence`: it has imported torch, has one thread, and never runs a tensor operation.

Each job is a fresh fork of it. It watches wall time and memory of every job, ends those that pass a limit together with
their descendants, and sends one outcome for each. It ends, with all its jobs, when the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ein.runtime import process_tree
from ein.runtime.job import MAX_RESULT, OUTPUT_TAIL, resolve, run_job
from ein.runtime.wire import Message, Wire

_TICK = 0.04
_IDLE = 0.5


def main(arguments: Sequence[str]) -> None:
    """`arguments`: descriptor of the socket, id of the parent process, modules to import beforehand."""
    descriptor, parent, *modules = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process_tree.adopt_orphans()
    for module in modules:
        importlib.import_module(module)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    ForkServer(socket.socket(fileno=int(descriptor)), int(parent)).serve()


@dataclass(eq=False, slots=True)
class _Pipe:
    """The reading end of a pipe, and the first or last bytes that came out of it."""

    descriptor: int
    keep: slice
    held: bytes = b""
    open: bool = True

    def drain(self) -> None:
        """Takes what there is, a megabyte at most, so that a chatty job does not keep the loop from its watch."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):
                chunk = os.read(self.descriptor, 1 << 16)
                self.held = (self.held + chunk)[self.keep]
                if not chunk:
                    self.open = False
                    return


@dataclass(eq=False, slots=True)
class _Running:
    id: int
    pid: int
    started: float
    seconds: float
    bytes: int
    result: _Pipe
    output: _Pipe
    peak: int = 0


class ForkServer:
    """The loop of the server: messages in, jobs watched, outcomes out."""

    def __init__(self, end: socket.socket, parent: int) -> None:
        self._wire = Wire(end)
        self._parent = parent
        self._pid = os.getpid()
        self._jobs: dict[int, _Running] = {}
        self._selector = selectors.DefaultSelector()
        self._measured = 0.0

    def serve(self) -> None:
        self._selector.register(self._wire.socket, selectors.EVENT_READ)
        while not self._wire.closed and os.getppid() == self._parent:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._wire.unsent else 0)
            self._selector.modify(self._wire.socket, wanted)
            self._selector.select(_TICK if self._jobs else _IDLE)
            for message in self._wire.take():
                self._handle(message)
            for job in list(self._jobs.values()):
                self._collect(job)
            self._watch()
            self._wire.flush()
        for job in list(self._jobs.values()):
            self._end(job, "cancelled", "the process that started it is gone")

    def _handle(self, message: Message) -> None:
        if message["do"] == "prepare":
            # A task that cannot be loaded says so in the job that needs it.
            with contextlib.suppress(Exception):
                resolve(message["job"])(**message["arguments"])
            gc.freeze()
        elif message["do"] == "start":
            self._start(message)
        elif message["id"] in self._jobs:
            self._end(self._jobs[message["id"]], "cancelled", "cancelled")

    def _start(self, message: Message) -> None:
        result_read, result_write = os.pipe()
        output_read, output_write = os.pipe()
        result = _Pipe(result_read, slice(MAX_RESULT + 1))
        output = _Pipe(output_read, slice(-OUTPUT_TAIL, None))
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.close(result_read)
            os.close(output_read)
            self._become_job(message, result_write, output_write)
        os.close(result_write)
        os.close(output_write)
        job = _Running(message["id"], pid, started, message["seconds"], message["bytes"], result, output)
        for pipe in (result, output):
            os.set_blocking(pipe.descriptor, False)
            self._selector.register(pipe.descriptor, selectors.EVENT_READ)
        job.peak = process_tree.resident_bytes(pid)
        self._jobs[job.id] = job

    def _become_job(self, message: Message, result: int, output: int) -> None:
        """In the fork: lets go of everything that belongs to the server, runs the job, never returns."""
        try:
            self._selector.close()
            self._wire.close()
            for other in self._jobs.values():
                for pipe in (other.result, other.output):
                    if pipe.open:
                        os.close(pipe.descriptor)
            run_job(message["job"], message["arguments"], result, output, self._pid)
        finally:
            os._exit(70)

    def _collect(self, job: _Running) -> None:
        """Takes what the job has written, and its ending if it has ended."""
        ended, code = os.waitpid(job.pid, os.WNOHANG)
        for pipe in (job.result, job.output):
            if pipe.open:
                pipe.drain()
                self._forget(pipe)
        if ended:
            self._finish(job, _ending(job, os.waitstatus_to_exitcode(code)))

    def _forget(self, pipe: _Pipe) -> None:
        """Closes a pipe that has come to its end."""
        if not pipe.open:
            self._selector.unregister(pipe.descriptor)
            os.close(pipe.descriptor)

    def _watch(self) -> None:
        """Ends the jobs that have passed a limit. Memory is measured once a tick."""
        now = time.monotonic()
        measure = now - self._measured >= _TICK
        if measure:
            self._measured = now
        for job in list(self._jobs.values()):
            if measure:
                job.peak = max(job.peak, process_tree.resident_bytes(job.pid))
            if job.peak > job.bytes:
                self._end(job, "memory", f"held {_megabytes(job.peak)} of memory; its limit is {_megabytes(job.bytes)}")
            elif now - job.started > job.seconds:
                reached = f"stopped after {now - job.started:.1f} s"
                self._end(job, "timeout", f"{reached}; its limit is {job.seconds:g} s")

    def _end(self, job: _Running, status: str, reason: str) -> None:
        process_tree.kill(job.pid)
        os.waitpid(job.pid, 0)
        self._finish(job, {"status": status, "value": None, "reason": reason})

    def _finish(self, job: _Running, ending: Message) -> None:
        """After the job's own process has been waited for: its descendants go, its outcome is sent."""
        seconds = time.monotonic() - job.started
        del self._jobs[job.id]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(job.pid, signal.SIGKILL)
        self._end_orphans()
        for pipe in (job.result, job.output):
            if pipe.open:
                pipe.open = False
                self._forget(pipe)
        self._wire.put({**ending, "id": job.id, "seconds": seconds, "peak_bytes": job.peak})

    def _end_orphans(self) -> None:
        """Every child of this process that is no job was left by a job that has ended."""
        jobs = {job.pid for job in self._jobs.values()}
        while orphans := [pid for pid in process_tree.children(self._pid) if pid not in jobs]:
            for pid in orphans:
                process_tree.kill(pid)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _ending(job: _Running, code: int) -> Message:
    """Of a job that ended by itself: its result, or how it went down. Negative codes are signals."""
    if code == 0:
        with contextlib.suppress(ValueError):
            result: Any = json.loads(job.result.held)
            return {name: result[name] for name in ("status", "value", "reason")}
    after = f"after {time.monotonic() - job.started:.1f} s"
    said = job.output.held.decode(errors="replace").strip().splitlines()
    last = f"; it last wrote: {said[-1][:200]}" if said else ""
    if code >= 0:
        reason = f"left with exit code {code} {after} without a result{last}"
    else:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = ", which this fence did not send: the machine may be out of memory" if code == -signal.SIGKILL else ""
        reason = f"ended by {name} ({signal.strsignal(-code)}) {after}{hint}{last}"
    return {"status": "crash", "value": None, "reason": reason}


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
