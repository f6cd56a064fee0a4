"""A run passes only when every claim of the product fits what others saw."""

from dataclasses import replace

import pytest

from holdfast.sandbox.attempts import attempts
from holdfast.sandbox.facts import Crash, Facts
from holdfast.sandbox.grade import grade
from holdfast.sandbox.scenario import CRASH_POINTS
from tests.sandbox.run_facts import (
    API,
    INJECTED_AT,
    INSTANCE,
    ROLLED_BACK,
    WORKER,
    at,
    bad_deploy,
    crashed,
    effect,
    finished,
    handed_over,
    incident,
    intended,
    plan,
    restarted,
    service_down,
    started,
)

CONTRACT = {
    "scenario",
    "incident_id",
    "outcome",
    "incident_type",
    "root_cause_entity",
    "actions",
    "detected_s",
    "recovered_s",
    "duplicate_effects",
    "false_actions",
    "pages",
    "ledger_verified",
    "passed",
}


def why_not(facts: Facts) -> str:
    document = grade(facts)
    assert document["passed"] is not bool(document["why_not"])
    return "; ".join(document["why_not"])


def test_a_rollback_that_healed_passes_and_the_document_holds_the_keys_of_the_contract() -> None:
    document = grade(bad_deploy())
    assert document["passed"], document["why_not"]
    assert document.keys() >= CONTRACT
    assert document["actions"] == ["rollback_deploy"]
    assert (document["detected_s"], document["recovered_s"]) == (3.0, 12.0)
    assert document["outcome"] == "resolved"


def test_an_effect_beyond_the_ledgers_attempts_is_a_duplicate() -> None:
    facts = bad_deploy(effects=(effect(), effect()))
    assert grade(facts)["duplicate_effects"] == 1
    assert "1 effects beyond the ledger's attempts" in why_not(facts)


def test_an_effect_that_nobody_intended_is_a_duplicate_too() -> None:
    facts = bad_deploy(effects=(effect(), effect(target=WORKER)))
    assert grade(facts)["duplicate_effects"] == 1


def test_an_effect_that_the_ledger_claims_and_nobody_saw_does_not_pass() -> None:
    assert "claims 1 times release_switched on checkout-api; the observers saw 0" in why_not(
        bad_deploy(effects=())
    )


def test_an_attempt_in_doubt_may_have_acted_once_and_is_no_performed_action() -> None:
    facts = crashed("after_effect", incidents=(handed_over([intended()]),), pages=1)
    document = grade(facts)
    assert document["passed"], document["why_not"]
    assert document["outcome"] == "held"
    assert document["actions"] == []
    assert document["duplicate_effects"] == 0


def test_an_attempt_proven_without_effect_excuses_no_effect() -> None:
    records = [intended(), finished(outcome="failed", effect="absent"), intended(attempt=2)]
    tried = attempts([*records, finished(attempt=2)])
    assert [attempt.performed for attempt in tried] == [False, True]
    facts = bad_deploy(
        incidents=(incident(records=[*records, finished(attempt=2)]),),
        effects=(effect(), effect()),
    )
    assert grade(facts)["duplicate_effects"] == 1


def test_a_persons_settlement_counts_as_the_outcome() -> None:
    settled = {"kind": "step_settled", "data": {"step_id": "S1", "happened": False}}
    (attempt,) = attempts([intended(), settled])
    assert (attempt.outcome, attempt.performed) == ("failed", False)


def test_an_action_that_the_scenario_does_not_allow_is_false() -> None:
    record = intended(action="restart_service", target=f"{API}@eu-west")
    facts = bad_deploy(
        incidents=(incident(records=[record, finished()]),),
        effects=(effect("process_started", f"{API}@eu-west"),),
    )
    assert grade(facts)["false_actions"] == 1
    assert "is not allowed here" in why_not(facts)


def test_the_right_action_on_what_was_not_broken_is_false() -> None:
    facts = bad_deploy(
        incidents=(incident(records=[intended(target=WORKER), finished()]),),
        effects=(effect(target=WORKER),),
    )
    assert grade(facts)["false_actions"] == 1


def test_two_restarts_are_allowed_and_a_third_is_false() -> None:
    assert grade(service_down(2))["passed"]
    assert grade(service_down(3))["false_actions"] == 1


def test_a_service_that_stays_down_must_be_held_and_paged() -> None:
    found = handed_over(
        restarted(2, outcome="failed"), incident_type="service_down", root_entity=WORKER
    )
    facts = service_down(plan=plan("service-down-stays"), incidents=(found,), effects=started(2))
    assert "nobody was paged" in why_not(facts)
    assert grade(replace(facts, pages=1))["outcome"] == "held"
    assert grade(replace(facts, pages=1))["passed"]
    assert INSTANCE in str(grade(facts)["steps"])


def test_novel_is_escalated_only_when_nothing_was_intended() -> None:
    novel = Facts(
        plan=plan("novel"),
        injected_at=INJECTED_AT,
        incidents=(handed_over([], root_entity="anything"),),
        pages=1,
    )
    assert grade(novel)["outcome"] == "escalated"
    assert grade(novel)["passed"]
    acted = replace(novel, incidents=(handed_over(ROLLED_BACK),), effects=(effect(),))
    assert grade(acted)["outcome"] == "held"
    assert not grade(acted)["passed"]


