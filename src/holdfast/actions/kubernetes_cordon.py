"""Cordons a node, so that it takes no new pods; what runs there goes on.

Whether it is cordoned is compared before it is set, and the node remembers the key in the same
write: idempotent. One that somebody else cordoned is theirs: it is left as it is, and never
uncordoned by an undo.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from holdfast.actions.kubernetes_api import LOOK_S, SaidNoError, connect
from holdfast.actions.kubernetes_memory import (
    KNOWN,
    UNDO,
    Made,
    changed,
    keys_of,
    merge,
    metadata,
)
from holdfast.actions.kubernetes_node import NodePlace, is_cordoned, is_out, node_of, share_out
from holdfast.actions.places import before_acting, done, refused
from holdfast.actions.planes import compared, predicted
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.redact import bounded
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

if TYPE_CHECKING:
    from holdfast.actions.kubernetes_wire import ApiServer

CORDONED = "cordoned"
SCHEDULABLE = "takes pods"
Thing = Mapping[str, Any]


class CordonNode:
    """Cordon the `node` of a target."""

    name = "cordon_node"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        place = node_of(self._catalogue, self.name, target, params)
        try:
            with connect(place.access, self._clock, LOOK_S) as server:
                return node_seen(server, place)
        except (SaidNoError, TargetUnreachableError) as error:
            return node_unseen(place, error)

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = node_of(self._catalogue, self.name, request.target, request.params)
            opened = connect(place.access, self._clock, request.timeout_s)
        if request.pre_image.get("cordoned"):
            return refused("nothing_to_do", f"{place.plane} was cordoned already")
        with opened as server:
            made = cordoned(server, self._clock, place, request)
        if isinstance(made, ActionOutcome):
            return made
        return done(f"{place.plane} is cordoned{f' ({KNOWN.summary})' if made.known else ''}")

    def probe(self, request: ActionRequest) -> ProbeResult:
        place = node_of(self._catalogue, self.name, request.target, request.params)
        try:
            with connect(place.access, self._clock, LOOK_S) as server:
                now = server.get(*place.where)
        except (SaidNoError, TargetUnreachableError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=bounded(error.message))
        effect, text = node_effect(place, request, now)
        plane = cordon_reached(place, now)
        undone = is_undone(request, now)
        data = {"cordoned": is_cordoned(now), "undone": undone, "planes": [plane]}
        return ProbeResult(effect=effect, evidence=text, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = node_of(self._catalogue, self.name, request.target, request.params)
            opened = connect(place.access, self._clock, request.timeout_s)
        with opened as server:
            return uncordoned(server, self._clock, place, request)


def node_seen(server: "ApiServer", place: NodePlace) -> dict[str, Any]:
    """Look at a node and its pool, as the pre-image of a step that cordons it."""
    now = server.get(*place.where)
    share, why = share_out(place, server.listed("nodes"))
    already = is_cordoned(now)
    planes = [predicted(place.plane, now=SCHEDULABLE, intended=CORDONED)]
    reversible = "uncordon it, if it is still cordoned"
    return {
        "instance": place.target,
        "node": place.name,
        "reachable": not why,
        "why": why,
        "reversible": "no: it was cordoned before" if already else reversible,
        "uid": metadata(now).get("uid"),
        "cordoned": already,
        "pool_share": round(share, 4),
        "repeatability": Repeatability.IDEMPOTENT.value,
        "planes": [] if already or why else planes,
    }


def node_unseen(place: NodePlace, error: SaidNoError | TargetUnreachableError) -> Mapping[str, Any]:
    """Say that a node could not be looked at."""
    return {
        "instance": place.target,
        "node": place.name,
        "reachable": False,
        "reversible": "no: it can't be read",
        "why": bounded(error.message, limit=500),
    }


def cordoned(
    server: "ApiServer",
    clock: Clock,
    place: NodePlace,
    request: ActionRequest,
    hindered: Callable[[], str] = str,
) -> ActionOutcome | Made:
    """Cordon a node and let it remember the key; an outcome where that is refused.

    `hindered` says why the step must not begin, or nothing.
    Raises TargetUnreachableError or LostReplyError.
    """
    before, key = request.pre_image, request.idempotency_key

    def change(now: Thing) -> ActionOutcome | Thing:
        if key in keys_of(now):
            if is_cordoned(now):
                return KNOWN
            text = f"{place.plane} was uncordoned since this step cordoned it"
            return refused("changed_since", f"{text}; nothing more is done to it")
        if why := _why_changed(before, now):
            return refused("changed_since", f"{place.plane} was left alone: {why}")
        _, why_not = share_out(place, server.listed("nodes"))
        if why_not:
            return refused("last_node", f"{place.plane} was left alone: {why_not}")
        if why := hindered():
            return refused("unsafe_pods", f"{place.plane} was left alone: {why}")
        return merge(now, key, {"unschedulable": True})

    try:
        made = changed(server, clock, place.where, change)
    except SaidNoError as error:
        category = "forbidden" if error.status == 403 else "refused"  # noqa: PLR2004 - the protocol's
        return refused(category, bounded(f"{place.plane}: nothing was changed: {error.message}"))
    if isinstance(made, ActionOutcome) or made.known:
        return made
    return _too_many(server, clock, place, request) or made


def _too_many(
    server: "ApiServer", clock: Clock, place: NodePlace, request: ActionRequest
) -> ActionOutcome | None:
    """Look again. Two who cordon two nodes at once must not leave none that takes pods."""
    try:
        pool = [each for each in server.listed("nodes") if place.holds(each)]
        if not pool or not all(map(is_out, pool)):
            return None
        back = uncordoned(server, clock, place, request)
    except (SaidNoError, TargetUnreachableError) as error:
        text = f"{place.plane} was cordoned, and its pool can't be looked at: {error.message}"
        raise LostReplyError(bounded(text)) from error
    if not back.ok:
        text = f"{place.plane} was cordoned, and no node of its pool takes pods: {back.summary}"
        raise LostReplyError(bounded(text))
    text = "no other node of its pool took pods any more, so it was uncordoned at once"
    return refused("last_node", f"{place.plane}: {text}")


def uncordoned(
    server: "ApiServer", clock: Clock, place: NodePlace, request: ActionRequest
) -> ActionOutcome:
    """Take back the cordon of a step, where it is still the one that stands."""
    key, undone = request.idempotency_key, request.idempotency_key + UNDO

    def change(now: Thing) -> ActionOutcome | Thing:
        keys = keys_of(now)
        if undone in keys:
            return KNOWN
        if key not in keys:
            return refused("nothing_to_undo", f"{place.plane} was not touched by this step")
        if request.pre_image.get("cordoned"):
            text = f"{place.plane} was cordoned before this step, so it stays so"
            return refused("nothing_to_undo", text)
        if not is_cordoned(now) or keys[-1] != key:
            text = "was uncordoned" if not is_cordoned(now) else "was taken out by a later step"
            return refused("changed_since", f"{place.plane} {text} since, and was left alone")
        return merge(now, undone, {"unschedulable": None})

    try:
        made = changed(server, clock, place.where, change)
    except SaidNoError as error:
        return refused("refused", bounded(f"{place.plane}: nothing was changed: {error.message}"))
    if isinstance(made, ActionOutcome):
        return made
    return done(f"{place.plane} takes pods again{f' ({KNOWN.summary})' if made.known else ''}")


def node_effect(place: NodePlace, request: ActionRequest, now: Thing) -> tuple[Effect, str]:
    """Tell from the memory of a node whether a step cordoned it."""
    state = CORDONED if is_cordoned(now) else SCHEDULABLE
    if is_undone(request, now):
        return Effect.ABSENT, f"{place.plane} remembers that this step was put back; it is {state}"
    if request.idempotency_key in keys_of(now):
        return Effect.PRESENT, f"{place.plane} remembers this step, and is {state}"
    if why := _why_changed(request.pre_image, now):
        return Effect.UNKNOWN, f"{place.plane} does not remember this step, but {why}"
    return Effect.ABSENT, f"{place.plane} does not remember this step, and is {state}"


def is_undone(request: ActionRequest, now: Thing) -> bool:
    """Say whether the node remembers that this step was undone."""
    return request.idempotency_key + UNDO in keys_of(now)


def cordon_reached(place: NodePlace, now: Thing) -> dict[str, Any]:
    """Compare the node with what was intended."""
    there = is_cordoned(now)
    state = CORDONED if there else SCHEDULABLE
    return compared(place.plane, now=state, intended=CORDONED, reached=there)


def _why_changed(before: Mapping[str, Any], now: Thing) -> str | None:
    if not before.get("uid"):
        return "it was not looked at before"
    if metadata(now).get("uid") != before["uid"]:
        return "it is another node of that name since it was looked at"
    if is_cordoned(now) != before.get("cordoned"):
        return "somebody cordoned or uncordoned it since it was looked at"
    return None
