"""The records that incidents are made of, for tests that need realistic ones.

A Scene stamps drafts one after another, as the engine does; each function adds a
record whose data has the same keys as what `response` writes. Whole incidents
are in tests.scenes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.incident import Draft, Kind, Record, stamp
from holdfast.kernel import SYSTEM, Actor, ActorKind, format_at

START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
DANA = Actor(kind=ActorKind.HUMAN, id="dana", token_id="t-1")
HASH = "5f" * 32
CRITERION = 'errors{service="shop-api"} <= baseline * 1.2 + 0.02 for 6s in each region'


@dataclass(slots=True)
class Scene:
    """Collects the records of one incident; `add` stamps the next one."""

    incident_id: str = "INC-1"
    now: datetime = START
    records: list[Record] = field(default_factory=list)

    def add(
        self,
        kind: Kind,
        data: Mapping[str, Any],
        *,
        actor: Actor = SYSTEM,
        after_s: float = 1.0,
        cause: int | None = None,
    ) -> Record:
        self.now += timedelta(seconds=after_s)
        draft = Draft(kind=kind, data=data, actor=actor, cause=cause)
        record = stamp(draft, incident_id=self.incident_id, seq=len(self.records) + 1, at=self.now)
        self.records.append(record)
        return record

    def unknown(self, kind: str = "from_the_future") -> Record:
        """Add a record of a kind that this version doesn't know."""
        self.now += timedelta(seconds=1)
        record = Record(
            incident_id=self.incident_id, seq=len(self.records) + 1, kind=kind, at=self.now
        )
        self.records.append(record)
        return record


def signal(
    region: str = "east", *, state: str = "bad", name: str = "errors", **more: object
) -> dict[str, Any]:
    series = f"{name} of shop-api in {region}"
    return {
        "series": series,
        "service": "shop-api",
        "region": region,
        "signal": name,
        "state": state,
        "severity": "critical",
        "value": 0.31,
        "expected": 0.004,
        "low": 0.0,
        "high": 0.02,
        "at": format_at(START),
        "reason": f"{series} at 0.310, expected 0.000 to 0.020, 44.0 sigma",
        **more,
    }


def reason(text: str, *, ok: bool = True, rule: str = "rule", **more: object) -> dict[str, Any]:
    return {"rule": rule, "ok": ok, "text": text, **more}


def verdict(decision: str = "allow", *reasons: dict[str, Any]) -> dict[str, Any]:
    grounds = reasons or (reason("cooldown is over", reading="41 s", threshold="30 s"),)
    return {"decision": decision, "reasons": list(grounds)}


def opened(scene: Scene, **more: object) -> Record:
    signals = [signal("east"), signal("west")]
    data = {
        "title": "shop-api: errors far above normal in both regions",
        "severity": "critical",
        "mode": "autonomous",
        "services": ["shop-api"],
        "regions": ["east", "west"],
        "started_at": format_at(START),
        "opened_by": "detection",
        "signals": signals,
        "baselines": {
            s["series"]: {
                "service": "shop-api",
                "region": s["region"],
                "signal": "errors",
                "expected": 0.004,
            }
            for s in signals
        },
        "why": "2 critical readings within 3 ticks in one group",
        **more,
    }
    return scene.add(Kind.INCIDENT_OPENED, data, after_s=3)


def checked(scene: Scene, *, purpose: str = "diagnosis") -> Record:
    at = scene.now.isoformat()
    results = {
        "recent_deployments": {
            "status": "degraded",
            "summary": "shop-api 2.4.0 was deployed 1 minute ago",
            "at": at,
            "suspect": {"service": "shop-api", "version": "2.4.0"},
        },
        "redis_health": {
            "status": "unknown",
            "summary": "no answer in 10 s",
            "at": at,
            "error": "timeout",
        },
        "http_health": {"status": "healthy", "summary": "2 of 2 answer", "at": at},
    }
    symptom = {
        "status": "present",
        "series": {
            signal("east")["series"]: {"status": "present", "value": 0.42, "text": "still there"}
        },
        "at": at,
    }
    data = {"purpose": purpose, "results": results, "symptom": symptom}
    return scene.add(Kind.CHECKS_RECORDED, data)


def diagnosed(scene: Scene) -> None:
    scene.add(
        Kind.CLASSIFIED,
        {"incident_type": "high_error_rate", "reasons": [reason("errors are bad", reading="0.31")]},
    )
    scene.add(
        Kind.HYPOTHESES_RANKED,
        {
            "hypotheses": [
                hypothesis(1, "shop-api", "release", 5.0),
                hypothesis(2, "shop-db", "database_contention", 2.5),
            ],
            "evidence": [
                {
                    "id": "E1",
                    "kind": "signal",
                    "entity": "shop-api",
                    "region": "east",
                    "class": "symptom",
                    "text": "errors at 0.31",
                    "source": "detection",
                    "at": format_at(START),
                    "value": 0.31,
                    "baseline": 0.004,
                    "change_id": None,
                },
                {
                    "id": "E2",
                    "kind": "deploy",
                    "entity": "shop-api",
                    "region": None,
                    "class": "change",
                    "text": "2.4.0 was deployed",
                    "source": "check recent_deployments",
                    "at": None,
                    "value": "2.4.0",
                    "baseline": None,
                    "change_id": "17",
                },
            ],
            "missing_context": ["check redis_health gave no reading: no answer in 10 s"],
        },
    )


