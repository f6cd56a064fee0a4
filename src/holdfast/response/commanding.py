"""Under command: a charter says who decides what, and a commander who falls silent is asked for.

From the charter on a person chooses each step and the runbook does not go on by itself. Nothing is
done because a commander says nothing: the incident is held and the next person called.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Draft, Kind, Phase, State
from holdfast.incident.state import TAKEOVER
from holdfast.kernel.catalogue import Catalogue, split_instance
from holdfast.kernel.clock import format_at, parse_at
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Charter, read_charter
from holdfast.response.asking import Asking, done, drafted, not_ended, on_it, refusal
from holdfast.response.commands import Command, WakeAt, Write
from holdfast.response.holding import close_open_step, held_by_person, open_step
from holdfast.response.world import World
from holdfast.runbooks.durations import format_duration
from holdfast.runbooks.errors import nearest

CHARTER_S_MAX = 24 * 3600.0
DIRECTED = "directed"
_ANY = "*"
_BETWEEN = frozenset({Phase.DIAGNOSING, Phase.PLANNED})


def set_charter(case: Asking) -> tuple[Command, ...]:
    """Put a charter in force: who commands, to what end, what may be done, until when."""
    not_ended(case)
    found = _read(case)
    _check_names(found, case.world)
    data = {**case.data, "expires_at": format_at(found.expires_at)}
    data.pop("expires_s", None)
    if people := case.world.holders.get(found.commander):
        data["people"] = sorted(people)
    if case.state.charter and _in_force(case.state, case.now):
        data["instead_of"] = case.state.charter["commander"]
    why = f"{found.commander} commands from here on and chooses each step"
    closed = close_open_step(case.state, why, rule="charter")
    put = drafted(case, Kind.CHARTER_SET, data)
    lifted = _lifted(case, why)
    drafts = (*on_it(case.state, case.request), *closed, put, *lifted)
    allowed = "; ".join(each.words() for each in found.allowed)
    instead = f", instead of {data['instead_of']}" if "instead_of" in data else ""
    message = (
        f"{found.commander} commands until {format_at(found.expires_at)}{instead}; allowed: "
        f"{allowed}{_still_held(case.state, lifted)}"
    )
    return done(case, drafts, message)


def _still_held(state: State, lifted: Sequence[Draft]) -> str:
    if not state.held or lifted:
        return ""
    if held_by_person(state):
        return f"; it stays held ({state.held['why']}) until `holdfast resume`"
    return f"; it stays held: {state.held['why']}"


def _lifted(case: Asking, why: str) -> tuple[Draft, ...]:
    """Resume where only a plan had come to its end: what comes now is the commander's."""
    state = case.state
    if not state.held or held_by_person(state) or state.unsettled or state.phase not in _BETWEEN:
        return ()
    return (drafted(case, Kind.RESUMED, {"why": why}),)


def _read(case: Asking) -> Charter:
    if not str(case.data.get("because") or "").strip():
        raise refusal("a charter needs a reason in your own words; say --because")
    found = read_charter({**case.data, **_ending(case)})
    if found.expires_at <= case.now:
        raise refusal(
            f"the charter would have expired at {format_at(found.expires_at)} already; "
            "say --expires 2h"
        )
    if found.expires_at > case.now + timedelta(seconds=CHARTER_S_MAX):
        raise refusal(
            f"the charter would last until {format_at(found.expires_at)}; a charter lasts "
            f"{format_duration(CHARTER_S_MAX)} at most, so that nobody commands by forgotten words"
        )
    return found


def _ending(case: Asking) -> Mapping[str, str]:
    """A duration counts from when it was asked for: asked for again, it ends at the same time."""
    if "expires_s" not in case.data:
        return {}
    lasting = timedelta(seconds=min(float(case.data["expires_s"]), 365 * 86_400.0))
    return {"expires_at": format_at(case.request.at + lasting)}


def _check_names(found: Charter, world: World) -> None:
    for each in found.allowed:
        _check_action(each.action, world, field="allow")
        for target in each.targets:
            _check_target(target, world.catalogue, field="allow")
    for boundary in found.boundaries:
        if boundary.action != _ANY:
            _check_action(boundary.action, world, field="protect")
        if boundary.target != _ANY:
            _check_target(boundary.target, world.catalogue, field="protect")


def _check_action(name: str, world: World, *, field: str) -> None:
    if name not in world.actions:
        text = f"action {name!r} is unknown; {nearest(name, world.actions)}"
        raise BadInputError(text, field=field)


