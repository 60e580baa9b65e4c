"""Every way a job can end comes back as an outcome, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from ein.grammar.diagnostics import EinError
from ein.runtime.fence import Fence, Limits, Outcome

HERE = Path(__file__).parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads procfs")
SMALL = Limits(seconds=30, bytes=600 << 20)


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def soon(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_a_result(fence: Fence) -> None:
    outcome = fence.run("fence_jobs:add", {"a": 2, "b": 3})
    assert (outcome.status, outcome.value, outcome.reason) == ("ok", 5, "")
    assert outcome.ok and 0 < outcome.seconds < 5 and outcome.peak_bytes > 10 << 20


def test_twenty_jobs_after_a_multithreaded_operation_in_the_parent(fence: Fence) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    a = torch.randn(800, 800, requires_grad=True)
    (a @ a).sum().backward()  # type: ignore[no-untyped-call]
    torch.set_num_threads(before)
    started = time.monotonic()
    handles = [fence.start("fence_jobs:learn", {"steps": 3}) for _ in range(20)]
    while any(h.outcome is None for h in handles) and time.monotonic() < started + 40:
        fence.wait([h for h in handles if h.outcome is None], timeout=1)
    assert [h.outcome.status if h.outcome else "no answer" for h in handles] == ["ok"] * 20
    assert all(h.outcome and isinstance(h.outcome.value, float) for h in handles)


def test_an_exception(fence: Fence) -> None:
    outcome = fence.run("fence_jobs:fail_with", {"message": "first line\nthe width 7 is odd\n"})
    assert (outcome.status, outcome.value, outcome.reason) == ("error", None, "ValueError: the width 7 is odd")


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("fence_jobs:no_such", "AttributeError: module 'fence_jobs' has no attribute 'no_such'"),
        ("no_such_module:f", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("fence_jobs:not_plain", "the result is not plain data: Object of type object is not JSON serializable"),
    ],
)
def test_a_job_that_cannot_be_run_or_answered(fence: Fence, job: str, reason: str) -> None:
    outcome = fence.run(job)
    assert (outcome.status, outcome.reason) == ("error", reason)


def test_a_job_that_knows_why_keeps_what_it_has(fence: Fence) -> None:
    outcome = fence.run("fence_jobs:give_up")
    assert (outcome.status, outcome.reason, outcome.value) == ("error", "the loss is nan", {"steps": 3})


@pytest.mark.parametrize("job", ["fence_jobs:hang", "fence_jobs:spin_ignoring_signals"])
def test_a_hang_is_ended_at_its_limit(fence: Fence, job: str) -> None:
    outcome = fence.run(job, limits=Limits(seconds=0.5))
    assert outcome.status == "timeout"
    assert outcome.reason.startswith("stopped after 0.") and outcome.reason.endswith("s; its limit is 0.5 s")
    assert 0.5 <= outcome.seconds < 1.5


@pytest.mark.parametrize("job", ["fence_jobs:hog", "fence_jobs:hog_in_grandchild"])
def test_memory_of_the_job_and_its_descendants_is_limited(fence: Fence, job: str) -> None:
    outcome = fence.run(job, limits=SMALL)
    assert outcome.status == "memory"
    assert outcome.reason == f"held {outcome.peak_bytes / 1e6:,.0f} MB of memory; its limit is 629 MB"
    assert 600 << 20 < outcome.peak_bytes < 1200 << 20


def test_a_refused_allocation_is_memory(fence: Fence) -> None:
    outcome = fence.run("fence_jobs:ask_for_a_petabyte")
    assert outcome.status == "memory"
    assert "you tried to allocate 4503599627370496 bytes" in outcome.reason


def test_a_segfault_names_its_signal_and_the_last_words(fence: Fence) -> None:
    outcome = fence.run("fence_jobs:segfault")
    assert outcome.status == "crash"
    assert outcome.reason.startswith("ended by SIGSEGV (Segmentation fault) after 0.")
    assert outcome.reason.endswith("it last wrote: about to read address 0")


@pytest.mark.parametrize("code", [0, 3])
def test_leaving_without_a_result_is_a_crash(fence: Fence, code: int) -> None:
    outcome = fence.run("fence_jobs:leave", {"code": code})
    assert outcome.status == "crash"
    assert outcome.reason.startswith(f"left with exit code {code} after ")
    assert outcome.reason.endswith("without a result")


def test_results_are_bounded(fence: Fence) -> None:
    assert len(fence.run("fence_jobs:large", {"size": 4_000_000}).value) == 4_000_000
    outcome = fence.run("fence_jobs:large", {"size": 5_000_000})
    assert (outcome.status, outcome.value) == ("error", None)
    assert outcome.reason == "the result has 5,000,043 bytes; the limit is 4,194,304"


def test_a_job_that_prints_two_megabytes_is_not_held_up(fence: Fence, capfd: pytest.CaptureFixture[str]) -> None:
    assert fence.run("fence_jobs:chatter").value == 7
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("then", ["hang", "return"])
def test_grandchildren_end_with_the_job(fence: Fence, tmp_path: Path, then: str) -> None:
    place = tmp_path / "pids"
    outcome = fence.run("fence_jobs:grandchildren", {"place": str(place), "then": then}, Limits(seconds=1.5))
    assert outcome.status == ("timeout" if then == "hang" else "ok")
    _, *job = map(int, place.read_text().split())
    assert soon(lambda: not any(map(alive, job)), seconds=2)


def test_jobs_in_flight_do_not_wait_for_each_other(fence: Fence) -> None:
    slow = fence.start("fence_jobs:hang")
    quick = [fence.start("fence_jobs:add", {"a": i, "b": i}) for i in range(5)]
    done = 0
    while done < 5:
        finished = fence.wait([slow, *(h for h in quick if h.outcome is None)], timeout=10)
        assert finished and slow not in finished
        done += len(finished)
    assert [h.outcome.value for h in quick if h.outcome] == [0, 2, 4, 6, 8]
    assert fence.wait([slow], timeout=0.1) == []
    fence.cancel(slow)
    assert fence.wait([slow], timeout=5) == [slow]
    assert slow.outcome is not None and slow.outcome.status == "cancelled"


def test_arguments_are_plain_data(fence: Fence) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        fence.start("fence_jobs:add", {"a": object()})
    assert fence.run("fence_jobs:add", {"a": 1, "b": 1}).value == 2


def test_what_is_prepared_is_inherited_and_a_failure_there_is_the_jobs(fence: Fence) -> None:
    fence.prepare("fence_jobs:prepare", {"word": "ready"})
    fence.prepare("fence_jobs:fail_with", {"message": "no"})
    assert fence.run("fence_jobs:prepared").value == ["ready"]


@LINUX
def test_server_and_job_have_one_thread_and_nothing_of_each_other(fence: Fence) -> None:
    slow = fence.start("fence_jobs:hang")
    value = fence.run("fence_jobs:surroundings").value
    fence.cancel(slow)
    assert (value["server_threads"], value["torch_threads"], value["input"]) == (1, 1, "")
    assert value["descriptors"]["0"] == os.devnull
    assert value["descriptors"]["1"] == value["descriptors"]["2"]
    assert len(value["descriptors"]) == 4, "standard streams and the result"


@LINUX
def test_a_server_that_is_killed_is_reported_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    with Fence(SMALL, preload=()) as fence:
        fence.prepare("fence_jobs:prepare", {"word": "again"})
        server = fence.run("os:getppid").value
        handle = fence.start("fence_jobs:hang")
        fence.wait([handle], timeout=0.2)
        os.kill(server, signal.SIGKILL)
        assert fence.wait([handle], timeout=5) == [handle]
        assert handle.outcome == Outcome("crash", None, "the fork server ended with exit code -9", 0.0, 0)
        assert fence.run("fence_jobs:prepared").value == ["again"]


def test_a_server_that_cannot_start_says_why() -> None:
    with Fence(SMALL, preload=("no_such_module",)) as fence:
        outcome = fence.run("fence_jobs:add", {"a": 1, "b": 1})
    assert outcome.status == "crash"
    reason = "the fork server ended with exit code 1: ModuleNotFoundError: No module named 'no_such_module'"
    assert outcome.reason == reason


def test_closing_cancels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    place = tmp_path / "pids"
    with Fence(SMALL, preload=()) as fence:
        handle = fence.start("fence_jobs:grandchildren", {"place": str(place), "then": "hang"})
        assert soon(place.exists)
    assert handle.outcome is not None and handle.outcome.status == "cancelled"
    pids = [int(pid) for pid in place.read_text().split()]
    assert soon(lambda: not any(map(alive, pids)), seconds=2)


PARENT = """
import sys
sys.path[:0] = {paths!r}
from ein.runtime.fence import Fence, Limits
with Fence(Limits(seconds=60), preload=()) as fence:
    handles = [fence.start("fence_jobs:grandchildren", {{"place": place, "then": "hang"}}) for place in {places!r}]
    fence.wait(handles)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_parent_that_ends_leaves_no_orphans(tmp_path: Path, sent: signal.Signals) -> None:
    places = [tmp_path / "a", tmp_path / "b"]
    import ein.runtime

    source = str(Path(ein.runtime.__path__[0]).parent.parent)
    program = PARENT.format(paths=[source, str(HERE)], places=[str(place) for place in places])
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as parent:
        assert soon(lambda: all(place.exists() for place in places))
        pids = [int(pid) for place in places for pid in place.read_text().split()]
        assert all(map(alive, pids))
        parent.send_signal(sent)
        _, errors = parent.communicate(timeout=10)
    assert soon(lambda: not any(map(alive, pids)), seconds=3)
    assert parent.returncode == -sent
    if sent == signal.SIGINT:
        assert errors.strip().splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize("given", [{"seconds": 0}, {"seconds": float("nan")}, {"bytes": -1}])
def test_limits_are_positive(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="limits must be positive"):
        Limits(**given)


def test_a_system_without_fork_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(EinError, match="needs fork"):
        Fence()
