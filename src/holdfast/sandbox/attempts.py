"""What the ledger says was tried: each intended attempt, what became of it, and who had said yes.

Rule: pure, and read from exported records alone, as anybody could.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.effects import (
    CACHE_CLEARED,
    DB_PROMOTED,
    FLAG_CHANGED,
    INSTANCE_STARTED,
    POOL_DRAINED,
    POOL_READY,
    PROCESS_STARTED,
    QUEUE_PARKED,
    RELEASE_SWITCHED,
    TEMP_CLEARED,
)

# Which effect at a target an action shows as. Clearing a service's temp files is told apart below.
EFFECT_OF: Mapping[str, str] = {
    "rollback_deploy": RELEASE_SWITCHED,
    "restart_service": PROCESS_STARTED,
    "scale_up": INSTANCE_STARTED,
    "clear_cache": CACHE_CLEARED,
    "drain_queue": QUEUE_PARKED,
    "failover_db": DB_PROMOTED,
    "disable_flag": FLAG_CHANGED,
    "drain_pool": POOL_DRAINED,
    "undrain_pool": POOL_READY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One intended attempt of a step. `effect` as recorded: present, absent, or unknown.

    `by_person`: somebody approved or directed it. `count`: how many effects it stands for.
    """

    step_id: str
    attempt: int
    action: str
    target: str
    outcome: str = "in_doubt"
    effect: str = "unknown"
    by_person: bool = False
    count: int = 1

    @property
    def performed(self) -> bool:
        return self.outcome != "in_doubt" and self.effect != "absent"

    @property
    def service(self) -> str:
        return self.target.partition("@")[0]

    @property
    def region(self) -> str | None:
        return self.target.partition("@")[2] or None

    def as_data(self) -> dict[str, Any]:
        return {
            "step_id": self.step_id,
            "attempt": self.attempt,
            "action": self.action,
            "target": self.target,
            "outcome": self.outcome,
            "effect": self.effect,
            "by_person": self.by_person,
        }


def attempts(records: Sequence[Mapping[str, Any]]) -> tuple[Attempt, ...]:
    """List the intended attempts in the order of their intents, each with what became of it."""
    found: dict[tuple[str, int], Attempt] = {}
    latest: dict[str, int] = {}
    said_yes = set(_said_yes(records))
    for record in records:
        data = record["data"]
        match record["kind"]:
            case "step_intended":
                latest[data["step_id"]] = data["attempt"]
                by_person = data["step_id"] in said_yes
                found[data["step_id"], data["attempt"]] = _intended(data, by_person=by_person)
            case "step_finished" | "step_reconciled" | "step_settled":
                key = (data["step_id"], data.get("attempt") or latest.get(data["step_id"], 1))
                if key in found:
                    found[key] = _ended(found[key], data)
            case _:
                continue
    return tuple(found.values())


def _said_yes(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the steps that a person approved, or proposed by directing it."""
    for record in records:
        directed = record["kind"] == "step_proposed" and record["data"].get("because")
        if directed or record["kind"] == "approval_granted":
            yield record["data"]["step_id"]


def _intended(data: Mapping[str, Any], *, by_person: bool) -> Attempt:
    wanted = (data.get("params") or {}).get("by", 1) if data["action"] == "scale_up" else 1
    return Attempt(
        step_id=data["step_id"],
        attempt=data["attempt"],
        action=data["action"],
        target=data["target"],
        by_person=by_person,
        count=int(wanted),
    )


def _ended(attempt: Attempt, data: Mapping[str, Any]) -> Attempt:
    if "happened" in data:
        outcome, effect = ("succeeded", "present") if data["happened"] else ("failed", "absent")
    else:
        outcome = data["outcome"]
        effect = data.get("effect") or ("present" if outcome == "succeeded" else "unknown")
    return replace(attempt, outcome=outcome, effect=effect)


def effect_of(attempt: Attempt, shape: Blueprint) -> tuple[str, str] | None:
    """Name what an observer must see of an attempt: (kind, target), or None for nothing."""
    kind = EFFECT_OF.get(attempt.action)
    if kind is None:
        return None
    if attempt.action == "clear_cache" and attempt.service == shape.printer:
        kind = TEMP_CLEARED
    return kind, attempt.target
