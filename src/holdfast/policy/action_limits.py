"""The limits that belong to one action each, as rules of the guard.

They are counted from the target's action log, in which every intent reserves its place before it is
performed; so a crash between the two can't make room for one more. An undo adds nothing and goes
back to what ran before this incident's step, so only what is counted of every action holds for it.
"""

from collections.abc import Iterator
from datetime import timedelta

from holdfast.policy.question import GuardInput
from holdfast.policy.rules import CLOCK_AHEAD_S, Decision, Ground, ground
from holdfast.runbooks.durations import format_duration


def restarts(question: GuardInput) -> Iterator[Ground]:
    """At most so many restarts of one target within the window."""
    if question.action != "restart_service":
        return
    limits = question.limits
    since = question.now - timedelta(seconds=limits.restart_window_s)
    count = sum(past.action == question.action and past.at > since for past in question.recent)
    ok = count < limits.restarts_per_target
    text = (
        f"{question.target} may be restarted once more"
        if ok
        else f"{question.target} was restarted often enough; restarting does not mend it"
    )
    yield ground(
        Decision.ALLOW if ok else Decision.REFUSE,
        "limit",
        text,
        reading=f"{count} restarts in {format_duration(limits.restart_window_s)}",
        threshold=f"at most {limits.restarts_per_target}",
        source="limits.restarts_per_target",
        at=question.now,
        limit="restarts_per_target",
    )


def instances_added(question: GuardInput) -> Iterator[Ground]:
    """At most so many instances added; how many a step adds must be written down."""
    if question.action != "scale_up" or question.undoes is not None:
        return
    limits = question.limits
    wanted = question.params.get("by")
    source = "limits.instances_added_max"
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        text = "how many instances it adds can't be told; write `by: 1` in its params"
        yield ground(Decision.REFUSE, "limit", text, reading=repr(wanted), source=source)
        return
    since = question.now - timedelta(seconds=limits.instances_window_s)
    added = sum(past.added for past in question.recent if past.at > since)
    ok = added + wanted <= limits.instances_added_max
    yield ground(
        Decision.ALLOW if ok else Decision.REFUSE,
        "limit",
        "there is room for that many" if ok else f"too many instances of {question.target} at once",
        reading=f"{added} added before, {wanted} wanted",
        threshold=f"at most {limits.instances_added_max}",
        source=source,
        at=question.now,
        limit="instances_added_max",
    )


def rollback_age(question: GuardInput) -> Iterator[Ground]:
    """Roll back only what went out a short while ago; an unknown age is too old."""
    if question.action != "rollback_deploy" or question.undoes is not None:
        return
    limit_s = question.limits.rollback_age_max_s
    limit = f"at most {format_duration(limit_s)} ago"
    source = "limits.rollback_age_max_s"
    if question.deployed_at is None:
        text = f"when {question.target} was deployed can't be told, so it is not rolled back"
        yield ground(Decision.REFUSE, "limit", text, threshold=limit, source=source)
        return
    age_s = (question.now - question.deployed_at).total_seconds()
    ok = -CLOCK_AHEAD_S <= age_s <= limit_s
    yield ground(
        Decision.ALLOW if ok else Decision.REFUSE,
        "limit",
        "the release is recent" if ok else "the release is too old to roll back without a person",
        reading=f"deployed {format_duration(age_s)} ago"
        if age_s >= 0
        else f"deployed {format_duration(-age_s)} ahead of our clock",
        threshold=limit,
        source=source,
        at=question.deployed_at,
        # A time ahead of our clock is no age that a person could raise a limit to.
        limit="rollback_age_max_s" if age_s > limit_s else None,
    )
