"""Jobs for the tests of the fence: one for each way to end. The fork server imports this module by name."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ein.runtime.job import JobFailed

_prepared: list[str] = []


def add(a: int, b: int) -> int:
    return a + b


def prepare(word: str) -> None:
    _prepared.append(word)


def prepared() -> list[str]:
    return _prepared


def fail_with(message: str) -> None:
    raise ValueError(message)


def give_up() -> None:
    raise JobFailed("the loss is nan", {"steps": 3})


def hang() -> None:
    while True:
        time.sleep(1)


def spin_ignoring_signals() -> None:
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


def hog() -> None:
    held = []
    for _ in range(1000):
        held.append(bytearray(os.urandom(1)) * (20 << 20))
        time.sleep(0.01)


def hog_in_grandchild() -> None:
    program = "import time; x = b'x' * (700 << 20); time.sleep(60)"
    subprocess.run([sys.executable, "-c", program], check=True)


def ask_for_a_petabyte() -> None:
    import torch

    torch.empty(1 << 50)


def segfault() -> None:
    print("about to read address 0", flush=True)
    ctypes.string_at(0)


def leave(code: int) -> None:
    os._exit(code)


def large(size: int) -> str:
    return "x" * size


def not_plain() -> object:
    return object()


def chatter() -> int:
    for _ in range(2000):
        print("x" * 1000)
    return 7


def grandchildren(place: str, then: str) -> int:
    """Starts a grandchild, and one in a session of its own, writes all ids to `place`, then hangs or returns."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    one = subprocess.Popen(sleeper)
    other = subprocess.Popen(sleeper, start_new_session=True)
    partial = Path(place + ".partial")
    partial.write_text(f"{os.getppid()} {os.getpid()} {one.pid} {other.pid}")
    partial.rename(place)
    if then == "hang":
        hang()
    return 1


def surroundings() -> dict[str, Any]:
    import torch

    server = os.getppid()
    files = [file for file in Path("/proc/self/fd").iterdir() if file.exists()]
    return {
        "server_threads": len(os.listdir(f"/proc/{server}/task")),
        "torch_threads": torch.get_num_threads(),
        "input": sys.stdin.read(),
        "descriptors": {file.name: str(file.readlink()) for file in files},
    }


def learn(steps: int) -> float:
    import torch
    from torch import nn

    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(steps):
        loss = net(torch.randn(32, 1, 8, 8)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())
