"""A call to take over is open until it is answered, and no state of command is without a way out."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from holdfast.escalation import packet
from holdfast.incident import Kind
from holdfast.kernel import Actor, ActorKind, format_at
from holdfast.response.commands import SendPage
from holdfast.response.viewing import packet_view
from tests.response.response_parts import Play
from tests.response.response_world import BOT, world

LEE = Actor(kind=ActorKind.HUMAN, id="lee", token_id="t-3")
ERIN = Actor(kind=ActorKind.HUMAN, id="erin", token_id="t-4")
KIM = Actor(kind=ActorKind.HUMAN, id="kim", token_id="t-6")
HOLDERS = {"team": frozenset({"erin", "kim"})}


def commanded(**more: Any) -> Play:  # noqa: ANN401 - any field of the charter
    play = Play(world=replace(world(mode="guided"), holders=HOLDERS)).open().run().wait(3)
    assert play.charter(**more).ok
    return play


def told(play: Play, *stops: dict[str, Any]) -> dict[str, Any]:
    view = packet_view(
        play.state, b"head", play.records, now=play.now, world=play.world, stops=stops
    )
    return packet(view)


def next_kind(play: Play) -> str:
    return str(told(play)["next_safe_step"]["kind"])


def test_once_somebody_has_taken_over_nobody_else_who_was_called_can() -> None:
    play = commanded()
    play.wait(700)
    assert next_kind(play) == "accept"
    assert play.ask("accept", actor=ERIN).ok

    assert next_kind(play) == "direct"
    assert "erin commands it" in play.ask("accept", actor=KIM).message
    assert play.state.commander == "erin"


def test_a_commander_who_speaks_again_stays_it_and_nobody_more_is_paged() -> None:
    play = commanded()
    play.wait(602)
    play.ask("note", text="back, the stairs have no signal")
    pages = play.count(SendPage)
    play.wait(500)

    assert play.count(SendPage) == pages
    assert next_kind(play) == "direct"
    assert "dana commands it" in play.ask("accept", actor=ERIN).message


def test_words_after_the_charter_has_expired_do_not_call_somebody_each_time() -> None:
    play = commanded(expires_at=format_at(Play().now + timedelta(seconds=60)))
    play.wait(70)
    calls = play.count(Kind.ESCALATED)
    for _ in range(3):
        play.ask("note", text="looking")
        play.wait(5)

    assert play.count(Kind.ESCALATED) == calls
    assert next_kind(play) == "ask"


def test_a_new_charter_is_not_blamed_for_what_the_old_one_refused() -> None:
    play = commanded()
    play.direct(action="restart_service", target="shop-api@east")
    assert next_kind(play) == "ask"
    play.wait(1)
    play.charter("restart_service:shop-api@east")

    assert next_kind(play) == "direct"


def test_a_member_of_a_contact_that_commands_is_heard() -> None:
    play = commanded(commander="team")
    play.wait(500)
    play.ask("note", actor=ERIN, text="reading")
    play.wait(500)
    assert "has said nothing" not in play.held()
    play.ask("note", actor=BOT, text="I am no member")
    play.wait(150)
    assert "team has said nothing" in play.held()


def test_whoever_acknowledges_does_not_become_the_owner_of_somebody_s_command() -> None:
    play = commanded()
    play.ask("ack", actor=LEE)
    assert play.state.owner == "dana"
    play.ask("handoff", actor=LEE, to="team", because="dana sleeps")
    assert "dana" in play.ask("recall", actor=KIM, because="no").message
    assert play.ask("recall", because="I do not").ok


def test_a_handoff_that_everybody_left_is_ended_by_a_new_charter_and_not_before() -> None:
    play = commanded()
    play.ask("handoff", to="team", because="theirs")
    assert "nobody acts" in play.charter().message
    assert "dana recalls it" in play.ask("accept", actor=LEE).message
    play.wait(302)

    said = play.ask("direct", actor=LEE, action="rollback_deploy", target="shop-api")
    assert "`holdfast charter set`" in said.message
    assert play.charter(commander="lee").ok
    assert (play.state.handoff, play.state.commander, play.held()) == (None, "lee", "")
    assert play.direct(actor=LEE).ok


def test_a_charter_says_that_a_person_s_hold_stays() -> None:
    play = commanded()
    play.ask("hold", actor=LEE, because="a disk is being changed")
    assert "it stays held (lee: a disk is being changed)" in play.charter().message


def test_while_a_step_is_verified_the_packet_says_wait_and_not_direct() -> None:
    play = commanded()
    play.direct()
    found = told(play)["next_safe_step"]
    assert (found["kind"], found["command"]) == ("hold", None)
    assert "being verified" in found["why"]


def test_freezes_and_windows_are_told_and_a_full_freeze_is_no_time_to_direct() -> None:
    play = commanded()
    until = format_at(play.now + timedelta(minutes=10))
    said: dict[str, Any] = {"by": "lee", "why": "storage", "since": format_at(play.now)}
    stops: list[dict[str, Any]] = [
        {"what": "freeze", "scope": "all", **said, "until": None},
        {"what": "maintenance", "scope": "service:shop-db", **said, "until": until},
    ]
    made = told(play, *stops)

    assert made["next_safe_step"]["kind"] == "hold"
    assert made["next_safe_step"]["who"] == "lee"
    assert any("frozen" in text and "lee: storage" in text for text in made["leave_alone"])
    assert "maintenance of service:shop-db ends" in [t["what"] for t in made["timers"]]
    assert all(timer["left_s"] > 0 for timer in made["timers"])


def test_whoever_accepts_without_a_charter_in_mode_guided_is_told_to_set_one() -> None:
    play = Play(world=replace(world(mode="guided"), holders=HOLDERS))
    play.open(mode="guided").run().wait(3)
    play.ask("handoff", to="team", because="theirs")
    play.ask("accept", actor=ERIN)
    found = told(play)["next_safe_step"]

    assert found["kind"] == "ask"
    assert "charter set" in str(found["command"])
