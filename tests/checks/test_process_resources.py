"""Real processes under a real supervisord, as Linux tells of them."""

import os
import signal
import sys
from pathlib import Path

import pytest

from holdfast.actions.supervisord import Deadline, Supervisord
from holdfast.checks import process_resources
from holdfast.checks.proc import read_process
from holdfast.checks.process_resources import ProcessResources
from holdfast.checks.service_status import asked
from holdfast.kernel.catalogue import Service
from holdfast.kernel.clock import SystemClock
from holdfast.response.ports import CheckResult, Health
from tests.io_parts import catalogue, context, supervised
from tests.supervisord_parts import Orchestrator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@pytest.fixture
def running(supervisord: Orchestrator) -> Orchestrator:
    if supervisord.starts("worker") == 0:
        orders = Supervisord(socket_path=str(supervisord.socket))
        orders.start("worker", Deadline.after(SystemClock(), 20))
    return supervisord


def looked(running: Orchestrator, *, memory: int | None = None, files: float = 0.9) -> CheckResult:
    check = ProcessResources(
        supervised(running.socket), memory_max_bytes=memory, open_files_share_max=files
    )
    return check.run(context("worker"))


def pid_of(running: Orchestrator, process: str) -> int:
    table = asked(str(running.socket), 5)
    assert not isinstance(table, str)
    return int(table[process]["pid"])


def test_a_running_process_is_told_in_figures(running: Orchestrator) -> None:
    result = looked(running)

    facts = result.data["instances"]["worker"]
    assert result.status is Health.HEALTHY
    assert facts["pid"] == pid_of(running, "worker")
    assert facts["memory_bytes"] > 100_000
    assert 0 < facts["open_files"] < facts["open_files_max"]
    assert facts["threads"] >= 1
    assert facts["problems"] == []
    assert result.data["unseen"] == {}


def test_a_process_that_is_not_there_is_named_and_never_well(running: Orchestrator) -> None:
    control = {"supervisord": {"socket": str(running.socket), "process": "{service}-x"}}

    result = ProcessResources(catalogue(Service(name="api", control=control))).run(context("api"))

    assert result.status is Health.UNKNOWN
    assert result.data["instances"] == {}
    assert result.data["unseen"] == {"api": "supervisord knows no process 'api-x'"}


def test_a_process_that_is_stopped_is_degraded_though_supervisord_calls_it_running(
    running: Orchestrator,
) -> None:
    pid = pid_of(running, "worker")
    os.kill(pid, signal.SIGSTOP)
    try:
        while read_process(pid).state != "T":
            os.sched_yield()
        result = looked(running)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert result.status is Health.DEGRADED
    assert "stopped (state T)" in result.summary


def test_too_much_memory_and_too_many_open_files_are_degraded_with_the_threshold(
    running: Orchestrator,
) -> None:
    result = looked(running, memory=1000, files=1e-9)

    assert result.status is Health.DEGRADED
    assert "of memory (threshold 0.0 MB)" in result.summary
    assert "files open (threshold 0%)" in result.summary


def test_a_supervisord_that_is_gone_leaves_its_processes_unknown(tmp_path: Path) -> None:
    result = ProcessResources(supervised(tmp_path / "s")).run(context())

    assert result.status is Health.UNKNOWN
    assert result.data["instances"] == {}
    assert "can't be asked" in result.summary


def test_without_proc_nothing_is_claimed(
    running: Orchestrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_resources, "PROC", tmp_path)

    result = looked(running)

    assert result.status is Health.UNKNOWN
    assert "has no /proc" in result.summary


def test_the_memory_of_children_counts_and_the_figures_are_this_process_s_own() -> None:
    facts = read_process(os.getpid())

    assert facts.state == "R"
    assert facts.processes >= 1
    assert facts.memory_bytes > 10_000_000
    assert facts.cpu_s > 0
