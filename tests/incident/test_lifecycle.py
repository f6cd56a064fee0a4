"""The tables of phases and step statuses, and the diagrams that are drawn from them."""

import pytest

from holdfast.incident import ENDED, Phase, StepStatus, Trigger
from holdfast.incident.lifecycle import (
    STEP_TRANSITIONS,
    TRANSITIONS,
    next_phase,
    next_step_status,
    phase_diagram,
    step_diagram,
)
from holdfast.kernel import IllegalTransitionError

BEFORE_RESOLVED = set(Phase) - ENDED


def test_every_phase_and_every_status_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert set(STEP_TRANSITIONS) == set(StepStatus)


def test_every_trigger_is_used_somewhere() -> None:
    assert {trigger for row in TRANSITIONS.values() for trigger in row} == set(Trigger)


@pytest.mark.parametrize("phase", sorted(BEFORE_RESOLVED))
def test_a_false_alarm_can_be_dismissed_and_merged_before_it_is_resolved(phase: Phase) -> None:
    assert next_phase(phase, Trigger.DISMISS) is Phase.DISMISSED
    assert next_phase(phase, Trigger.MERGE) is Phase.MERGED


@pytest.mark.parametrize("phase", sorted(ENDED))
def test_what_has_ended_is_neither_dismissed_nor_merged(phase: Phase) -> None:
    for trigger in (Trigger.DISMISS, Trigger.MERGE):
        with pytest.raises(IllegalTransitionError):
            next_phase(phase, trigger)


def test_a_step_in_doubt_ends_only_as_succeeded_or_failed() -> None:
    assert STEP_TRANSITIONS[StepStatus.IN_DOUBT] == {StepStatus.SUCCEEDED, StepStatus.FAILED}


@pytest.mark.parametrize("status", sorted(StepStatus))
def test_nothing_but_a_proposal_or_an_approval_leads_to_an_intent(status: StepStatus) -> None:
    may = StepStatus.INTENDED in STEP_TRANSITIONS[status]

    assert may == (status in {StepStatus.PROPOSED, StepStatus.AWAITING_APPROVAL})


def test_a_move_that_the_table_does_not_have_says_from_where_to_where() -> None:
    with pytest.raises(IllegalTransitionError, match="'blocked' to 'intended'"):
        next_step_status(StepStatus.BLOCKED, StepStatus.INTENDED)


@pytest.mark.parametrize("phase", sorted(Phase))
def test_every_pair_of_phase_and_trigger_has_an_answer(phase: Phase) -> None:
    for trigger in Trigger:
        if trigger in TRANSITIONS[phase]:
            assert next_phase(phase, trigger) in Phase
        else:
            with pytest.raises(IllegalTransitionError, match="incident export"):
                next_phase(phase, trigger)


def test_every_phase_is_reached_from_open() -> None:
    reached = {Phase.OPEN}
    while more := {a for p in reached for a in TRANSITIONS[p].values()} - reached:
        reached |= more

    assert reached == set(Phase)


def test_the_diagrams_have_one_arrow_for_each_row_of_the_tables() -> None:
    arrows = sum(len(row) for row in TRANSITIONS.values())
    moves = sum(len(row) for row in STEP_TRANSITIONS.values())

    assert phase_diagram().count("-->") == arrows
    assert step_diagram().count("-->") == moves
    assert "verifying --> resolved: recovery verified" in phase_diagram()
    assert "intended --> in_doubt" in step_diagram()
