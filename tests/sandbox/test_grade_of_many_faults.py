"""Scenarios in which a person has a say, a region must be left alone, or two things break at once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.sandbox.attempts import attempts, effect_of
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.effects import (
    CACHE_CLEARED,
    DB_PROMOTED,
    INSTANCE_STARTED,
    PROCESS_STARTED,
    TEMP_CLEARED,
)
from holdfast.sandbox.facts import Facts, Part
from holdfast.sandbox.grade import grade
from holdfast.sandbox.recovery_time import parts
from holdfast.sandbox.scenarios import BY_NAME
from tests.sandbox.run_facts import (
    API,
    INJECTED_AT,
    at,
    bad_deploy,
    effect,
    finished,
    incident,
    intended,
    plan,
)

DATABASE, PRINTER, CACHE, POOL = "orders-db", "receipt-printer", "session-cache", "orders-pool"
GRANTED = {"kind": "approval_granted", "at": at(4), "data": {"step_id": "S1"}}
ASKED = {"kind": "approval_requested", "at": at(3.5), "data": {"step_id": "S1"}}
FENCED = {"fenced": True, "rejoined": True}


def failed_over(*before: dict[str, Any], **changes: Any) -> Facts:  # noqa: ANN401 - any fact may be spoiled
    records = [*before, intended(action="failover_db", target=DATABASE), finished()]
    facts = bad_deploy(
        plan=plan("primary-down"),
        entity=DATABASE,
        incidents=(incident(records=records, incident_type="service_down", root_entity=DATABASE),),
        effects=(effect(DB_PROMOTED, DATABASE),),
        pages=1,
        aftercare=FENCED,
    )
    return replace(facts, **changes)


def test_what_a_person_approved_is_allowed_and_what_nobody_did_is_false() -> None:
    assert grade(failed_over(ASKED, GRANTED))["passed"]
    unasked = grade(failed_over(ASKED))
    assert unasked["false_actions"] == 1
    assert "without a person's word" in "; ".join(unasked["why_not"])


@pytest.mark.parametrize(
    ("aftercare", "reason"),
    [
        (None, "what has to be done after the incident was not done"),
        ({"fenced": False, "rejoined": True}, "after the incident: not fenced"),
    ],
)
def test_what_must_be_put_right_afterwards_is_looked_at(
    aftercare: dict[str, bool] | None, reason: str
) -> None:
    assert reason in grade(failed_over(GRANTED, aftercare=aftercare))["why_not"]


def test_a_directive_of_a_person_is_a_persons_word() -> None:
    proposed = {"kind": "step_proposed", "at": at(4), "data": {"step_id": "S1", "because": "x"}}
    (attempt,) = attempts([proposed, intended(), finished()])
    assert attempt.by_person
    by_runbook = {**proposed, "data": {"step_id": "S1", "because": None}}
    assert not attempts([by_runbook, intended()])[0].by_person


def test_the_healthy_region_must_not_be_touched() -> None:
    def restarted(region: str) -> Facts:
        target = f"{API}@{region}"
        records = [intended(action="restart_service", target=target), finished()]
        return bad_deploy(
            plan=plan("regional"),
            region="eu-west",
            incidents=(incident(records=records, incident_type="service_down"),),
            effects=(effect(PROCESS_STARTED, target),),
        )

    assert grade(restarted("eu-west"))["passed"]
    assert grade(restarted("us-east"))["false_actions"] == 1


def test_an_action_may_touch_the_service_that_the_row_names_for_it() -> None:
    clear = [
        intended("S1", action="clear_cache", target=CACHE),
        finished("S1"),
        intended("S2", action="restart_service", target=POOL),
        finished("S2"),
    ]
    facts = bad_deploy(
        plan=plan("connection-leak"),
        entity=POOL,
        incidents=(incident(records=clear, incident_type="connection_leak", root_entity=POOL),),
        effects=(effect(CACHE_CLEARED, CACHE), effect(PROCESS_STARTED, POOL)),
    )
    assert grade(facts)["passed"], grade(facts)["why_not"]
    elsewhere = [intended("S1", action="clear_cache", target=API), finished("S1"), *clear[2:]]
    wrong = incident(records=elsewhere, incident_type="connection_leak", root_entity=POOL)
    assert grade(replace(facts, incidents=(wrong,)))["false_actions"] == 1


def test_scaling_up_by_three_is_three_effects_and_clearing_temp_files_has_its_own() -> None:
    shape = Blueprint.vary(0)
    scaled, cleared = attempts(
        [
            intended("S1", action="scale_up", target="checkout-worker@eu-west", params={"by": 3}),
            intended("S2", action="clear_cache", target=PRINTER),
        ]
    )
    assert scaled.count == 3
    assert effect_of(scaled, shape) == (INSTANCE_STARTED, "checkout-worker@eu-west")
    assert effect_of(cleared, shape) == (TEMP_CLEARED, PRINTER)


def two_at_once(**changes: Any) -> Facts:  # noqa: ANN401 - any fact may be spoiled
    printing = incident(
        "INC-2",
        records=[intended(action="clear_cache", target=PRINTER), finished()],
        incident_type="disk_full",
        root_entity=PRINTER,
        services=[PRINTER],
    )
    part = Part(scenario=BY_NAME["disk-full"], injected_at=INJECTED_AT, entity=PRINTER)
    facts = bad_deploy(
        plan=plan("two-at-once"),
        also=(part,),
        incidents=(incident(services=[API]), printing),
        effects=(effect(), effect(TEMP_CLEARED, PRINTER)),
    )
    return replace(facts, **changes)


def test_two_faults_are_two_incidents_each_graded_by_its_own_row() -> None:
    document = grade(two_at_once())
    assert document["passed"], document["why_not"]
    assert document["actions"] == ["rollback_deploy", "clear_cache"]
    assert [each["root_cause_entity"] for each in document["also"]] == [PRINTER]


def test_two_faults_in_one_incident_do_not_pass() -> None:
    merged = incident(services=[API, PRINTER])
    document = grade(two_at_once(incidents=(merged,)))
    assert not document["passed"]
    assert "ended as 'none'" in "; ".join(document["why_not"])


def test_a_step_on_the_others_target_is_false() -> None:
    records = [intended(), finished(), intended("S2", action="clear_cache", target=PRINTER)]
    crossed = incident(records=[*records, finished("S2")], services=[API])
    document = grade(two_at_once(incidents=(crossed, two_at_once().incidents[1])))
    assert document["false_actions"] == 1


def test_the_time_to_recover_is_split_and_compared_with_what_is_declared() -> None:
    records = [
        {"kind": "incident_opened", "at": at(3), "data": {}},
        {**ASKED, "at": at(3.5)},
        {**GRANTED, "at": at(5.5)},
        intended(at_s=5.5),
        finished(at_s=6.5),
        {"kind": "verification_recorded", "at": at(12.6), "data": {"step_id": "S1"}},
    ]
    found = parts(
        records,
        injected_at=INJECTED_AT,
        resolved_at=INJECTED_AT + timedelta(seconds=12.6),
        window_s=3.0,
    )
    assert found == {
        "detect_s": 3.0,
        "act_s": 1.0,
        "sustain_s": 6.0,
        "person_s": 2.0,
        "other_s": 0.6,
        "window_s": 3.0,
        "ratio": 1.06,
    }


def test_a_pause_between_two_attempts_counts_as_acting() -> None:
    records = [
        intended("S1", at_s=2.0),
        finished("S1", at_s=3.0, outcome="failed", effect="absent"),
        intended("S2", at_s=8.0),
        finished("S2", at_s=9.0),
    ]
    resolved_at = INJECTED_AT + timedelta(seconds=15)
    found = parts(records, injected_at=INJECTED_AT, resolved_at=resolved_at, window_s=None)
    assert (found["act_s"], found["ratio"]) == (7.0, None)
