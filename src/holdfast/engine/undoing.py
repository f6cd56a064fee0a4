"""An undo at the target: with the undone attempt's own request, and looked at the other way round.

What an undo is to bring about is the pre-image of the attempt that it undoes. So it is there when
the target remembers it, or each of its places reads like that again; that the first effect is gone
proves nothing by itself. What else is in a pre-image may change on its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from holdfast.engine.hands import Hands, request_of
from holdfast.incident import State, Step
from holdfast.response.live_state import stable
from holdfast.response.ports import ActionRequest, Effect, ProbeResult


def attempt_of(state: State, step: Step, *, fence: int) -> ActionRequest:
    """Make the request of a step's attempt; an undo's is that of the attempt which it undoes."""
    undone = state.step(step.undo_of) if step.undo_of else None
    if undone is None:
        return request_of(step, fence=fence)
    return replace(request_of(undone, fence=fence), timeout_s=step.timeout_s)


def looked_at(hands: Hands, state: State, step: Step, *, fence: int) -> ProbeResult:
    """Look for the effect of a step's attempt."""
    request = attempt_of(state, step, fence=fence)
    if step.undo_of is None:
        return hands.probe(request)
    found = hands.probe(request)
    before = f"before step {step.undo_of}"
    planes = list(_turned(found, request.pre_image))
    data = {"planes": planes}
    undone = found.data.get("undone")
    if isinstance(undone, bool):
        # The target itself remembers the undo: nothing is told more surely by a comparison.
        text = f"{request.target}: {found.evidence}; its undo is {'' if undone else 'not '}there"
        effect = Effect.PRESENT if undone else Effect.ABSENT
        return ProbeResult(effect=effect, evidence=text, data=data)
    if planes:
        back = sum(bool(each["reached"]) for each in planes)
        text = f"{request.target}: {back} of {len(planes)} control planes are as they were {before}"
        return ProbeResult(effect=_of_parts(back, len(planes)), evidence=text, data=data)
    if found.effect is Effect.UNKNOWN or request.pre_image.get("planes"):
        text = f"whether {request.target} is as it was {before} can't be seen: {found.evidence}"
        return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
    return _as_before(hands, request, before)


def _of_parts(back: int, of: int) -> Effect:
    if back == of:
        return Effect.PRESENT
    return Effect.UNKNOWN if back else Effect.ABSENT


def _as_before(hands: Hands, request: ActionRequest, before: str) -> ProbeResult:
    """Compare the whole pre-image of an action that names no places."""
    seen, problem = hands.observe(request.action, request.target, request.params)
    if problem is not None:
        return ProbeResult(effect=Effect.UNKNOWN, evidence=problem)
    was = stable(_target_only(request.pre_image))
    if was and stable(_target_only(seen)) == was:
        text = f"{request.target} is as it was {before}"
        return ProbeResult(effect=Effect.PRESENT, evidence=text)
    text = f"{request.target} is not as it was {before}"
    return ProbeResult(effect=Effect.ABSENT, evidence=text)


def planes_found(
    hands: Hands, state: State, step: Step, *, fence: int
) -> tuple[Mapping[str, Any], ...]:
    """Say how each control plane stands after an attempt whose effect is there in part."""
    request = attempt_of(state, step, fence=fence)
    found = hands.probe(request)
    if step.undo_of is None:
        return tuple(found.data.get("planes", ()))
    return tuple(_turned(found, request.pre_image))


def _target_only(pre_image: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says how the action would go on from here: only the target is compared."""
    return {k: v for k, v in pre_image.items() if k not in {"planes", "reversible", "why"}}


def _turned(found: ProbeResult, pre_image: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Hold each place against what it was before the attempt, which is what an undo intends."""
    was = {each["plane"]: each.get("now") for each in pre_image.get("planes", ())}
    undone = found.data.get("undone")
    for each in found.data.get("planes", ()):
        if each.get("plane") in was:
            before = was[each["plane"]]
            reached = undone if isinstance(undone, bool) else each.get("now") == before
            yield {**each, "intended": before, "reached": reached}
