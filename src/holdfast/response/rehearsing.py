"""A directive's dry run: judged on the live state like the real one, and nothing is done.

Nothing of it is written into the incident. It gives every reason that stands in the way, what the
target is now, what would become of it, and how that could be undone.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from holdfast.incident import State, Step
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.reason import Reason
from holdfast.policy import Decision, Verdict
from holdfast.response.asking import Asking, answered
from holdfast.response.commands import AnswerRequest, Command
from holdfast.response.directing import directed_spec
from holdfast.response.events import Prepared, Rehearsed
from holdfast.response.live_state import digest, newest
from holdfast.response.ordering import as_if, obstacles
from holdfast.response.proposing import StepSpec
from holdfast.response.question import guard_verdict
from holdfast.response.store import Answer
from holdfast.response.undoing import undo_spec
from holdfast.response.undone import pre_image_of
from holdfast.response.world import World

_SPECS: Mapping[str, Callable[[Asking], StepSpec]] = {"direct": directed_spec, "undo": undo_spec}
_SAYS = {
    Decision.ALLOW: "it would be performed",
    Decision.NEEDS_APPROVAL: "it would wait for an approval",
    Decision.REFUSE: "it would be refused",
}


def on_rehearsed(
    state: State, event: Rehearsed, now: datetime, world: World
) -> tuple[Command, ...]:
    """Judge the step and answer with everything that was looked at."""
    case = Asking(state=state, request=event.request, now=now, world=world)
    try:
        proposed, step = as_if(case, _SPECS[event.request.kind](case))
        verdict = guard_verdict(proposed, step, event.prepared, now, world)
    except BadInputError as error:
        return (answered(event.request, error.message, ok=False),)
    verdict = _with(verdict, _in_the_way(case, step, event.prepared))
    data = _told(proposed, step, event.prepared, verdict)
    message = f"dry run of {step.action} on {step.target}: {_SAYS[verdict.decision]}; nothing done"
    answer = Answer(ok=True, message=message, data=data)
    return (AnswerRequest(request_id=event.request.id, answer=answer),)


def _in_the_way(case: Asking, step: Step, prepared: Prepared) -> tuple[Reason, ...]:
    """Give what would refuse the directive before the guard is asked."""
    found = [Reason(rule="directive", ok=False, text=text) for text in obstacles(case)]
    if prepared.problem is not None:
        found.append(Reason(rule="observe", ok=False, text=prepared.problem, source=step.target))
    return tuple(found)


def _with(verdict: Verdict, refusals: tuple[Reason, ...]) -> Verdict:
    if not refusals:
        return verdict
    return replace(
        verdict,
        decision=Decision.REFUSE,
        reasons=(*refusals, *verdict.reasons),
        refusals=(*refusals, *verdict.refusals),
        would_have=False,
    )


def _told(state: State, step: Step, prepared: Prepared, verdict: Verdict) -> dict[str, Any]:
    pre_image = pre_image_of(state, step, prepared.pre_image)
    return {
        "dry_run": True,
        "action": step.action,
        "target": step.target,
        "params": dict(step.params),
        "undo_of": step.undo_of,
        "verdict": verdict.as_data(),
        "in_the_way": [reason.as_data() for reason in (*verdict.refusals, *verdict.needs)],
        "pre_image": pre_image,
        "seen": _seen(step, prepared),
        "predicted": [dict(each) for each in pre_image.get("planes", ())],
        "undo": _reversible(pre_image, prepared),
        "criteria": list(step.criteria),
        "hash": step.hash,
        "live": {
            "series": {str(key): newest(samples) for key, samples in prepared.live.items()},
            "checks": {
                name: _checked(result.as_data()) for name, result in prepared.checks.items()
            },
        },
    }


def _seen(step: Step, prepared: Prepared) -> str | None:
    """Give what `--seen` takes; none for an undo, which compares by itself, and none unread."""
    if prepared.problem is not None or step.undo_of is not None:
        return None
    return digest(step.target, prepared.pre_image)


def _reversible(pre_image: Mapping[str, Any], prepared: Prepared) -> str:
    said = pre_image.get("reversible")
    if said is None and prepared.problem is not None:
        return f"not known: {prepared.problem}"
    return str(said or "no: the action does not say how")


def _checked(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("status", "summary", "at")}
