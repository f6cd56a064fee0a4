"""Handing an incident to somebody else, and back to the system.

Between the handoff and its acceptance nobody acts, the giver and the autonomous loop included: two
who both believe that they have it are worse than a minute in which nobody does. Back to the system
goes only what was looked at again and found whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Draft, Kind, State, Step, StepStatus
from holdfast.incident.commanding import SYSTEM_OWNER
from holdfast.kernel.actor import SYSTEM, ActorKind
from holdfast.kernel.catalogue import Contact
from holdfast.kernel.clock import format_at, parse_at
from holdfast.policy import speaks_for
from holdfast.response.asking import Asking, done, drafted, not_ended, on_it, refusal, written
from holdfast.response.commanding import asks_for_takeover
from holdfast.response.commands import (
    Command,
    LookAgain,
    MakePacket,
    SendPage,
    Touched,
    WakeAt,
    Write,
)
from holdfast.response.events import PacketMade, SeenAgain
from holdfast.response.holding import close_open_step, open_step
from holdfast.response.store import Answer
from holdfast.response.world import World

HANDOFF_LEVEL = 0
_NOBODY = (None, "", SYSTEM_OWNER)
# What has to wait until somebody has it again. Everything that stops or tells stays possible.
_FENCED = frozenset(
    {"direct", "approve", "undo", "skip", "resume", "charter", "handoff", "dismiss", "merge"}
)
_LOOKED_FOR = frozenset(
    {
        StepStatus.INTENDED,
        StepStatus.IN_DOUBT,
        StepStatus.SUCCEEDED,
        StepStatus.VERIFIED,
        StepStatus.UNVERIFIED,
    }
)


def fenced(state: State, kind: str, data: Mapping[str, Any]) -> str | None:
    """Say why a request has to wait while the incident is handed over; None where it needs not."""
    if state.handoff is None or kind not in _FENCED or data.get("dry_run"):
        return None
    # Nobody accepted in time and others were called: then a person may say anew who commands,
    # so that an incident whose giver and successor are both gone is not lost.
    late = _escalated(state)
    if kind == "charter" and late:
        return None
    charter = " or `holdfast charter set`" if late else ""
    return (
        f"{state.incident_id} was handed to {state.handoff['to']} by {state.handoff['by']} and "
        "nobody accepted yet, so nobody acts; run `holdfast accept`, `holdfast refuse` or "
        f"`holdfast recall`{charter}"
    )


def _escalated(state: State) -> bool:
    """Say whether others were called because nobody accepted."""
    return bool((state.escalated or {}).get("handoff") == (state.handoff or {}).get("seq", 0))


def handoff(case: Asking) -> tuple[Command, ...]:
    """Hand it to a person, a contact or the system, with the whole packet."""
    not_ended(case)
    to = _named(case)
    if to == SYSTEM_OWNER:
        return _back_to_system(case)
    if to == case.request.actor.id:
        raise refusal(f"{to} has {case.state.incident_id} already; name somebody else with --to")
    return (MakePacket(request=case.request, handoff=_said(case, to)),)


def _named(case: Asking) -> str:
    to = str(case.data.get("to") or "").strip()
    if not to or not str(case.data.get("because") or "").strip():
        raise refusal("a handoff needs --to WHO and a reason in your own words, --because TEXT")
    return to


def _said(case: Asking, to: str) -> Mapping[str, Any]:
    expires_at = case.now + timedelta(seconds=case.world.timing.handoff_timeout_s)
    return {
        "to": to,
        "by": case.request.actor.id,
        "because": case.data["because"],
        "at": format_at(case.now),
        "expires_at": format_at(expires_at),
    }


def _back_to_system(case: Asking) -> tuple[Command, ...]:
    state = case.state
    if state.owner == SYSTEM_OWNER and state.commander is None and not state.manual:
        raise refusal(f"holdfast has {state.incident_id} already; nobody took it over")
    return (LookAgain(request=case.request, touched=touched(state)),)


def touched(state: State, *, by_hand_since: int | None = None) -> tuple[Touched, ...]:
    """List what was done to which target, the last of each kind; or only what people did since."""
    found: dict[tuple[str, str], Touched] = {}
    deeds: list[tuple[int, Touched]] = []
    if by_hand_since is None:
        deeds += [(s.intended_seq or 0, _by(s)) for s in state.steps if s.intended_at is not None]
    deeds += [
        (
            each["seq"],
            Touched(target=each["target"], action=each["action"], params=each.get("params") or {}),
        )
        for each in state.manual
        if each["seq"] > (by_hand_since or 0)
    ]
    for _, deed in sorted(deeds, key=lambda pair: pair[0]):
        found.pop((deed.target, deed.action), None)
        found[deed.target, deed.action] = deed
    return tuple(found.values())


def _by(step: Step) -> Touched:
    looked_for = step.status in _LOOKED_FOR and step.undo_of is None
    return Touched(
        target=step.target,
        action=step.action,
        params=step.params,
        step_id=step.step_id if looked_for else None,
    )


def on_packet(state: State, event: PacketMade, world: World) -> tuple[Command, ...]:
    """Write the handoff with its packet: from this record on nobody acts."""
    said = event.handoff
    data = {
        **{key: said[key] for key in ("to", "because", "expires_at")},
        "digest": event.digest,
        "markdown": event.markdown,
        "packet": dict(event.packet),
    }
    issued = Draft(kind=Kind.TAKEOVER_PACKET_ISSUED, actor=event.request.actor, data=data)
    on = on_it(state, event.request)
    if said["to"] == SYSTEM_OWNER:
        return _taken_back(state, event, (*on, issued))
    step = open_step(state)
    closed: tuple[Draft, ...] = ()
    if step is not None and (step.status is StepStatus.PROPOSED or step.approval is not None):
        why = f"the incident was handed to {said['to']} before it was performed"
        closed = close_open_step(state, why, rule="handoff")
    message = (
        f"handed to {said['to']} with the takeover packet ({event.digest[:12]}); nobody acts "
        f"until it is accepted; unaccepted at {said['expires_at']} it escalates{_told(said, world)}"
    )
    answer = Answer(
        ok=True, message=message, data={"digest": event.digest, "expires_at": said["expires_at"]}
    )
    return (written(event.request, (*on, *closed, issued), answer),)


def _told(said: Mapping[str, Any], world: World) -> str:
    contacts = successor_contacts(said["to"], world)
    if not contacts:
        return f"; nobody is paged: no contact is known for {said['to']}, so tell them yourself"
    return f"; {', '.join(contact.name for contact in contacts)} is paged"


def _taken_back(state: State, event: PacketMade, before: tuple[Draft, ...]) -> tuple[Command, ...]:
    why = f"{event.handoff['by']} hands it back: {event.handoff['because']}"
    resumed = Draft(kind=Kind.RESUMED, actor=event.request.actor, data={"why": why})
    closed = close_open_step(state, why, rule="handoff")
    data = {"because": f"every control plane that was touched was looked at again; {why}"}
    accepted = Draft(kind=Kind.TAKEOVER_ACCEPTED, actor=SYSTEM, data=data)
    lifted = (resumed,) if state.held else ()
    message = "holdfast has it again: what was touched was looked at, and it is diagnosed anew"
    answer = Answer(ok=True, message=message, data={"digest": event.digest})
    return (written(event.request, (*closed, *lifted, *before, accepted), answer),)


def on_seen_again(
    state: State, event: SeenAgain, now: datetime, world: World
) -> tuple[Command, ...]:
    """Write down what was found; go on with the request only where that is whole."""
    request = event.request
    why = f"before `{request.kind}` of {request.actor.id}"
    data = {"why": why, "targets": {name: dict(each) for name, each in event.targets.items()}}
    seen = Draft(kind=Kind.CONTROL_PLANES_OBSERVED, actor=request.actor, data=data)
    if request.kind == "resume":
        return _resumed(state, event, seen)
    case = Asking(state=state, request=request, now=now, world=world)
    if against := list(_against(state, event)):
        text = f"not handed back to holdfast: {'; '.join(against)}"
        held = () if state.held else (Draft(kind=Kind.HELD, data={"why": text}),)
        drafts = (*on_it(state, request), seen, *held)
        return (written(request, drafts, Answer(ok=False, message=text)),)
    packet = MakePacket(request=request, handoff=_said(case, SYSTEM_OWNER))
    return (Write(drafts=(seen,)), packet)


def _against(state: State, event: SeenAgain) -> Iterator[str]:
    for step in state.unsettled:
        yield f"step {step.step_id} ({step.action} on {step.target}) is in doubt; settle it first"
    for target, found in event.targets.items():
        if found.get("reachable") is False:
            yield f"{target} can't be read: {found['text']}"
        elif found.get("partly"):
            yield f"{target} is applied in part only: {found['text']}"


def resume_after_manual(case: Asking) -> tuple[Command, ...]:
    """Look again at what people did by hand since the last time, before the incident goes on."""
    by_hand = touched(case.state, by_hand_since=case.state.resumed_seq)
    return (LookAgain(request=case.request, touched=by_hand),) if by_hand else ()


def _resumed(state: State, event: SeenAgain, seen: Draft) -> tuple[Command, ...]:
    request = event.request
    draft = Draft(kind=Kind.RESUMED, actor=request.actor, data={"why": request.data["because"]})
    blind = [name for name, found in event.targets.items() if found.get("reachable") is False]
    unread = f"; could not be looked at: {', '.join(blind)}" if blind else ""
    message = f"resumed; what was done by hand was looked at again{unread}"
    drafts = (*on_it(state, request), seen, draft)
    return (written(request, drafts, Answer(ok=True, message=message)),)


def accept(case: Asking) -> tuple[Command, ...]:
    """Take over: the successor commands from here on."""
    not_ended(case)
    state, who = case.state, case.request.actor.id
    if case.request.actor.kind is not ActorKind.HUMAN:
        raise refusal(f"{who} is no person; only a person accepts a handoff")
    if state.handoff is None and not state.asks_for_takeover:
        has = f" and {state.commander} commands it" if state.commander else ""
        raise refusal(
            f"{state.incident_id} is handed to nobody{has}; `holdfast incident ack` says that you "
            "are on it, `holdfast handoff` hands it over"
        )
    if not _may_accept(case):
        raise refusal(_not_theirs(case, "accept"))
    data = {"because": case.data.get("because"), "from": state.commander or state.owner}
    drafts = (drafted(case, Kind.TAKEOVER_ACCEPTED, data), *_lifted(case))
    expired = state.charter and parse_at(state.charter["expires_at"]) <= case.now
    more = "; its charter has expired, set a new one" if expired else ""
    message = f"{who} has {state.incident_id} from here on{more}; read `holdfast incident packet`"
    return done(case, drafts, message)


def _may_accept(case: Asking) -> bool:
    state, who, holders = case.state, case.request.actor.id, case.world.holders
    if state.handoff is not None and speaks_for(state.handoff["to"], who, holders):
        return True
    # Unaccepted, or the commander silent: whoever was called since may step in.
    return state.asks_for_takeover and any(
        speaks_for(contact, who, holders) for contact in _called(state)
    )


def _called(state: State) -> tuple[str, ...]:
    since = (state.escalated or {}).get("seq", 0)
    return tuple(each["to"]["id"] for each in state.paged if each["seq"] > since and each["to"])


def _not_theirs(case: Asking, verb: str) -> str:
    state = case.state
    to = [state.handoff["to"]] if state.handoff else []
    called = [*to, *_called(state)] if state.asks_for_takeover and verb == "accept" else to
    names = ", ".join(dict.fromkeys(called)) or "nobody yet"
    if state.handoff is None or _escalated(state):
        way = "or a person names another commander with `holdfast charter set`"
    else:
        way = (
            f"or {' or '.join(_givers(state))} recalls it; unaccepted at "
            f"{state.handoff['expires_at']} others are called"
        )
    return (
        f"{case.request.actor.id} can't {verb} {state.incident_id}: it is for {names}; ask them, "
        f"{way}"
    )


def _lifted(case: Asking) -> tuple[Draft, ...]:
    """Resume what was held only because nobody had accepted, or the commander was silent."""
    state = case.state
    if not state.asks_for_takeover or not state.held or not state.escalated:
        return ()
    if state.held["why"] != state.escalated["why"]:
        return ()
    return (drafted(case, Kind.RESUMED, {"why": f"{case.request.actor.id} has taken over"}),)


def refuse(case: Asking) -> tuple[Command, ...]:
    """Say no to a handoff: it stays with whoever had it."""
    found = _pending(case)
    if not speaks_for(found["to"], case.request.actor.id, case.world.holders):
        raise refusal(_not_theirs(case, "refuse"))
    data = {"because": _because(case), "to": found["to"]}
    message = f"refused; {case.state.incident_id} stays with {found['from'] or found['by']}"
    return done(case, (drafted(case, Kind.TAKEOVER_REFUSED, data), *_lifted(case)), message)


def recall(case: Asking) -> tuple[Command, ...]:
    """Take a handoff back before anybody accepted it."""
    found = _pending(case)
    givers, who = _givers(case.state), case.request.actor.id
    if not any(speaks_for(giver, who, case.world.holders) for giver in givers):
        raise refusal(f"{who} did not hand it over; {' or '.join(givers)} can recall it")
    data = {"because": _because(case), "to": found["to"]}
    message = f"recalled; {case.state.incident_id} stays with {found['from'] or found['by']}"
    return done(case, (drafted(case, Kind.TAKEOVER_RECALLED, data), *_lifted(case)), message)


def _givers(state: State) -> list[str]:
    """Name who handed it over and who had it then; the system asks for nothing back."""
    found = state.handoff or {}
    return list(dict.fromkeys(n for n in (found["by"], found["from"]) if n not in _NOBODY))


def _pending(case: Asking) -> Mapping[str, Any]:
    not_ended(case)
    if case.state.handoff is None:
        raise refusal(f"{case.state.incident_id} is handed to nobody, or somebody accepted already")
    return case.state.handoff


def _because(case: Asking) -> str:
    said = str(case.data.get("because") or "").strip()
    if not said:
        raise refusal("say why in your own words, --because TEXT")
    return said


def awaiting(state: State, now: datetime) -> tuple[Command, ...]:
    """While it is handed over and not accepted: nothing is done, and in time it escalates, once."""
    found = state.handoff or {}
    if _escalated(state):
        return ()
    due = parse_at(found["expires_at"])
    if now < due:
        return (WakeAt(at=due),)
    why = (
        f"{found['by']} handed it to {found['to']} and nobody accepted by {found['expires_at']}: "
        f"{found['because']}"
    )
    return (Write(drafts=asks_for_takeover(state, why, now, handoff=found["seq"])),)


def next_page(state: State, world: World) -> tuple[Command, ...]:
    """Page the successor, once for each handoff."""
    found = state.handoff
    if found is None or state.ended:
        return ()
    if any(sent["seq"] > found["seq"] and sent["level"] == HANDOFF_LEVEL for sent in state.paged):
        return ()
    why = (
        f"{found['by']} hands it to {found['to']}: {found['because']}; accept or refuse it by "
        f"{found['expires_at']}"
    )
    contacts = successor_contacts(found["to"], world)
    return (SendPage(level=HANDOFF_LEVEL, contacts=contacts, why=why),) if contacts else ()


def successor_contacts(to: str, world: World) -> tuple[Contact, ...]:
    """Find how a successor is reached: as a contact, or as a member of one."""
    contacts = world.catalogue.contacts
    if to in contacts:
        return (contacts[to],)
    holding = [name for name, people in world.holders.items() if to in people]
    return tuple(replace(contacts[name], name=to) for name in holding if name in contacts)
