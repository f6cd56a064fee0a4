"""What a run waits for is told by events alone."""

from typing import Any

import pytest

from holdfast.kernel import HoldfastError
from holdfast.sandbox.follow import Follower
from holdfast.sandbox.holdfast_process import Event, Events
from holdfast.sandbox.scenario import HELD, OUTCOMES, RESOLVED


class Stage:
    """A follower, its queue, and what it passed on."""

    def __init__(self) -> None:
        self.events = Events()
        self.told: list[Event] = []
        self.deaths: list[int] = []
        self.follower = Follower(self.events, self.told.append, self.deaths.append)

    def tick(self, warm: int = 3) -> None:
        data: dict[str, Any] = {"event": "tick", "series": 3, "warm": warm, "bare_rule": warm == 3}
        self.events.put(data)

    def record(self, kind: str, incident_id: str = "INC-1") -> None:
        self.events.put({"event": "record", "incident_id": incident_id, "kind": kind, "text": kind})

    def take_all(self) -> None:
        while not self.events.empty():
            self.follower._take(self.events.get())


def test_warm_means_that_every_series_has_its_samples() -> None:
    stage = Stage()
    assert not stage.follower.warm
    stage.tick(warm=2)
    stage.tick(warm=3)
    assert stage.follower.until(lambda: stage.follower.warm, 5.0)
    assert (stage.follower.ticks, stage.follower.bare_rule_fired) == (2, 1)
    assert len(stage.told) == 2


def test_a_wait_ends_at_its_limit_and_says_that_it_was_in_vain() -> None:
    assert not Stage().follower.until(lambda: False, 0.01)


@pytest.mark.parametrize(
    ("kinds", "over"),
    [
        (["incident_opened"], False),
        (["incident_opened", "resolved"], True),
        (["incident_opened", "dismissed"], True),
        (["incident_opened", "held", "escalated"], False),
        (["incident_opened", "held", "escalated", "paged"], True),
    ],
)
def test_an_incident_is_at_its_end_when_it_is_over_or_somebody_was_paged(
    kinds: list[str], *, over: bool
) -> None:
    stage = Stage()
    for kind in kinds:
        stage.record(kind)
    stage.take_all()
    assert stage.follower.ended(OUTCOMES) is over


def test_a_run_that_waits_for_one_outcome_is_not_over_with_another() -> None:
    stage = Stage()
    for kind in ("incident_opened", "held", "escalated", "paged"):
        stage.record(kind)
    stage.take_all()
    assert not stage.follower.ended([RESOLVED])
    assert stage.follower.ended([HELD])
    assert not stage.follower.ended([HELD], incidents=2)


def test_what_comes_back_is_not_over_any_more() -> None:
    stage = Stage()
    for kind in ("incident_opened", "resolved", "reopened"):
        stage.record(kind)
    stage.take_all()
    assert not stage.follower.ended(OUTCOMES)
    assert stage.follower.live == ["INC-1"]


def test_the_first_incident_with_so_many_records_of_a_kind_is_named() -> None:
    stage = Stage()
    for incident_id in ("INC-1", "INC-2", "INC-2"):
        stage.record("held", incident_id)
    stage.take_all()
    assert stage.follower.first_with("held", 1) == "INC-1"
    assert stage.follower.first_with("held", 2) == "INC-2"
    assert stage.follower.first_with("held", 3) is None


def test_a_run_is_at_its_end_only_when_every_incident_is() -> None:
    stage = Stage()
    assert not stage.follower.ended(OUTCOMES)
    for incident_id, kind in (("INC-1", "resolved"), ("INC-2", "incident_opened")):
        stage.record(kind, incident_id)
    stage.take_all()
    assert not stage.follower.ended(OUTCOMES)
    assert stage.follower.live == ["INC-2"]


def test_trouble_that_the_product_reports_is_kept() -> None:
    stage = Stage()
    stage.events.put({"event": "trouble", "text": "tick 3: ValueError"})
    stage.take_all()
    assert stage.follower.trouble == ["Holdfast met trouble of its own: tick 3: ValueError"]


def test_a_death_is_passed_on_and_ends_a_wait_when_it_is_no_part_of_the_plan() -> None:
    stage = Stage()
    stage.events.put({"event": "ended", "code": -9})
    stage.take_all()
    assert stage.deaths == [-9]

    def unplanned(code: int) -> None:
        raise HoldfastError(f"ended with {code}")

    follower = Follower(stage.events, stage.told.append, unplanned)
    stage.events.put({"event": "ended", "code": 1})
    with pytest.raises(HoldfastError, match="ended with 1"):
        follower.until(lambda: False, 5.0)
