"""Whole incidents as records, for every test that needs a realistic one."""

from typing import Any

from holdfast.incident import Kind, Record
from holdfast.kernel import format_at
from tests.commanded_scene import commanded
from tests.scene import (
    DANA,
    HASH,
    Scene,
    asked,
    checked,
    diagnosed,
    finished,
    held,
    intended,
    opened,
    paged,
    planned,
    proposed,
    reason,
    signal,
    up_to_plan,
    verdict,
    verified,
)


def bad_deploy(incident_id: str = "INC-1") -> list[Record]:
    """A bad deploy, rolled back, verified, resolved and closed."""
    scene = Scene(incident_id)
    up_to_plan(scene)
    proposed(scene)
    intended(scene)
    finished(scene)
    for region in ("east", "west"):
        back = signal(
            region, state="returned", value=0.003, at=format_at(scene.now), reason="back at 0.003"
        )
        scene.add(Kind.SIGNAL_ATTACHED, {"signal": back, "baselines": {}})
    verified(scene)
    scene.add(Kind.RESOLVED, {"why": "recovery verified: errors held", "by_step": "S1"}, after_s=0)
    scene.add(Kind.LABELLED, {"label": "true_alarm", "because": "it was real"}, actor=DANA)
    scene.add(Kind.CLOSED, {"why": "postmortem written"}, actor=DANA)
    return scene.records


def no_runbook(incident_id: str = "INC-2") -> list[Record]:
    """Nothing fits: held, escalated, paged twice, acknowledged; nothing was done."""
    scene = Scene(incident_id)
    opened(scene)
    checked(scene)
    diagnosed(scene)
    misses = [{"runbook": "restart-a-down-service", "why_not": ["the type is not service_down"]}]
    why = "no runbook fits high_error_rate on shop-api, and nothing is done on a guess"
    planned(scene, None, steps=[], version=None, mode=None, read=None, why=why, near_misses=misses)
    held(scene, why)
    paged(scene, delivered=False)
    paged(scene, level=2)
    scene.add(Kind.ACKNOWLEDGED, {"note": None}, actor=DANA, after_s=60)
    return scene.records


def rough_ride(incident_id: str = "INC-3") -> list[Record]:
    """Attempt 1 fails without effect, attempt 2 is in doubt, probed, settled; recovery is not met."""
    scene = Scene(incident_id)
    up_to_plan(scene)
    proposed(scene)
    intended(scene)
    finished(scene, outcome="failed", output="EPERM: `link`")
    proposed(scene, attempt=2)
    intended(scene, attempt=2)
    scene.add(Kind.STEP_IN_DOUBT, {"step_id": "S1", "why": "the reply was lost"})
    scene.add(Kind.STEP_IN_DOUBT, {"step_id": "S1", "why": "the probe could not tell"})
    held(scene)
    settled = {
        "step_id": "S1",
        "happened": True,
        "effect": "present",
        "evidence": "ls shows 2.3.9",
        "human_override": "dana",
    }
    scene.add(Kind.STEP_SETTLED, settled, actor=DANA)
    scene.add(Kind.RESUMED, {"why": "the link is right"}, actor=DANA, after_s=30)
    verified(scene, status="not_met")
    scene.add(Kind.HELD, {"why": "recovery is not proven"}, after_s=0)
    scene.add(Kind.LATE_REPORT, {"step_id": "S1", "summary": "worker w-1 says it worked"})
    return scene.records


def every_kind(incident_id: str = "INC-4") -> list[Record]:
    """One long incident that has every kind of record, in an order that the tables allow."""
    scene = Scene(incident_id)
    up_to_plan(scene)
    _people_say_no(scene)
    _step_lost_and_found(scene)
    held(scene)
    paged(scene)
    scene.add(Kind.ACKNOWLEDGED, {"note": "on it"}, actor=DANA)
    scene.add(Kind.RESUMED, {"why": "go on"}, actor=DANA)
    _directed_to_the_end(scene)
    scene.add(Kind.REOPENED, {"why": "errors are back"}, after_s=60)
    checked(scene)
    scene.add(Kind.DISMISSED, {"why": "a test of the alarm"}, actor=DANA)
    scene.add(Kind.CLOSED, {"why": "nothing to learn"}, actor=DANA)
    return scene.records


