"""What people ask for: one small function per request, looked up in a table.

A request was durable in the inbox before it came here, and always gets an
answer. Whether the token allows it was judged before; a refusal is answered and
changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.incident import Draft, Kind, Phase, State, Step, StepStatus
from holdfast.kernel.actor import ActorKind
from holdfast.kernel.catalogue import instance_name, split_instance
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.reason import Reason
from holdfast.policy import Scope
from holdfast.response.commands import AnswerRequest, Command, Observe, Write
from holdfast.response.events import Asked, Observed
from holdfast.response.holding import close_open_step, held_by_person, in_doubt_text, open_step
from holdfast.response.planning import StepSpec, next_step_id, proposal
from holdfast.response.reopening import on_return, on_sight
from holdfast.response.store import Answer, Request
from holdfast.response.world import World
from holdfast.verification import parse_expectation

# What each request needs. Stopping things needs the least: anyone who may propose may hold.
NEEDED_SCOPE: Mapping[str, Scope] = {
    "ack": Scope.DIRECT,
    "dismiss": Scope.DIRECT,
    "merge": Scope.DIRECT,
    "label": Scope.DIRECT,
    "close": Scope.DIRECT,
    "note": Scope.PROPOSE,
    "hold": Scope.PROPOSE,
    "resume": Scope.DIRECT,
    "approve": Scope.APPROVE,
    "deny": Scope.APPROVE,
    "direct": Scope.DIRECT,
    "did": Scope.DIRECT,
    "settle": Scope.DIRECT,
    "override": Scope.APPROVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    state: State
    request: Request
    now: datetime
    world: World

    @property
    def data(self) -> Mapping[str, Any]:
        return self.request.data


def on_asked(state: State, event: Asked, now: datetime, world: World) -> tuple[Command, ...]:
    """Carry out one request, or refuse it with the reason."""
    request = event.request
    handler = _HANDLERS.get(request.kind)
    if event.refusal is not None:
        return (_answer(request, event.refusal, ok=False),)
    if handler is None:
        return (
            _answer(request, f"this version does not know the request {request.kind!r}", ok=False),
        )
    try:
        return handler(_Case(state=state, request=request, now=now, world=world))
    except BadInputError as error:
        return (_answer(request, error.message, ok=False),)
    except (KeyError, TypeError, ValueError) as error:
        # Unanswered it would be asked for again, and stop this incident for good.
        text = f"the request {request.kind!r} can't be read: {type(error).__name__} {error}"
        return (_answer(request, f"{text}; send it again with all its fields", ok=False),)


def on_observed(state: State, event: Observed) -> tuple[Command, ...]:
    """Record what a person did by hand, with the target as it was seen right after."""
    request = event.request
    data = {**request.data, "observed": dict(event.observed)}
    draft = Draft(kind=Kind.MANUAL_ACTION_REPORTED, actor=request.actor, data=data)
    target, problem = request.data["target"], event.observed.get("problem")
    seen = (
        f"{target} could not be looked at: {problem}"
        if problem
        else f"{target} was observed: {_short(event.observed)}"
    )
    message = f"recorded; {seen}"
    drafts = (*_on_it(state, request), draft)
    return (_write(request, drafts, Answer(ok=True, message=message)),)


def _on_it(state: State, request: Request) -> tuple[Draft, ...]:
    """Whoever acts on an incident is at work on it, so nobody else is called."""
    by_person = request.actor.kind is ActorKind.HUMAN
    if not by_person or not state.escalated or state.acknowledged:
        return ()
    note = f"by asking for `{request.kind}`"
    return (Draft(kind=Kind.ACKNOWLEDGED, actor=request.actor, data={"note": note}),)


def _short(observed: Mapping[str, Any]) -> str:
    shown = {k: v for k, v in observed.items() if isinstance(v, (str, int, float, bool))}
    return ", ".join(f"{key}={value}" for key, value in list(shown.items())[:6])


def _answer(request: Request, message: str, *, ok: bool) -> AnswerRequest:
    return AnswerRequest(request_id=request.id, answer=Answer(ok=ok, message=message))


def _done(
    case: _Case, drafts: tuple[Draft, ...], message: str, settles: tuple[str, ...] = ()
) -> tuple[Command, ...]:
    return (_write(case.request, drafts, Answer(ok=True, message=message), settles),)


def _write(
    request: Request, drafts: tuple[Draft, ...], answer: Answer, settles: tuple[str, ...] = ()
) -> Write:
    """Write the answer with the records, so that a crash can't part them."""
    return Write(drafts=drafts, settles=settles, answers={request.id: answer})


def _draft(case: _Case, kind: Kind, data: Mapping[str, Any]) -> Draft:
    return Draft(kind=kind, actor=case.request.actor, data=data)


def _refuse(message: str) -> BadInputError:
    return BadInputError(message)


def _not_ended(case: _Case) -> None:
    if case.state.ended:
        raise _refuse(
            f"{case.state.incident_id} is {case.state.phase.value}; only `note`, `label` and "
            "`close` are possible now"
        )


