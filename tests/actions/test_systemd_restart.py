"""Restarting units of a real systemd, seen by its invocations and by what the units write."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.actions import build_actions
from holdfast.actions.supervisord import Deadline
from holdfast.actions.systemd import SYSTEMCTL, check_unit
from holdfast.actions.systemd_restart import RestartUnit
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import catalogue, request
from tests.systemd_parts import PROGRAM, OwnSystemd, started_systemd

UNITS = {
    "api-north": PROGRAM,
    "api-south": PROGRAM,
    "once": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "leaving": "[Service]\nExecStart=/bin/sleep 3600\nExecStop=/bin/sleep 2\n",
    "part": "[Unit]\nPartOf=leaving.service\n[Service]\nExecStart=/bin/sleep 3600\n",
    "failing": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 7'\n",
    "slow": "[Service]\nType=notify\nExecStart=/bin/sleep 3600\n",
    "crashing": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=20ms\n"
    "ExecStart=/bin/false\n",
    "broken": "[Service]\nNothing=here\n",
    "theirs": "[Unit]\nRefuseManualStart=yes\n[Service]\nExecStart=/bin/sleep 3600\n",
    "masked": "",  # an empty file is as good as a link to /dev/null
}


@pytest.fixture(scope="module")
def own() -> Iterator[OwnSystemd]:
    with started_systemd(UNITS) as own:
        yield own


@pytest.fixture
def systemd(own: OwnSystemd) -> Iterator[OwnSystemd]:
    own.run("start", "api-north.service")
    yield own
    own.run("stop", "slow.service", "crashing.service")


def described(runtime_dir: str, **more: str) -> Catalogue:
    control = {"systemd": {"scope": "user", "runtime_dir": runtime_dir, **more}}
    regional = {"systemd": {**control["systemd"], "unit": "{service}-{region}.service"}}
    single = [Service(name=name, control=control) for name in (*UNITS, "unknown")]
    return catalogue(
        *single,
        Service(name="api", regions=("north", "south"), control=regional),
        Service(name="store"),
    )


def restart(systemd: OwnSystemd, **more: str) -> RestartUnit:
    return RestartUnit(described(systemd.runtime_dir, **more))


def attempt(
    action: RestartUnit, target: str = "api@north", timeout_s: float = 20.0
) -> ActionRequest:
    pre_image = action.observe(target, {})
    return request("restart_service", target, pre_image=pre_image, timeout_s=timeout_s)


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 10)


def until(ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < give_up, "it did not come to that"
        time.sleep(0.01)


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_unit_that_runs_is_restarted_once(systemd: OwnSystemd) -> None:
    action = restart(systemd)
    asked = attempt(action)
    before, absent = systemd.starts("api-north"), action.probe(asked)

    outcome = action.perform(asked)
    until(lambda: systemd.starts("api-north") == before + 1)
    present = action.probe(asked)

    assert (outcome.ok, outcome.effect, outcome.return_code) == (True, Effect.PRESENT, 0)
    assert outcome.summary.startswith("api@north was restarted: api-north.service is active")
    assert (absent.effect, present.effect) == (Effect.ABSENT, Effect.PRESENT)
    assert action.repeatability is Repeatability.PROBEABLE


def test_the_plane_is_the_unit_before_and_after(systemd: OwnSystemd) -> None:
    action = restart(systemd)
    asked = attempt(action)
    [before] = action.probe(asked).data["planes"]
    action.perform(asked)
    [after] = action.probe(asked).data["planes"]

    pid = asked.pre_image["pid"]
    assert asked.pre_image["planes"] == [
        {
            "plane": "systemd api-north.service",
            "now": f"active (running), pid {pid}",
            "intended": "started anew",
        }
    ]
    assert (before["reached"], after["reached"]) == (False, True)


def test_a_unit_that_is_down_is_started(systemd: OwnSystemd) -> None:
    systemd.run("stop", "api-south.service")
    action = restart(systemd)

    outcome = action.perform(attempt(action, "api@south"))

    assert outcome.ok
    assert "was started" in outcome.summary


def test_a_oneshot_that_ended_well_is_done(systemd: OwnSystemd) -> None:
    action = restart(systemd)

    assert action.perform(attempt(action, "once")).ok
    assert action.probe(attempt(action, "once")).effect is Effect.UNKNOWN


def test_a_start_that_fails_is_an_effect_and_no_success(systemd: OwnSystemd) -> None:
    action = restart(systemd)
    asked = attempt(action, "failing")

    outcome = action.perform(asked)
    probed = action.probe(asked)

    assert (outcome.ok, outcome.effect) == (False, Effect.PRESENT)
    assert (outcome.error_category, outcome.return_code) == ("start_failed", 7)
    assert probed.effect is Effect.PRESENT
    assert probed.data["planes"][0]["reached"] is False


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("unknown", "Unit unknown.service not found."),
        ("masked", "Unit masked.service is masked."),
        ("broken", "has a bad unit file setting."),
        ("theirs", "refuses to be started or stopped by hand"),
    ],
)
def test_a_unit_that_can_not_be_restarted_is_told_and_left_alone(
    systemd: OwnSystemd, target: str, why: str
) -> None:
    action = restart(systemd)

    seen = action.observe(target, {})
    outcome = action.perform(request("restart_service", target, pre_image=seen))

    assert seen["reachable"] is False
    assert why in seen["why"]
    assert seen["planes"] == []
    assert (outcome.effect, outcome.error_category) == (Effect.ABSENT, "refused")
    assert why in outcome.summary


def test_a_slow_start_is_in_doubt_while_systemd_goes_on(systemd: OwnSystemd) -> None:
    action = restart(systemd)
    asked = attempt(action, "slow", timeout_s=0.3)

    with pytest.raises(LostReplyError, match="systemd goes on with the job"):
        action.perform(asked)
    probed = action.probe(asked)
    again = action.perform(asked)

    assert probed.effect is Effect.UNKNOWN
    assert "still under way" in probed.evidence
    assert (again.effect, again.error_category) == (Effect.ABSENT, "changed_meanwhile")


def test_what_systemd_restarted_by_itself_is_not_taken_for_ours(systemd: OwnSystemd) -> None:
    systemd.run("start", "crashing.service")
    action = restart(systemd)
    asked = attempt(action, "crashing")
    first = int(systemd.property("crashing.service", "NRestarts"))
    until(lambda: int(systemd.property("crashing.service", "NRestarts")) > first + 1)

    probed = action.probe(asked)

    assert probed.effect is Effect.UNKNOWN
    assert "by systemd itself after a crash" in probed.evidence


def test_a_unit_that_a_person_began_to_stop_after_the_look_is_not_started_again(
    systemd: OwnSystemd,
) -> None:
    systemd.run("start", "leaving.service", "part.service")
    action = restart(systemd)
    place = action._place("leaving")  # to stand between its look and its restart
    asked = attempt(action, "leaving")
    seen, before = asked.pre_image, place.systemd.look(place.unit, soon())
    systemd.run("stop", "--no-block", "leaving.service")

    outcome = action._ended(place, before, place.systemd.restart(place.unit, soon()))

    assert (outcome.effect, outcome.error_category) == (Effect.ABSENT, "changed_meanwhile")
    assert "'stop' job queued" in outcome.summary
    assert systemd.property("leaving", "ActiveState") == "deactivating"
    assert seen["with_it"] == ["part.service"]
    assert seen["planes"][0]["intended"] == "started anew, and with it part.service if it runs"


@pytest.mark.promise("L8")
def test_a_unit_that_somebody_restarted_since_it_was_looked_at_is_left_alone(
    systemd: OwnSystemd,
) -> None:
    action = restart(systemd)
    late = attempt(action)
    action.perform(attempt(action))
    until(lambda: systemd.property("api-north.service", "Job") == "")
    invocation = systemd.property("api-north.service", "InvocationID")

    outcome = action.perform(late)

    assert (outcome.effect, outcome.error_category) == (Effect.ABSENT, "changed_meanwhile")
    assert systemd.property("api-north.service", "InvocationID") == invocation


def test_a_unit_that_stopped_without_a_start_since_says_nothing(systemd: OwnSystemd) -> None:
    action = restart(systemd)
    asked = attempt(action)
    systemd.run("stop", "api-north.service")

    probed = action.probe(asked)

    assert probed.effect is Effect.UNKNOWN
    assert "nothing was started in its place" in probed.evidence


def test_after_systemd_itself_was_started_anew_nothing_is_proven(systemd: OwnSystemd) -> None:
    action = restart(systemd)
    asked = attempt(action)
    asked = replace(asked, pre_image={**asked.pre_image, "manager": "of the boot before"})

    assert action.probe(asked).effect is Effect.UNKNOWN


def test_a_systemctl_emulated_to_refuse_leaves_no_effect(
    systemd: OwnSystemd, tmp_path: Path
) -> None:
    """Root is refused nothing, so the refusal alone is emulated; the looks are the real ones."""
    no = 'case "$*" in *restart*) echo "Failed to restart: Access denied"; exit 4;; esac'
    denies = program(tmp_path / "systemctl", f'{no}\nexec {SYSTEMCTL} "$@"')
    action = restart(systemd, systemctl=denies)

    outcome = action.perform(attempt(action))

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert (outcome.error_category, outcome.return_code) == ("permission", 4)


def test_a_systemd_that_is_not_there_is_no_effect(tmp_path: Path) -> None:
    if not Path(SYSTEMCTL).exists():
        pytest.skip("systemctl is not installed; apt-get install systemd")
    action = RestartUnit(described(str(tmp_path)))

    seen = action.observe("api@north", {})

    assert seen["reachable"] is False
    assert "can't be asked" in seen["why"]
    assert action.probe(request("restart_service", "api@north")).effect is Effect.UNKNOWN
    with pytest.raises(TargetUnreachableError, match="nothing was done"):
        action.perform(request("restart_service", "api@north"))


def test_a_machine_that_was_not_booted_with_systemd_says_so() -> None:
    if not Path(SYSTEMCTL).exists() or Path("/run/systemd/system").exists():
        pytest.skip("it was booted with systemd, or systemctl is not installed")
    system = catalogue(Service(name="api", control={"systemd": {"unit": "api.service"}}))

    seen = RestartUnit(system).observe("api", {})

    assert seen["reachable"] is False
    assert "not been booted with systemd" in seen["why"]


def test_a_systemctl_that_is_missing_silent_or_everybodys_is_not_used(tmp_path: Path) -> None:
    silent = program(tmp_path / "silent", "exit 0")
    open_to_all = program(tmp_path / "open", "exit 0")
    Path(open_to_all).chmod(0o777)

    def why(path: str) -> str:
        return str(RestartUnit(described("/x", systemctl=path)).observe("once", {})["why"])

    assert "may not be run" in why(str(tmp_path / "missing"))
    assert "may be written by everybody" in why(open_to_all)
    assert "can't be read" in why(silent)


def test_a_restart_cannot_be_undone_and_says_why() -> None:
    outcome = RestartUnit(described("/x")).undo(request("restart_service", "api@north"))

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert outcome.error_category == "not_reversible"


@pytest.mark.parametrize(
    "unit",
    ["*.service", "api[1].service", "-h.service", "a/b.service", "api.timer", "api", "a b.service",
     "api.service\n", f"{'a' * 250}.service"],
)  # fmt: skip
def test_a_pattern_a_path_an_option_or_another_kind_of_unit_is_refused(unit: str) -> None:
    with pytest.raises(ValueError, match="no plain name of a service unit"):
        check_unit(unit)


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {}, "target"),
        ("store", {}, "target"),
        ("api", {}, "target"),
        ("api@east", {}, "target"),
        ("api@north", {"force": True}, "params.force"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(
    target: str, params: dict[str, object], field: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        RestartUnit(described("/x")).observe(target, params)

    assert refused.value.field == field


def test_restart_service_is_by_systemd_where_the_service_is_under_its_control() -> None:
    action = build_actions(described("/x"))["restart_service"]

    assert action.observe("api@north", {})["unit"] == "api-north.service"
