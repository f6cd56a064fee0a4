"""From the opening to a plan, a dismissal or a person: nothing on a guess, nothing on silence."""

from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.incident import Kind, Phase
from holdfast.response.commands import Intend, RunChecks, SendPage
from holdfast.response.events import SignalsSeen
from holdfast.response.ports import Health
from tests.response.response_parts import Play
from tests.response.response_world import BAD, GAP, GOOD, runbook, world
from tests.scene import signal


def blip(**more: object) -> Play:
    """An incident whose trouble is over as soon as it was opened."""
    play = Play().open()
    for name, value in more.items():
        setattr(play, name, value)
    play.level(GOOD)
    play.now += timedelta(seconds=1.5)
    return play.run().wait(30)


def test_the_checks_run_before_anything_is_concluded() -> None:
    play = Play(stop_at=(RunChecks,)).open().run()

    assert [type(command) for command in play.told] == [RunChecks]


def test_a_blip_is_dismissed_with_what_was_read() -> None:
    play = blip()
    why = play.last(Kind.DISMISSED)["why"]

    assert play.phase() is Phase.DISMISSED
    assert "no check found trouble" in why
    assert "errors of shop-api in west is 0.004, normal was 0 to 0.02: normal" in why
    assert (play.count(SendPage), play.count(Intend)) == (0, 0)


def test_a_blip_is_dismissed_only_on_checks_taken_in_calm() -> None:
    play = blip()
    last = play.last(Kind.CHECKS_RECORDED)

    assert play.count(Kind.CHECKS_RECORDED) == 2
    assert last["symptom"]["status"] == "absent"


@pytest.mark.parametrize("status", [Health.DEGRADED, Health.DOWN])
def test_a_check_that_finds_trouble_keeps_a_blip_from_being_dismissed(status: Health) -> None:
    play = blip(checks={"http_health": status})

    assert play.phase() is not Phase.DISMISSED


def test_a_check_that_hangs_keeps_a_blip_from_being_dismissed() -> None:
    play = blip(checks={"disk_usage": Health.DOWN}, failing=frozenset({"disk_usage"}))

    assert play.phase() is not Phase.DISMISSED


def test_a_suspect_release_alone_is_no_trouble_and_what_has_nothing_to_read_is_named() -> None:
    play = blip(checks={"recent_deployments": Health.DEGRADED, "redis_health": Health.UNKNOWN})

    assert play.phase() is Phase.DISMISSED
    assert "nothing to read for: redis_health" in play.last(Kind.DISMISSED)["why"]


def test_missing_readings_are_never_a_dismissal_but_a_person_after_some_patience() -> None:
    play = Play(world=world(runbook("${entity}", incident_type="service_down"))).open()
    play.level(GAP)
    play.now += timedelta(seconds=1.5)
    play.run().wait(14)
    assert not play.held()

    play.wait(15)
    assert play.phase() is Phase.DIAGNOSING
    assert play.held()
    assert play.state.pages == 1


def test_one_silent_region_is_enough_not_to_dismiss() -> None:
    play = Play().open()
    play.level(GOOD)
    play.silent = frozenset({"west"})
    play.now += timedelta(seconds=1.5)
    play.run().wait(15)

    assert play.phase() is not Phase.DISMISSED
    assert play.count(Intend) == 0
    play.wait(30)
    assert play.held()


def test_no_runbook_that_fits_holds_and_says_which_came_near() -> None:
    near = runbook("${entity}", name="restart", incident_type="service_down")
    asks_more = replace(
        near,
        name="near",
        match=replace(near.match, incident_types=("high_error_rate",), labels={"tier": "gold"}),
    )
    play = Play(world=world(near, asks_more)).open().run().wait(3)

    assert play.held()
    assert (
        "no runbook fits high_error_rate on shop-api, and nothing is done on a guess" in play.held()
    )
    assert [m["runbook"] for m in play.last(Kind.PLAN_CHOSEN)["near_misses"]] == ["near"]
    assert play.state.waiting_for == ("directive",)
    assert (play.state.pages, play.count(Intend)) == (1, 0)


