import json
import resource
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from holdfast.actions import RollbackDeploy
from holdfast.actions.key_journal import JOURNAL, ready_name
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.response.ports import ActionRequest, Effect
from tests.io_parts import point
from tests.release_parts import Moves, attempt, current, described


class DyingClock:
    """Dies at the n-th look at the time, which is when the journal is written."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._clock = SystemClock()

    def now(self) -> datetime:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return self._clock.wait(event, timeout_s)


def die(directory: Path, asked: ActionRequest, at: int) -> None:
    clock: Clock = DyingClock(at)
    with pytest.raises(KeyboardInterrupt):
        RollbackDeploy(described(directory), clock=clock).perform(asked)


def test_a_crash_before_the_move_is_probed_as_absent_and_can_be_done_again(
    rollback: RollbackDeploy, directory: Path, moves: Moves
) -> None:
    asked = attempt(rollback)
    die(directory, asked, at=1)

    assert rollback.probe(asked).effect is Effect.ABSENT
    assert rollback.perform(asked).ok
    assert moves.count() == 1


def test_a_crash_after_the_move_is_probed_as_present_and_is_not_done_again(
    rollback: RollbackDeploy, directory: Path, moves: Moves
) -> None:
    asked = attempt(rollback)
    die(directory, asked, at=2)
    point(directory, "v2")  # even if somebody has deployed the same anew

    assert rollback.probe(asked).effect is Effect.PRESENT
    assert rollback.perform(asked).effect is Effect.PRESENT
    assert current(directory) == "v2"
    assert moves.count() == 2


def test_a_crash_between_begun_and_the_move_is_told_by_the_link_that_lies_ready(
    rollback: RollbackDeploy, directory: Path, moves: Moves
) -> None:
    asked = attempt(rollback)
    (directory / ready_name(asked.idempotency_key)).symlink_to("v1")
    row = {"key": asked.idempotency_key, "state": "begun", "before": "v2", "after": "v1", "at": "t"}
    (directory / JOURNAL).write_text(json.dumps(row) + "\n")

    assert rollback.probe(asked).effect is Effect.ABSENT
    assert rollback.perform(asked).ok
    assert moves.count() == 1
    assert not (directory / ready_name(asked.idempotency_key)).is_symlink()


@pytest.mark.parametrize("dies_at", [2, 99])
def test_a_torn_line_in_the_journal_does_not_swallow_the_next(
    dies_at: int, rollback: RollbackDeploy, directory: Path, moves: Moves
) -> None:
    (directory / JOURNAL).write_bytes(b'{"key":"i/s/1","state":"do')
    asked = attempt(rollback)

    with suppress(KeyboardInterrupt):
        RollbackDeploy(described(directory), clock=DyingClock(dies_at)).perform(asked)
    again = rollback.perform(asked)

    assert "already done, not repeated" in again.summary
    assert moves.count() == 1


def test_a_full_disk_leaves_the_link_alone_and_says_that_nothing_was_done(
    rollback: RollbackDeploy, directory: Path, moves: Moves
) -> None:
    asked = attempt(rollback)
    # The journal may not grow: what a full disk does, for this process and for a moment.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        outcome = rollback.perform(asked)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert outcome.error_category == "io_error"
    assert rollback.probe(asked).effect is Effect.ABSENT
    assert moves.count() == 0
    assert rollback.perform(asked).ok
    assert moves.count() == 1


def test_a_journal_that_cannot_be_read_leaves_the_effect_unknown_and_moves_nothing(
    rollback: RollbackDeploy, directory: Path
) -> None:
    asked = attempt(rollback)
    (directory / JOURNAL).symlink_to("/dev/null")

    outcome = rollback.perform(asked)

    assert (outcome.ok, outcome.effect) == (False, Effect.UNKNOWN)
    assert rollback.probe(asked).effect is Effect.UNKNOWN
    assert current(directory) == "v2"
