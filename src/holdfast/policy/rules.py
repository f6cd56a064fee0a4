"""The rules of the guard, one small function each.

A rule gives its ground whether it lets the step pass or not, so that the timeline shows what was
looked at. What can't be known is refused: a missing reading is never a good one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from holdfast.kernel import Reason, format_at, parse_at
from holdfast.policy.question import GuardInput
from holdfast.runbooks.durations import format_duration


class Decision(StrEnum):
    """What the guard answers, or what one ground alone would."""

    ALLOW = "allow"
    NEEDS_APPROVAL = "needs_approval"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One reason with its weight. `limit` names the limit that a person's override can raise."""

    decision: Decision
    reason: Reason
    limit: str | None = None


Rule = Callable[[GuardInput], Iterable[Ground]]

# A database's clock may be a little ahead of ours; more than this and the age says nothing.
CLOCK_AHEAD_S = 60.0


def ground(
    decision: Decision,
    rule: str,
    text: str,
    *,
    reading: str | None = None,
    threshold: str | None = None,
    source: str | None = None,
    at: datetime | None = None,
    limit: str | None = None,
) -> Ground:
    """Put one ground together."""
    reason = Reason(
        rule=rule,
        ok=decision is Decision.ALLOW,
        text=text,
        reading=reading,
        threshold=threshold,
        source=source,
        at=format_at(at) if at else None,
    )
    return Ground(decision=decision, reason=reason, limit=limit)


def _passes(*, ok: bool) -> Decision:
    return Decision.ALLOW if ok else Decision.REFUSE


def freeze(question: GuardInput) -> Iterator[Ground]:
    found = question.freeze
    if found is None:
        yield ground(Decision.ALLOW, "freeze", "no freeze covers this step")
        return
    text = f"{found.by} froze {found.scope}: {found.why}; thaw it before anything is performed"
    yield ground(Decision.REFUSE, "freeze", text, source=f"freeze {found.scope}", at=found.since)


def hold(question: GuardInput) -> Iterator[Ground]:
    found = question.hold
    if found is None:
        yield ground(Decision.ALLOW, "hold", "the incident is not held")
        return
    text = (
        f"the incident is held by {found.by}: {found.why}; resume it before anything is performed"
    )
    yield ground(Decision.REFUSE, "hold", text, at=found.since)


def reservation(question: GuardInput) -> Iterator[Ground]:
    """An unsettled step keeps its target, across incidents."""
    if question.unsettled:
        names = ", ".join(question.unsettled)
        text = f"{question.target} is kept by an unsettled step of {names}; settle that step first"
        yield ground(Decision.REFUSE, "reservation", text, source=names)
    if question.acting:
        names = ", ".join(question.acting)
        text = f"{names} is acting on {question.target}; wait until it is done"
        yield ground(Decision.REFUSE, "reservation", text, source=names)
    if not (question.unsettled or question.acting):
        yield ground(Decision.ALLOW, "reservation", f"nobody else is acting on {question.target}")


def criteria(question: GuardInput) -> Iterator[Ground]:
    """Without a criterion nobody could say whether the step helped."""
    count = len([text for text in question.criteria if text.strip()])
    text = (
        "recovery criteria are written down"
        if count
        else "no recovery criterion is written down, so nobody could tell whether it helped; "
        "add `expect`"
    )
    yield ground(
        _passes(ok=count > 0), "criteria", text, reading=str(count), threshold="at least 1"
    )


def preconditions(question: GuardInput) -> Iterator[Ground]:
    """Each precondition holds, on a reading that is fresh."""
    limit_s = question.limits.readings_max_age_s
    if question.readings_max_age_s is not None:
        limit_s = min(limit_s, question.readings_max_age_s)
    for reason in question.preconditions:
        yield Ground(decision=_passes(ok=reason.ok), reason=reason)
        yield _freshness(reason, question.now, limit_s)


def _freshness(reason: Reason, now: datetime, limit_s: float) -> Ground:
    source = reason.source or reason.rule
    limit = f"at most {format_duration(limit_s)} old"
    at = _read_at(reason.at)
    if at is None:
        text = f"{source}: the reading has no time, so nobody can tell whether it is fresh"
        return ground(Decision.REFUSE, "freshness", text, threshold=limit, source=reason.source)
    age_s = (now - at).total_seconds()
    fresh = -CLOCK_AHEAD_S <= age_s <= limit_s
    word = "fresh" if fresh else "not fresh; read it again"
    return ground(
        _passes(ok=fresh),
        "freshness",
        f"{source}: the reading is {word}",
        reading=f"{format_duration(abs(age_s))} {'old' if age_s >= 0 else 'ahead of our clock'}",
        threshold=limit,
        source=reason.source,
        at=at,
    )


def _read_at(text: str | None) -> datetime | None:
    try:
        return parse_at(text) if text else None
    except ValueError:
        return None


def live(question: GuardInput) -> Iterator[Ground]:
    """What was read of the live state just now must be fresh, agree, and be what was assumed."""
    for reason in question.live:
        yield Ground(decision=_passes(ok=reason.ok), reason=reason)


def retries(question: GuardInput) -> Iterator[Ground]:
    allowed = max(question.retries, 0) + 1
    ok = question.attempts_used < allowed
    text = "attempts are left" if ok else "no attempt is left; a person decides what comes next"
    used = f"{question.attempts_used} used"
    yield ground(_passes(ok=ok), "retries", text, reading=used, threshold=f"{allowed} allowed")


def cooldown(question: GuardInput) -> Iterator[Ground]:
    last = question.last_action_at
    if last is None:
        yield ground(Decision.ALLOW, "cooldown", f"nothing was done to {question.target} before")
        return
    until = last + timedelta(seconds=question.cooldown_s)
    ok = question.now >= until
    text = (
        f"{question.target} had time to settle"
        if ok
        else f"{question.target} was acted on just now; wait until {format_at(until)}"
    )
    yield ground(
        _passes(ok=ok),
        "cooldown",
        text,
        reading=f"{format_duration((question.now - last).total_seconds())} ago",
        threshold=f"{format_duration(question.cooldown_s)} between two steps",
        source="action log",
        at=last,
        limit="cooldown",
    )


def impact(question: GuardInput) -> Iterator[Ground]:
    """High impact waits for a person in every mode."""
    high = question.is_high_impact
    decision = Decision.NEEDS_APPROVAL if high else Decision.ALLOW
    text = (
        f"{question.action} has high impact, so a person approves it in every mode"
        if high
        else f"{question.action} has low impact"
    )
    yield ground(decision, "impact", text, reading="high" if high else "low", threshold="low")


def always_approved(question: GuardInput) -> Iterator[Ground]:
    if question.action in question.limits.always_approve:
        text = f"{question.action} always needs a person's approval"
        yield ground(Decision.NEEDS_APPROVAL, "limit", text, source="limits.always_approve")
