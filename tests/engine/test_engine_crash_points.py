"""A worker that dies at any named point: at most one effect, and nobody is left waiting."""

import multiprocessing
import signal
from pathlib import Path

import pytest

from holdfast.engine.crash_points import IN_A_DOUBT, IN_A_STEP, CrashPoint
from holdfast.incident import Phase, StepStatus
from holdfast.ledger import verify
from holdfast.response.ports import Repeatability
from tests.engine import engine_program
from tests.engine.engine_parts import LaterClock, site
from tests.engine.marks import effects

# Forks from a process that has imported everything and has no thread: a new Python takes a second.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([engine_program.__name__, pytest.__name__])
PATIENCE_S = 30.0

pytestmark = pytest.mark.crash

# Where the step is held in doubt when an undisturbed attempt is interrupted there.
HELD = {
    (CrashPoint.AFTER_INTENT, Repeatability.PROBEABLE),
    (CrashPoint.AFTER_INTENT, Repeatability.NONE),
    (CrashPoint.AFTER_EFFECT, Repeatability.NONE),
}
DONE = IN_A_STEP[IN_A_STEP.index(CrashPoint.AFTER_EFFECT) :]
REPEATABLE = [kind for kind in Repeatability if kind.may_be_redone]


def ended(directory: Path, kind: Repeatability, scenario: str, point: CrashPoint | None) -> int:
    """Run the program in a process of its own; its exit code, or minus the signal that ended it."""
    words = (str(directory), kind.value, scenario)
    process = FORKS.Process(target=engine_program.live, args=(point, *words))
    process.start()
    try:
        process.join(PATIENCE_S)
        assert process.exitcode is not None, f"{scenario} did not end in {PATIENCE_S:.0f} s"
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()


def said(directory: Path) -> str:
    return (directory / engine_program.COMPLAINTS).read_text(errors="replace")


def dies(directory: Path, point: CrashPoint, kind: Repeatability, scenario: str = "step") -> None:
    code = ended(directory, kind, scenario, point)
    assert code == -signal.SIGKILL, f"{point} was not reached: {said(directory)}"


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
    code = ended(tmp_path, Repeatability.IDEMPOTENT, "step", None)

    assert code == 0, said(tmp_path)
    assert effects(tmp_path) == ["INC-1/S1/1"]
