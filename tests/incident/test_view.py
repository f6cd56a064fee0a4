"""What surfaces show, and the keys: always of one and the same number."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.incident import Kind, Record, fold, full, projections, summary
from holdfast.incident.view import checkpoint, limits_used
from holdfast.kernel import canonical_json
from tests.scene import Scene, finished, intended, proposed, reason, up_to_plan, verdict
from tests.scenes import SCENES, bad_deploy, every_kind, no_runbook, rough_ride

HEAD = bytes(range(32))
prefixes = st.sampled_from(SCENES).flatmap(
    lambda play: st.integers(1, len(play())).map(lambda count: play()[:count])
)


@given(prefixes)
def test_the_keys_agree_with_each_other_after_every_record(records: list[Record]) -> None:
    incident_id = records[0].incident_id
    state = fold(records, incident_id)
    keys = projections(state, HEAD)
    status, steps, check, owner = (
        keys[f"incident:{incident_id}:{name}"]
        for name in ("status", "steps", "checkpoint", "owner")
    )

    assert {part["seq"] for part in (status, steps, check, owner)} == {records[-1].seq}
    assert status["head_hash"] == check["head_hash"] == HEAD.hex()
    assert status["phase"] == check["phase"]
    assert status["owner"] == check["owner"] == owner["owner"]
    assert status["held"] == check["held"]
    assert check["in_doubt"] == [s["step_id"] for s in steps["steps"] if s["status"] == "in_doubt"]


@given(prefixes)
def test_everything_shown_is_plain_json(records: list[Record]) -> None:
    state = fold(records, records[0].incident_id)
    shown = {**full(state, HEAD, records), **projections(state, HEAD)}

    assert json.loads(canonical_json(shown)) == shown


@pytest.mark.parametrize("play", SCENES)
def test_the_long_form_holds_the_short_one_and_every_record(play: object) -> None:
    assert callable(play)
    records: list[Record] = play()
    state = fold(records, records[0].incident_id)
    long = full(state, HEAD, records)

    assert long.items() >= summary(state, HEAD).items()
    assert len(long["timeline"]) == len(records)


def test_the_checkpoint_is_enough_to_go_on_with_a_step_in_doubt() -> None:
    records = rough_ride()
    held = next(r.seq for r in records if r.kind == Kind.HELD)
    found = checkpoint(fold(records[:held], "INC-3"), HEAD)

    assert found["in_doubt"] == ["S1"]
    assert found["last_step"]["idempotency_key"] == "INC-3/S1/2"
    assert found["waiting_for"] == ["settlement"]
    assert found["limits_used"] == {"rollback_deploy on shop-api": 2}
    assert found["runbook"] == "rollback-after-bad-deploy"


def test_the_checkpoint_names_the_next_step_until_the_plan_is_done() -> None:
    scene = Scene()
    up_to_plan(scene)
    before = checkpoint(fold(scene.records, "INC-1"), HEAD)

    assert before["next_step"] == {"index": 0, "action": "rollback_deploy", "target": "shop-api"}
    assert checkpoint(fold(bad_deploy(), "INC-1"), HEAD)["next_step"] is None


def test_a_retry_that_is_not_intended_yet_does_not_hide_the_attempt_before_it() -> None:
    scene = Scene()
    up_to_plan(scene)
    proposed(scene)
    intended(scene)
    finished(scene, outcome="failed")
    proposed(scene, attempt=2)
    used = {"rollback_deploy on shop-api": 1}

    assert limits_used(fold(scene.records, "INC-1")) == used
    refusal = verdict("refuse", reason("frozen", ok=False))
    scene.add(Kind.STEP_BLOCKED, {"step_id": "S1", "verdict": refusal})
    assert limits_used(fold(scene.records, "INC-1")) == used


def test_runbooks_that_were_looked_at_are_shown_with_why_not() -> None:
    records = no_runbook()
    shown = full(fold(records, "INC-2"), HEAD, records)

    assert shown["runbooks"] == [
        {"runbook": "restart-a-down-service", "why_not": ["the type is not service_down"]}
    ]
    assert shown["plan"] is None


def test_a_runbook_without_a_step_comes_first_among_those_found() -> None:
    records = no_runbook()
    plan = next(i for i, r in enumerate(records) if r.kind == Kind.PLAN_CHOSEN)
    changed = Record.from_body(
        records[plan].body() | {"data": {**records[plan].data, "read": "high-latency"}}
    )
    shown = full(fold([*records[:plan], changed], "INC-2"), HEAD, records)

    assert shown["runbooks"][0] == {
        "runbook": "high-latency",
        "why_not": ["it has no executable step"],
    }


def test_every_moment_shown_is_written_the_same_way() -> None:
    records = every_kind()
    again = next(i for i, r in enumerate(records) if r.kind == Kind.REOPENED)
    shown = summary(fold(records[:again], "INC-4"), HEAD)
    moments = [
        shown["opened_at"],
        shown["started_at"],
        shown["acknowledged"]["at"],
        shown["escalated"]["at"],
    ]

    assert all(moment.endswith("Z") for moment in moments)
