"""A trouble that is back after its end: reopened, diagnosed and planned anew, held if it flaps."""

from dataclasses import replace
from typing import Any

from holdfast.incident import Kind, Phase, StepStatus
from holdfast.kernel import SYSTEM, format_at
from holdfast.response.commands import Intend
from holdfast.response.store import Answer
from tests.response.response_parts import Play
from tests.response.response_world import BAD, GOOD, runbook, world
from tests.scene import DANA, signal


def resolved_once(**changes: Any) -> Play:  # noqa: ANN401 - any field of Play
    """Roll back once; the errors go away with it."""
    play = Play(**changes).open()
    play.run()
    play.level(GOOD)
    return play.wait(60)


def facts(play: Play, **more: object) -> dict[str, Any]:
    """What detection says now, with ranges that have the first trouble in them."""
    seen = [signal(region, low=0.0, high=0.4, expected=0.2) for region in ("east", "west")]
    return {
        "severity": "critical",
        "services": ["shop-api"],
        "regions": ["east", "west"],
        "signals": seen,
        "baselines": {},
        "changes": [],
        "reasons": [],
        "started_at": format_at(play.now),
        "opened_by": "composite",
        "why": "2 critical readings again",
        **more,
    }


def back(play: Play, *, after_s: float = 30.0, **more: object) -> Answer:
    """Let the trouble come back and tell the incident."""
    play.wait(after_s)
    play.level(BAD)
    return play.ask("trouble_is_back", actor=SYSTEM, **facts(play, **more))


def back_and_over(play: Play) -> None:
    back(play)
    play.wait(6)
    play.level(GOOD)
    play.wait(60)


def test_a_trouble_that_is_back_reopens_its_incident_and_says_when_it_was_over() -> None:
    play = resolved_once()
    assert play.phase() is Phase.RESOLVED

    assert back(play).ok

    record = play.last(Kind.REOPENED)
    assert record["why"].startswith("the trouble of shop-api is back 83 s after it was resolved")
    assert record["count"] == 1
    assert play.state.began_at is not None
    assert format_at(play.state.began_at) == record["started_at"]
    assert play.phase() is not Phase.RESOLVED


def test_what_came_back_is_held_against_the_range_from_before_the_first_trouble() -> None:
    play = resolved_once()
    back(play)

    seen = play.state.signals["errors of shop-api in east"]
    assert (seen["state"], seen["high"], seen["expected"]) == ("bad", 0.02, 0.004)
    assert play.state.baselines["errors of shop-api in east"]["expected"] == 0.004


def test_a_series_that_is_bad_again_in_a_live_incident_keeps_the_range_it_had() -> None:
    play = Play().open()
    known = play.state.signals["errors of shop-api in east"]
    over = {**known, "state": "returned"}
    seen = signal("east", low=0.0, high=0.4, expected=0.2)
    for each in (over, seen):
        play.ask("signals_seen", actor=SYSTEM, signals=[each], baselines={})

    again = play.state.signals["errors of shop-api in east"]
    assert (again["state"], again["high"], again["expected"]) == ("bad", 0.02, 0.004)


def test_what_is_not_seen_again_counts_as_returned() -> None:
    play = resolved_once()
    back(play, signals=[signal("east")])

    assert play.state.signals["errors of shop-api in west"]["state"] == "returned"
    assert play.state.signals["errors of shop-api in east"]["state"] == "bad"


def test_the_plan_is_made_anew_and_its_step_is_not_taken_as_done() -> None:
    play = resolved_once()
    back(play)
    play.wait(10)

    assert play.count(Intend) == 2
    assert [step.step_id for step in play.state.steps] == ["S1", "S2"]
    assert play.count(Kind.CLASSIFIED) == 2
    play.level(GOOD)
    play.wait(60)
    assert play.phase() is Phase.RESOLVED
    assert play.state.step("S2").status is StepStatus.VERIFIED  # type: ignore[union-attr]


def test_the_retries_of_an_earlier_plan_are_not_counted_for_the_new_one() -> None:
    play = resolved_once(world=world(runbook("${entity}", retries=0)))
    back(play)
    play.wait(10)

    assert play.count(Intend) == 2, play.held()