def hypothesis(rank: int, entity: str, mechanism: str, score: float) -> dict[str, Any]:
    return {
        "id": f"H{rank}",
        "rank": rank,
        "entity": entity,
        "region": None,
        "mechanism": mechanism,
        "text": f"{entity} shows it",
        "confidence": "likely" if rank == 1 else "possible",
        "score": score,
        "margin": 2.5,
        "change_id": "17" if mechanism == "release" else None,
        "supports": ["E2", "E1"],
        "contradicts": [],
        "expected_but_missing": [],
        "next_check": "compare the start with the deployment",
    }


def planned(
    scene: Scene, runbook: str | None = "rollback-after-bad-deploy", **more: object
) -> Record:
    step = {
        "title": "Roll back",
        "action": "rollback_deploy",
        "target": "shop-api",
        "params": {},
        "when": [],
        "expect": [CRITERION],
        "retries": 1,
        "cooldown_s": 30.0,
        "timeout_s": 10.0,
        "impact": "low",
        "undo": None,
        "line": 20,
        "variables": {},
    }
    data = {
        "runbook": runbook,
        "title": "Roll back after a bad deploy",
        "version": "0a1b2c3d4e5f",
        "mode": "autonomous",
        "steps": [step],
        "why": "it fits the type and names a suspect",
        "reasons": [],
        "alternatives": [],
        "near_misses": [],
        **more,
    }
    return scene.add(Kind.PLAN_CHOSEN, data)


def proposed(
    scene: Scene, *, step_id: str = "S1", attempt: int = 1, actor: Actor = SYSTEM, **more: object
) -> Record:
    data = {
        "step_id": step_id,
        "attempt": attempt,
        "action": "rollback_deploy",
        "target": "shop-api",
        "params": {},
        "impact": "low",
        "criteria": [CRITERION],
        "timeout_s": 10.0,
        "undo": None,
        "cooldown_s": 30.0,
        "when": [],
        "variables": {},
        "plan_index": 0,
        "because": None,
        "hash": HASH,
        **more,
    }
    return scene.add(Kind.STEP_PROPOSED, data, actor=actor)


def intended(scene: Scene, *, step_id: str = "S1", attempt: int = 1) -> Record:
    data = {
        "step_id": step_id,
        "attempt": attempt,
        "action": "rollback_deploy",
        "target": "shop-api",
        "params": {},
        "idempotency_key": f"{scene.incident_id}/{step_id}/{attempt}",
        "fence": 1,
        "pre_image": {
            "current": "2.4.0",
            "to": "2.3.9",
            "reversible": "put the link back to 2.4.0",
        },
        "criteria": [CRITERION],
        "sustain_window_s": 6.0,
        "regions": ["east", "west"],
        "verdict": verdict(),
    }
    return scene.add(Kind.STEP_INTENDED, data)


def finished(
    scene: Scene,
    *,
    step_id: str = "S1",
    attempt: int = 1,
    outcome: str = "succeeded",
    kind: Kind = Kind.STEP_FINISHED,
    **more: object,
) -> Record:
    data = {
        "step_id": step_id,
        "outcome": outcome,
        "effect": "present" if outcome == "succeeded" else "absent",
        "action": "rollback_deploy",
        "target": "shop-api",
        "params": {},
        "attempt": attempt,
        "started_at": format_at(scene.now),
        "ended_at": format_at(scene.now + timedelta(seconds=0.5)),
        "return_code": 0,
        "error_category": None if outcome == "succeeded" else "refused",
        "summary": "the link points to 2.3.9"
        if outcome == "succeeded"
        else "the link could not be moved",
        "output": "",
        "human_override": None,
        "idempotency_key": f"{scene.incident_id}/{step_id}/{attempt}",
        "fence": 1,
        "reversible": "put the link back to 2.4.0",
        **more,
    }
    return scene.add(kind, data)


def verified(
    scene: Scene, *, step_id: str = "S1", status: str = "met", more_to_do: bool = False
) -> Record:
    ok = status == "met"
    data = {
        "status": status,
        "window_s": 6.0,
        "sentence": f"recovery: {status}",
        "reasons": [
            reason(
                f"errors in {region} held for 6 s",
                ok=ok,
                reading="0.004",
                threshold="0.0248",
                source="metrics",
                at=format_at(scene.now),
            )
            for region in ("east", "west")
        ],
        "step_id": step_id,
        "more_to_do": more_to_do,
    }
    return scene.add(Kind.VERIFICATION_RECORDED, data, after_s=8)


def held(scene: Scene, why: str = "nobody can tell whether it worked") -> None:
    scene.add(Kind.HELD, {"why": why})
    scene.add(Kind.ESCALATED, {"level": 1, "why": why, "since": scene.now.isoformat()})


def paged(scene: Scene, *, level: int = 1, delivered: bool = True) -> Record:
    scene.add(
        Kind.TAKEOVER_PACKET_ISSUED, {"digest": "ab" * 32, "markdown": "# packet", "level": level}
    )
    detail = "200" if delivered else "connection refused"
    data = {
        "to": {"id": "dana", "name": "Dana Okoye"},
        "level": level,
        "why": "first",
        "delivered": delivered,
        "deliveries": [{"channel": "webhook", "delivered": delivered, "detail": detail}],
    }
    return scene.add(Kind.PAGED, data)


def asked(scene: Scene, step_id: str) -> Record:
    expires_at = (scene.now + timedelta(minutes=15)).isoformat()
    data = {
        "step_id": step_id,
        "hash": HASH,
        "expires_at": expires_at,
        "why": "it needs a person",
        "verdict": verdict("needs_approval"),
    }
    return scene.add(Kind.APPROVAL_REQUESTED, data)


def up_to_plan(scene: Scene) -> None:
    opened(scene)
    checked(scene)
    diagnosed(scene)
    planned(scene)
