"""Turns a flag of Unleash off in one environment, and on again if nobody touched it since.

It is compared before it is set, by its strategies and by its log of events. Unleash itself compares
nothing, so a worker that was paused between the two could turn off what somebody turned on again:
a step in doubt is looked for and never repeated.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.actions.places import done, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.supervisord import Deadline
from holdfast.actions.unleash_api import TURNED_OFF, FlagEvent, FlagState, SaidNoError, Unleash
from holdfast.kernel.clock import Clock
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

LOOK_S = 5.0
ON, OFF = "on", "off"


def observe(place: Unleash, flag: str, clock: Clock) -> Mapping[str, Any]:
    """Read the flag and the number of its last event."""
    seen: dict[str, Any] = {"flag": flag, "place": place.place(flag)}
    deadline = Deadline.after(clock, LOOK_S)
    try:
        # Events first: one that comes in between is then noticed as a change.
        events = place.events(flag, deadline.left_s())
        now = place.state(flag, deadline.left_s())
    except (TargetUnreachableError, TimeoutError) as error:
        no = "no: the flag can't be read"
        why = str(error) or "no answer in time"
        return {**seen, "reachable": False, "reversible": no, "why": why}
    undo = f"turn the flag back {now.words()} if nobody changed it since"
    if events is None:
        undo += "; its events can't be read, so only its strategies are compared"
    plane = predicted(place.place(flag), now=now.words(), intended=OFF)
    return {
        **seen,
        "reachable": True,
        "reversible": undo if now.on else "no: it is off already",
        "state": now.words(),
        "digest": now.digest,
        "event": None if events is None else _last(events),
        "planes": [plane] if now.on else [],
        "repeatability": Repeatability.PROBEABLE.value,
        "why": "Unleash compares nothing before it turns a flag",
    }


def perform(place: Unleash, flag: str, clock: Clock, request: ActionRequest) -> ActionOutcome:
    """Turn the flag off if it is as it was looked at."""
    seen = request.pre_image
    if seen.get("state") != ON or seen.get("place") != place.place(flag):
        was = seen.get("state", "not looked at")
        return refused("nothing_to_do", f"{place.place(flag)} was {was}, not {ON}: nothing done")
    deadline = Deadline.after(clock, request.timeout_s)
    now, since = _looked(place, flag, deadline, seen)
    if not now.on or now.digest != seen.get("digest") or since:
        text = f"{place.place(flag)} was changed since it was looked at; it is left alone"
        return refused("changed_meanwhile", text)
    return _turned(place, flag, deadline, on=False)


def probe(place: Unleash, flag: str, clock: Clock, request: ActionRequest) -> ProbeResult:
    """Look at the flag, and at what happened to it since."""
    deadline = Deadline.after(clock, LOOK_S)
    try:
        now, since = _look(place, flag, deadline, request.pre_image)
    except (TargetUnreachableError, TimeoutError) as error:
        return ProbeResult(effect=Effect.UNKNOWN, evidence=str(error) or "no answer in time")
    text = f"{place.place(flag)} is {now.words()} now"
    offs = sum(each.kind == TURNED_OFF for each in since or ())
    if now.on and offs:
        effect = Effect.UNKNOWN
        text += "; it was turned off since it was looked at, and on again"
    else:
        effect = Effect.ABSENT if now.on else Effect.PRESENT
    if request.pre_image.get("state") != ON:
        effect = Effect.UNKNOWN
        text += ", and so it was before" if not now.on else ""
    plane = compared(place.place(flag), now=now.words(), intended=OFF, reached=not now.on)
    planes = [plane] if request.pre_image.get("planes") else []
    data = {"state": now.words(), "planes": planes}
    return ProbeResult(effect=effect, evidence=text, data=data)


def undo(place: Unleash, flag: str, clock: Clock, request: ActionRequest) -> ActionOutcome:
    """Turn the flag on again, unless anything but this step touched it."""
    seen = request.pre_image
    if seen.get("state") != ON or seen.get("place") != place.place(flag):
        return refused("nothing_to_undo", f"{place.place(flag)}: this step turned no flag")
    deadline = Deadline.after(clock, request.timeout_s)
    now, since = _looked(place, flag, deadline, seen)
    if now.on and not since:
        return refused("nothing_to_undo", f"{place.place(flag)} is on, and was not turned off")
    only_ours = since is None or [each.kind for each in since] == [TURNED_OFF]
    if now.on or now.digest != seen.get("digest") or not only_ours:
        text = f"{place.place(flag)} was changed since it was turned off; it is left alone"
        return refused("changed_since", text)
    return _turned(place, flag, deadline, on=True)


def _look(
    place: Unleash, flag: str, deadline: Deadline, seen: Mapping[str, Any]
) -> tuple[FlagState, tuple[FlagEvent, ...] | None]:
    """Read the flag, and its events since it was looked at; None where they can't be told."""
    events = place.events(flag, deadline.left_s())
    now = place.state(flag, deadline.left_s())
    last = seen.get("event")
    if events is None or not isinstance(last, int):
        return now, None
    return now, tuple(each for each in events if each.number > last)


def _looked(
    place: Unleash, flag: str, deadline: Deadline, seen: Mapping[str, Any]
) -> tuple[FlagState, tuple[FlagEvent, ...] | None]:
    """Look before acting: that the time is over means that nothing was sent."""
    try:
        return _look(place, flag, deadline, seen)
    except TimeoutError:
        text = f"{place.place(flag)}: its time was over before anything was sent"
        raise TargetUnreachableError(text) from None


def _turned(place: Unleash, flag: str, deadline: Deadline, *, on: bool) -> ActionOutcome:
    what, word = place.place(flag), ON if on else OFF
    turn = place.turn_on if on else place.turn_off
    try:
        turn(flag, deadline.left_s())
    except TimeoutError:
        raise TargetUnreachableError(f"{what}: its time was over; nothing was sent") from None
    except SaidNoError as error:
        return refused("refused", error.message)
    try:
        now = place.state(flag, deadline.left_s())
    except (TargetUnreachableError, TimeoutError):
        return done(f"{what}: turned {word}; it could not be looked at afterwards")
    if now.on is not on:
        raise LostReplyError(f"{what}: Unleash said that it is {word}, and it is {now.words()}")
    return done(f"{what}: turned {word}")


def _last(events: tuple[FlagEvent, ...]) -> int:
    return max((each.number for each in events), default=0)