def _ack(case: _Case) -> tuple[Command, ...]:
    _not_ended(case)
    draft = _draft(case, Kind.ACKNOWLEDGED, {"note": case.data.get("because")})
    return _done(case, (draft,), f"acknowledged by {case.request.actor.id}")


def _dismiss(case: _Case) -> tuple[Command, ...]:
    _not_ended(case)
    if case.state.unsettled:
        raise _refuse(in_doubt_text(case.state))
    why = case.data["because"]
    left = close_open_step(case.state, f"the incident was dismissed by {case.request.actor.id}")
    drafts = (*left, _draft(case, Kind.DISMISSED, {"why": why}))
    return _done(case, drafts, f"dismissed: {why}")


def _merge(case: _Case) -> tuple[Command, ...]:
    _not_ended(case)
    into = case.data["into"]
    if into == case.state.incident_id:
        raise _refuse(f"{into} can't be merged into itself; name the other incident")
    if case.state.unsettled:
        raise _refuse(in_doubt_text(case.state))
    data = {"into": into, "why": case.data["because"]}
    left = close_open_step(case.state, f"the incident was merged into {into}")
    return _done(case, (*left, _draft(case, Kind.MERGED, data)), f"merged into {into}")


def _label(case: _Case) -> tuple[Command, ...]:
    data = {"label": case.data["label"], "because": case.data.get("because")}
    return _done(case, (_draft(case, Kind.LABELLED, data),), f"labelled as {data['label']}")


def _close(case: _Case) -> tuple[Command, ...]:
    if case.state.phase not in {Phase.RESOLVED, Phase.DISMISSED}:
        raise _refuse(
            f"{case.state.incident_id} is {case.state.phase.value}; only a resolved or dismissed "
            "incident can be closed"
        )
    draft = _draft(case, Kind.CLOSED, {"why": case.data["because"]})
    return _done(case, (draft,), "closed")


def _note(case: _Case) -> tuple[Command, ...]:
    return _done(case, (_draft(case, Kind.NOTE, {"text": case.data["text"]}),), "noted")


def _hold(case: _Case) -> tuple[Command, ...]:
    _not_ended(case)
    if case.state.held and held_by_person(case.state):
        raise _refuse(f"{case.state.incident_id} is held already: {case.state.held['why']}")
    # A person may take over what Holdfast held: then no directive passes until they resume.
    draft = _draft(case, Kind.HELD, {"why": f"{case.request.actor.id}: {case.data['because']}"})
    return _done(case, (draft,), "held: no step is taken until `holdfast resume`")


def _resume(case: _Case) -> tuple[Command, ...]:
    _not_ended(case)
    if not case.state.held:
        raise _refuse(f"{case.state.incident_id} is not held; there is nothing to resume")
    draft = _draft(case, Kind.RESUMED, {"why": case.data["because"]})
    drafts = (*_on_it(case.state, case.request), draft)
    if case.state.unsettled:
        step = case.state.unsettled[0]
        text = f"resumed; {step.target} is looked at again first: step {step.step_id} is in doubt"
        return _done(case, drafts, text)
    return _done(case, drafts, "resumed; the live state is read anew before the next step")


def _approve(case: _Case) -> tuple[Command, ...]:
    step = _awaited(case)
    given = case.data["hash"]
    if not step.hash.startswith(given) or len(given) < 6:  # noqa: PLR2004 - what a person types back
        raise _refuse(
            f"the hash {given!r} is not that of step {step.step_id} (it ends in "
            f"...{step.hash[-6:]}); the step may have changed: read `holdfast incident show` again"
        )
    data = {"step_id": step.step_id, "hash": step.hash, "because": case.data["because"]}
    drafts = (*_on_it(case.state, case.request), _draft(case, Kind.APPROVAL_GRANTED, data))
    return _done(
        case, drafts, f"step {step.step_id} is approved; it is judged once more before it runs"
    )


def _deny(case: _Case) -> tuple[Command, ...]:
    step = _awaited(case)
    why = f"{case.request.actor.id} denied {step.action} on {step.target}: {case.data['because']}"
    verdict = {
        "decision": "refuse",
        "reasons": [Reason(rule="approval", ok=False, text=why).as_data()],
    }
    draft = _draft(
        case, Kind.APPROVAL_DENIED, {"step_id": step.step_id, "verdict": verdict, "why": why}
    )
    held = () if case.state.held else (Draft(kind=Kind.HELD, data={"why": why}),)
    drafts = (*_on_it(case.state, case.request), draft, *held)
    return _done(case, drafts, f"step {step.step_id} is denied; the incident is held")


def _awaited(case: _Case) -> Step:
    _not_ended(case)
    step = case.state.step(case.data["step_id"])
    if step is None or step.status is not StepStatus.AWAITING_APPROVAL:
        status = step.status.value if step else "unknown"
        raise _refuse(
            f"step {case.data['step_id']} of {case.state.incident_id} is {status}, it does not "
            "wait for an approval"
        )
    if step.approval is not None:
        raise _refuse(f"step {step.step_id} was approved by {step.approval['by']} already")
    return step


