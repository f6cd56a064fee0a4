"""The one place that says whether a step may run now.

All rules are asked, always, so that a refusal gives every reason at once and nobody has to find
them one by one. One refusing ground refuses; an approval answers what needs one and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.kernel import Reason, format_at
from holdfast.policy.action_limits import instances_added, restarts, rollback_age
from holdfast.policy.authority import OBSERVE_RULE, approval_problem, directive, mode
from holdfast.policy.blast_radius import pool_share, rates, regions
from holdfast.policy.change_freeze import change_freeze
from holdfast.policy.charter import boundary, charter, handoff
from holdfast.policy.maintenance import maintenance
from holdfast.policy.modes import Mode, effective_mode
from holdfast.policy.overrides import Override, override_for
from holdfast.policy.question import GuardInput
from holdfast.policy.rules import (
    Decision,
    Ground,
    Rule,
    always_approved,
    cooldown,
    criteria,
    freeze,
    hold,
    impact,
    live,
    preconditions,
    reservation,
    retries,
)

RULES: tuple[Rule, ...] = (
    freeze,
    maintenance,
    change_freeze,
    hold,
    handoff,
    reservation,
    mode,
    directive,
    charter,
    boundary,
    live,
    criteria,
    preconditions,
    retries,
    cooldown,
    restarts,
    instances_added,
    rollback_age,
    pool_share,
    regions,
    rates,
    always_approved,
    impact,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer with all its reasons. `needs` are those that wait for an approval.

    `would_have`: only the mode `observe` stood in the way. `overrides` are used up by the intent
    that follows. `lowered_by`: which people set the mode as low as it is, and why.
    """

    decision: Decision
    reasons: tuple[Reason, ...]
    refusals: tuple[Reason, ...]
    needs: tuple[Reason, ...]
    mode: Mode
    would_have: bool = False
    overrides: tuple[Override, ...] = ()
    lowered_by: str = ""

    @property
    def allowed(self) -> bool:
        return self.decision is Decision.ALLOW

    def sentence(self) -> str:
        """Say it in one line, with every reason that stands in the way."""
        if self.would_have:
            also = f", after an approval: {_joined(self.needs)}" if self.needs else ""
            return f"observe: would have been performed{also}"
        if self.decision is Decision.REFUSE:
            return f"refused: {_joined(self.refusals)}"
        if self.decision is Decision.NEEDS_APPROVAL:
            return f"waits for an approval: {_joined(self.needs)}"
        return f"allowed in mode {self.mode.value}: all {len(self.reasons)} grounds speak for it"

    def as_data(self) -> dict[str, Any]:
        return {
            "decision": self.decision.value,
            "mode": self.mode.value,
            "would_have": self.would_have,
            "sentence": self.sentence(),
            "reasons": [reason.as_data() for reason in self.reasons],
        }


def evaluate(question: GuardInput) -> Verdict:
    """Ask every rule, then weigh what they said."""
    asked = [found for rule in RULES for found in rule(question)]
    grounds, overrides = _raised(question, asked)
    refusals = [found for found in grounds if found.decision is Decision.REFUSE]
    grounds, needs = _answer_needs(question, grounds)
    found = effective_mode(question.modes)
    return Verdict(
        decision=_weigh(refusals, needs),
        reasons=tuple(each.reason for each in grounds),
        refusals=tuple(each.reason for each in refusals),
        needs=tuple(each.reason for each in needs),
        mode=found.mode,
        would_have=[each.reason.rule for each in refusals] == [OBSERVE_RULE],
        overrides=overrides,
        lowered_by=found.lowered_by(),
    )


def _raised(
    question: GuardInput, grounds: Sequence[Ground]
) -> tuple[list[Ground], tuple[Override, ...]]:
    """Let an override answer the limit that it names; nothing else asks for one."""
    after: list[Ground] = []
    used: list[Override] = []
    for found in grounds:
        override = None
        if found.decision is Decision.REFUSE and found.limit is not None:
            override = override_for(
                found.limit, question.overrides, target=question.target, now=question.now
            )
        if override is None:
            after.append(found)
            continue
        used.append(override)
        text = f"{found.reason.text} (raised once)"
        raised = replace(found.reason, ok=True, text=text)
        said = Reason(rule="override", ok=True, text=override.sentence(), source=override.by)
        after += [Ground(decision=Decision.ALLOW, reason=each) for each in (raised, said)]
    return after, tuple(used)


def _weigh(refusals: Sequence[Ground], needs: Sequence[Ground]) -> Decision:
    if refusals:
        return Decision.REFUSE
    return Decision.NEEDS_APPROVAL if needs else Decision.ALLOW


def _answer_needs(
    question: GuardInput, grounds: Sequence[Ground]
) -> tuple[list[Ground], list[Ground]]:
    """Let a valid approval answer what waits for one; else say what is wrong with it."""
    waiting = [found for found in grounds if found.decision is Decision.NEEDS_APPROVAL]
    if not waiting:
        return list(grounds), []
    problem = approval_problem(question)
    said = Ground(
        decision=Decision.NEEDS_APPROVAL if problem else Decision.ALLOW,
        reason=_approval_reason(question, problem),
    )
    if problem:
        return [*grounds, said], [*waiting, said]
    settled = {id(found): _settled(found) for found in waiting}
    return [*(settled.get(id(found), found) for found in grounds), said], []


def _settled(found: Ground) -> Ground:
    reason = replace(found.reason, ok=True, text=f"{found.reason.text} (one did)")
    return Ground(decision=Decision.ALLOW, reason=reason)


def _approval_reason(question: GuardInput, problem: str | None) -> Reason:
    approval = question.approval
    if problem or approval is None:
        return Reason(
            rule="approval",
            ok=False,
            text=problem or "",
            threshold=f"a hash that ends in {question.step_hash[-6:]}",
        )
    return Reason(
        rule="approval",
        ok=True,
        text=f"{approval.by} approved exactly this step",
        reading=approval.step_hash[-6:],
        threshold=question.step_hash[-6:],
        source=approval.by,
        at=format_at(approval.granted_at),
    )


def _joined(reasons: Sequence[Reason]) -> str:
    return "; ".join(reason.sentence() for reason in reasons)
