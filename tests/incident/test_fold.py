"""The fold: nothing skipped, nothing kept beside it, the same however it is cut."""

import importlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.incident import Kind, Phase, Record, State, StepStatus, evolve, fold
from holdfast.kernel import IllegalTransitionError
from tests.scene import START, Scene, finished, intended, opened, proposed, up_to_plan
from tests.scenes import SCENES, bad_deploy, every_kind, merged, no_runbook, rough_ride

scenes = st.sampled_from(SCENES).map(lambda play: play())
unknown_kinds = st.text(min_size=1, max_size=20).filter(lambda text: text not in set(Kind))


def test_every_kind_that_this_version_writes_is_folded() -> None:
    handlers = vars(importlib.import_module("holdfast.incident.fold"))["_HANDLERS"]

    assert set(handlers) == set(Kind)


def test_the_scenes_play_every_kind() -> None:
    played = {record.kind for play in SCENES for record in play()}

    assert played == {kind.value for kind in Kind}


@given(scenes)
def test_folding_all_at_once_is_folding_one_by_one(records: list[Record]) -> None:
    state = State(incident_id=records[0].incident_id)
    for count, record in enumerate(records, start=1):
        state = evolve(state, record)
        assert state == fold(records[:count], records[0].incident_id)


@given(scenes, st.data())
def test_a_fold_goes_on_from_wherever_it_was_left(
    records: list[Record], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(records)))
    state = fold(records[:cut], records[0].incident_id)
    for record in records[cut:]:
        state = evolve(state, record)

    assert state == fold(records, records[0].incident_id)


@given(scenes, unknown_kinds, st.data())
def test_a_kind_from_a_newer_version_is_counted_and_changes_nothing_else(
    records: list[Record], kind: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(records)))
    at = records[-1].at
    stranger = Record(incident_id=records[0].incident_id, seq=cut + 1, kind=kind, at=at)
    before = fold(records[:cut], records[0].incident_id)
    after = evolve(before, stranger)

    assert (after.seq, after.unknown_kinds) == (cut + 1, 1)
    assert after.phase is before.phase
    assert after.steps == before.steps


@given(scenes)
def test_a_record_survives_being_written_down(records: list[Record]) -> None:
    assert [Record.from_body(record.body()) for record in records] == records


def test_a_bad_deploy_ends_closed_with_its_step_verified() -> None:
    state = fold(bad_deploy(), "INC-1")

    assert state.phase is Phase.CLOSED
    assert [step.status for step in state.steps] == [StepStatus.VERIFIED]
    assert state.steps[0].idempotency_key == "INC-1/S1/1"
    assert state.resolved_at is not None
    assert state.ended
    assert state.label is not None
    assert state.label["label"] == "true_alarm"


def test_the_state_holds_all_that_was_diagnosed() -> None:
    records = no_runbook()
    ranked = next(r for r in records if r.kind == Kind.HYPOTHESES_RANKED)
    checks = next(r for r in records if r.kind == Kind.CHECKS_RECORDED)
    state = fold(records, "INC-2")

    assert list(state.hypotheses) == ranked.data["hypotheses"]
    assert list(state.evidence) == ranked.data["evidence"]
    assert list(state.missing_context) == ranked.data["missing_context"]
    assert state.checks == checks.data["results"]
    assert state.symptom == checks.data["symptom"]
    assert (state.checks_seq, state.diagnosis_seq) == (checks.seq, ranked.seq)
    assert state.root == ranked.data["hypotheses"][0]


def test_an_incident_without_a_plan_waits_held_for_a_person() -> None:
    state = fold(no_runbook(), "INC-2")

    assert state.phase is Phase.DIAGNOSING
    assert state.plan is None
    assert state.waiting_for == ("directive",)
    assert state.owner == "dana"
    assert state.pages == 1, "a page that did not arrive is no page"
    assert len(state.paged) == 2


def test_a_step_in_doubt_keeps_its_target_until_somebody_settles_it() -> None:
    records = rough_ride()
    doubt = next(r.seq for r in records if r.kind == Kind.STEP_IN_DOUBT)
    held = next(r.seq for r in records if r.kind == Kind.HELD)
    settled = next(r.seq for r in records if r.kind == Kind.STEP_SETTLED)

    in_doubt = fold(records[:doubt], "INC-3")
    assert [step.status for step in in_doubt.unsettled] == [StepStatus.IN_DOUBT]
    assert fold(records[:held], "INC-3").waiting_for == ("settlement",)
    assert not fold(records[:settled], "INC-3").unsettled


