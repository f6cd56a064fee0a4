"""What the records of an incident say, read anew for the oracle: no fold of Holdfast is asked.

Each question goes through all records again. That is slow, and it is simple enough to be believed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.incident import Record

_ENDED = {"resolved", "dismissed", "merged", "closed"}
_OUTCOMES = {"step_finished", "step_reconciled", "step_settled"}
_HANDED = {"takeover_accepted", "takeover_refused", "takeover_recalled", "charter_set"}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The records up to a moment, none of a later one."""

    records: Sequence[Record]

    def of(self, *kinds: str) -> list[Record]:
        return [record for record in self.records if record.kind in kinds]

    def last(self, *kinds: str) -> Record | None:
        found = self.of(*kinds)
        return found[-1] if found else None

    def at(self, seq: int | None) -> Record | None:
        return next((record for record in self.records if record.seq == seq), None)

    # --- the incident

    def held(self) -> bool:
        last = self.last("held", "resumed")
        return last is not None and last.kind == "held"

    def ended(self) -> bool:
        last = self.last(*_ENDED, "reopened")
        return last is not None and last.kind in _ENDED

    def reopened_seq(self) -> int:
        last = self.last("reopened")
        return last.seq if last else 0

    def runbook(self) -> Mapping[str, Any] | None:
        """Give the plan in force, if a runbook is one."""
        chosen = [r for r in self.of("plan_chosen") if r.data["runbook"] is not None]
        back = self._back_to_system()
        if not chosen or chosen[-1].seq < back or chosen[-1].data["runbook"] == "directed":
            return None
        return {**chosen[-1].data, "seq": chosen[-1].seq}

    def charter(self) -> Mapping[str, Any] | None:
        """Give the charter in force, with whoever accepted the incident since as commander."""
        last = self.last("charter_set")
        if last is None or last.seq < self._back_to_system():
            return None
        taken = [r for r in self._accepted_by_people() if r.seq > last.seq]
        commander = taken[-1].actor.id if taken else last.data["commander"]
        return {**last.data, "commander": commander, "seq": last.seq}

    def handed_over(self) -> bool:
        """Say whether somebody was handed the incident and has not answered."""
        given = [r for r in self.of("takeover_packet_issued") if r.data.get("to")]
        answered = self.last(*_HANDED)
        return bool(given) and (answered is None or answered.seq < given[-1].seq)

    def _accepted_by_people(self) -> list[Record]:
        return [r for r in self.of("takeover_accepted") if r.actor.kind.value == "human"]

    def _back_to_system(self) -> int:
        given = [r.seq for r in self.of("takeover_accepted") if r.actor.kind.value == "system"]
        return max(given, default=0)

    # --- steps

    def proposal(self, step_id: str) -> Record:
        return next(r for r in reversed(self.of("step_proposed")) if r.data["step_id"] == step_id)

    def intents(self) -> list[Record]:
        return self.of("step_intended")

    def outcome(self, intent: Record) -> Record | None:
        """Give what ended an attempt; None while nobody knows."""
        step_id = intent.data["step_id"]
        after = [r for r in self.of(*_OUTCOMES) if r.seq > intent.seq]
        return next((r for r in after if r.data["step_id"] == step_id), None)

    def unsettled(self) -> list[Record]:
        return [intent for intent in self.intents() if self.outcome(intent) is None]

    def not_proven(self) -> Iterator[str]:
        """Name the targets of steps that were not verified, or whose outcome nobody knows."""
        for intent in self.intents():
            if intent.seq > self.reopened_seq() and not self._proven(intent):
                yield str(intent.data["target"])

    def _proven(self, intent: Record) -> bool:
        outcome = self.outcome(intent)
        if outcome is None:
            return False
        failed = outcome.data.get("outcome") == "failed" or outcome.data.get("happened") is False
        step_id = intent.data["step_id"]
        verdicts = [
            r.data["status"]
            for r in self.of("verification_recorded")
            if r.data["step_id"] == step_id and r.seq > intent.seq
        ]
        return failed or verdicts[-1:] == ["met"] or self._undone(step_id)

    def _undone(self, step_id: str) -> bool:
        for proposed in self.of("step_proposed"):
            if proposed.data.get("undo_of") != step_id:
                continue
            name = proposed.data["step_id"]
            ends = [r for r in self.of(*_OUTCOMES) if r.data["step_id"] == name]
            if any(r.data.get("outcome") == "succeeded" or r.data.get("happened") for r in ends):
                return True
        return False

    def approval(self, step_id: str) -> Record | None:
        """Give the approval of a step as it was proposed last."""
        since = self.proposal(step_id).seq
        given = [
            r for r in self.of("approval_granted") if r.data["step_id"] == step_id and r.seq > since
        ]
        return given[-1] if given else None

    def approval_ends_at(self, step_id: str) -> str:
        asked = [r for r in self.of("approval_requested") if r.data["step_id"] == step_id]
        return str(asked[-1].data["expires_at"])

    def overrides_used(self) -> set[str]:
        return {name for r in self.intents() for name in r.data.get("override_ids", ())}

    def by_hand(self, target: str) -> list[datetime]:
        """List when people did something to a target themselves."""
        return [
            datetime.fromisoformat(r.data["done_at"]) if r.data.get("done_at") else r.at
            for r in self.of("manual_action_reported")
            if same_place(r.data["target"], target)
        ]

    def done_by_hand(self, target: str) -> list[tuple[str, datetime, int | None]]:
        """List what people did to a target themselves: action, moment, how many instances."""
        reports = [
            r for r in self.of("manual_action_reported") if same_place(r.data["target"], target)
        ]
        return [
            (r.data["action"], at, (r.data.get("params") or {}).get("by"))
            for r, at in zip(reports, self.by_hand(target), strict=True)
        ]


def same_place(one: str, other: str) -> bool:
    """Say whether two targets share a place: a service stands for all its regions."""
    (name, _, region), (known, _, where) = one.partition("@"), other.partition("@")
    return name == known and (not region or not where or region == where)
