"""What was done is undone, skipped, reported by hand or looked at again: each on the record."""

from datetime import timedelta

import pytest

from holdfast.incident import Kind, Phase, StepStatus, line
from holdfast.kernel import format_at
from holdfast.response.ports import Effect
from tests.response.response_parts import Play
from tests.response.response_world import BOT, GOOD, NOBODY_KNOWS, runbook, world
from tests.response.test_response_directing import NO_FIT, OBSERVED, done, held, refused
from tests.scene import START

# --- undo


def test_an_undo_is_a_step_of_its_own_and_reverses_the_one_it_undoes() -> None:
    play = done()
    told = play.ask("undo", step_id="S1", dry_run=True).data
    answer = play.ask("undo", step_id="S1", because="it is needed after all")

    assert told["predicted"] == [{"plane": "proxy shop-api", "now": "ready", "intended": "ready"}]
    assert answer.ok
    undo = play.state.step("S2")
    assert undo is not None
    assert (undo.undo_of, undo.action, undo.target) == ("S1", "rollback_deploy", "shop-api")
    assert undo.criteria == play.state.steps[0].criteria
    first = play.state.step("S1")
    assert first is not None
    assert first.status is StepStatus.REVERSED
    assert undo.pre_image["reversible"] == "no: it is itself the undo of S1"
    directive = next(r for r in reversed(play.records) if r.kind == Kind.DIRECTIVE_RECEIVED)
    assert "directs the undo of S1 (rollback_deploy on shop-api)" in line(directive)

    play.level(GOOD)
    play.wait(8)
    assert "is undone already" in refused(play, "undo", step_id="S1", because="once more")
    assert "is itself the undo of S1" in refused(play, "undo", step_id="S2", because="hm")


def test_an_undo_has_another_hash_than_the_step_it_undoes() -> None:
    play = done()
    again = play.direct(dry_run=True).data["hash"]
    undo = play.ask("undo", step_id="S1", dry_run=True).data["hash"]

    assert len({again, undo, play.state.steps[0].hash}) >= 2
    assert undo not in {again, play.state.steps[0].hash}


def test_what_was_not_done_or_is_in_doubt_or_cannot_be_put_back_is_not_undone() -> None:
    play = held()
    assert "is unknown" in refused(play, "undo", step_id="S9", because="x")
    play.direct(expect=[])
    assert "was not performed" in refused(play, "undo", step_id="S1", because="x")

    doubtful = held(probe=Effect.UNKNOWN)
    doubtful.outcomes.append(NOBODY_KNOWS)
    doubtful.direct()
    assert "holdfast settle" in refused(doubtful, "undo", step_id="S1", because="x")

    final = Play(world=world(NO_FIT), observed={"reversible": "no: what runs is gone"})
    final.open().run().wait(3).direct()
    assert "no: what runs is gone" in refused(final, "undo", step_id="S1", because="x")


def test_an_undo_whose_reply_was_lost_is_never_done_again_blindly() -> None:
    play = done()
    play.probe = Effect.ABSENT
    play.outcomes.append(NOBODY_KNOWS)
    play.ask("undo", step_id="S1", because="it is needed after all")

    assert play.state.steps[-1].status is StepStatus.IN_DOUBT
    assert "can't be ruled out, so it is not repeated" in play.held()


def test_undoing_what_was_done_under_the_charter_is_within_it_and_a_boundary_still_stops_it() -> (
    None
):
    play = Play(world=world(NO_FIT, mode="guided"), observed=OBSERVED).open().run().wait(3)
    play.charter("rollback_deploy:shop-api")
    assert play.direct().ok
    play.wait(30)
    told = play.ask("undo", step_id="S1", dry_run=True).data
    assert told["verdict"]["decision"] == "allow", told["verdict"]["sentence"]

    bound = {"action": "rollback_deploy", "target": "*", "authority": "team", "why": "theirs"}
    play.charter("restart_service:shop-api", boundaries=[bound])
    told = play.ask("undo", step_id="S1", dry_run=True).data
    assert {reason["rule"] for reason in told["in_the_way"]} == {"boundary", "charter"}


# --- skip


def test_a_step_that_is_skipped_is_not_done_and_the_plan_goes_on() -> None:
    book = runbook("${entity}", "${entity}", impact="high")
    play = Play(world=world(book)).open().run()
    answer = play.ask("skip", step_id="S1", because="it was rolled back an hour ago")

    assert answer.ok
    assert play.state.steps[0].status is StepStatus.SKIPPED
    assert play.state.steps[1].status is StepStatus.AWAITING_APPROVAL
    assert not play.held()
    skipped = next(r for r in play.records if r.kind == Kind.STEP_SKIPPED)
    assert line(skipped) == "dana: S1 skipped: it was rolled back an hour ago"
    assert "only a step that is proposed" in refused(play, "skip", step_id="S1", because="again")


# --- by hand


def test_a_deed_by_hand_counts_as_an_action_on_that_target() -> None:
    play = held()
    done_at = format_at(play.now - timedelta(seconds=1))
    play.ask(
        "did", action="restart_service", target="shop-api@east", because="faster",
        params={"n": 1}, at=done_at,
    )  # fmt: skip
    told = play.direct(action="restart_service", target="shop-api@east", dry_run=True).data

    assert play.state.manual[0]["done_at"] == done_at
    assert play.state.manual[0]["params"] == {"n": 1}
    assert [r["rule"] for r in told["in_the_way"]] == ["cooldown"]
    play.now += timedelta(seconds=10)
    elsewhere = play.direct(action="restart_service", target="shop-api@west", dry_run=True).data
    counted = [r["reading"] for r in elsewhere["verdict"]["reasons"] if r["rule"] == "limit"]
    assert counted == ["0 restarts in 10 min"]


def test_deeds_by_hand_use_up_the_restarts_of_a_target() -> None:
    play = held()
    for _ in range(2):
        play.ask("did", action="restart_service", target="shop-api@east", because="faster")
    play.now += timedelta(seconds=60)
    told = play.direct(action="restart_service", target="shop-api@east", dry_run=True).data

    assert "was restarted often enough" in told["verdict"]["sentence"]


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (format_at(START + timedelta(days=1)), "is in the future"),
        (format_at(START - timedelta(days=1)), "before INC-1 began"),
        ("half past two", "is no time"),
    ],
)
def test_a_deed_by_hand_is_of_this_incident_and_not_of_the_future(at: str, why: str) -> None:
    data = {"action": "restart_service", "target": "shop-api@east", "because": "faster"}

    assert why in refused(held(), "did", at=at, **data)


# --- looking


def test_a_look_reads_everything_and_writes_it_down() -> None:
    play = done()
    answer = play.ask("look", actor=BOT)

    assert answer.ok
    assert play.last(Kind.CHECKS_RECORDED)["purpose"] == "asked"
    planes = play.last(Kind.CONTROL_PLANES_OBSERVED)
    assert planes["targets"]["shop-api"]["text"] == "proxy shop-api is ready"
    assert answer.data["targets"] == planes["targets"]
    assert play.phase() is not Phase.DIAGNOSING