def test_before_a_person_is_woken_for_want_of_a_runbook_the_picture_may_become_whole() -> None:
    """A declared limit often shows a moment after what follows from it."""
    play = Play(world=world(runbook("${entity}", incident_type="connection_leak"))).open().run()
    assert not play.held()
    assert play.state.pages == 0

    series = "connections of shop-api in east"
    leak = {**signal("east"), "signal": "connections", "series": series}
    play.run(SignalsSeen(signals=(leak,)))
    assert play.state.incident_type == "connection_leak"
    assert play.state.plan is not None


def test_when_nothing_more_shows_the_checks_are_run_anew_and_it_holds() -> None:
    play = Play(world=world(runbook("${entity}", incident_type="service_down"))).open().run()
    assert play.count(Kind.CHECKS_RECORDED) == 1
    play.wait(3)
    assert play.held()
    assert play.count(Kind.CHECKS_RECORDED) == 2
    assert play.count(Kind.CLASSIFIED) == 1


def test_a_runbook_without_an_executable_step_is_for_a_person_to_follow() -> None:
    play = Play(world=world(runbook())).open().run()

    assert play.held()
    assert "a person has to follow it" in play.held()


def test_a_runbook_that_cannot_be_filled_in_holds_with_the_reason() -> None:
    play = Play(world=world(runbook("${instance}"))).open().run()

    assert play.held()
    assert "can't be filled in" in play.held()


def test_a_hold_whose_cause_went_away_ends_resolved_by_nobody_once_it_is_resumed() -> None:
    play = Play(world=world(runbook("${entity}", incident_type="service_down"))).open().run()
    play.wait(3).level(GOOD)
    play.wait(10)
    assert play.held(), "a hold ends by a person only"

    play.ask("resume", because="the team repaired it")
    assert play.phase() is Phase.RESOLVED
    resolved = play.last(Kind.RESOLVED)
    assert "nothing was done by Holdfast" in resolved["why"]
    assert resolved["by_step"] is None


def test_a_resumed_incident_reads_everything_anew_before_it_concludes() -> None:
    play = Play(world=world(runbook("${entity}", incident_type="service_down"))).open().run()
    play.wait(5)
    before = play.count(Kind.CHECKS_RECORDED)
    play.ask("resume", because="look again")

    assert play.count(Kind.CHECKS_RECORDED) == before + 1
    assert play.held(), "the trouble is still there"
    assert play.count(Kind.ESCALATED) == 2, "who resumed is told that it holds again"


def test_a_worse_or_a_new_series_is_attached_and_known_ones_are_not_repeated() -> None:
    play = Play().open()
    news = signal("east", name="latency")
    play.run(SignalsSeen(signals=(signal("east"), news)))
    play.run(SignalsSeen(signals=(news,)))

    assert play.count(Kind.SIGNAL_ATTACHED) == 1
    assert len(play.state.signals) == 3


def test_a_return_is_evidence_on_the_open_incident_and_never_ends_it() -> None:
    play = Play(stop_at=(RunChecks,)).open()
    play.run(
        SignalsSeen(signals=(signal("east", state="returned"), signal("west", state="returned")))
    )

    assert play.count(Kind.SIGNAL_ATTACHED) == 2
    assert play.phase() is Phase.OPEN


def test_nothing_is_attached_to_an_incident_that_has_ended() -> None:
    play = blip()
    written = len(play.records)
    play.run(
        SignalsSeen(signals=(signal("east", state="returned"), signal("east", name="latency")))
    )

    assert len(play.records) == written


def test_a_service_that_is_down_is_diagnosed_although_its_series_say_little() -> None:
    play = Play().open()
    play.level(GAP)
    play.checks = {"service_status": Health.DOWN}
    play.run()

    assert play.state.diagnosis_seq is not None
    assert BAD > GOOD
