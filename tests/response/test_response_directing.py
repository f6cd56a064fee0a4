"""A person directs, rehearses, undoes, skips and reports; an agent suggests. One step at a time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.incident import Kind, Phase, StepStatus
from holdfast.response.commands import Intend, Prepare
from holdfast.response.events import Asked
from holdfast.response.store import Request
from tests.response.response_parts import Play
from tests.response.response_world import BOT, CRITERION, GOOD, runbook, world
from tests.scene import DANA

NO_FIT = runbook("${entity}", incident_type="service_down")
PLANES = [{"plane": "proxy shop-api", "now": "ready", "intended": "drain"}]
OBSERVED = {"state": "ready", "planes": PLANES}


def held(**more: Any) -> Play:  # noqa: ANN401 - any field of Play
    """Nothing fits; a person was called."""
    return Play(world=world(NO_FIT), observed=OBSERVED, **more).open().run().wait(3)


def done(**more: Any) -> Play:  # noqa: ANN401 - any field of Play
    """One directed step was performed and did not help."""
    play = held(**more)
    assert play.direct().ok
    play.wait(40)
    assert play.state.steps[0].status is StepStatus.UNVERIFIED
    return play


def refused(play: Play, kind: str = "direct", **data: Any) -> str:  # noqa: ANN401 - any request
    """Ask, see that nothing was written, and give the reason."""
    written = len(play.records)
    answer = play.direct(**data) if kind == "direct" else play.ask(kind, **data)
    assert not answer.ok
    assert len(play.records) == written
    return answer.message


# --- the dry run


def test_a_dry_run_writes_nothing_and_shows_the_verdict_the_change_and_the_undo() -> None:
    play = held()
    written, was_held = len(play.records), play.held()
    told = play.direct(dry_run=True).data

    assert len(play.records) == written
    assert play.held() == was_held
    assert play.count(Intend) == 0
    assert told["verdict"]["decision"] == "allow"
    assert told["predicted"] == PLANES
    assert told["undo"] == "put it back"
    assert told["pre_image"]["state"] == "ready"
    assert told["live"]["series"]["errors of shop-api in west"]["value"] == 0.31
    assert told["live"]["checks"]["http_health"]["status"] == "healthy"


def test_the_step_of_a_dry_run_has_the_hash_of_the_real_one() -> None:
    play = held()
    would_be = play.direct(dry_run=True).data["hash"]
    play.direct()

    assert play.state.steps[0].hash == would_be


def test_a_dry_run_gives_every_reason_that_stands_in_the_way_not_only_the_first() -> None:
    play = held()
    play.ask("hold", because="nobody touches it")
    play.sampler_stopped_at = play.now - timedelta(seconds=30)
    play.problem = "the socket is gone"
    told = play.direct(dry_run=True, expect=[], when=["false"], because=" ").data
    said = " ".join(reason["text"] for reason in told["in_the_way"])

    assert told["verdict"]["decision"] == "refuse"
    for words in (
        "no reason is given",
        "is held by dana",
        "the socket is gone",
        "no recovery criterion",
        "precondition does not hold",
        "the incident is held",
    ):
        assert words in said, words


def test_a_dry_run_without_a_charter_says_so_in_guided_mode() -> None:
    play = Play(world=world(mode="guided")).open().run()
    told = play.direct(dry_run=True).data

    assert [reason["rule"] for reason in told["in_the_way"]] == ["charter"]
    play.charter()
    assert play.direct(dry_run=True).data["verdict"]["decision"] == "allow"


# --- what it is judged on


def test_a_directive_on_a_stale_source_is_refused_on_the_record_and_holds() -> None:
    play = held()
    play.sampler_stopped_at = play.now
    play.now += timedelta(seconds=3)
    assert play.direct().ok, "it is asked for; the guard refuses it"

    blocked = play.last(Kind.STEP_BLOCKED)
    assert "the newest reading is stale" in blocked["why"]
    assert any(r["rule"] == "live state" and r["ok"] for r in blocked["verdict"]["reasons"])
    assert (play.count(Intend), play.phase()) == (0, Phase.PLANNED)
    assert play.held()


def test_what_was_read_is_on_the_record_of_a_step_that_was_performed() -> None:
    play = held()
    play.direct()
    intent = next(r for r in play.records if r.kind == Kind.STEP_INTENDED)

    told = [r for r in intent.data["verdict"]["reasons"] if r["rule"] == "live state"]
    assert {r["text"] for r in told} >= {
        "shop-api in east was read",
        "shop-api in west was read",
        "check http_health says healthy",
    }
    assert all(r["at"] for r in told)


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ('planes["proxy shop-api"].now == "ready"', True),
        ('planes["proxy shop-api"].now == "drain"', False),
        ('readings["errors of shop-api in west"] > 0.1', True),
        ('checks.http_health.status == "down"', False),
        ('entity == "shop-api" && incident == "INC-1"', True),
        ('planes["no such plane"].now == "ready"', False),
    ],
)
def test_a_directive_states_what_it_assumes(expression: str, *, allowed: bool) -> None:
    play = held()
    play.direct(when=[expression])

    assert play.count(Intend) == int(allowed)
    assert bool(play.held()) is not allowed


def test_an_assumption_that_cannot_be_read_is_refused_at_once() -> None:
    assert "unknown name 'weather'" in refused(held(), when=["weather.ok"])
    assert "is no digest" in refused(held(), seen="yes")


def test_a_target_that_changed_since_the_dry_run_is_left_alone() -> None:
    play = held()
    seen = play.direct(dry_run=True).data["seen"]
    play.observed = {"state": "maintenance", "planes": PLANES}
    play.direct(seen=seen)

    assert play.count(Intend) == 0
    assert "is not as it was when this was decided" in play.held()


# --- own words


@pytest.mark.parametrize(
    ("because", "whose"),
    [
        ("", "no reason is given"),
        (" \n", "no reason is given"),
        ("Its queue stands still!", "that is a suggestion's text"),
        ("its  QUEUE stands still", "that is a suggestion's text"),
        ("\uff29\uff34\uff33 queue stands still", "that is a suggestion's text"),
        ("Try the other pool.", "that is an agent's note's text"),
    ],
)
def test_a_directive_is_given_in_a_persons_own_words(because: str, whose: str) -> None:
    play = held()
    play.ask("note", actor=BOT, text="try the other pool")
    assert suggested(play).ok

    assert whose in refused(play, because=because)


@pytest.mark.parametrize(
    ("because", "fits", "whose"),
    [
        ("put right what stands still", True, "that is a runbook's text"),
        ("start it again at once", True, "that is a runbook's step's text"),
        ("start it", True, None),
        ("put right what stands still", False, None),
    ],
)
def test_only_whole_sentences_of_a_runbook_of_this_incident_are_no_reason(
    because: str, whose: str | None, *, fits: bool
) -> None:
    book = replace(
        runbook("${entity}", incident_type="high_error_rate" if fits else "service_down"),
        title="Put right what stands still",
        services=("shop-db",),
    )
    [step] = book.steps
    titles = ("Start it again at once", "Start it")
    book = replace(book, steps=tuple(replace(step, title=title) for title in titles))
    play = Play(world=world(book), observed=OBSERVED).open().run().wait(3)

    answer = play.direct(because=because)
    assert answer.ok is (whose is None), answer.message
    assert (whose or "") in answer.message


def test_the_text_of_a_hypothesis_is_no_reason() -> None:
    play = held()
    text = play.state.hypotheses[0]["text"]

    assert "that is a hypothesis's text; say in your own words why" in refused(play, because=text)


def test_what_a_person_noted_may_be_said_again() -> None:
    play = held()
    play.ask("note", text="I saw it stall")

    assert play.direct(because="I saw it stall").ok


def test_an_approval_takes_own_words_and_a_whole_or_half_hash() -> None:
    play = Play(world=world(runbook("${entity}", impact="high"))).open().run()
    digest = play.state.steps[0].hash
    text = play.state.hypotheses[0]["text"]

    assert "own words" in refused(play, "approve", step_id="S1", hash=digest, because=text)
    for part in (digest[:11], digest[-11:], digest[3:20], 7):
        assert "is not that of step S1" in refused(
            play, "approve", step_id="S1", hash=part, because="read it"
        )
    assert play.ask("approve", step_id="S1", hash=f" {digest[-12:].upper()}", because="read it").ok
    assert play.count(Intend) == 1


# --- suggestions


def suggested(play: Play, **more: Any) -> Any:  # noqa: ANN401 - an answer
    data = {
        "action": "restart_service",
        "target": "shop-api@east",
        "because": "its queue stands still",
        "params": {"wait": True},
        "expect": ['errors{service="shop-api"} < 0.1 for 6s'],
    }
    return play.ask("propose", actor=BOT, **data | more)


def test_a_suggestion_is_written_down_and_answered_with_the_directive_it_would_be() -> None:
    play = held()
    answer = suggested(play)
    play.wait(60)

    assert answer.data["directive"] == (
        "holdfast direct INC-1 restart_service shop-api@east -p wait=true "
        "--expect 'errors{service=\"shop-api\"} < 0.1 for 6s' --because"
    )
    assert play.count(Intend) == 0
    assert [s["by"] for s in play.state.suggestions] == ["bot"]
    assert play.state.steps == ()


def test_a_suggestion_of_what_does_not_exist_is_refused() -> None:
    play = held()

    assert "is unknown; known are" in suggested(play, action="format_disk").message
    assert "is not in the catalogue" in suggested(play, target="elsewhere").message
    assert play.state.suggestions == ()


# --- one at a time


def test_a_second_directive_is_told_which_step_it_waits_for_and_whose() -> None:
    play = held()
    play.direct()
    said = refused(play)

    assert "step S1 (rollback_deploy on shop-api, chosen by dana) is done and not verified" in said
    assert "one step at a time" in said
    play.level(GOOD)
    play.wait(15)
    assert play.phase() is Phase.RESOLVED


# --- a directive is a current instruction


def test_a_directive_that_a_hold_overtakes_is_taken_back_and_not_done_at_the_resume() -> None:
    play = held()
    play.stop_at = (Prepare,)
    assert play.direct().ok
    [waits] = play.state.steps
    assert waits.status is StepStatus.PROPOSED
    play.stop_at = ()
    play.ask("hold", because="wait for the database team")
    [taken_back] = play.state.steps
    assert taken_back.status is StepStatus.BLOCKED
    assert "direct it anew" in str(taken_back.verdict)

    play.wait(600)
    assert play.ask("resume", because="they are done").ok
    assert play.count(Intend) == 0
    assert play.direct().ok
    assert play.count(Intend) == 1


@pytest.mark.parametrize(("waited_s", "done"), [(299, 1), (301, 0), (-3600, 1)])
def test_a_directive_that_nobody_was_there_to_judge_is_not_done_later(
    waited_s: float, done: int
) -> None:
    play = held()
    data = {"action": "rollback_deploy", "target": "shop-api", "because": "it broke with it"}
    asked = Request(
        id="r-x", n=1, incident_id="INC-1", kind="direct", actor=DANA,
        data=data | {"expect": [CRITERION]}, at=play.now - timedelta(seconds=waited_s),
    )  # fmt: skip
    play.run(Asked(request=asked, refusal=None))

    assert play.count(Intend) == done
    assert ("ask anew" in play.answers["r-x"].message) is not bool(done)
