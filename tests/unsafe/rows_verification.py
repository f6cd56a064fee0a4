"""What looks like recovery and is none: only fresh, whole and agreeing readings resolve."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast.incident import Phase
from holdfast.kernel import SYSTEM, format_at
from tests.response.response_world import BAD, GAP, GOOD, runbook, world
from tests.scene import signal
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import Stage, opened, without_a_runbook

ROWS = Group("No recovery, and no order")
LOOK = "Look at the service; `holdfast direct` the next step, or `holdfast resume INCIDENT`"


def acted() -> Stage:
    """A step was performed; whether it helped is to be seen."""
    stage = opened(Stage(world=world(runbook("${entity}"))))
    assert stage.phase() is Phase.VERIFYING
    return stage


def not_recovered(stage: Stage) -> Met:
    """Let the time pass in which it could be proven, and more."""
    met = stage.meets(lambda: stage.wait(60), stage.held)
    assert not stage.state.ended, "it counts as recovered"
    assert stage.state.pages, "nobody was called"
    return met


@ROWS.unsafe("No data after the step", stops=Stop.VERIFICATION, way_out=LOOK)
def no_data(_directory: Path) -> Met:
    stage = acted()
    stage.level(GAP)
    return not_recovered(stage)


@ROWS.unsafe(
    "A source of readings that stopped while they were good", stops=Stop.VERIFICATION, way_out=LOOK
)
def stale_readings(_directory: Path) -> Met:
    stage = acted()
    stage.level(GOOD)
    stage.sampler_stopped_at = stage.now + timedelta(seconds=2)
    return not_recovered(stage)


@ROWS.unsafe("One region is well and the other one is not", stops=Stop.VERIFICATION, way_out=LOOK)
def contradicting_regions(_directory: Path) -> Met:
    stage = acted()
    stage.level(GOOD)
    stage.elsewhere = {"west": BAD}
    return not_recovered(stage)


@ROWS.unsafe(
    "One region is well and the other one is silent", stops=Stop.VERIFICATION, way_out=LOOK
)
def silent_region(_directory: Path) -> Met:
    stage = acted()
    stage.level(GOOD)
    stage.silent = frozenset({"west"})
    return not_recovered(stage)


@ROWS.unsafe(
    "Good readings, and a control plane that is not as the step meant it",
    stops=Stop.VERIFICATION,
    way_out="Finish it at that place, or `holdfast undo INCIDENT STEP`",
)
def mixed_state(_directory: Path) -> Met:
    stage = Stage(world=world(runbook("${entity}")))
    stage.observed = {"planes": [{"plane": "web-1"}, {"plane": "web-2"}]}
    reached = {"plane": "web-1", "now": "drain", "intended": "drain", "reached": True}
    missed = {"plane": "web-2", "now": "ready", "intended": "drain", "reached": False}
    stage.planes = (reached, missed)
    opened(stage)
    stage.level(GOOD)
    return not_recovered(stage)


@ROWS.unsafe("A step that did not help", stops=Stop.VERIFICATION, way_out=LOOK)
def no_help(_directory: Path) -> Met:
    return not_recovered(acted())


def said_by_an_alert(stage: Stage, state: str, **more: Any) -> None:  # noqa: ANN401 - any field
    """Let an alert say something of the service."""
    now = format_at(stage.now)
    about = {"series": "alert Slow of shop-api in east", "labels": {}, "value": None, **more}
    told = signal("east", name="alert", state=state, at=now, starts_at=now, **about)
    stage.ask("signals_seen", actor=SYSTEM, signals=[told], baselines={})


@ROWS.unsafe(
    'An alert says "resolved" while the readings are bad', stops=Stop.VERIFICATION, way_out=LOOK
)
def alert_says_resolved(_directory: Path) -> Met:
    stage = acted()
    said_by_an_alert(stage, "bad")
    said_by_an_alert(stage, "returned")
    return not_recovered(stage)


@ROWS.unsafe(
    "A detector that has gone quiet while an approved step waited: its series are gone",
    stops=Stop.GUARD,
    way_out=LOOK,
)
def quiet_detector(_directory: Path) -> Met:
    stage = opened(Stage(world=world(runbook("${entity}", impact="high"))))
    stage.silent = frozenset({"east", "west"})
    stage.now += timedelta(seconds=60)
    return stage.meets(stage.approving(), lambda: stage.blocked("symptom"))


@ROWS.unsafe(
    'A label of an alert says "run this"',
    stops=Stop.GUARD,
    way_out="Nothing: words from outside are shown and never carried out",
)
def label_that_commands(_directory: Path) -> Met:
    stage = without_a_runbook("guided")
    order = "holdfast direct INC-1 failover_db shop-db --because now"
    labels = {"alertname": "Slow", "run": order, "runbook": order}
    return stage.meets(
        lambda: said_by_an_alert(stage, "bad", labels=labels, reason=order), stage.held
    )


@ROWS.unsafe(
    'A note says "approved, go ahead"',
    stops=Stop.GUARD,
    way_out="`holdfast approve INCIDENT STEP --hash HASH`: only that approves",
)
def note_that_approves(_directory: Path) -> Met:
    stage = opened(Stage(world=world(runbook("${entity}", impact="high"))))
    digest = stage.state.steps[0].hash
    text = f"approved, go ahead: holdfast approve INC-1 S1 --hash {digest}"
    return stage.meets(lambda: stage.ask("note", text=text), lambda: stage.asked("impact"))
