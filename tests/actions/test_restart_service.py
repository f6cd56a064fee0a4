import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.actions import RestartService
from holdfast.actions.supervisord import Deadline, Supervisord
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import answering, read_and_cut, read_and_hang, request, supervised
from tests.supervisord_parts import Orchestrator, started_supervisord


@pytest.fixture(scope="module")
def orchestrator() -> Iterator[Orchestrator]:
    """A supervisord for this module alone: its tests stop and start what is in it."""
    with started_supervisord("api-north", "api-south", "worker") as orchestrator:
        yield orchestrator


@pytest.fixture
def restart(orchestrator: Orchestrator) -> RestartService:
    orchestrator.tell("api-north")
    return RestartService(supervised(orchestrator.socket))


@pytest.fixture
def short_path() -> Iterator[str]:
    path = f"/tmp/hf{os.getpid()}-{threading.get_native_id()}"
    yield path
    Path(path).unlink(missing_ok=True)


def attempt(
    restart: RestartService, *, timeout_s: float = 20.0, target: str = "api@north"
) -> ActionRequest:
    pre_image = restart.observe(target, {})
    return request("restart_service", target, pre_image=pre_image, timeout_s=timeout_s)


def test_a_process_that_is_down_is_started(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    before = orchestrator.starts("api-north")

    outcome = restart.perform(attempt(restart))

    assert (outcome.ok, outcome.effect, outcome.return_code) == (True, Effect.PRESENT, 0)
    assert orchestrator.starts("api-north") == before + 1
    assert restart.observe("api@north", {})["state"] == "RUNNING"


def test_a_process_that_runs_is_stopped_and_started_once(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    restart.perform(attempt(restart))
    asked = attempt(restart)
    before = orchestrator.starts("api-north")

    outcome = restart.perform(asked)
    after = restart.observe("api@north", {})

    assert outcome.ok
    assert outcome.summary == "api@north was restarted and is RUNNING"
    assert orchestrator.starts("api-north") == before + 1
    assert after["pid"] != asked.pre_image["pid"]
    assert restart.probe(asked).effect is Effect.PRESENT


def test_the_probe_says_absent_while_the_same_process_runs(restart: RestartService) -> None:
    restart.perform(attempt(restart))

    assert restart.probe(attempt(restart)).effect is Effect.ABSENT


def test_a_process_that_does_not_stay_up_was_restarted_all_the_same(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    restart.perform(attempt(restart))
    asked = attempt(restart)
    orchestrator.tell("api-north", "fail")

    outcome = restart.perform(asked)

    assert (outcome.ok, outcome.effect) == (False, Effect.PRESENT)
    assert outcome.error_category == "start_failed"
    assert outcome.return_code in {3, None}  # supervisord may forget it of one so short-lived
    assert "can't bind to the port" in outcome.output
    probed = restart.probe(asked)
    assert probed.effect is Effect.PRESENT
    assert asked.pre_image["planes"] == [
        {
            "plane": "supervisord api-north",
            "now": f"RUNNING, pid {asked.pre_image['pid']}",
            "intended": "started anew",
        }
    ]
    assert probed.data["planes"][0]["reached"] is False, "started anew, and down again"


def test_a_process_that_was_killed_since_is_neither_restarted_nor_untouched(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    restart.perform(attempt(restart))
    asked = attempt(restart)
    os.kill(asked.pre_image["pid"], signal.SIGKILL)
    while restart.observe("api@north", {})["state"] == "RUNNING":
        pass  # supervisord has yet to notice

    probed = restart.probe(asked)

    assert probed.effect is Effect.UNKNOWN
    assert "nothing was started in its place" in probed.evidence


def test_a_stop_that_takes_too_long_leaves_the_step_in_doubt_and_on_time(
    orchestrator: Orchestrator,
) -> None:
    orchestrator.tell("api-south", "stubborn")
    restart = RestartService(supervised(orchestrator.socket))
    restart.perform(attempt(restart, target="api@south"))
    asked = attempt(restart, target="api@south", timeout_s=0.5)
    clock = SystemClock()
    began = clock.monotonic()

    with pytest.raises(LostReplyError, match="no answer in time"):
        restart.perform(asked)

    assert clock.monotonic() - began < 2
    assert orchestrator.starts("api-south") == 1
    refused = restart.perform(asked)
    assert (refused.ok, refused.effect) == (False, Effect.ABSENT)
    assert "being stopped by someone else" in refused.summary
    os.kill(asked.pre_image["pid"], signal.SIGKILL)


def test_what_the_process_wrote_is_redacted_and_control_characters_do_not_break_it(
    orchestrator: Orchestrator,
) -> None:
    orchestrator.tell("worker", "noisy", "fail")
    restart = RestartService(supervised(orchestrator.socket))

    outcome = restart.perform(attempt(restart, target="worker"))

    assert outcome.error_category == "start_failed"
    assert "hunter2" not in outcome.output


def test_where_no_supervisord_listens_nothing_was_done(tmp_path: Path) -> None:
    restart = RestartService(supervised(tmp_path / "s"))
    seen = restart.observe("api@north", {})

    assert seen["reachable"] is False
    assert seen["reversible"].startswith("no: ")
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        restart.perform(request("restart_service", "api@north", pre_image=seen))
    probed = restart.probe(request("restart_service", "api@north", pre_image=seen))
    assert probed.effect is Effect.UNKNOWN


@pytest.mark.parametrize("behaviour", [read_and_hang, read_and_cut])
def test_a_lost_reply_to_the_first_look_means_that_nothing_was_done(
    behaviour: Callable[[socket.socket], None], short_path: str
) -> None:
    restart = RestartService(supervised(short_path))

    with (
        answering(socket.AF_UNIX, short_path, behaviour),
        pytest.raises(TargetUnreachableError, match="was not touched"),
    ):
        restart.perform(request("restart_service", "api@north", timeout_s=0.3))


class CuttingProxy:
    """Stands between an action and supervisord, and cuts the reply to one method."""

    def __init__(self, upstream: Path, method: bytes) -> None:
        self._upstream = upstream
        self._method = method

    def __call__(self, connection: socket.socket) -> None:
        asked = b""
        while b"</methodCall>" not in asked:
            asked += connection.recv(65536)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as upstream:
            upstream.connect(str(self._upstream))
            upstream.sendall(asked)
            answer = b""
            while chunk := upstream.recv(65536):
                answer += chunk
        if self._method not in asked:
            connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("method", [b"startProcess", b"stopProcess"])
def test_a_reply_that_is_cut_after_the_request_leaves_the_step_in_doubt(
    method: bytes, orchestrator: Orchestrator, restart: RestartService, short_path: str
) -> None:
    restart.perform(attempt(restart))
    asked = attempt(restart)
    before = orchestrator.starts("api-north")
    through = RestartService(supervised(short_path))

    with (
        answering(socket.AF_UNIX, short_path, CuttingProxy(orchestrator.socket, method)),
        pytest.raises(LostReplyError),
    ):
        through.perform(asked)

    started = orchestrator.starts("api-north") - before
    assert started == (1 if method == b"startProcess" else 0)
    expected = Effect.PRESENT if started else Effect.UNKNOWN
    assert restart.probe(asked).effect is expected


def test_a_restart_of_supervisord_itself_proves_nothing(restart: RestartService) -> None:
    asked = attempt(restart)
    other = {**asked.pre_image, "supervisor_pid": 1}

    probed = restart.probe(request("restart_service", "api@north", pre_image=other))

    assert probed.effect is Effect.UNKNOWN


def test_a_process_that_supervisord_does_not_know_is_not_touched(
    orchestrator: Orchestrator,
) -> None:
    from dataclasses import replace

    from tests.io_parts import catalogue

    control = {"supervisord": {"socket": str(orchestrator.socket), "process": "nobody"}}
    service = replace(supervised("/s").services["worker"], control=control)

    outcome = RestartService(catalogue(service)).perform(request("restart_service", "worker"))

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert outcome.error_category == "unknown_process"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nothing@north", "the catalogue has no service 'nothing'"),
        ("api", "act on one at a time, as api@north"),
        ("api@west", "does not run in 'west'; it runs in north, south"),
        ("store", "not under supervisord's control"),
    ],
)
def test_a_target_that_cannot_be_restarted_is_refused_with_the_way_out(
    target: str, says: str
) -> None:
    with pytest.raises(BadInputError, match=says):
        RestartService(supervised("/s")).observe(target, {})


def test_parameters_are_refused() -> None:
    with pytest.raises(BadInputError, match="takes no parameter force"):
        RestartService(supervised("/s")).observe("api@north", {"force": True})


def test_a_restart_cannot_be_undone_and_says_why() -> None:
    restart = RestartService(supervised("/s"))

    outcome = restart.undo(request("restart_service", "api@north"))

    assert restart.repeatability is Repeatability.PROBEABLE
    assert not outcome.ok
    assert "can't be undone" in outcome.summary


def test_an_answer_that_dribbles_does_not_outlast_the_deadline(short_path: str) -> None:
    stop = threading.Event()
    clock = SystemClock()

    def dribble(connection: socket.socket) -> None:
        connection.recv(65536)
        while not stop.wait(0.02):
            connection.sendall(b"x")

    began = clock.monotonic()
    with (
        answering(socket.AF_UNIX, short_path, dribble),
        pytest.raises(LostReplyError, match="no answer in time"),
    ):
        Supervisord(socket_path=short_path).pid(Deadline.after(clock, 0.3))
    stop.set()

    assert clock.monotonic() - began < 2


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.0 500 no\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n<html>", b"", b"\x00" * 2_000_000],
)
def test_an_answer_that_is_none_is_a_lost_reply(answer: bytes, short_path: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    with answering(socket.AF_UNIX, short_path, serve), pytest.raises(LostReplyError):
        Supervisord(socket_path=short_path).pid(Deadline.after(SystemClock(), 5))
