"""Incidents of a realistic size, and one step of the protocol, for the ledger's benchmarks.

The records have the keys and about the bytes of what the engine writes; every write goes through
the engine's own Journal. An incident follows a runbook of four steps, each on a target of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from holdfast.engine.case import Case
from holdfast.engine.journal import Journal
from holdfast.incident import Draft, Kind, Record, State
from holdfast.kernel.clock import SystemClock, format_at
from holdfast.response.store import Claim, Ledger, LimitCheck, Reservation, Seen

STEPS = 4
LEASE_S = 600.0
ACTION = "restart_service"
CRITERION = 'errors{service="shop-api"} <= baseline * 1.2 + 0.02 for 60s in each region'
CLOCK = SystemClock()
AT = format_at(CLOCK.now())


class Silent:
    """A watcher that shows nothing."""

    def on_record(self, record: Record) -> None: ...

    def on_trouble(self, text: str) -> None:
        raise SystemExit(text)


def journal_of(ledger: Ledger) -> Journal:
    return Journal(ledger=ledger, clock=CLOCK, watcher=Silent(), lease_s=LEASE_S)


def target_of(incident_id: str) -> str:
    return f"shop-{incident_id}@east"


def step_id(index: int) -> str:
    return f"S{index + 1}"


def _signal(region: str) -> dict[str, Any]:
    series = f"errors of shop-api in {region}"
    return {
        "series": series,
        "service": "shop-api",
        "region": region,
        "signal": "errors",
        "state": "bad",
        "severity": "critical",
        "value": 0.31,
        "expected": 0.004,
        "low": 0.0,
        "high": 0.02,
        "at": AT,
        "reason": f"{series} at 0.310, expected 0.000 to 0.020, 44.0 sigma",
    }


def _opened() -> Draft:
    signals = [_signal("east"), _signal("west")]
    baselines = {
        signal["series"]: {"service": "shop-api", "region": signal["region"], "expected": 0.004}
        for signal in signals
    }
    data = {
        "title": "shop-api: errors far above normal in both regions",
        "severity": "critical",
        "mode": "autonomous",
        "services": ["shop-api"],
        "regions": ["east", "west"],
        "started_at": AT,
        "opened_by": "detection",
        "signals": signals,
        "baselines": baselines,
        "why": "2 critical readings within 3 ticks in one group",
    }
    return Draft(kind=Kind.INCIDENT_OPENED, data=data)


def _checked() -> Draft:
    results = {
        name: {"status": "healthy", "summary": f"{name} found nothing unusual", "at": AT}
        for name in ("recent_deployments", "redis_health", "http_health", "service_status")
    }
    symptom = {"status": "present", "series": {}, "at": AT}
    data = {"purpose": "diagnosis", "results": results, "symptom": symptom}
    return Draft(kind=Kind.CHECKS_RECORDED, data=data)


def _ranked() -> Draft:
    evidence = [
        {
            "id": f"E{number}",
            "kind": "signal",
            "entity": "shop-api",
            "region": "east",
            "class": "symptom",
            "text": "errors at 0.31",
            "source": "detection",
            "at": AT,
            "value": 0.31,
            "baseline": 0.004,
        }
        for number in (1, 2)
    ]
    hypotheses = [
        {
            "id": "H1",
            "rank": 1,
            "entity": "shop-api",
            "region": None,
            "mechanism": "process_down",
            "text": "shop-api shows it",
            "confidence": "likely",
            "score": 5.0,
            "supports": ["E1", "E2"],
            "contradicts": [],
            "next_check": "look at the process",
        }
    ]
    data = {"hypotheses": hypotheses, "evidence": evidence, "missing_context": []}
    return Draft(kind=Kind.HYPOTHESES_RANKED, data=data)


def _planned(target: str) -> Draft:
    step = {"title": "Restart", "action": ACTION, "target": target, "params": {}, "when": []}
    data = {
        "runbook": "restart-after-crash",
        "title": "Restart after a crash",
        "version": "0a1b2c3d4e5f",
        "mode": "autonomous",
        "steps": [{**step, "expect": [CRITERION], "line": 20 + n} for n in range(STEPS)],
        "why": "it fits the type and names a suspect",
        "near_misses": [],
    }
    return Draft(kind=Kind.PLAN_CHOSEN, data=data)


def opening(incident_id: str) -> list[Draft]:
    """Give what is written up to the plan: five records, about 3 kB."""
    reason = {"rule": "errors", "ok": True, "text": "errors are bad", "reading": "0.31"}
    classified = {"incident_type": "high_error_rate", "reasons": [reason]}
    return [
        _opened(),
        _checked(),
        Draft(kind=Kind.CLASSIFIED, data=classified),
        _ranked(),
        _planned(target_of(incident_id)),
    ]


def proposal(incident_id: str, index: int) -> Draft:
    data = {
        **_step_facts(incident_id, index),
        "impact": "low",
        "criteria": [CRITERION],
        "timeout_s": 10.0,
        "undo": None,
        "cooldown_s": 0.0,
        "when": [],
        "variables": {},
        "plan_index": index,
        "because": None,
        "hash": "5f" * 32,
    }
    return Draft(kind=Kind.STEP_PROPOSED, data=data)


def _step_facts(incident_id: str, index: int) -> dict[str, Any]:
    return {
        "step_id": step_id(index),
        "attempt": 1,
        "action": ACTION,
        "target": target_of(incident_id),
        "params": {},
    }


def key_of(incident_id: str, index: int) -> str:
    return f"{incident_id}/{step_id(index)}/1"


def intent(claim: Claim, index: int) -> Draft:
    reason = {"rule": "cooldown", "ok": True, "text": "cooldown is over", "reading": "41 s"}
    data = {
        **_step_facts(claim.incident_id, index),
        "idempotency_key": key_of(claim.incident_id, index),
        "fence": claim.fence,
        "pre_image": {"running": False, "starts": 3, "reversible": None},
        "criteria": [CRITERION],
        "sustain_window_s": 60.0,
        "regions": ["east", "west"],
        "verdict": {"decision": "allow", "reasons": [reason]},
    }
    return Draft(kind=Kind.STEP_INTENDED, data=data)


def outcome(claim: Claim, index: int, returned: int) -> Draft:
    now = CLOCK.now()
    data = {
        **_step_facts(claim.incident_id, index),
        "outcome": "succeeded",
        "effect": "present",
        "started_at": format_at(now - timedelta(seconds=0.5)),
        "ended_at": format_at(now),
        "return_code": 0,
        "error_category": None,
        "summary": f"it runs again, {returned}",
        "output": "",
        "human_override": None,
        "idempotency_key": key_of(claim.incident_id, index),
        "fence": claim.fence,
        "reversible": None,
    }
    return Draft(kind=Kind.STEP_FINISHED, data=data)


def verdict(index: int) -> Draft:
    reasons: Sequence[Mapping[str, Any]] = [
        {
            "rule": "errors",
            "ok": True,
            "text": f"errors in {region} held for 60 s",
            "reading": "0.004",
            "threshold": "0.0248",
            "source": "metrics",
            "at": AT,
        }
        for region in ("east", "west")
    ]
    data = {
        "status": "met",
        "window_s": 60.0,
        "sentence": "recovery: met",
        "reasons": reasons,
        "step_id": step_id(index),
        "more_to_do": True,
    }
    return Draft(kind=Kind.VERIFICATION_RECORDED, data=data)


def reservation(incident_id: str, index: int) -> Reservation:
    return Reservation(
        key=key_of(incident_id, index),
        step_id=step_id(index),
        attempt=1,
        action=ACTION,
        target=target_of(incident_id),
    )


def seen(incident_id: str, system_seq: int) -> Seen:
    limit = LimitCheck(action=ACTION, target=target_of(incident_id), window_s=600.0, most=100)
    return Seen(system_seq=system_seq, inbox_n=0, limits=(limit,), cooldown_s=0.0)


def opened(ledger: Ledger, journal: Journal, *, proposed: int) -> Case:
    """Open an incident and write it up to its plan, with this many steps already proposed."""
    claim = ledger.open_incident("bench", LEASE_S)
    case = Case(claim=claim, state=State(incident_id=claim.incident_id))
    proposals = [proposal(claim.incident_id, index) for index in range(proposed)]
    journal.write(case, [*opening(claim.incident_id), *proposals])
    return case


@dataclass(slots=True, kw_only=True)
class Stepper:
    """Takes the steps of incidents, one after another; `system_seq` is read once.

    With `whole`, a step is what the engine writes today: proposal, intent, outcome and verdict in
    four commits. Otherwise the proposals stand, and the verdict shares the next intent's commit.
    """

    ledger: Ledger
    journal: Journal
    whole: bool
    system_seq: int

    def open(self) -> Case:
        return opened(self.ledger, self.journal, proposed=0 if self.whole else STEPS)

    def take(self, case: Case, index: int) -> None:
        """Take step number `index`, whose action does nothing but count."""
        incident_id, write = case.claim.incident_id, self.journal.write
        before: list[Draft] = []
        if self.whole:
            write(case, [proposal(incident_id, index)])
        elif index:
            before = [verdict(index - 1)]
        write(
            case,
            [*before, intent(case.claim, index)],
            reserve=reservation(incident_id, index),
            seen=seen(incident_id, self.system_seq),
        )
        returned = index + 1
        write(
            case,
            [outcome(case.claim, index, returned)],
            settles=[key_of(incident_id, index)],
        )
        if self.whole:
            write(case, [verdict(index)])