def _people_say_no(scene: Scene) -> None:
    refusal = verdict("refuse", reason("a precondition fails", ok=False, rule="precondition"))
    endings: tuple[tuple[Kind, dict[str, Any]], ...] = (
        (Kind.APPROVAL_DENIED, {"verdict": refusal, "why": "dana denied it"}),
        (Kind.APPROVAL_EXPIRED, {"verdict": refusal}),
        (Kind.STEP_BLOCKED, {"verdict": refusal, "why": "it was refused"}),
        (Kind.STEP_SKIPPED, {}),
    )
    for number, (ending, data) in enumerate(endings, start=1):
        step_id = f"S{number}"
        proposed(scene, step_id=step_id)
        if ending in {Kind.APPROVAL_DENIED, Kind.APPROVAL_EXPIRED}:
            asked(scene, step_id)
        scene.add(ending, {"step_id": step_id, **data}, actor=DANA)


def _step_lost_and_found(scene: Scene) -> None:
    proposed(scene, step_id="S5")
    asked(scene, "S5")
    scene.add(
        Kind.APPROVAL_GRANTED,
        {"step_id": "S5", "hash": HASH, "because": "it is the release"},
        actor=DANA,
    )
    intended(scene, step_id="S5")
    scene.add(Kind.STEP_IN_DOUBT, {"step_id": "S5", "why": "the reply was lost"})
    finished(
        scene,
        step_id="S5",
        kind=Kind.STEP_RECONCILED,
        how="a probe shows that the effect is there",
        evidence="the link is there",
    )
    scene.add(Kind.LATE_REPORT, {"step_id": "S5", "summary": "too late"})
    verified(scene, step_id="S5", more_to_do=True)


def _directed_to_the_end(scene: Scene) -> None:
    directive = {"action": "rollback_deploy", "target": "shop-api", "because": "once more"}
    scene.add(Kind.DIRECTIVE_RECEIVED, directive, actor=DANA)
    proposed(scene, step_id="S6", plan_index=None, because="once more", actor=DANA)
    intended(scene, step_id="S6")
    scene.add(Kind.STEP_IN_DOUBT, {"step_id": "S6", "why": "the worker died"})
    again = {"step_id": "S6", "idempotency_key": "INC-4/S6/1", "fence": 2, "why": "it is not there"}
    scene.add(Kind.STEP_REPEATED, again)
    settled = {"step_id": "S6", "happened": True, "effect": "present", "evidence": "I looked"}
    scene.add(Kind.STEP_SETTLED, settled, actor=DANA)
    manual = {**directive, "because": "to be sure", "observed": {"current": "2.3.9"}}
    scene.add(Kind.MANUAL_ACTION_REPORTED, manual, actor=DANA)
    scene.add(Kind.NOTE, {"text": "watching"}, actor=DANA)
    proposed(scene, step_id="S7")
    intended_to_finish(scene)
    scene.add(Kind.RESOLVED, {"why": "recovery verified", "by_step": "S6"})
    scene.add(Kind.LABELLED, {"label": "true_alarm", "because": None}, actor=DANA)


def intended_to_finish(scene: Scene) -> None:
    """Skip the last proposal, and prove the step before it."""
    scene.add(Kind.STEP_SKIPPED, {"step_id": "S7"}, actor=DANA)
    back = signal("east", state="returned", value=0.003, reason="back at 0.003")
    scene.add(Kind.SIGNAL_ATTACHED, {"signal": back, "baselines": {}})
    verified(scene, step_id="S6")


def merged(incident_id: str = "INC-5") -> list[Record]:
    """Found to be the same fault as another one, before any step."""
    scene = Scene(incident_id)
    opened(scene)
    scene.add(Kind.MERGED, {"into": "INC-1", "why": "the same release"}, actor=DANA)
    return scene.records


SCENES = (bad_deploy, no_runbook, rough_ride, every_kind, merged, commanded)
