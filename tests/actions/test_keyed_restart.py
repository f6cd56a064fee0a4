"""What a supervisord with our plugin promises, counted by the program that it starts."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.actions import RestartService
from holdfast.actions.orchestrator import KeyMemory
from holdfast.actions.supervisord import Deadline, Supervisord
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import SystemClock
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import catalogue, request
from tests.real_parts import short_directory, until
from tests.supervisord_parts import SUPERVISORD, Orchestrator, started_supervisord

PLUGIN = """
[rpcinterface:holdfast]
supervisor.rpcinterface_factory = holdfast.actions.orchestrator:make_rpcinterface
journal = {journal}
"""


def wrapped(orchestrator: Orchestrator, *, wrapper: bool = True) -> Catalogue:
    control = {"socket": str(orchestrator.socket), "wrapper": wrapper}
    return catalogue(
        Service(name="worker", control={"supervisord": control}),
        Service(name="other", control={"supervisord": control}),
    )


@pytest.fixture(scope="module")
def orchestrator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestrator]:
    journal = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    with started_supervisord("worker", "other", more=PLUGIN.format(journal=journal)) as started:
        yield started


@pytest.fixture
def restart(orchestrator: Orchestrator) -> RestartService:
    orchestrator.tell("worker")
    return RestartService(wrapped(orchestrator))


def attempt(restart: RestartService, key: str, *, fence: int = 1) -> ActionRequest:
    seen = restart.observe("worker", {})
    return request("restart_service", "worker", pre_image=seen, key=key, fence=fence)


@pytest.mark.promise("L8")
def test_the_same_key_twice_is_one_restart(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    asked = attempt(restart, "INC-1/s/1")
    before = orchestrator.starts("worker")

    first, second = restart.perform(asked), restart.perform(asked)

    assert (first.ok, first.effect) == (True, Effect.PRESENT)
    assert (second.ok, second.effect) == (True, Effect.PRESENT)
    assert "already done, not repeated" in second.summary
    assert orchestrator.starts("worker") == before + 1
    probed = restart.probe(asked)
    assert probed.effect is Effect.PRESENT
    assert [each["reached"] for each in probed.data["planes"]] == [True]
    assert restart.repeatability is Repeatability.IDEMPOTENT
    assert asked.pre_image["repeatability"] == "idempotent"


def test_the_same_key_from_many_callers_at_once_is_one_restart(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    restart.perform(attempt(restart, "INC-2/s/0"))
    asked = attempt(restart, "INC-2/s/1")
    before = orchestrator.starts("worker")
    answers: list[bool] = []
    callers = [
        threading.Thread(target=lambda: answers.append(restart.perform(asked).ok)) for _ in range(5)
    ]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)

    assert answers == [True] * 5
    assert orchestrator.starts("worker") == before + 1


@pytest.mark.promise("L8")
def test_an_older_fence_of_the_incident_is_refused_after_a_newer_one_was_there(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    late = attempt(restart, "INC-3/s/1", fence=4)
    restart.perform(attempt(restart, "INC-3/s/2", fence=5))
    late = replace(late, pre_image=restart.observe("worker", {}))
    before = orchestrator.starts("worker")

    outcome = restart.perform(late)

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert outcome.error_category == "stale_token"
    assert orchestrator.starts("worker") == before


def test_another_incident_counts_its_own_fences(restart: RestartService) -> None:
    restart.perform(attempt(restart, "INC-4/s/1", fence=9))

    assert restart.perform(attempt(restart, "INC-5/s/1", fence=1)).ok


@pytest.mark.promise("L8")
def test_a_process_that_somebody_started_anew_since_is_left_alone_for_good(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    restart.perform(attempt(restart, "INC-6/s/1"))
    late = attempt(restart, "INC-6/s/2")
    restart.perform(attempt(restart, "INC-7/s/1"))
    before = orchestrator.starts("worker")

    outcome = restart.perform(late)
    again = restart.perform(replace(late, pre_image=restart.observe("worker", {})))

    assert outcome.error_category == again.error_category == "changed_meanwhile"
    assert restart.probe(late).effect is Effect.ABSENT
    assert orchestrator.starts("worker") == before


def test_a_caller_that_hangs_up_leaves_a_restart_that_is_finished(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    restart.perform(attempt(restart, "INC-8/s/1"))
    asked = attempt(restart, "INC-8/s/2")
    before = orchestrator.starts("worker")

    with pytest.raises(LostReplyError):
        restart.perform(replace(asked, timeout_s=0.3))
    outcome = restart.perform(asked)

    assert outcome.ok
    assert orchestrator.starts("worker") == before + 1


def test_a_start_that_fails_is_remembered_as_it_was(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    orchestrator.tell("worker", "fail")
    asked = attempt(restart, "INC-9/s/1")
    before = orchestrator.starts("worker")

    first, second = restart.perform(asked), restart.perform(asked)

    assert (first.ok, first.effect, first.error_category) == (False, Effect.PRESENT, "start_failed")
    assert (second.ok, second.effect) == (False, Effect.PRESENT)
    assert orchestrator.starts("worker") == before + 1


def test_an_unknown_key_is_no_effect_and_an_unknown_process_is_refused(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    asked = attempt(restart, "INC-10/s/1")
    nobody = RestartService(
        catalogue(
            Service(
                name="worker",
                control={
                    "supervisord": {
                        "socket": str(orchestrator.socket),
                        "wrapper": True,
                        "process": "nobody",
                    }
                },
            )
        )
    )

    assert restart.probe(asked).effect is Effect.ABSENT
    assert nobody.perform(asked).error_category == "unknown_process"


def test_a_setting_that_was_changed_since_the_intent_leaves_it_in_doubt(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    plain = RestartService(wrapped(orchestrator, wrapper=False))
    asked = attempt(restart, "INC-11/s/1")
    before = orchestrator.starts("worker")

    with pytest.raises(LostReplyError, match="was changed since"):
        plain.perform(asked)

    assert plain.repeatability is Repeatability.PROBEABLE
    assert orchestrator.starts("worker") == before


def test_a_service_that_left_the_catalogue_was_certainly_not_touched(
    restart: RestartService,
) -> None:
    asked = attempt(restart, "INC-12/s/1")

    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        restart.perform(replace(asked, target="gone"))


def test_a_configured_plugin_that_is_not_there_makes_the_target_unreachable() -> None:
    with started_supervisord("worker") as plain:
        seen = RestartService(wrapped(plain)).observe("worker", {})

    assert seen["reachable"] is False
    assert "add it and restart supervisord" in seen["why"]


@pytest.mark.promise("L8")
def test_a_supervisord_killed_in_the_middle_leaves_the_key_in_doubt_and_never_repeats_it(
    tmp_path: Path,
) -> None:
    more = PLUGIN.format(journal=tmp_path / "keys.jsonl")
    with started_supervisord("worker", "other", more=more) as first:
        restart = RestartService(wrapped(first))
        first.tell("worker", "stubborn")
        restart.perform(attempt(restart, "INC-1/s/1", fence=3))
        asked = attempt(restart, "INC-1/s/2", fence=3)
        with pytest.raises(LostReplyError):
            restart.perform(replace(asked, timeout_s=1.0))
        clock = SystemClock()
        pid = Supervisord(socket_path=str(first.socket)).pid(Deadline.after(clock, 5))
        os.kill(pid, signal.SIGKILL)
        first.keeper.wait(20)

    with started_supervisord("worker", "other", more=more) as second:
        restart = RestartService(wrapped(second))

        with pytest.raises(LostReplyError, match="in_doubt"):
            restart.perform(asked)
        probed = restart.probe(asked)
        done = restart.probe(replace(asked, idempotency_key="INC-1/s/1"))
        stale = restart.perform(attempt(restart, "INC-1/s/9", fence=2))

        assert probed.effect is Effect.UNKNOWN
        assert done.effect is Effect.PRESENT
        assert stale.error_category == "stale_token"
        assert second.starts("worker") == 0


def test_a_supervisord_that_is_told_to_reload_keeps_its_keys(tmp_path: Path) -> None:
    more = PLUGIN.format(journal=tmp_path / "keys.jsonl")
    with started_supervisord("worker", "other", more=more) as started:
        restart = RestartService(wrapped(started))
        asked = attempt(restart, "INC-1/s/1")
        restart.perform(asked)
        log = started.directory / "log"
        pid = restart.observe("worker", {})["supervisor_pid"]
        os.kill(pid, signal.SIGHUP)
        until(lambda: log.read_text().count("supervisord started") == 2, started.keeper, tmp_path)
        until(lambda: restart.observe("worker", {})["reachable"], started.keeper, tmp_path)

        again = restart.perform(asked)
        new = restart.perform(attempt(restart, "INC-1/s/2"))

        assert "not repeated" in again.summary
        assert new.ok
        assert started.starts("worker") == 2


def test_a_plugin_that_came_after_the_intent_is_not_asked_about_it(
    restart: RestartService, orchestrator: Orchestrator
) -> None:
    plain = RestartService(wrapped(orchestrator, wrapper=False))
    asked = request("restart_service", "worker", pre_image=plain.observe("worker", {}))
    plain.perform(asked)

    assert restart.probe(asked).effect is Effect.PRESENT


def test_two_supervisords_cannot_share_a_journal(tmp_path: Path) -> None:
    journal = tmp_path / "keys.jsonl"
    more = PLUGIN.format(journal=journal)
    with started_supervisord("worker", more=more) as first:
        assert RestartService(wrapped(first)).observe("worker", {})["reachable"]
        with pytest.raises(ValueError, match="in use by another supervisord"):
            KeyMemory(str(journal))
        directory = short_directory("sv")
        conf = directory / "conf"
        user = "user=root\n" if os.geteuid() == 0 else ""
        conf.write_text(SUPERVISORD.format(directory=directory) + user + more)
        argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)]
        ended = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20)
        shutil.rmtree(directory)

        assert ended.returncode != 0
        assert "in use by another supervisord" in ended.stdout
        assert RestartService(wrapped(first)).observe("worker", {})["reachable"]


def test_a_line_that_a_crash_tore_counts_as_not_written_and_harms_no_other(tmp_path: Path) -> None:
    journal = tmp_path / "keys.jsonl"
    row = {"key": "INC-1/s/1", "process": "api", "fence": 7, "state": "done", "ok": True}
    memory = KeyMemory(str(journal))
    memory.write(row)
    memory.close()
    with journal.open("ab") as file:
        file.write(b'{"key": "INC-1/s/2", "proc')

    again = KeyMemory(str(journal))
    again.write({**row, "key": "INC-1/s/3", "fence": 6})
    again.close()
    last = KeyMemory(str(journal))

    assert set(last.rows) == {"INC-1/s/1", "INC-1/s/3"}
    assert last.newest_fence("api", "INC-1") == 7
    last.close()


def test_a_journal_that_takes_no_line_stops_every_restart(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full, which is Linux's")
    # A link is refused, so the device is given by its own name; it can be neither read nor locked away.
    with started_supervisord("worker", more=PLUGIN.format(journal=full)) as broken:
        restart = RestartService(wrapped(broken))
        asked = attempt(restart, "INC-1/s/1")

        outcome = restart.perform(asked)

        assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
        assert "make room" in outcome.summary
        assert broken.starts("worker") == 0


def test_the_plugin_needs_nothing_but_supervisor_and_the_standard_library() -> None:
    program = (
        "import sys, holdfast.actions.orchestrator\n"
        "names = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(*sorted(names - {'__main__'}))\n"
        "print(*sorted(m for m in sys.modules if m.startswith('holdfast.')))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    first, second = answer.stdout.splitlines()
    foreign = {name for name in first.split() if not name.startswith(("_", "sitecustomize"))}
    assert foreign <= {"holdfast", "supervisor"}
    assert second.split() == ["holdfast.actions", "holdfast.actions.orchestrator"]
