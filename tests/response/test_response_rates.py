"""What the guard is told of pools, of all actions together and of change freezes, and what follows."""

from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.policy import Limits, Window
from holdfast.response.commands import Intend, Prepare
from holdfast.response.store import LoggedAction
from tests.response.response_parts import Play
from tests.response.response_world import world

KNOWN = replace(world(), limits=Limits(actions_per_incident=3, actions_per_installation=5))


def prepared(*, known: object = KNOWN, rate: int = 0, by: str = "INC-8", **seen: object) -> Play:
    """Play up to the guard's answer, with so many actions anywhere before."""
    play = Play(world=known, stop_at=(Prepare,)).open().run()  # type: ignore[arg-type]
    (prepare,) = [c for c in play.told if isinstance(c, Prepare)]
    play.stop_at = ()
    log = [
        LoggedAction(
            key=f"{by}/S{number}/1", incident_id=by, step_id=f"S{number}", action="clear_cache",
            target="stock@west", at=play.now - timedelta(minutes=number), settled=True,
        )
        for number in range(2, 2 + rate)
    ]  # fmt: skip
    pre_image = {"reachable": True, "reversible": "put it back", **seen}
    play.run(play.prepared(prepare, rate=log, pre_image=pre_image))
    return play


def told(play: Play) -> str:
    return str([record.data for record in play.records])


def test_actions_of_other_incidents_count_for_the_installation_and_not_for_this_one() -> None:
    mine = prepared().state.incident_id

    assert prepared(rate=4).count(Intend) == 1
    assert prepared(rate=2, by=mine).count(Intend) == 1
    refused = prepared(rate=3, by=mine)
    assert refused.count(Intend) == 0
    assert "this incident has acted often enough" in told(refused)
    refused = prepared(rate=5)
    assert refused.count(Intend) == 0
    assert "the installation has acted often enough" in told(refused)


@pytest.mark.parametrize(
    ("share", "passes", "words"),
    [
        (0.5, True, "50% of the pool out"),
        (0, True, "0% of the pool out"),
        (0.75, False, "75% of the pool out"),
        ("half", False, "can't be told"),
        (None, False, "can't be told"),
        (True, False, "can't be told"),
    ],
)
def test_an_action_says_in_its_pre_image_how_much_of_a_pool_would_be_out(
    *, share: object, passes: bool, words: str
) -> None:
    play = prepared(pool_share=share)

    assert (play.count(Intend) == 1) is passes
    assert words in told(play)


def test_a_step_within_a_change_freeze_waits_for_a_person_and_one_elsewhere_does_not() -> None:
    now = prepared().now
    freeze = Window(
        window_id="freeze-1",
        scope="shop-api",
        starts_at=now - timedelta(days=1),
        ends_at=now + timedelta(days=1),
        by="dana",
        why="year end",
    )
    elsewhere = replace(freeze, scope="shop-db")
    over = replace(freeze, ends_at=now - timedelta(hours=1))
    waiting = prepared(known=replace(KNOWN, change_freezes=(elsewhere, freeze)))

    assert waiting.count(Intend) == 0
    assert waiting.state.waiting_for is not None
    assert "change freeze freeze-1 (shop-api) is on until" in told(waiting)
    assert prepared(known=replace(KNOWN, change_freezes=(elsewhere, over))).count(Intend) == 1
