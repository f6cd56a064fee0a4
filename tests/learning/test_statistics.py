"""Durations: measured from the State, None where an end is missing."""

import pytest

from holdfast.incident import State, fold
from holdfast.learning import Durations, durations, seconds, timeline_text
from tests.scenes import bad_deploy, no_runbook


def test_a_resolved_incident_has_all_but_the_acknowledgement() -> None:
    assert durations(fold(bad_deploy(), "INC-1")) == Durations(
        detect_s=3.0, acknowledge_s=None, act_s=6.0, recover_s=20.0
    )


def test_an_escalated_incident_has_an_acknowledgement_and_no_recovery() -> None:
    took = durations(fold(no_runbook(), "INC-2"))

    assert took.acknowledge_s == 70.0
    assert took.act_s is None
    assert took.recover_s is None
    assert took.as_data()["recover_s"] is None


def test_nothing_recorded_is_nothing_measured() -> None:
    assert set(durations(State(incident_id="INC-9")).as_data().values()) == {None}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "not recorded"),
        (0.0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.99, "1 min 0 s"),
        (61.2, "1 min 1 s"),
        (3599.9, "1 h 0 min"),
        (7325.0, "2 h 2 min"),
        (-1.5, "-1.5 s"),
        (-90.0, "-1 min 30 s"),
    ],
)
def test_a_duration_is_said_as_people_do(value: float | None, shown: str) -> None:
    assert seconds(value) == shown


def test_the_plain_timeline_lines_up() -> None:
    text = timeline_text(bad_deploy()).splitlines()

    assert text[0].startswith(" 1  2030-01-01 12:00:03.000  opened (critical)")
    assert text[-1].startswith("14  2030-01-01 12:00:22.000  dana: closed")
    assert timeline_text([]) == ""
