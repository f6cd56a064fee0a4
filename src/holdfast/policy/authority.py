"""The rules about people: the mode, who directed, and whether an approval covers this step.

Each mode is one row of a table. An approval counts when a person gave it, for exactly this step,
and it has neither expired nor been used.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from holdfast.kernel import format_at
from holdfast.policy.modes import Mode, effective_mode
from holdfast.policy.question import Approval, GuardInput, Origin
from holdfast.policy.rules import Decision, Ground, ground
from holdfast.policy.scopes import Scope, TokenKind, authorize

OBSERVE_RULE = "observe"


def mode(question: GuardInput) -> Iterator[Ground]:
    """Say what the effective mode makes of this step, and who set it."""
    found = effective_mode(question.modes)
    for reason in found.reasons:
        yield Ground(decision=Decision.ALLOW, reason=replace(reason, ok=True))
    said = _BY_MODE[found.mode](question)
    if said.decision is not Decision.ALLOW and found.lowered:
        text = f"{said.reason.text}; {found.lowered_by()}"
        said = replace(said, reason=replace(said.reason, text=text))
    yield said


def _observe(question: GuardInput) -> Ground:
    text = f"observe: nothing is performed; {question.action} on {question.target} is only shown"
    return ground(Decision.REFUSE, OBSERVE_RULE, text, reading="observe", threshold="guided")


def _guided(question: GuardInput) -> Ground:
    if question.origin is Origin.DIRECTIVE:
        return ground(Decision.ALLOW, "mode", "guided: a directive starts the step")
    text = "guided: only a person's directive starts a step, and a runbook chose this one"
    return ground(Decision.REFUSE, "mode", text, reading=question.origin.value)


def _supervised(question: GuardInput) -> Ground:
    if question.origin is Origin.DIRECTIVE:
        return ground(Decision.ALLOW, "mode", "supervised: a person chose this step themselves")
    text = "supervised: a person approves each step"
    return ground(Decision.NEEDS_APPROVAL, "mode", text)


def _autonomous(question: GuardInput) -> Ground:
    return ground(Decision.ALLOW, "mode", f"autonomous: the policy starts {question.action}")


_BY_MODE: Mapping[Mode, Callable[[GuardInput], Ground]] = {
    Mode.OBSERVE: _observe,
    Mode.GUIDED: _guided,
    Mode.SUPERVISED: _supervised,
    Mode.AUTONOMOUS: _autonomous,
}


def directive(question: GuardInput) -> Iterator[Ground]:
    """A directive comes from a person whose token may direct."""
    if question.origin is not Origin.DIRECTIVE:
        return
    who = question.principal
    if who is None:
        text = "nobody is named who directed this step, so it is nobody's to start"
        yield ground(Decision.REFUSE, "authority", text)
        return
    reason = authorize(who.kind, who.scopes, Scope.DIRECT)
    decision = Decision.ALLOW if reason.ok else Decision.REFUSE
    named = replace(reason, text=f"{who.id} directed it: {reason.text}", source=who.id)
    yield Ground(decision=decision, reason=named)


def approval_problem(question: GuardInput) -> str | None:
    """Say why the approval at hand does not cover this step; None if it does."""
    approval = question.approval
    if approval is None:
        return "nobody has approved it yet"
    for fails, words in _APPROVAL_TESTS:
        if fails(question, approval):
            return words(approval)
    return None


def _same_person(question: GuardInput, approval: Approval) -> bool:
    director = question.principal.id if question.principal else None
    asked = question.limits.four_eyes or bool(question.charter and question.charter.four_eyes)
    return asked and director is not None and _name(approval.by) == _name(director)


def _name(person: str) -> str:
    """Two tokens of one person carry one name, however it is written."""
    return " ".join(person.split()).casefold()


_ApprovalTest = tuple[Callable[[GuardInput, Approval], bool], Callable[[Approval], str]]
_APPROVAL_TESTS: tuple[_ApprovalTest, ...] = (
    (
        lambda _, a: a.kind is not TokenKind.PERSON,
        lambda a: f"{a.by} is no person, so that approval does not count",
    ),
    (
        lambda q, a: a.step_hash != q.step_hash,
        lambda a: f"the approval of {a.by} is for another step ({a.step_hash[-6:]})",
    ),
    (
        lambda _, a: a.used,
        lambda a: f"the approval of {a.by} was used already",
    ),
    (
        lambda q, a: q.now >= a.expires_at,
        lambda a: f"the approval of {a.by} expired at {format_at(a.expires_at)}",
    ),
    (
        lambda q, a: a.granted_at > q.now,
        lambda a: f"the approval of {a.by} is from the future ({format_at(a.granted_at)})",
    ),
    (
        _same_person,
        lambda a: f"{a.by} directed this step and can't approve it too (four eyes)",
    ),
)
