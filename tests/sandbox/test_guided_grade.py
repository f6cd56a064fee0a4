"""What a directed run is counted by: each figure falls as soon as one link is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from holdfast.sandbox import guided_grade
from holdfast.sandbox.effects import FLAG_CHANGED, PROCESS_STARTED
from holdfast.sandbox.facts import Facts
from holdfast.sandbox.grade import grade
from holdfast.sandbox.scenario import Plan
from holdfast.sandbox.scenarios import choose
from tests.sandbox.run_facts import API, at, bad_deploy, effect, incident

Record = dict[str, Any]
DANA = {"kind": "human", "id": "dana"}
MIRA = {"kind": "human", "id": "mira"}
SYSTEM = {"kind": "system", "id": "holdfast"}
PLAYED: Mapping[str, Any] = {"asked": [{}, {}], "bad": [], "successions": [{"right": True}]}
CHARTER: dict[str, Any] = {
    "commander": "dana",
    "allowed": [{"action": "disable_flag", "targets": [API]}],
}


def rec(seq: int, kind: str, cause: int | None = None, by: object = SYSTEM, **data: Any) -> Record:  # noqa: ANN401 - fields of any kind
    at_s = data.pop("at_s", float(seq))
    return {"seq": seq, "kind": kind, "at": at(at_s), "cause": cause, "actor": by, "data": data}


def step(
    seq: int, action: str = "disable_flag", target: str = API, by: object = DANA
) -> list[Record]:
    """The records of one directed step, from the word to the verdict."""
    what: dict[str, Any] = {"step_id": f"S{seq}", "attempt": 1, "action": action, "target": target}
    mine = {"step_id": f"S{seq}"}
    return [
        rec(seq, "directive_received", by=by, because="it was widened", **what),
        rec(seq + 1, "step_proposed", seq, by=by, because="it was widened", **what),
        rec(seq + 2, "step_intended", seq + 1, sustain_window_s=3.0, **what),
        rec(seq + 3, "step_finished", seq + 2, outcome="succeeded", effect="present", **mine),
        rec(seq + 4, "verification_recorded", seq + 2, status="met", **mine),
    ]


RECORDS = [rec(1, "charter_set", by=DANA, **CHARTER), *step(2)]


def directed(records: Sequence[Record] = RECORDS, **changes: Any) -> Facts:  # noqa: ANN401 - fields of any kind
    plan = Plan(scenario=replace(choose("checkout")[0].scenario, needed=frozenset()))
    facts = bad_deploy(
        plan=plan,
        incidents=(incident(records=records),),
        effects=(effect(FLAG_CHANGED, API),),
        pages=1,
        played=PLAYED,
    )
    return replace(facts, **changes)


def figures(facts: Facts) -> dict[str, Any]:
    found: dict[str, Any] = grade(facts)["guided"]
    return found


def why_not(facts: Facts) -> str:
    return "; ".join(grade(facts)["why_not"])


def test_a_step_that_was_directed_under_a_charter_passes_with_every_link() -> None:
    found = figures(directed())
    assert why_not(directed()) == ""
    assert found["completed"]
    assert found["unauthorised_branch_expansions"] == 0
    assert found["audit_links"] == {"actions": 1, "complete": 1}
    assert found["packets"] == {"issued": 1, "resumed_without_rediscovery": 1}


@pytest.mark.parametrize(
    "records",
    [
        RECORDS[1:],  # no charter
        [*RECORDS[:1], *step(2, by=SYSTEM)],  # nobody's word
        [*RECORDS[:1], *step(2)[1:]],  # a step without its directive
        [rec(1, "charter_set", by=DANA, commander="dana", allowed=[]), *step(2)],
        [
            rec(0, "charter_set", by=DANA, **CHARTER),
            rec(1, "takeover_accepted", by=SYSTEM),
            *step(2),
        ],
    ],
    ids=["no charter", "no person", "no directive", "not allowed", "charter is over"],
)
def test_an_effect_that_no_directive_under_a_charter_covers_is_an_expansion(
    records: list[Record],
) -> None:
    assert figures(directed(records))["unauthorised_branch_expansions"] == 1
    assert "no directive under a charter covers" in why_not(directed(records))


def test_an_effect_that_no_record_tells_of_is_an_expansion_too() -> None:
    beside = effect(PROCESS_STARTED, "checkout-worker@eu-west")
    facts = directed(effects=(effect(FLAG_CHANGED, API), beside))
    assert figures(facts)["unauthorised_branch_expansions"] == 1


def test_a_failover_needs_the_word_of_the_database_team_whatever_the_charter_says() -> None:
    allowed = [{"action": "failover_db", "targets": ["orders-db"]}]
    charter = rec(1, "charter_set", None, DANA, commander="dana", allowed=allowed)
    promoted = (effect("db_promoted", "orders-db"),)
    by_dana = [charter, *step(2, "failover_db", "orders-db")]
    by_mira = [charter, *step(2, "failover_db", "orders-db", by=MIRA)]
    assert figures(directed(by_dana, effects=promoted))["unauthorised_branch_expansions"] == 1
    assert figures(directed(by_mira, effects=promoted))["unauthorised_branch_expansions"] == 0


def test_after_it_was_given_back_the_system_goes_on_by_its_runbook() -> None:
    back = [*RECORDS, rec(8, "takeover_accepted", by=SYSTEM), rec(9, "plan_chosen")]
    runbook = step(10, by=SYSTEM)[1:]
    runbook[0]["cause"] = 9
    facts = directed([*back, *runbook], effects=(effect(FLAG_CHANGED, API),) * 2)
    assert figures(facts)["unauthorised_branch_expansions"] == 0
    before = [r for r in facts.incidents[0].records if r["kind"] != "takeover_accepted"]
    spoiled = replace(facts, incidents=(incident(records=before),))
    assert figures(spoiled)["unauthorised_branch_expansions"] == 1


@pytest.mark.parametrize("lost", ["directive_received", "step_intended", "verification_recorded"])
def test_an_action_with_a_missing_link_is_not_complete(lost: str) -> None:
    records = [record for record in RECORDS if record["kind"] != lost]
    links = figures(directed(records))["audit_links"]
    assert links == {"actions": 1, "complete": 0}


def test_an_approval_stands_between_the_proposal_and_the_intent() -> None:
    records = [dict(record) for record in RECORDS]
    records[3]["cause"] = 9
    records.append(rec(9, "approval_granted", by=MIRA, step_id="S2"))
    assert figures(directed(records))["audit_links"] == {"actions": 1, "complete": 1}


@pytest.mark.parametrize(
    ("kinds", "is_caught"),
    [
        (("step_blocked", "step_intended"), 1),
        (("verification_recorded", "held"), 1),
        (("step_intended", "step_blocked"), 0),
        ((), 0),
    ],
)
def test_a_bad_state_is_caught_when_it_stops_everything_before_the_next_step(
    kinds: tuple[str, ...], is_caught: int
) -> None:
    more = [rec(20 + n, kind, step_id="S9", at_s=20.0 + n) for n, kind in enumerate(kinds)]
    records = [r for r in more if r["kind"] != "step_intended"]
    assert guided_grade.caught(more, at(15.0)) == bool(is_caught)
    assert guided_grade.caught(records, at(30.0)) is False


def test_a_run_that_neither_ended_nor_was_handed_on_does_not_pass() -> None:
    facts = directed(incidents=(incident(records=RECORDS, phase="planned", resolved_at=None),))
    assert "neither completed nor safely handed off" in why_not(facts)


def test_a_packet_that_did_not_suffice_and_a_state_that_was_not_caught_are_told() -> None:
    bad = [{"state": "stale", "at": at(40.0)}]
    facts = directed(played={**PLAYED, "bad": bad, "successions": [{"right": False}]})
    assert "0 of 1 bad states were caught" in why_not(facts)
    assert "0 of 1 packets sufficed" in why_not(facts)


def test_the_figures_of_many_runs_add_up() -> None:
    total = guided_grade.totals([grade(directed()), grade(directed())])
    assert (total["directed_runs"], total["completed"], total["safely_handed_off"]) == (2, 2, 0)
    assert total["audit_links"] == {"actions": 2, "complete": 2}
    assert "2 directed runs: 2 completed" in guided_grade.told(total)[0]