def test_doubts_are_counted_and_a_second_one_is_no_new_status() -> None:
    records = rough_ride()
    held = next(r.seq for r in records if r.kind == Kind.HELD)
    step = fold(records[:held], "INC-3").steps[0]

    assert (step.status, step.doubts, step.attempt) == (StepStatus.IN_DOUBT, 2, 2)


def test_a_settled_step_that_did_not_happen_has_failed_and_the_plan_goes_on() -> None:
    scene = Scene()
    up_to_plan(scene)
    proposed(scene)
    intended(scene)
    scene.add(Kind.STEP_IN_DOUBT, {"step_id": "S1", "why": "lost"})
    scene.add(Kind.STEP_SETTLED, {"step_id": "S1", "happened": False, "evidence": "nothing there"})
    state = fold(scene.records, "INC-1")

    assert state.steps[0].status is StepStatus.FAILED
    assert state.phase is Phase.PLANNED


def test_a_new_attempt_replaces_the_failed_one_under_the_same_step() -> None:
    scene = Scene()
    up_to_plan(scene)
    proposed(scene)
    intended(scene)
    finished(scene, outcome="failed")
    proposed(scene, attempt=2)
    state = fold(scene.records, "INC-1")

    assert [(s.step_id, s.attempt, s.status) for s in state.steps] == [
        ("S1", 2, StepStatus.PROPOSED)
    ]


def test_more_to_do_goes_back_to_the_plan_and_the_end_stays_open() -> None:
    records = every_kind()
    verification = next(r.seq for r in records if r.kind == Kind.VERIFICATION_RECORDED)

    assert fold(records[:verification], "INC-4").phase is Phase.PLANNED


def test_a_reopened_incident_is_live_again_and_not_resolved() -> None:
    records = every_kind()
    reopened = next(r.seq for r in records if r.kind == Kind.REOPENED)
    state = fold(records[:reopened], "INC-4")

    assert state.phase is Phase.REOPENED
    assert state.resolved_at is None
    assert not state.ended


def test_a_merged_incident_names_the_one_that_goes_on() -> None:
    state = fold(merged(), "INC-5")

    assert (state.phase, state.merged_into, state.held) == (Phase.MERGED, "INC-1", None)


def test_a_baseline_once_recorded_is_not_moved_by_a_later_signal() -> None:
    scene = Scene()
    first = opened(scene)
    signal = first.data["signals"][0]
    moved = {signal["series"]: {"expected": 99.0}}
    scene.add(Kind.SIGNAL_ATTACHED, {"signal": signal, "baselines": moved})

    assert fold(scene.records, "INC-1").baselines == first.data["baselines"]


def test_a_record_that_cannot_follow_is_an_error_and_not_a_guess() -> None:
    scene = Scene()
    opened(scene)
    scene.add(Kind.CLOSED, {"why": "no reason"})

    with pytest.raises(IllegalTransitionError, match="from phase 'open'"):
        fold(scene.records, "INC-1")


def test_an_intent_cannot_follow_an_outcome_of_the_same_attempt() -> None:
    scene = Scene()
    up_to_plan(scene)
    proposed(scene)
    intended(scene)
    finished(scene)
    intended(scene)

    with pytest.raises(IllegalTransitionError, match="'succeeded' to 'intended'"):
        fold(scene.records, "INC-1")


def test_times_come_from_the_records_and_from_nowhere_else() -> None:
    state = fold(bad_deploy(), "INC-1")

    assert state.started_at == START
    assert state.opened_at == START + timedelta(seconds=3)


def test_a_long_incident_keeps_only_its_newest_notes_and_pages_in_hand() -> None:
    state = State(incident_id="INC-1")
    for seq in range(1, 301):
        kind, data = ("note", {"text": f"note {seq}"}) if seq % 2 else ("paged", page())
        state = evolve(state, Record(incident_id="INC-1", seq=seq, kind=kind, at=START, data=data))

    assert (len(state.notes), len(state.paged), state.pages) == (50, 50, 150)
    assert state.notes[-1]["text"] == "note 299"
    assert state.paged[-1]["seq"] == 300


def page() -> dict[str, object]:
    return {"level": 1, "deliveries": [{"channel": "log", "delivered": True}]}
