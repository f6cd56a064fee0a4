"""Whoever directs is told what the guard made of it, before they turn away."""

from collections.abc import Callable

import pytest

from holdfast.app.asking import wait_for_turn
from holdfast.app.judged import judged, refused, told
from holdfast.incident import Kind, State, Step, fold
from holdfast.kernel.clock import ManualClock
from holdfast.kernel.errors import RefusedError
from tests.response.response_parts import Play
from tests.response.response_world import runbook, world
from tests.scene import START


def directed(**more: object) -> Play:
    play = Play(world=world(runbook("${entity}"), mode="guided")).open().run()
    play.charter()
    play.direct(**more)
    return play


def judged_from_its_proposal(play: Play) -> Step:
    """Follow the directed step record by record, from where it is only proposed."""
    kinds = play.kinds()
    seen = len(kinds) - kinds[::-1].index(Kind.STEP_PROPOSED)
    step_id = play.last(Kind.STEP_PROPOSED)["step_id"]
    found = judged(growing(play, seen), step_id, ManualClock(START))
    assert found is not None
    return found


def growing(play: Play, seen: int) -> Callable[[], State]:
    counts = iter(range(seen, len(play.records) + 1))
    return lambda: fold(play.records[: next(counts, len(play.records))], "INC-1")


def test_a_directive_is_followed_until_the_guard_has_judged_it() -> None:
    step = judged_from_its_proposal(directed())

    assert not refused(step)
    assert told("INC-1", step)["became"].endswith(
        "(rollback_deploy on shop-api) is allowed and under way"
    )


def test_a_refusal_is_told_with_its_reasons() -> None:
    step = judged_from_its_proposal(directed(expect=[]))

    assert refused(step)
    assert "no recovery criterion is written down" in told("INC-1", step)["became"]


def test_a_step_that_is_not_judged_in_time_is_told_as_it_is() -> None:
    play = directed()
    seen = play.kinds().index(Kind.STEP_PROPOSED) + 1
    waiting = fold(play.records[:seen], "INC-1")
    step_id = play.records[seen - 1].data["step_id"]

    step = judged(lambda: waiting, step_id, ManualClock(START), wait_s=0.0)

    assert "is not judged yet" in told("INC-1", step)["became"]


def test_who_waits_for_their_turn_is_told_when_it_does_not_come() -> None:
    play = directed()
    clock = ManualClock(START)

    with pytest.raises(RefusedError, match=r"still after 5 s; nothing was asked for"):
        wait_for_turn(lambda: play.state, clock, 5.0)
    assert clock.monotonic() >= 5.0
