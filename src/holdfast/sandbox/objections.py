"""Every reason why a run did not pass, found by comparing what is said with what was seen.

Rule: pure, one function for each thing that is compared; nothing here knows a
scenario by name.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.sandbox.attempts import Attempt, effect_of
from holdfast.sandbox.facts import Facts, Incident
from holdfast.sandbox.scenario import CRASH_POINTS, NONE, RESOLVED

KILLED = -9


def could_have_acted(facts: Facts, tried: Sequence[Attempt]) -> Counter[tuple[str, str]]:
    """Count, by effect and target, the attempts that are not proven to have had no effect."""
    found: Counter[tuple[str, str]] = Counter()
    for attempt in tried:
        shows = effect_of(attempt, facts.shape)
        if shows is not None and attempt.effect != "absent":
            found[shows] += attempt.count
    return found


def false_actions(facts: Facts, performed: Sequence[Attempt]) -> Iterator[Attempt]:
    """Yield what was performed beyond the list, too often, unasked, or on what was not broken."""
    scenario = facts.plan.scenario
    if scenario.free:
        return
    left = dict(scenario.allowed)
    for attempt in performed:
        unasked = attempt.action in scenario.approved and not attempt.by_person
        if left.get(attempt.action, 0) < 1 or unasked or _beside_the_fault(facts, attempt):
            yield attempt
        else:
            left[attempt.action] -= 1


def _beside_the_fault(facts: Facts, attempt: Attempt) -> bool:
    """Say whether an action touched a service, or a region, that had nothing to do with it."""
    role = facts.plan.scenario.on.get(attempt.action)
    wanted = getattr(facts.shape, role) if role else facts.entity
    if wanted is not None and attempt.service != wanted:
        return True
    elsewhere = attempt.region is not None and attempt.region != facts.region
    return role is None and facts.region is not None and elsewhere


def objections(
    facts: Facts,
    document: Mapping[str, Any],
    incident: Incident | None,
    tried: Sequence[Attempt],
) -> Iterator[str]:
    """Yield every reason why a run did not pass."""
    if not facts.collected:  # all else would only follow from that
        if not facts.trouble:
            yield "nothing of the run was collected"
        return
    if not facts.plan.scenario.free:
        yield from _about_the_end(facts, document, incident)
        yield from _about_the_cause(facts, document, incident)
    yield from _about_effects(facts, document, tried)
    yield from _about_the_crash(facts)
    if not document["ledger_verified"]:
        yield "the ledger's chain did not verify"
    yield from _about_the_aftercare(facts)
    if facts.plan.scenario.bare_rule_fires and facts.bare_rule_fired < 1:
        yield "the bare rule did not fire once, so the run proves nothing about it"


def _about_the_end(
    facts: Facts, document: Mapping[str, Any], incident: Incident | None
) -> Iterator[str]:
    scenario, outcome = facts.plan.scenario, document["outcome"]
    if outcome not in scenario.ends:
        yield f"ended as {outcome!r}; {scenario.name} may end as {' or '.join(scenario.ends)}"
    elif scenario.ends[outcome] and facts.pages < 1:
        yield f"ended as {outcome!r} and nobody was paged"
    elif not scenario.ends[outcome] and facts.pages > 0:
        yield f"{facts.pages} pages, where nobody has to be woken"
    if incident is not None and outcome == NONE:
        shown = incident.shown
        state = f"phase {shown['phase']}, held: {bool(shown['held'])}"
        yield f"{incident.id} has not come to an end ({state})"
    yield from _about_the_number(facts)


def _about_the_number(facts: Facts) -> Iterator[str]:
    """One fault is one incident. Where nothing is wrong, none may be left but dismissed ones."""
    since = facts.injected_at
    if facts.plan.scenario.watch_s is not None:
        live = [each.id for each in facts.incidents if each.shown["phase"] != "dismissed"]
        if live:
            yield f"nothing was wrong, and {', '.join(live)} was not dismissed"
        return
    after = [each for each in facts.incidents if since is None or each.opened_at >= since]
    if len(after) > 1:
        yield f"one fault made {len(after)} incidents: {', '.join(each.id for each in after)}"
    if since is not None and len(after) < len(facts.incidents):
        early = [e for e in facts.incidents if e not in after and e.shown["phase"] != "dismissed"]
        if early:
            yield f"{', '.join(e.id for e in early)} opened before anything was broken"


def _about_the_cause(
    facts: Facts, document: Mapping[str, Any], incident: Incident | None
) -> Iterator[str]:
    scenario = facts.plan.scenario
    if incident is None:
        return
    kind, root = document["incident_type"], document["root_cause_entity"]
    if scenario.incident_types and kind not in scenario.incident_types:
        wanted = " or ".join(sorted(scenario.incident_types))
        yield f"the incident type is {kind}, not {wanted}"
    if scenario.find_root and root != facts.entity:
        yield f"the root entity is {root}, not {facts.entity}"
    if document["detected_s"] is not None and document["detected_s"] < 0:
        yield f"{incident.id} opened {-document['detected_s']:.1f} s before the fault"


def _about_effects(
    facts: Facts, document: Mapping[str, Any], tried: Sequence[Attempt]
) -> Iterator[str]:
    if document["duplicate_effects"]:
        told = ", ".join(f"{e.kind} on {e.target}" for e in facts.effects)
        yield f"{document['duplicate_effects']} effects beyond the ledger's attempts ({told})"
    performed = [attempt for attempt in tried if attempt.performed]
    for attempt in false_actions(facts, performed):
        what = f"{attempt.action} on {attempt.target}"
        yield f"{what} was performed and is not allowed here{_unasked(facts, attempt)}"
    missing = facts.plan.scenario.needed - {attempt.action for attempt in performed}
    if missing:
        yield f"{', '.join(sorted(missing))} was not performed"
    elif facts.plan.scenario.allowed and document["outcome"] == RESOLVED and not performed:
        yield "resolved, and nothing was performed that could have resolved it"
    seen_at = Counter((effect.kind, effect.target) for effect in facts.effects)
    succeeded = [attempt for attempt in performed if attempt.outcome == "succeeded"]
    claimed = could_have_acted(facts, succeeded)
    for (kind, target), count in claimed.items():
        seen = seen_at[kind, target]
        if seen < count:
            yield f"the ledger claims {count} times {kind} on {target}; the observers saw {seen}"


def _unasked(facts: Facts, attempt: Attempt) -> str:
    needs = attempt.action in facts.plan.scenario.approved and not attempt.by_person
    return " without a person's word" if needs else ""


def _about_the_aftercare(facts: Facts) -> Iterator[str]:
    if not facts.plan.scenario.aftercare:
        return
    if facts.aftercare is None:
        yield "what has to be done after the incident was not done"
        return
    for what, done in facts.aftercare.items():
        if not done:
            yield f"after the incident: not {what}"


def _about_the_crash(facts: Facts) -> Iterator[str]:
    point, crash = facts.plan.crash_point, facts.crash
    if point is None:
        return
    if crash is None:
        yield f"crash point {point} was never reached"
        return
    if crash.exit_code != KILLED:
        yield f"at {point} Holdfast ended with exit code {crash.exit_code}, not by SIGKILL"
    due = CRASH_POINTS[point]
    if crash.effects != due:
        yield f"at {point} the observers had seen {crash.effects} effects, not {due}"