def test_a_restart_limit_holds_across_the_reopening() -> None:
    play = resolved_once(world=world(runbook("shop-api@east", name="roll-back")))
    back_and_over(play)
    back(play)
    play.wait(20)

    assert play.count(Intend) == 2
    assert "restarted often enough" in play.held()


def test_a_cooldown_holds_across_the_reopening() -> None:
    calm = world()
    play = resolved_once(world=replace(calm, timing=replace(calm.timing, cooldown_s=120.0)))
    back(play, after_s=1)
    play.wait(20)
    assert play.count(Intend) == 1, "it does not wait for its cooldown"

    play.wait(120)

    first, second = (entry.at for entry in play.log.values())
    assert (second - first).total_seconds() >= 120.0


def test_a_reopened_incident_whose_trouble_is_over_is_resolved_and_never_dismissed() -> None:
    play = resolved_once()
    play.wait(30)
    play.ask("trouble_is_back", actor=SYSTEM, **facts(play))
    play.wait(60)

    assert play.phase() is Phase.RESOLVED
    assert "nothing was done by Holdfast" in play.last(Kind.RESOLVED)["why"]
    assert play.count(Kind.DISMISSED) == 0


def test_a_trouble_that_comes_and_goes_is_held_for_a_person_instead_of_acted_on_again() -> None:
    play = resolved_once()
    for _ in range(3):
        back_and_over(play)
        assert play.phase() is Phase.RESOLVED, play.held()
    intents, pages = play.count(Intend), play.state.pages

    back(play)
    play.wait(20)

    assert "comes and goes (flapping)" in play.held()
    assert play.last(Kind.HELD)["flapping"] == {"reopenings": 4}
    assert play.count(Intend) == intents
    assert play.state.pages == pages + 1


def test_a_trouble_that_flaps_is_held_even_while_it_is_gone() -> None:
    play = resolved_once()
    for _ in range(3):
        back_and_over(play)
    play.wait(30)
    play.ask("trouble_is_back", actor=SYSTEM, **facts(play))
    play.wait(60)

    assert "comes and goes (flapping)" in play.held()


def test_a_person_who_resumes_a_flapping_incident_gets_one_more_try() -> None:
    play = resolved_once()
    for _ in range(3):
        back_and_over(play)
    back(play)
    play.wait(20)
    intents = play.count(Intend)

    play.ask("resume", because="the cause is mended", actor=DANA)
    play.wait(20)

    assert play.count(Intend) == intents + 1


def test_reopenings_of_more_than_an_hour_ago_do_not_count() -> None:
    play = resolved_once()
    for _ in range(3):
        back_and_over(play)
    back(play, after_s=3700)
    play.wait(20)

    assert "comes and goes" not in play.held()


def test_a_call_for_a_person_ends_with_the_trouble_and_a_new_one_is_made() -> None:
    play = resolved_once(world=world(runbook("${entity}"), mode="observe"))
    assert play.state.escalated is not None
    pages = play.state.pages

    back(play)
    play.wait(10)

    assert play.state.pages == pages + 1


def test_an_incident_that_is_live_again_takes_the_signals_in() -> None:
    play = resolved_once()
    back(play)
    play.ask("trouble_is_back", actor=SYSTEM, **facts(play, signals=[signal(name="latency")]))

    assert play.count(Kind.REOPENED) == 1
    assert "latency of shop-api in east" in play.state.signals


def test_a_closed_incident_stays_closed() -> None:
    play = resolved_once()
    play.ask("close", because="done", actor=DANA)

    assert not back(play).ok
    assert play.phase() is Phase.CLOSED


def test_a_false_alarm_is_not_dismissed_twice_in_a_row_without_a_person() -> None:
    follows = {"incident_id": "INC-0", "phase": "dismissed", "ended_at": "2030-01-01T11:58:00Z"}
    alone = Play().open()
    alone.levels = [(alone.now, GOOD)]
    again = Play().open(follows=follows)
    again.levels = [(again.now, GOOD)]
    for play in (alone, again):
        play.levels.insert(0, (play.records[0].at.replace(hour=0), GOOD))
        play.run()
        play.wait(60)

    assert alone.phase() is Phase.DISMISSED
    assert again.phase() is not Phase.DISMISSED
    assert "INC-0, dismissed at 2030-01-01T11:58:00Z" in again.held()
    assert again.state.pages >= 1
