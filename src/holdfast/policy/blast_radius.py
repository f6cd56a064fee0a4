"""How much may be touched at once, and how often, as rules of the guard.

A pool keeps serving members, a service keeps regions that nobody touches, and neither an incident
nor the installation acts without end: what has not helped so many times does harm. Counted is what
was intended, so a crash between intent and action can't make room for one more. Workers that look
at the same moment may pass the installation's rate by one each; that of an incident is exact.
"""

from collections.abc import Iterator
from datetime import timedelta

from holdfast.policy.question import GuardInput
from holdfast.policy.rules import Decision, Ground, ground
from holdfast.runbooks.durations import format_duration

_POOL, _REGIONS, _RATE = "pool share", "blast radius", "rate"
# A share is a quotient: what differs by rounding alone is the same share.
_SAME_SHARE = 1e-9


def pool_share(question: GuardInput) -> Iterator[Ground]:
    """Never take so many members out of a pool that the rest can't carry the load."""
    share = question.pool_share
    if share is None:
        return
    most = question.limits.pool_share_max
    limit, source = f"at most {most:.0%}", "limits.pool_share_max"
    if not 0 <= share <= 1:
        text = f"how much of the pool of {question.target} would be out can't be told"
        yield ground(Decision.REFUSE, _POOL, text, threshold=limit, source=source)
        return
    ok = share <= most + _SAME_SHARE
    text = (
        f"enough of the pool of {question.target} is left to serve"
        if ok
        else f"too much of the pool of {question.target} would be out; put something back first"
    )
    yield ground(
        Decision.ALLOW if ok else Decision.REFUSE,
        _POOL,
        text,
        reading=f"{share:.0%} of the pool out",
        threshold=limit,
        source=source,
        at=question.now,
        limit="pool_share_max",
    )


def regions(question: GuardInput) -> Iterator[Ground]:
    """Never touch so many regions at once that none is left to serve."""
    everywhere = set(question.service_regions)
    by_nature = question.action in question.limits.whole_service_actions
    if len(everywhere) <= 1 or (by_nature and not question.regions_in_flight):
        text = "it acts on the whole service by its nature" if by_nature else "there is one region"
        yield ground(Decision.ALLOW, _REGIONS, text)
        return
    here = set(question.regions_touched) or ({question.region} if question.region else everywhere)
    touched = (here | set(question.regions_in_flight)) & everywhere or everywhere
    share = len(touched) / len(everywhere)
    ok = share <= question.limits.region_share_max
    text = (
        "enough regions are left alone"
        if ok
        else f"too many regions of {question.service} would be touched at once; go region by region"
    )
    yield ground(
        Decision.ALLOW if ok else Decision.REFUSE,
        _REGIONS,
        text,
        reading=f"{len(touched)} of {len(everywhere)} regions ({', '.join(sorted(touched))})",
        threshold=f"at most {question.limits.region_share_max:.0%}",
        limit="region_share_max",
    )


def rates(question: GuardInput) -> Iterator[Ground]:
    """At most so many actions within the window, of one incident and of all together."""
    since = question.now - timedelta(seconds=question.limits.actions_window_s)
    recent = [past for past in question.rate if past.at > since]
    own = sum(past.own for past in recent)
    yield _rate(question, "this incident", own, "actions_per_incident")
    yield _rate(question, "the installation", len(recent), "actions_per_installation")


def _rate(question: GuardInput, who: str, count: int, name: str) -> Ground:
    most: int = getattr(question.limits, name)
    ok = count < most
    window = format_duration(question.limits.actions_window_s)
    text = (
        f"{who} may act once more"
        if ok
        else f"{who} has acted often enough; a person looks before it goes on"
    )
    return ground(
        Decision.ALLOW if ok else Decision.REFUSE,
        _RATE,
        text,
        reading=f"{count} actions in {window}",
        threshold=f"at most {most}",
        source=f"limits.{name}",
        at=question.now,
        limit=name,
    )
