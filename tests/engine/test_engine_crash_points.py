"""A worker that dies at any named point: at most one effect, and nobody is left waiting."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.engine.crash_points import IN_A_DOUBT, IN_A_STEP, VARIABLE, CrashPoint
from holdfast.incident import Phase, StepStatus
from holdfast.ledger import verify
from holdfast.response.ports import Repeatability
from tests.engine.engine_parts import LaterClock, site
from tests.engine.marks import effects

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("engine_program.py")

pytestmark = pytest.mark.crash

# Where the step is held in doubt when an undisturbed attempt is interrupted there.
HELD = {
    (CrashPoint.AFTER_INTENT, Repeatability.PROBEABLE),
    (CrashPoint.AFTER_INTENT, Repeatability.NONE),
    (CrashPoint.AFTER_EFFECT, Repeatability.NONE),
}
DONE = IN_A_STEP[IN_A_STEP.index(CrashPoint.AFTER_EFFECT) :]
REPEATABLE = [kind for kind in Repeatability if kind.may_be_redone]


def dies(directory: Path, point: CrashPoint, kind: Repeatability, scenario: str = "step") -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: point.value}
    argv = [sys.executable, str(PROGRAM), str(directory), kind.value, scenario]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"


def recovers(directory: Path, kind: Repeatability, *, held: bool, ahead_s: float = 60) -> None:
    """Let another worker go on, and see that nothing was done twice and nobody is left waiting."""
    with site(directory, worker="w-2", clock=LaterClock(ahead_s), kind=kind) as second:
        second.start()
        second.seen.until(second.seen.has("paged" if held else "resolved"))
        state = second.state()

        assert len(second.effects()) <= 1, "the effect was repeated"
        assert set(second.effects()) <= {"INC-1/S1/1"}
        assert (state.held is not None, state.phase is Phase.RESOLVED) == (held, not held)
        assert verify(second.ledger, "INC-1").ok
        if held:
            assert state.steps[0].status is StepStatus.IN_DOUBT
            assert second.pages.sent
        else:
            assert second.effects() == ["INC-1/S1/1"]


@pytest.mark.promise("L5", "L6")
@pytest.mark.parametrize("kind", list(Repeatability))
@pytest.mark.parametrize("point", IN_A_STEP)
def test_a_step_has_at_most_one_effect_wherever_its_worker_dies(
    tmp_path: Path, point: CrashPoint, kind: Repeatability
) -> None:
    dies(tmp_path, point, kind)
    assert len(effects(tmp_path)) == (point in DONE)

    if point is CrashPoint.AFTER_VERDICT:
        with site(tmp_path, worker="w-2", clock=LaterClock(60), kind=kind) as second:
            assert second.state().phase is Phase.RESOLVED
        return
    recovers(tmp_path, kind, held=(point, kind) in HELD)


@pytest.mark.promise("L6", "L7")
@pytest.mark.parametrize(
    ("point", "kind"),
    [
        (point, kind)
        for point in IN_A_DOUBT
        for kind in (REPEATABLE if point is CrashPoint.AFTER_REPEAT else Repeatability)
    ],
)
def test_a_step_in_doubt_has_at_most_one_effect_wherever_its_worker_dies(
    tmp_path: Path, point: CrashPoint, kind: Repeatability
) -> None:
    dies(tmp_path, point, kind, "lost")
    assert effects(tmp_path) == []

    recovers(tmp_path, kind, held=not kind.may_be_redone)


@pytest.mark.promise("L14")
@pytest.mark.parametrize("kind", list(Repeatability))
def test_a_worker_that_dies_right_after_it_has_claimed_leaves_all_to_the_next(
    tmp_path: Path, kind: Repeatability
) -> None:
    dies(tmp_path, CrashPoint.AFTER_INTENT, kind)
    dies(tmp_path, CrashPoint.AFTER_CLAIM, kind, "takeover")

    recovers(tmp_path, kind, held=not kind.may_be_redone, ahead_s=120)


@pytest.mark.promise("L14")
def test_an_incident_that_is_parked_when_its_worker_dies_wakes_when_it_is_asked(
    tmp_path: Path,
) -> None:
    dies(tmp_path, CrashPoint.AFTER_PARK, Repeatability.NONE, "idle")

    with site(tmp_path, worker="w-2", kind=Repeatability.NONE) as second:
        second.start()
        answer = second.answer(second.submit("note", text="who is there?"))

        assert answer.ok
        assert second.state().held is not None


def test_every_crash_point_is_tried() -> None:
    tried = {*IN_A_STEP, *IN_A_DOUBT, CrashPoint.AFTER_CLAIM, CrashPoint.AFTER_PARK}

    assert tried == set(CrashPoint)


def test_a_worker_without_a_crash_point_lives(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, str(PROGRAM), str(tmp_path), "idempotent"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr
    assert effects(tmp_path) == ["INC-1/S1/1"]
