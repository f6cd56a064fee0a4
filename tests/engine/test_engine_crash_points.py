"""A worker that dies at any named point: at most one effect, and nobody is left waiting."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.engine.crash_points import VARIABLE, CrashPoint
from holdfast.incident import Phase, StepStatus
from holdfast.response.ports import Repeatability
from tests.engine.engine_parts import LaterClock, site
from tests.engine.marks import effects

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("engine_program.py")

pytestmark = pytest.mark.crash

# What is left at the target by the dead worker, and what must become of the incident.
HELD = {
    (CrashPoint.AFTER_INTENT, Repeatability.PROBEABLE),
    (CrashPoint.AFTER_INTENT, Repeatability.NONE),
    (CrashPoint.AFTER_EFFECT, Repeatability.NONE),
}


def dies(directory: Path, point: CrashPoint, kind: Repeatability) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: point.value}
    argv = [sys.executable, str(PROGRAM), str(directory), kind.value]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"


@pytest.mark.parametrize("kind", list(Repeatability))
@pytest.mark.parametrize("point", list(CrashPoint))
def test_a_step_has_at_most_one_effect_wherever_its_worker_dies(
    tmp_path: Path, point: CrashPoint, kind: Repeatability
) -> None:
    dies(tmp_path, point, kind)
    left = effects(tmp_path)
    assert len(left) == (point in {CrashPoint.AFTER_EFFECT, CrashPoint.AFTER_OUTCOME})

    with site(tmp_path, worker="w-2", clock=LaterClock(60), kind=kind) as second:
        second.start()
        held = (point, kind) in HELD
        second.seen.until(second.seen.has("paged" if held else "resolved"))
        state = second.state()

        assert len(second.effects()) <= 1, "the effect was repeated"
        assert set(second.effects()) <= {"INC-1/S1/1"}
        assert (state.held is not None, state.phase is Phase.RESOLVED) == (held, not held)
        assert second.ledger.verify("INC-1").ok
        if held:
            assert state.steps[0].status is StepStatus.IN_DOUBT
            assert second.pages.sent
        else:
            assert second.effects() == ["INC-1/S1/1"]


def test_a_worker_without_a_crash_point_lives(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, str(PROGRAM), str(tmp_path), "idempotent"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr
    assert effects(tmp_path) == ["INC-1/S1/1"]
