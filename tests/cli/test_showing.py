"""What `incident show` says of a cause that is hardly known, and of what is left to people."""

from typing import Any

import pytest

from holdfast.cli import output
from holdfast.cli.showing import incident_text


def view(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever the incident holds
    empty: dict[str, Any] = dict.fromkeys(
        ("steps", "checks", "hypotheses", "missing_context", "runbooks", "timeline", "frozen"), ()
    )
    return {
        **empty,
        **dict.fromkeys(("reopened", "follows", "held", "escalated", "plan", "label", "ending")),
        **dict.fromkeys(("commander", "charter", "handoff")),
        **dict.fromkeys(("modes_set", "maintenance", "waiting_for", "paged"), ()),
        "incident_id": "INC-1",
        "phase": "planned",
        "severity": "critical",
        "title": "shop is slow",
        "incident_type": "high_latency",
        "started_at": "2030-01-01T10:00:00Z",
        "regions": ["east"],
        "mode": "observe",
        "owner": "ann",
        "acknowledged": {"by": "ann"},
        "root_entity": "shop",
        "checks": {},
        **more,
    }


def hypothesis(mechanism: str, confidence: str) -> dict[str, Any]:
    facts = {"entity": "shop", "region": "east", "mechanism": mechanism, "confidence": confidence}
    return {**facts, "rank": 1, "score": 1.0, "text": "because", "supports": [], "contradicts": []}


@pytest.mark.parametrize(
    ("mechanism", "confidence", "said"),
    [
        ("unknown", "unclear", "cause: not known, maybe in shop"),
        ("release", "likely", "cause: shop, likely"),
    ],
)
def test_a_cause_is_named_as_sure_as_it_is(mechanism: str, confidence: str, said: str) -> None:
    lines = list(incident_text(view(hypotheses=[hypothesis(mechanism, confidence)])))
    assert f"  what       high_latency; {said}" in lines


def test_what_only_a_person_can_do_now_is_said() -> None:
    step = {"step_id": "S1", "action": "restart_service", "target": "shop@east", "attempt": 1}
    step |= {"verdict": None, "outcome": None, "verification": None, "standing": "blocked"}

    shown = list(incident_text(view(steps=[{**step, "status": "blocked"}])))
    assert "  holdfast did INC-1 ACTION TARGET --because TEXT" in shown
    assert "  holdfast incident dismiss INC-1 --because TEXT" in shown

    assert "Next" not in list(incident_text(view(steps=[{**step, "status": "intended"}])))


def test_a_person_who_has_to_choose_the_next_step_is_told_how() -> None:
    waits = {"waiting_for": ["directive"], "mode": "guided"}
    see_first = "holdfast direct INC-1 ACTION TARGET --expect CRITERION --because TEXT --dry-run"
    bare = [line.strip() for line in incident_text(view(**waits))]
    assert bare[bare.index(see_first) - 1].startswith("holdfast charter set INC-1 ")

    charter = {"expires_at": "2030-01-01T12:00:00Z", "objective": "checkout works"}
    ruled = [line.strip() for line in incident_text(view(**waits, charter=charter))]
    assert see_first in ruled
    assert not any(line.startswith("holdfast charter") for line in ruled)


def test_a_line_break_in_somebodys_words_makes_no_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.fitted(["  HELD  bot: wait\n\nNext\n  holdfast thaw --because TEXT"])
    assert capsys.readouterr().out == "  HELD  bot: wait  Next   holdfast thaw --because TEXT\n"


def test_who_commands_and_to_whom_it_is_being_handed_is_said() -> None:
    charter = {"expires_at": "2030-01-01T12:00:00Z", "objective": "checkout works"}
    handoff = {"to": "dba", "by": "ann", "because": "their failover"}
    lines = list(incident_text(view(commander="ann", charter=charter, handoff=handoff)))

    assert "  commands   ann until 2030-01-01 12:00:00 UTC, to checkout works" in lines
    assert "  HANDED     to dba by ann: their failover; nobody acts until it is accepted" in lines
    assert "  holdfast accept INC-1" in lines
