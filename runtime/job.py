"""The inside of a fenced process: runs one function and writes one bounded result."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ein.grammar.diagnostics import EinError
from ein.runtime import process_tree

MAX_RESULT = 4 << 20
OUTPUT_TAIL = 2000
_LONGEST_REASON = 500


class JobFailed(Exception):
    """Raised by a job that knows why it gave up: `reason` and what it has so far become its outcome."""

    def __init__(self, reason: str, value: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


def resolve(name: str) -> Callable[..., Any]:
    """The function behind `package.module:function`. Raises `ImportError` or `AttributeError`."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def run_job(name: str, arguments: dict[str, Any], result: int, output: int, parent: int) -> NoReturn:
    """In the fresh fork: sets the process up, runs the function, writes the result to the descriptor `result`.

    Standard output and error go to the descriptor `output`, standard input is empty. `parent` is the forking process.
    """
    process_tree.die_with_parent(parent)
    process_tree.adopt_orphans()
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _first_to_go()
    _redirect(output)
    body = _bounded(_result_of(name, arguments))
    with os.fdopen(result, "wb") as pipe:
        pipe.write(body)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _first_to_go() -> None:
    """Tells the kernel to end this process before others when the machine is out of memory (Linux only)."""
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("800")


def _redirect(output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)


def _result_of(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"status": "ok", "value": resolve(name)(**arguments), "reason": ""}
    except JobFailed as failed:
        return {"status": "error", "value": failed.value, "reason": failed.reason}
    except EinError as error:
        return _failure("error", "; ".join(diagnostic.message for diagnostic in error.diagnostics))
    except MemoryError as error:
        return _failure("memory", f"MemoryError: {_last_line(error) or 'an allocation was refused'}")
    except BaseException as error:
        refused = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
        return _failure("memory" if refused else "error", f"{type(error).__name__}: {_last_line(error)}")


def _failure(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "value": None, "reason": reason[:_LONGEST_REASON]}


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _bounded(result: dict[str, Any]) -> bytes:
    try:
        body = json.dumps(result).encode()
    except (TypeError, ValueError) as error:
        return json.dumps(_failure("error", f"the result is not plain data: {_last_line(error)}")).encode()
    if len(body) <= MAX_RESULT:
        return body
    reason = f"the result has {len(body):,} bytes; the limit is {MAX_RESULT:,}"
    return json.dumps(_failure("error", reason)).encode()
