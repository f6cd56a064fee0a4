"""An incident as it stands: the fold over its records.

Nothing else holds an account of an incident. Whatever a surface shows, and
whatever decide() looks at, is derived from this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.incident.lifecycle import ENDED, Phase, StepStatus

__all__ = ["TAKEOVER", "Plan", "State", "Step", "changed", "numbered"]

# What an escalation asks for that only a new commander answers.
TAKEOVER = "takeover"

if TYPE_CHECKING:
    # The same promise, and the checker knows every field of it.
    from dataclasses import replace as changed
else:
    Noun = TypeVar("Noun")

    def changed(noun: Noun, /, **changes: Any) -> Noun:  # noqa: ANN401 - fields of any type
        """Do what `dataclasses.replace` does, without running `__init__` over 45 fields.

        Every record that is folded makes a State; this way it costs a tenth.
        """
        before = noun.__dict__
        fields = before | changes
        if len(fields) != len(before):
            unknown = ", ".join(sorted(changes.keys() - before.keys()))
            raise TypeError(f"{type(noun).__name__} has no field {unknown}")
        after = object.__new__(type(noun))
        object.__setattr__(after, "__dict__", fields)
        return after


# Without slots: `changed` copies the fields as one dict.
@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what was to be done, what became of it, and why."""

    step_id: str
    attempt: int
    action: str
    target: str
    params: Mapping[str, Any]
    status: StepStatus
    impact: str
    hash: str
    plan_index: int | None = None
    by: Mapping[str, Any] = field(default_factory=dict)
    because: str | None = None
    criteria: tuple[str, ...] = ()
    timeout_s: float = 30.0
    undo: str | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    fence: int | None = None
    pre_image: Mapping[str, Any] = field(default_factory=dict)
    intended_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Mapping[str, Any] = field(default_factory=dict)
    verification: Mapping[str, Any] = field(default_factory=dict)
    approval: Mapping[str, Any] | None = None
    approval_expires_at: datetime | None = None
    doubts: int = 0
    doubted_at: datetime | None = None
    repeats: int = 0
    proposed_seq: int = 0
    proposed_at: datetime | None = None
    cooldown_s: float = 0.0
    when: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    intended_seq: int | None = None
    undo_of: str | None = None
    seen: str | None = None
    planes: tuple[Mapping[str, Any], ...] = ()

    @property
    def unsettled(self) -> bool:
        """Say whether the target is still reserved by this step."""
        return self.status in {StepStatus.INTENDED, StepStatus.IN_DOUBT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The chosen runbook with its rendered steps."""

    runbook: str
    version: str
    title: str
    mode: str | None
    steps: tuple[Mapping[str, Any], ...]
    seq: int


@dataclass(frozen=True, kw_only=True)
class State:
    """Everything that the records of one incident say."""

    incident_id: str
    seq: int = 0
    phase: Phase = Phase.OPEN
    title: str = ""
    severity: str = "warning"
    mode: str = "observe"
    owner: str | None = None
    services: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    opened_at: datetime | None = None
    started_at: datetime | None = None
    resolved_at: datetime | None = None
    resumed_at: datetime | None = None
    resumed_seq: int = 0
    opened_by: str = ""
    signals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    changes: tuple[Mapping[str, Any], ...] = ()
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checks_seq: int | None = None
    symptom: Mapping[str, Any] | None = None
    looked: Mapping[str, Any] | None = None
    incident_type: str | None = None
    hypotheses: tuple[Mapping[str, Any], ...] = ()
    evidence: tuple[Mapping[str, Any], ...] = ()
    missing_context: tuple[str, ...] = ()
    diagnosis_seq: int | None = None
    plan: Plan | None = None
    plan_considered: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    held: Mapping[str, Any] | None = None
    escalated: Mapping[str, Any] | None = None
    acknowledged: Mapping[str, Any] | None = None
    paged: tuple[Mapping[str, Any], ...] = ()
    pages: int = 0
    packet: Mapping[str, Any] | None = None
    notes: tuple[Mapping[str, Any], ...] = ()
    label: Mapping[str, Any] | None = None
    overrides_used: tuple[str, ...] = ()
    ending: str | None = None
    ended_at: datetime | None = None
    reopenings: tuple[datetime, ...] = ()
    reopened_seq: int = 0
    back_since: datetime | None = None
    follows: Mapping[str, Any] | None = None
    merged_into: str | None = None
    unknown_kinds: int = 0
    charter: Mapping[str, Any] | None = None
    handoff: Mapping[str, Any] | None = None
    commander: str | None = None
    commander_seen_at: datetime | None = None
    commander_seen_seq: int = 0
    command_seq: int = 0
    directive: Mapping[str, Any] | None = None
    manual: tuple[Mapping[str, Any], ...] = ()
    suggestions: tuple[Mapping[str, Any], ...] = ()
    planes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Say whether nothing more will be done here by itself."""
        return self.phase in ENDED

    @property
    def last_step(self) -> Step | None:
        return self.steps[-1] if self.steps else None

    @property
    def began_at(self) -> datetime | None:
        """Say when the trouble began that is there now: the last time that it came back."""
        return self.back_since or self.started_at

    @property
    def reopened_at(self) -> datetime | None:
        return self.reopenings[-1] if self.reopenings else None

    @property
    def steps_of_plan(self) -> tuple[Step, ...]:
        """List the steps since the newest plan: what was done by an earlier one is not done now."""
        since = self.plan.seq if self.plan else 0
        return tuple(step for step in self.steps if step.proposed_seq >= since)

    @property
    def steps_since_reopening(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.proposed_seq >= self.reopened_seq)

    @property
    def unsettled(self) -> tuple[Step, ...]:
        """List the steps whose effect is not known yet."""
        return tuple(step for step in self.steps if step.unsettled)

    @property
    def root(self) -> Mapping[str, Any] | None:
        """Give the first hypothesis, if any."""
        return self.hypotheses[0] if self.hypotheses else None

    @property
    def asks_for_takeover(self) -> bool:
        """Say whether somebody was called to take over and that is still open.

        It is answered by whoever takes over, and by a commander who speaks again. By the numbers
        of the records: a clock that is set back must not open it anew.
        """
        asked = self.escalated or {}
        if asked.get("asks") != TAKEOVER or self.ended:
            return False
        if self.handoff is not None and asked.get("handoff") == self.handoff["seq"]:
            return True
        acted = (self.last_step.intended_seq or 0) if self.last_step else 0
        heard = (self.commander_seen_seq, self.command_seq, self.resumed_seq, acted)
        return bool(asked["seq"] > max(heard))

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Name what a person has to give before this incident goes on."""
        waits = []
        statuses = [step.status for step in self.steps]
        if StepStatus.AWAITING_APPROVAL in statuses:
            waits.append("approval")
        if self.held and StepStatus.IN_DOUBT in statuses:
            waits.append("settlement")
        if self.handoff and not self.ended:
            waits.append("acceptance")
        if (self.held or self._directed) and not waits:
            waits.append("directive")
        return tuple(waits)

    @property
    def _directed(self) -> bool:
        """Say whether a person chooses each step, and none is under way."""
        chosen = self.commander is not None and self.plan is not None and not self.plan.steps
        busy = any(step.status in {StepStatus.PROPOSED, StepStatus.INTENDED} for step in self.steps)
        return chosen and self.phase is Phase.PLANNED and not busy

    def step(self, step_id: str) -> Step | None:
        """Find a step by its id; None where there is none."""
        for step in self.steps:
            if step.step_id == step_id:
                return step
        return None


def numbered(state: State, seq: int, *, before: State) -> State:
    """Give the state its number, in place: it was made just now from `before`, and shown to nobody.

    Every record that is folded ends here; a copy of the fields for one number is half its cost.
    """
    if state is before:
        return changed(state, seq=seq)
    state.__dict__["seq"] = seq
    return state