def test_held_without_an_escalation_is_no_end() -> None:
    facts = bad_deploy(incidents=(handed_over(escalated=None),), plan=plan("traffic-stops"))
    assert grade(facts)["outcome"] == "none"
    assert "has not come to an end (phase verifying, held: True)" in why_not(facts)


def test_when_traffic_stops_resolving_is_wrong_and_holding_is_right() -> None:
    resolved = bad_deploy(plan=plan("traffic-stops"))
    assert "ended as 'resolved'; traffic-stops may end as held" in why_not(resolved)
    assert grade(replace(resolved, incidents=(handed_over(),), pages=1))["passed"]


def healthy(**changes: object) -> Facts:
    facts = Facts(plan=plan("healthy"), injected_at=INJECTED_AT, bare_rule_fired=3)
    return replace(facts, **changes)  # type: ignore[arg-type]


def test_a_healthy_run_passes_with_no_incident_or_dismissed_ones() -> None:
    false_alarm = incident(records=[], phase="dismissed", resolved_at=None)
    assert grade(healthy())["outcome"] == "none"
    assert grade(healthy())["passed"]
    assert grade(healthy(incidents=(false_alarm,)))["outcome"] == "dismissed"
    assert grade(healthy(incidents=(false_alarm, false_alarm)))["passed"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pages": 1}, "1 pages, where nobody has to be woken"),
        ({"bare_rule_fired": 0}, "the bare rule did not fire once"),
        ({"incidents": (incident(records=[]),)}, "INC-1 was not dismissed"),
        ({"effects": (effect(),)}, "1 effects beyond"),
    ],
)
def test_a_healthy_run_does_not_pass_when(changes: dict[str, object], reason: str) -> None:
    assert reason in why_not(healthy(**changes))


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_run_passes_when_the_point_was_reached_with_the_effects_that_belong_to_it(
    point: str,
) -> None:
    assert grade(crashed(point))["passed"]
    assert grade(crashed(point))["crash_point"] == point


@pytest.mark.parametrize(
    ("crash", "reason"),
    [
        (None, "crash point after_intent was never reached"),
        (Crash(exit_code=1, effects=0), "ended with exit code 1, not by SIGKILL"),
        (Crash(exit_code=-9, effects=1), "had seen 1 effects, not 0"),
    ],
)
def test_a_crash_run_does_not_pass_when(crash: Crash | None, reason: str) -> None:
    assert reason in why_not(replace(crashed("after_intent"), crash=crash))


def test_resolved_without_having_done_anything_proves_nothing() -> None:
    facts = crashed("before_intent", incidents=(incident(records=[]),), effects=())
    assert "nothing was performed that could have resolved it" in why_not(facts)


def test_where_nothing_could_be_collected_the_trouble_is_the_only_reason() -> None:
    document = grade(Facts(plan=plan("novel"), collected=False, trouble=("no database",)))
    assert document["why_not"] == ["no database"]
    assert not document["ledger_verified"]


def test_two_incidents_from_one_fault_do_not_pass() -> None:
    second = incident("INC-2", records=[], opened_at=at(9), phase="dismissed")
    facts = bad_deploy(incidents=(second, incident()))
    assert "one fault made 2 incidents: INC-2, INC-1" in why_not(facts)
    assert grade(facts)["incident_id"] == "INC-1"


def test_a_false_alarm_dismissed_before_the_fault_is_not_counted_with_it() -> None:
    early = incident("INC-0", records=[], opened_at=at(-20), phase="dismissed")
    assert grade(bad_deploy(incidents=(early, incident())))["passed"]
    live = incident("INC-0", records=[], opened_at=at(-20), phase="resolved")
    assert "INC-0 opened before anything was broken" in why_not(
        bad_deploy(incidents=(live, incident()))
    )


def test_an_incident_that_was_open_before_the_fault_did_not_detect_it() -> None:
    facts = bad_deploy(incidents=(incident(opened_at=at(-5)),))
    assert "INC-1 opened 5.0 s before the fault" in why_not(facts)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pages": 2}, "2 pages, where nobody has to be woken"),
        ({"trouble": ("no end within 90 s",)}, "no end within 90 s"),
        ({"collected": False}, "nothing of the run was collected"),
        ({"incidents": (incident(ok=False),)}, "the ledger's chain did not verify"),
        ({"incidents": (incident(incident_type="unknown"),)}, "type is unknown, not high_error"),
        ({"incidents": (incident(root_entity=WORKER),)}, f"root entity is {WORKER}, not {API}"),
        ({"incidents": ()}, "ended as 'none'"),
        ({"incidents": (incident(records=[]),), "effects": ()}, "rollback_deploy was not perf"),
    ],
)
def test_a_run_does_not_pass_when(changes: dict[str, object], reason: str) -> None:
    assert reason in why_not(bad_deploy(**changes))
