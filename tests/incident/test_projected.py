"""The keys as JSON are the keys as data, however many appends a step's JSON was kept over."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.incident import Projector, Record, State, evolve, projections
from holdfast.incident.state import changed
from tests.scene import Scene, finished, intended, proposed, up_to_plan
from tests.scenes import SCENES

scenes = st.sampled_from(SCENES).map(lambda play: play())


@given(scenes)
def test_after_every_record_the_kept_bytes_are_those_of_the_data(records: list[Record]) -> None:
    projector, state = Projector(), State(incident_id=records[0].incident_id)
    for record in records:
        state = evolve(state, record)
        head = record.seq.to_bytes(32, "big")
        keys = {key: json.loads(encoded) for key, encoded in projector.keys(state, head).items()}

        assert keys == projections(state, head)


def test_a_projector_that_is_taken_back_to_an_earlier_state_tells_of_that_one() -> None:
    scene = Scene()
    up_to_plan(scene)
    for step_id in ("S1", "S2"):
        proposed(scene, step_id=step_id)
    intended(scene)
    finished(scene)
    states = [State(incident_id="INC-1")]
    for record in scene.records:
        states.append(evolve(states[-1], record))
    projector, head = Projector(), bytes(32)
    for state in (*states, *reversed(states)):
        steps = json.loads(projector.keys(state, head)["incident:INC-1:steps"])

        assert steps == projections(state, head)["incident:INC-1:steps"]


def test_a_changed_state_is_a_replaced_one() -> None:
    state = State(incident_id="INC-1", title="before")

    assert changed(state, title="after", seq=3) == replace(state, title="after", seq=3)
    assert state.title == "before"


def test_a_field_that_is_not_there_can_not_be_changed() -> None:
    with pytest.raises(TypeError, match="State has no field tittle"):
        changed(State(incident_id="INC-1"), tittle="typed wrongly")  # type: ignore[call-arg]


@given(scenes)
def test_a_state_that_was_given_out_is_never_changed_by_a_later_record(
    records: list[Record],
) -> None:
    states = [State(incident_id=records[0].incident_id)]
    for record in records:
        states.append(evolve(states[-1], record))
    given_out = [dict(vars(state)) for state in states]
    for state, record in zip(states, records, strict=False):
        evolve(state, record)

    assert [vars(state) for state in states] == given_out
    assert [state.seq for state in states] == [0, *(record.seq for record in records)]
