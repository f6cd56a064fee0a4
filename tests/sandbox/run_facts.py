"""Facts of a run that went as it should, for tests to spoil one at a time."""

# ruff: noqa: ANN401 - any part of a document may be spoiled with anything

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.kernel.clock import format_at
from holdfast.sandbox.effects import PROCESS_STARTED, RELEASE_SWITCHED, Effect
from holdfast.sandbox.facts import Crash, Facts, Incident
from holdfast.sandbox.scenario import CRASH_POINTS, Plan
from holdfast.sandbox.scenarios import BY_NAME

INJECTED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
API = "checkout-api"
WORKER = "checkout-worker"
INSTANCE = f"{WORKER}@eu-west"


def at(seconds: float) -> str:
    return format_at(INJECTED_AT + timedelta(seconds=seconds))


def intended(step: str = "S1", attempt: int = 1, **data: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"step_id": step, "attempt": attempt, "action": "rollback_deploy"}
    given |= {"target": API, "sustain_window_s": 6.0}
    return {"kind": "step_intended", "at": at(data.pop("at_s", 4.0)), "data": given | data}


def finished(step: str = "S1", attempt: int = 1, **data: Any) -> dict[str, Any]:
    given = {"step_id": step, "attempt": attempt, "outcome": "succeeded", "effect": "present"}
    kind = data.pop("kind", "step_finished")
    return {"kind": kind, "at": at(data.pop("at_s", 5.0)), "data": given | data}


ROLLED_BACK = (intended(), finished())


def incident(
    name: str = "INC-1",
    records: Sequence[Mapping[str, Any]] = ROLLED_BACK,
    *,
    ok: bool = True,
    **shown: Any,
) -> Incident:
    given = {
        "incident_id": name,
        "phase": "resolved",
        "held": None,
        "escalated": None,
        "incident_type": "high_error_rate",
        "root_entity": API,
        "opened_at": at(3.0),
        "resolved_at": at(12.0),
    }
    return Incident(shown=given | shown, records=records, verdict={"ok": ok, "records": 9})


def handed_over(records: Sequence[Mapping[str, Any]] = ROLLED_BACK, **shown: Any) -> Incident:
    state = {"phase": "verifying", "resolved_at": None, "held": {"why": "x"}}
    return incident(records=records, **(state | {"escalated": {"level": 1}} | shown))


def effect(kind: str = RELEASE_SWITCHED, target: str = API) -> Effect:
    return Effect(at=INJECTED_AT, kind=kind, target=target, detail="")


def plan(name: str, point: str | None = None) -> Plan:
    return Plan(scenario=BY_NAME[name], crash_point=point)


def bad_deploy(**changes: Any) -> Facts:
    facts = Facts(
        plan=plan("bad-deploy"),
        injected_at=INJECTED_AT,
        entity=API,
        incidents=(incident(),),
        effects=(effect(),),
    )
    return replace(facts, **changes)


def crashed(point: str, **changes: Any) -> Facts:
    crash = Crash(exit_code=-9, effects=CRASH_POINTS[point])
    return bad_deploy(plan=plan("engine-crash", point), crash=crash, **changes)


def restarted(times: int, *, outcome: str = "succeeded") -> tuple[dict[str, Any], ...]:
    """The records of a restart that took `times` attempts, each of which started a process."""
    words: dict[str, Any] = {"action": "restart_service", "target": INSTANCE}
    pairs = [
        (
            intended(f"S{n}", **words),
            finished(f"S{n}", outcome=outcome if n == times else "failed"),
        )
        for n in range(1, times + 1)
    ]
    return tuple(record for pair in pairs for record in pair)


def started(times: int) -> tuple[Effect, ...]:
    return (effect(PROCESS_STARTED, INSTANCE),) * times


def service_down(times: int = 1, **changes: Any) -> Facts:
    found = incident(records=restarted(times), incident_type="service_down", root_entity=WORKER)
    return bad_deploy(
        **{
            "plan": plan("service-down"),
            "entity": WORKER,
            "region": "eu-west",
            "incidents": (found,),
            "effects": started(times),
        }
        | changes
    )
