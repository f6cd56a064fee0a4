"""Who commands an incident, what they said, and whom they hand it to: that part of the fold.

Only what a record says counts: a person who has not accepted has not taken over, and a charter is
in force until another one is set or the system has the incident again.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.incident.lifecycle import Phase, Trigger, next_phase
from holdfast.incident.records import Record
from holdfast.incident.state import State, changed
from holdfast.kernel.actor import ActorKind
from holdfast.kernel.clock import format_at

_KEPT_MOST = 50
SYSTEM_OWNER = "holdfast"


def charter_set(state: State, record: Record) -> State:
    """A person says what may be done, and by whose command."""
    commander = record.data["commander"]
    return changed(
        state,
        charter=_said(record),
        commander=commander,
        owner=commander,
        # One that nobody accepted may be ended by a charter.
        handoff=None,
        commander_seen_at=record.at,
        commander_seen_seq=record.seq,
        command_seq=record.seq,
    )


def heard(state: State, record: Record) -> State:
    """Note when the commander was last heard of: one who falls silent is asked for.

    Where a contact commands, each of its members is the commander.
    """
    names = (state.commander, *(state.charter or {}).get("people", ()))
    if state.commander is None or record.actor.id not in names:
        return state
    return changed(state, commander_seen_at=record.at, commander_seen_seq=record.seq)


def directed(state: State, record: Record) -> State:
    """A person who directs another step says with it that recovery is not complete."""
    said = _said(record)
    if state.phase is not Phase.VERIFYING:
        return changed(state, directive=said)
    return changed(state, directive=said, phase=next_phase(state.phase, Trigger.MORE_TO_DO))


def suggested(state: State, record: Record) -> State:
    """A suggestion starts nothing; it is kept beside what people directed."""
    return changed(state, suggestions=(*state.suggestions[-(_KEPT_MOST - 1) :], _said(record)))


def manual_action(state: State, record: Record) -> State:
    """A person acted by hand, and the target was looked at right after."""
    return changed(state, manual=(*state.manual[-(_KEPT_MOST - 1) :], _said(record)))


def planes_observed(state: State, record: Record) -> State:
    """What was touched was looked at again, target by target."""
    seen = {
        target: {**found, "at": format_at(record.at), "seq": record.seq}
        for target, found in record.data["targets"].items()
    }
    return changed(state, planes={**state.planes, **seen})


def packet_issued(state: State, record: Record) -> State:
    """A packet went with a page, or hands the incident to somebody."""
    packet = {"seq": record.seq, "digest": record.data["digest"]}
    if not record.data.get("to"):
        return changed(state, packet=packet)
    handoff = {k: v for k, v in _said(record).items() if k not in {"markdown", "packet"}}
    handoff = {**handoff, "from": state.owner}
    return changed(state, packet=packet, handoff=handoff, command_seq=record.seq)


def takeover_accepted(state: State, record: Record) -> State:
    """The successor has it from here on; the system takes over without a charter."""
    if record.actor.kind is ActorKind.SYSTEM:
        return changed(
            state,
            phase=next_phase(state.phase, Trigger.HAND_BACK),
            handoff=None,
            owner=SYSTEM_OWNER,
            commander=None,
            charter=None,
            directive=None,
            plan=None,
            plan_considered={},
        )
    who = record.actor.id
    # The members of a contact that commanded before do not speak for the new commander.
    kept = {k: v for k, v in (state.charter or {}).items() if k != "people"}
    return changed(
        state,
        handoff=None,
        owner=who,
        commander=who,
        commander_seen_at=record.at,
        commander_seen_seq=record.seq,
        command_seq=record.seq,
        # What waited while nobody acted (a proof, a retry) is given its time anew.
        resumed_at=record.at,
        charter={**kept, "commander": who} if kept else None,
        acknowledged={"by": who, "at": format_at(record.at)},
    )


def takeover_ended(state: State, record: Record) -> State:
    """Refused or recalled: it stays with whoever had it."""
    return changed(state, handoff=None, resumed_at=record.at, command_seq=record.seq)


def _said(record: Record) -> Mapping[str, Any]:
    return {
        **record.data,
        "by": record.actor.id,
        "at": format_at(record.at),
        "seq": record.seq,
    }
