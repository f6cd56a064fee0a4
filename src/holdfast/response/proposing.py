"""A step that somebody wants, and the record that proposes it.

A proposal is written down whole, with the hash that an approval of it is bound to; what is judged
and performed later is what stands there and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.incident import Draft, Kind, State
from holdfast.kernel.actor import SYSTEM, Actor
from holdfast.policy import step_hash
from holdfast.response.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """A step that somebody wants: a runbook's, rendered, or a person's directive.

    `undo_of` names the step that this one undoes; `seen` is the digest of what the target was read
    as when it was decided upon.
    """

    step_id: str
    action: str
    target: str
    params: Mapping[str, Any]
    criteria: tuple[str, ...]
    timeout_s: float
    cooldown_s: float
    attempt: int = 1
    impact: str = "low"
    undo: str | None = None
    when: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    plan_index: int | None = None
    actor: Actor = SYSTEM
    because: str | None = None
    cause: int | None = None
    undo_of: str | None = None
    seen: str | None = None


def next_step_id(state: State) -> str:
    """Number steps in the order in which they were proposed."""
    return f"S{len({step.step_id for step in state.steps}) + 1}"


def proposal(state: State, world: World, spec: StepSpec) -> Draft:
    """Write down a step with the hash that an approval is bound to."""
    facts = world.actions.get(spec.action)
    raised = facts is not None and facts.least_impact == "high"
    planned = state.plan is not None and spec.plan_index is not None
    cause = spec.cause if spec.cause is not None else (state.plan.seq if state.plan else None)
    impact = "high" if raised else spec.impact
    digest = step_hash(
        key=f"{state.incident_id}/{spec.step_id}/{spec.attempt}",
        action=spec.action,
        target=spec.target,
        params=spec.params,
        criteria=spec.criteria,
        when=spec.when,
        timeout_s=spec.timeout_s,
        impact=impact,
        runbook_version=state.plan.version if state.plan and planned else None,
        evidence_ids=[piece["id"] for piece in state.evidence],
        undo_of=spec.undo_of,
        seen=spec.seen,
    )
    data = {
        "step_id": spec.step_id,
        "attempt": spec.attempt,
        "action": spec.action,
        "target": spec.target,
        "params": dict(spec.params),
        "impact": impact,
        "criteria": list(spec.criteria),
        "timeout_s": spec.timeout_s,
        "undo": spec.undo,
        "cooldown_s": spec.cooldown_s,
        "when": list(spec.when),
        "variables": dict(spec.variables),
        "plan_index": spec.plan_index,
        "because": spec.because,
        "hash": digest,
    }
    data |= {
        name: value
        for name, value in (("undo_of", spec.undo_of), ("seen", spec.seen))
        if value is not None
    }
    return Draft(kind=Kind.STEP_PROPOSED, actor=spec.actor, cause=cause, data=data)
