"""How an incident ends, and how it comes back: the part of the fold that says so.

A trouble that is back is diagnosed and planned anew, and judged by what was normal before it came
the first time.
"""

from holdfast.incident.lifecycle import Trigger, next_phase
from holdfast.incident.records import Record
from holdfast.incident.state import State, changed
from holdfast.kernel.clock import parse_at

_KEPT_MOST = 50


def resolved(state: State, record: Record) -> State:
    """Recovery is proven."""
    phase = next_phase(state.phase, Trigger.RECOVERED)
    why = record.data["why"]
    return changed(state, phase=phase, resolved_at=record.at, ended_at=record.at, ending=why)


def dismissed(state: State, record: Record) -> State:
    """It was a false alarm."""
    phase = next_phase(state.phase, Trigger.DISMISS)
    why = record.data["why"]
    return changed(state, phase=phase, ended_at=record.at, ending=why, held=None)


def merged(state: State, record: Record) -> State:
    """It is part of another incident."""
    phase = next_phase(state.phase, Trigger.MERGE)
    into = record.data["into"]
    return changed(state, phase=phase, merged_into=into, ending=record.data["why"], held=None)


def closed(state: State, record: Record) -> State:
    """Nothing more is to be said about it."""
    return changed(state, phase=next_phase(state.phase, Trigger.CLOSE), ending=record.data["why"])


def reopened(state: State, record: Record) -> State:
    """The diagnosis and the plan are made anew; the calls for a person are over with the trouble
    that they were about. What was normal before the first trouble stays the yardstick.
    """
    data = record.data
    began = data.get("started_at")
    known = {change["id"] for change in state.changes}
    changes = [change for change in data.get("changes", ()) if change["id"] not in known]
    return changed(
        state,
        phase=next_phase(state.phase, Trigger.REOPEN),
        resolved_at=None,
        ended_at=None,
        ending=None,
        reopenings=(*state.reopenings[-(_KEPT_MOST - 1) :], record.at),
        reopened_seq=record.seq,
        back_since=parse_at(began) if began else record.at,
        severity=data.get("severity", state.severity),
        services=tuple(dict.fromkeys((*state.services, *data.get("services", ())))),
        regions=tuple(sorted({*state.regions, *data.get("regions", ())})),
        signals={**state.signals, **{s["series"]: s for s in data.get("signals", ())}},
        baselines={**data.get("baselines", {}), **state.baselines},
        changes=(*state.changes, *changes),
        plan=None,
        plan_considered={},
        escalated=None,
        acknowledged=None,
    )