def _check_target(target: str, catalogue: Catalogue, *, field: str) -> None:
    name, region = split_instance(target)
    service = catalogue.services.get(name)
    if service is not None and (region is None or region in service.regions):
        return
    places = [f"{s.name}@{r}" for s in catalogue.services.values() for r in s.regions]
    known: Collection[str] = [*catalogue.services, *places]
    text = f"target {target!r} is not in the catalogue; {nearest(target, known)}"
    raise BadInputError(text, field=field)


def _in_force(state: State, now: datetime) -> bool:
    return state.charter is not None and parse_at(state.charter["expires_at"]) > now


def directed_plan(who: str, why: str = "a person chooses each step") -> Draft:
    """Make the plan of a run in which no runbook goes on by itself."""
    data: dict[str, Any] = {
        "runbook": DIRECTED,
        "version": "-",
        "title": f"directed by {who}",
        "mode": None,
        "steps": [],
        "why": why,
        "reasons": [],
        "alternatives": [],
        "near_misses": [],
    }
    return Draft(kind=Kind.PLAN_CHOSEN, data=data)


def takes_over(state: State) -> bool:
    """Say whether a runbook's plan has to make room for the commander."""
    planned = state.plan is not None and bool(state.plan.steps)
    return state.commander is not None and planned and open_step(state) is None


def waits(state: State) -> bool:
    """Say whether the run stands still until its commander says something; a hold is standing."""
    if state.commander is None or state.ended or state.handoff or open_step(state) is not None:
        return False
    return state.held is not None or (state.phase is Phase.PLANNED and not state.unsettled)


def while_held(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """While it is held nothing is done, but a silent commander is noticed all the same."""
    if not state.held or not waits(state) or state.asks_for_takeover:
        return ()
    due = due_at(state, world)
    if now < due:
        return (WakeAt(at=due),)
    return (Write(drafts=call_for_another(state, now)),)


def due_at(state: State, world: World) -> datetime:
    """Say until when the commander may say nothing before somebody else is called.

    Only waiting counts: the time in which a step was performed and verified does not.
    """
    silent = _waiting_since(state) + timedelta(seconds=world.timing.commander_silent_s)
    expiry = _expiry(state)
    return min(silent, expiry) if expiry is not None else silent


def _waiting_since(state: State) -> datetime:
    last = state.last_step
    verified = last.verification.get("at") if last else None
    moments = [
        state.commander_seen_at,
        state.resumed_at,
        last.ended_at if last else None,
        parse_at(verified) if verified else None,
    ]
    known = [moment for moment in moments if moment is not None]
    if not known:
        raise AssertionError("nobody commands")
    return max(known)


def _expiry(state: State) -> datetime | None:
    """Give when the charter ends; None where the commander spoke since, or somebody resumed."""
    if state.charter is None:
        return None
    expires_at = parse_at(state.charter["expires_at"])
    since = [at for at in (state.resumed_at, state.commander_seen_at) if at is not None]
    return None if any(at >= expires_at for at in since) else expires_at


def call_for_another(state: State, now: datetime) -> tuple[Draft, ...]:
    """Hold, and call the next person: the commander is silent, or the charter has ended."""
    expiry = _expiry(state)
    if expiry is not None and now >= expiry:
        why = (
            f"the charter of {state.commander} expired at {format_at(expiry)} and nothing can be "
            "directed under it any more; a person sets a new one with `holdfast charter set`, or "
            "takes over with `holdfast accept`"
        )
    else:
        silent_s = (now - (state.commander_seen_at or now)).total_seconds()
        why = (
            f"{state.commander} has said nothing for {_about(silent_s)}; last words: "
            f"{_last_words(state)}; whoever is called takes over with `holdfast accept`"
        )
    return asks_for_takeover(state, why, now)


def asks_for_takeover(state: State, why: str, now: datetime, **facts: int) -> tuple[Draft, ...]:
    """Hold, and call the first level anew: it is another matter than an earlier call was about."""
    data = {"level": 1, "why": why, "since": now.isoformat(), "asks": TAKEOVER, **facts}
    escalated = Draft(kind=Kind.ESCALATED, data=data)
    return (escalated,) if state.held else (Draft(kind=Kind.HELD, data={"why": why}), escalated)


def _about(seconds: float) -> str:
    return format_duration(round(seconds / 60) * 60.0 if seconds >= 60.0 else round(seconds, 1))  # noqa: PLR2004 - a minute


def _last_words(state: State) -> str:
    said = state.directive or state.charter or {}
    names = (state.commander, *(state.charter or {}).get("people", ()))
    own: Mapping[str, Any] = said if said.get("by") in names else state.charter or {}
    return f'"{own["because"]}"' if own.get("because") else "none on this incident"
