"""A look that a person asks for: the checks, the newest readings, and every target touched so far.

It only reads. What was found is written down, so that whoever comes next need not ask again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from holdfast.diagnosis import read_symptom
from holdfast.incident import Draft, Kind, State, StepStatus
from holdfast.kernel.clock import format_at
from holdfast.response.asking import Asking, not_ended, written
from holdfast.response.commands import Command, Look, RunChecks
from holdfast.response.diagnosing import window_s
from holdfast.response.events import Looked
from holdfast.response.live_state import digest, newest, short
from holdfast.response.signals import judged_by, symptom_series
from holdfast.response.store import Answer
from holdfast.response.world import World

_UNTOUCHED = frozenset(
    {StepStatus.PROPOSED, StepStatus.AWAITING_APPROVAL, StepStatus.BLOCKED, StepStatus.SKIPPED}
)


def look(case: Asking) -> tuple[Command, ...]:
    """Read everything that may have changed."""
    not_ended(case)
    state, services = case.state, case.world.catalogue.services
    targets = touched(state)
    names = dict.fromkeys((*state.services, *(target.partition("@")[0] for target in targets)))
    series = [key for name in names if name in services for key in services[name].series()]
    return (
        Look(
            request=case.request,
            checks=RunChecks(
                services=tuple(names),
                started_at=state.began_at or case.now,
                series=symptom_series(state),
            ),
            live=tuple(series),
            targets=targets,
        ),
    )


def touched(state: State) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """List the targets that a step or a person acted on, each with what did so last."""
    steps = {s.target: (s.action, s.params) for s in state.steps if s.status not in _UNTOUCHED}
    by_hand = {m["target"]: (m["action"], m.get("params") or {}) for m in state.manual}
    return {**by_hand, **steps}


def on_looked(state: State, event: Looked, now: datetime, world: World) -> tuple[Command, ...]:
    """Write down what was found, and answer with the health of every region as it is now."""
    request = event.request
    results = {name: result.as_data() for name, result in event.results.items()}
    # For whoever reads the packet later; what the diagnosis goes by is read for it alone.
    symptom = read_symptom(event.symptom, judged_by(state), now=now, window_s=window_s(world))
    checks = Draft(
        kind=Kind.CHECKS_RECORDED,
        actor=request.actor,
        data={"purpose": "asked", "results": results, "looked": symptom.as_data()},
    )
    targets = {name: plane_fact(name, *found) for name, found in event.targets.items()}
    planes = Draft(
        kind=Kind.CONTROL_PLANES_OBSERVED,
        actor=request.actor,
        data={"why": f"{request.actor.id} asked", "targets": targets},
    )
    data = {
        "at": format_at(now),
        "regions": _regions(event),
        "checks": {
            name: {"status": result.status.value, "summary": result.summary}
            for name, result in event.results.items()
        },
        "targets": targets,
    }
    bad = [n for n, r in event.results.items() if r.status.value != "healthy"]
    told = f"{', '.join(bad)} not healthy" if bad else "all healthy" if results else "none set up"
    message = f"looked: checks: {len(results)} ({told}), targets touched: {len(targets)}"
    drafts = (checks, planes) if targets else (checks,)
    return (written(request, drafts, Answer(ok=True, message=message, data=data)),)


def plane_fact(target: str, seen: Mapping[str, Any], problem: str | None) -> dict[str, Any]:
    """Put what was seen of a target into the words of a record."""
    if problem is not None:
        return {"text": problem, "reachable": False, "planes": [], "seen": None}
    planes = [dict(each) for each in seen.get("planes", ()) if isinstance(each, Mapping)]
    text = "; ".join(f"{p.get('plane')} is {p.get('now')}" for p in planes) or short(seen)
    return {"text": text, "reachable": True, "planes": planes, "seen": digest(target, seen)}


def _regions(event: Looked) -> dict[str, dict[str, dict[str, Any]]]:
    """Give the newest reading of every signal, by region and service."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for key, samples in event.live.items():
        here = found.setdefault(key.region, {}).setdefault(key.service, {})
        here[key.signal] = newest(samples)
    return found
