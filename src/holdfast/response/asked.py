"""What people ask for: one small function per request, looked up in a table.

A request was durable in the inbox before it came here, and always gets an
answer. Whether the token allows it was judged before; a refusal is answered and
changes nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from holdfast.incident import Draft, Kind, Phase, State, StepStatus
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Scope
from holdfast.response.approving import approve, deny, skip
from holdfast.response.asking import Asking, answered, done, drafted, not_ended, on_it, refusal
from holdfast.response.commanding import set_charter
from holdfast.response.commands import Command
from holdfast.response.directing import direct, propose
from holdfast.response.events import Asked
from holdfast.response.handing import accept, fenced, handoff, recall, refuse, resume_after_manual
from holdfast.response.holding import close_open_step, held_by_person, in_doubt_text, open_step
from holdfast.response.looking import look
from holdfast.response.manual import did
from holdfast.response.reopening import on_return, on_sight
from holdfast.response.undoing import undo
from holdfast.response.world import World

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
    "undo": Scope.DIRECT,
    "skip": Scope.DIRECT,
    "propose": Scope.PROPOSE,
    "look": Scope.DIAGNOSE,
    "settle": Scope.DIRECT,
    "override": Scope.APPROVE,
    "charter": Scope.DIRECT,
    "handoff": Scope.DIRECT,
    "accept": Scope.DIRECT,
    "refuse": Scope.DIRECT,
    "recall": Scope.DIRECT,
}


def on_asked(state: State, event: Asked, now: datetime, world: World) -> tuple[Command, ...]:
    """Carry out one request, or refuse it with the reason."""
    request = event.request
    handler = _HANDLERS.get(request.kind)
    if event.refusal is not None:
        return (answered(request, event.refusal, ok=False),)
    if handler is None:
        return (
            answered(request, f"this version does not know the request {request.kind!r}", ok=False),
        )
    if waits := fenced(state, request.kind, request.data):
        return (answered(request, waits, ok=False),)
    try:
        return handler(Asking(state=state, request=request, now=now, world=world))
    except BadInputError as error:
        return (answered(request, error.message, ok=False),)
    except (KeyError, TypeError, ValueError) as error:
        # Unanswered it would be asked for again, and stop this incident for good.
        text = f"the request {request.kind!r} can't be read: {type(error).__name__} {error}"
        return (answered(request, f"{text}; send it again with all its fields", ok=False),)


def _ack(case: Asking) -> tuple[Command, ...]:
    not_ended(case)
    draft = drafted(case, Kind.ACKNOWLEDGED, {"note": case.data.get("because")})
    return done(case, (draft,), f"acknowledged by {case.request.actor.id}")


def _dismiss(case: Asking) -> tuple[Command, ...]:
    not_ended(case)
    if case.state.unsettled:
        raise refusal(in_doubt_text(case.state))
    why = case.data["because"]
    left = close_open_step(case.state, f"the incident was dismissed by {case.request.actor.id}")
    drafts = (*left, drafted(case, Kind.DISMISSED, {"why": why}))
    return done(case, drafts, f"dismissed: {why}")


def _merge(case: Asking) -> tuple[Command, ...]:
    not_ended(case)
    into = case.data["into"]
    if into == case.state.incident_id:
        raise refusal(f"{into} can't be merged into itself; name the other incident")
    if case.state.unsettled:
        raise refusal(in_doubt_text(case.state))
    data = {"into": into, "why": case.data["because"]}
    left = close_open_step(case.state, f"the incident was merged into {into}")
    return done(case, (*left, drafted(case, Kind.MERGED, data)), f"merged into {into}")


def _label(case: Asking) -> tuple[Command, ...]:
    data = {"label": case.data["label"], "because": case.data.get("because")}
    return done(case, (drafted(case, Kind.LABELLED, data),), f"labelled as {data['label']}")


def _close(case: Asking) -> tuple[Command, ...]:
    if case.state.phase not in {Phase.RESOLVED, Phase.DISMISSED}:
        raise refusal(
            f"{case.state.incident_id} is {case.state.phase.value}; only a resolved or dismissed "
            "incident can be closed"
        )
    draft = drafted(case, Kind.CLOSED, {"why": case.data["because"]})
    return done(case, (draft,), "closed")


def _note(case: Asking) -> tuple[Command, ...]:
    return done(case, (drafted(case, Kind.NOTE, {"text": case.data["text"]}),), "noted")


def _hold(case: Asking) -> tuple[Command, ...]:
    not_ended(case)
    if case.state.held and held_by_person(case.state):
        raise refusal(f"{case.state.incident_id} is held already: {case.state.held['why']}")
    # A person may take over what Holdfast held: then no directive passes until they resume.
    draft = drafted(case, Kind.HELD, {"why": f"{case.request.actor.id}: {case.data['because']}"})
    drafts = (*_unjudged(case), draft)
    return done(case, drafts, "held: no step is taken until `holdfast resume`")


def _unjudged(case: Asking) -> tuple[Draft, ...]:
    """Take back a directive that was not judged yet: after a hold it is no current instruction."""
    step = open_step(case.state)
    if step is None or step.plan_index is not None or step.status is not StepStatus.PROPOSED:
        return ()
    why = f"{case.request.actor.id} held the incident before it was judged; direct it anew"
    return close_open_step(case.state, why, rule="hold")


def _resume(case: Asking) -> tuple[Command, ...]:
    not_ended(case)
    if not case.state.held:
        raise refusal(f"{case.state.incident_id} is not held; there is nothing to resume")
    if not case.state.unsettled and (look := resume_after_manual(case)):
        return look
    draft = drafted(case, Kind.RESUMED, {"why": case.data["because"]})
    drafts = (*on_it(case.state, case.request), draft)
    if case.state.unsettled:
        step = case.state.unsettled[0]
        text = f"resumed; {step.target} is looked at again first: step {step.step_id} is in doubt"
        return done(case, drafts, text)
    return done(case, drafts, "resumed; the live state is read anew before the next step")


def _settle(case: Asking) -> tuple[Command, ...]:
    step = case.state.step(case.data["step_id"])
    if step is None or step.status is not StepStatus.IN_DOUBT:
        status = step.status.value if step else "unknown"
        raise refusal(
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
    drafts = (*on_it(case.state, case.request), drafted(case, Kind.STEP_SETTLED, data))
    said = "happened" if happened else "did not happen"
    message = f"step {step.step_id} is settled: it {said}; run `holdfast resume` to go on"
    return done(case, drafts, message, settles=(step.idempotency_key or "",))


def _late_report(case: Asking) -> tuple[Command, ...]:
    return done(case, (drafted(case, Kind.LATE_REPORT, dict(case.data)),), "kept as evidence")


_HANDLERS: Mapping[str, Callable[[Asking], tuple[Command, ...]]] = {
    "ack": _ack,
    "dismiss": _dismiss,
    "merge": _merge,
    "label": _label,
    "close": _close,
    "note": _note,
    "override": _note,
    "hold": _hold,
    "resume": _resume,
    "approve": approve,
    "deny": deny,
    "direct": direct,
    "did": did,
    "undo": undo,
    "skip": skip,
    "propose": propose,
    "look": look,
    "settle": _settle,
    "late_report": _late_report,
    "charter": set_charter,
    "handoff": handoff,
    "accept": accept,
    "refuse": refuse,
    "recall": recall,
    "signals_seen": lambda case: on_sight(case.state, case.request),
    "trouble_is_back": lambda case: on_return(case.state, case.request, case.now),
}
