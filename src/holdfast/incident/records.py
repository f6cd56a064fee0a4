"""What the ledger holds of an incident: records, each with a kind and its data.

A record is written once and never changed. Kinds that this version doesn't know
(written by a newer one) are kept and shown, never dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from holdfast.kernel.actor import SYSTEM, Actor
from holdfast.kernel.clock import format_at, parse_at


class Kind(StrEnum):
    """Every kind of record that this version writes."""

    INCIDENT_OPENED = "incident_opened"
    SIGNAL_ATTACHED = "signal_attached"
    CHECKS_RECORDED = "checks_recorded"
    CLASSIFIED = "classified"
    HYPOTHESES_RANKED = "hypotheses_ranked"
    PLAN_CHOSEN = "plan_chosen"
    CHARTER_SET = "charter_set"
    STEP_SUGGESTED = "step_suggested"
    DIRECTIVE_RECEIVED = "directive_received"
    STEP_PROPOSED = "step_proposed"
    STEP_BLOCKED = "step_blocked"
    STEP_SKIPPED = "step_skipped"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_GRANTED = "approval_granted"
    APPROVAL_DENIED = "approval_denied"
    APPROVAL_EXPIRED = "approval_expired"
    STEP_INTENDED = "step_intended"
    STEP_FINISHED = "step_finished"
    STEP_IN_DOUBT = "step_in_doubt"
    STEP_REPEATED = "step_repeated"
    STEP_RECONCILED = "step_reconciled"
    STEP_SETTLED = "step_settled"
    LATE_REPORT = "late_report"
    MANUAL_ACTION_REPORTED = "manual_action_reported"
    CONTROL_PLANES_OBSERVED = "control_planes_observed"
    VERIFICATION_RECORDED = "verification_recorded"
    HELD = "held"
    RESUMED = "resumed"
    TAKEOVER_PACKET_ISSUED = "takeover_packet_issued"
    TAKEOVER_ACCEPTED = "takeover_accepted"
    TAKEOVER_REFUSED = "takeover_refused"
    TAKEOVER_RECALLED = "takeover_recalled"
    ESCALATED = "escalated"
    PAGED = "paged"
    ACKNOWLEDGED = "acknowledged"
    NOTE = "note"
    LABELLED = "labelled"
    MERGED = "merged"
    DISMISSED = "dismissed"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A record that wants to be written; the engine adds time, number and chain."""

    kind: Kind
    data: Mapping[str, Any]
    actor: Actor = SYSTEM
    cause: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One written record. `kind` is text, as a newer version's kinds are kept too."""

    incident_id: str
    seq: int
    kind: str
    at: datetime
    actor: Actor = SYSTEM
    cause: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Give the body that is hashed and stored."""
        return {
            "incident_id": self.incident_id,
            "seq": self.seq,
            "kind": self.kind,
            "at": format_at(self.at),
            "actor": self.actor.as_data(),
            "cause": self.cause,
            "data": dict(self.data),
        }

    @staticmethod
    def from_body(body: Mapping[str, Any]) -> "Record":
        """Read a stored body back."""
        return Record(
            incident_id=body["incident_id"],
            seq=body["seq"],
            kind=body["kind"],
            at=parse_at(body["at"]),
            actor=Actor.from_data(body["actor"]),
            cause=body["cause"],
            data=body["data"],
        )


def stamp(draft: Draft, *, incident_id: str, seq: int, at: datetime) -> Record:
    """Make the record that this draft becomes as number `seq` of its incident."""
    return Record(
        incident_id=incident_id,
        seq=seq,
        kind=draft.kind.value,
        at=at,
        actor=draft.actor,
        cause=draft.cause,
        data=draft.data,
    )