def _direct(case: _Case) -> tuple[Command, ...]:
    _not_ended(case)
    _may_direct(case)
    drafts = list(_on_it(case.state, case.request))
    if case.state.held:
        drafts.append(_draft(case, Kind.RESUMED, {"why": case.data["because"]}))
    drafts.append(_draft(case, Kind.DIRECTIVE_RECEIVED, dict(case.data)))
    directive_seq = case.state.seq + len(drafts)
    if case.state.plan is None or case.state.plan.steps:
        # From here on a person chooses each step; the runbook does not go on by itself.
        drafts.append(_directed_plan(case))
    spec = _directed_step(case, cause=directive_seq)
    drafts.append(proposal(case.state, case.world, spec))
    message = f"step {spec.step_id} is proposed; the guard judges it on the live state"
    answer = Answer(ok=True, message=message, data={"step_id": spec.step_id})
    return (_write(case.request, tuple(drafts), answer),)


def _directed_step(case: _Case, *, cause: int) -> StepSpec:
    data = case.data
    service, region = split_instance(data["target"])
    if service not in case.world.catalogue.services:
        known = ", ".join(case.world.catalogue.services)
        raise _refuse(f"service {service!r} is not in the catalogue; known are {known}")
    criteria = tuple(data.get("expect", ()))
    for text in criteria:
        parse_expectation(text, service=service)
    return StepSpec(
        action=data["action"],
        target=data["target"],
        params=data.get("params", {}),
        criteria=criteria,
        timeout_s=float(data.get("timeout_s", 30.0)),
        cooldown_s=case.world.timing.cooldown_s,
        variables={
            "entity": service,
            "region": region,
            "instance": instance_name(service, region) if region else None,
        },
        step_id=next_step_id(case.state),
        actor=case.request.actor,
        because=data["because"],
        cause=cause,
    )


def _may_direct(case: _Case) -> None:
    state, action = case.state, case.data["action"]
    if action not in case.world.actions:
        raise _refuse(
            f"action {action!r} is unknown; known are {', '.join(sorted(case.world.actions))}"
        )
    if state.unsettled:
        raise _refuse(in_doubt_text(state))
    if state.held and held_by_person(state):
        raise _refuse(
            f"{state.incident_id} is held by {state.held['by']['id']}: {state.held['why']}; run "
            "`holdfast resume` first"
        )
    busy = _unfinished(state)
    if busy is not None:
        raise _refuse(f"step {busy.step_id} is not finished and verified yet; one step at a time")
    if state.phase in {Phase.OPEN, Phase.REOPENED}:
        raise _refuse(f"{state.incident_id} has no checks yet; wait for the diagnosis")


def _unfinished(state: State) -> Step | None:
    """Find the step that must end first. One whose verdict is in (and bad) has ended."""
    last = state.last_step
    if state.phase is Phase.VERIFYING and last and last.status is StepStatus.SUCCEEDED:
        return last
    return open_step(state)


def _directed_plan(case: _Case) -> Draft:
    data: dict[str, Any] = {
        "runbook": "directed",
        "version": "-",
        "title": f"directed by {case.request.actor.id}",
        "mode": None,
        "steps": [],
        "why": "a person chooses each step",
        "reasons": [],
        "alternatives": [],
        "near_misses": [],
    }
    return _draft(case, Kind.PLAN_CHOSEN, data)


def _did(case: _Case) -> tuple[Command, ...]:
    _not_ended(case)
    return (Observe(request=case.request, action=case.data["action"], target=case.data["target"]),)


def _settle(case: _Case) -> tuple[Command, ...]:
    step = case.state.step(case.data["step_id"])
    if step is None or step.status is not StepStatus.IN_DOUBT:
        status = step.status.value if step else "unknown"
        raise _refuse(
            f"step {case.data['step_id']} of {case.state.incident_id} is {status}, not in doubt; "
            "there is nothing to settle"
        )
    happened = bool(case.data["happened"])
    data = {
        "step_id": step.step_id,
        "happened": happened,
        "effect": "present" if happened else "absent",
        "evidence": case.data["evidence"],
        "human_override": case.request.actor.id,
    }
    drafts = (*_on_it(case.state, case.request), _draft(case, Kind.STEP_SETTLED, data))
    said = "happened" if happened else "did not happen"
    message = f"step {step.step_id} is settled: it {said}; run `holdfast resume` to go on"
    return _done(case, drafts, message, settles=(step.idempotency_key or "",))


def _late_report(case: _Case) -> tuple[Command, ...]:
    return _done(case, (_draft(case, Kind.LATE_REPORT, dict(case.data)),), "kept as evidence")


_HANDLERS: Mapping[str, Callable[[_Case], tuple[Command, ...]]] = {
    "ack": _ack,
    "dismiss": _dismiss,
    "merge": _merge,
    "label": _label,
    "close": _close,
    "note": _note,
    "override": _note,
    "hold": _hold,
    "resume": _resume,
    "approve": _approve,
    "deny": _deny,
    "direct": _direct,
    "did": _did,
    "settle": _settle,
    "late_report": _late_report,
    "signals_seen": lambda case: on_sight(case.state, case.request),
    "trouble_is_back": lambda case: on_return(case.state, case.request, case.now),
}
