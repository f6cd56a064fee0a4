"""Drains a node: cordons it, then asks for the eviction of its pods, and never deletes one.

Kubernetes refuses an eviction that a disruption budget forbids; it is asked again until the time is
over, and what is left then is named. Each eviction names its pod by uid, so none is made twice, and
before each the node is looked at: once somebody uncordoned it, nothing more goes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from holdfast.actions.kubernetes_api import (
    CONFLICT,
    LOOK_S,
    NOT_FOUND,
    TOO_MANY,
    SaidNoError,
    connect,
    waited,
)
from holdfast.actions.kubernetes_cordon import (
    cordon_reached,
    cordoned,
    is_undone,
    node_effect,
    node_seen,
    node_unseen,
    uncordoned,
)
from holdfast.actions.kubernetes_memory import metadata
from holdfast.actions.kubernetes_node import (
    NodePlace,
    Pods,
    is_cordoned,
    named,
    node_of,
    pods_on,
)
from holdfast.actions.places import before_acting, done
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

INTENDED = "no pod left but those of the node itself"
_GONE = frozenset({NOT_FOUND, CONFLICT})


class DrainNode:
    """Drain the `node` of a target."""

    name = "drain_node"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "high"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        place = node_of(self._catalogue, self.name, target, params)
        try:
            with connect(place.access, self._clock, LOOK_S) as server:
                seen, pods = node_seen(server, place), pods_on(server, place)
        except (SaidNoError, TargetUnreachableError) as error:
            return node_unseen(place, error)
        why = seen["why"] or _why_unsafe(pods)
        evictions = predicted(_pods(place), now=pods.counted(), intended=INTENDED)
        back = "" if seen["cordoned"] else "; the pods that were evicted run elsewhere by then"
        return {
            **seen,
            "reachable": not why,
            "why": why,
            "reversible": f"{seen['reversible']}{back}",
            "pods": [named(each) for each in pods.evictable],
            "planes": [] if why else [*seen["planes"], *([evictions] if pods.left else [])],
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = node_of(self._catalogue, self.name, request.target, request.params)
            opened = connect(place.access, self._clock, request.timeout_s)
        with opened as server:
            hindered = partial(_hindered, server, place)
            made = cordoned(server, self._clock, place, request, hindered)
            if isinstance(made, ActionOutcome):
                return made
            return _Drain(server=server, clock=self._clock, place=place).run()

    def probe(self, request: ActionRequest) -> ProbeResult:
        place = node_of(self._catalogue, self.name, request.target, request.params)
        try:
            with connect(place.access, self._clock, LOOK_S) as server:
                now, pods = server.get(*place.where), pods_on(server, place)
        except (SaidNoError, TargetUnreachableError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=bounded(error.message))
        effect, text = node_effect(place, request, now)
        if effect is Effect.PRESENT and (pods.left or not is_cordoned(now)):
            effect = Effect.UNKNOWN
        left = compared(
            _pods(place),
            now=pods.words(),
            intended=INTENDED,
            reached=not pods.left,
            under_way=pods.left == len(pods.going),
        )
        planes = [cordon_reached(place, now), left]
        data = {"pods_left": pods.left, "undone": is_undone(request, now), "planes": planes}
        return ProbeResult(effect=effect, evidence=bounded(f"{text}; {pods.words()}"), data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = node_of(self._catalogue, self.name, request.target, request.params)
            opened = connect(place.access, self._clock, request.timeout_s)
        with opened as server:
            return uncordoned(server, self._clock, place, request)


@dataclass(slots=True, kw_only=True)
class _Drain:
    """The evictions of one attempt on a node that is cordoned."""

    server: "ApiServer"
    clock: Clock
    place: NodePlace
    asked: set[str] = field(default_factory=set)
    blocked: str = ""

    def run(self) -> ActionOutcome:
        try:
            return self._run()
        except (SaidNoError, TargetUnreachableError) as error:
            category = "evictions_blocked" if self.blocked else "stopped"
            return self._partly(category, f"{error.message}; {self.blocked}".rstrip("; "))
        except LostReplyError as error:
            raise LostReplyError(f"{self._so_far()}; {error.message}") from error

    def _run(self) -> ActionOutcome:
        looks = 0
        while True:
            pods = pods_on(self.server, self.place)
            if pods.unsafe:
                return self._partly("unsafe_pods", _why_unsafe(pods))
            if not pods.left:
                return done(f"{self._so_far()}; no pod is left there")
            blocked = ""
            for pod in pods.evictable:
                if why := self._uncordoned():
                    return self._partly("changed_since", why)
                blocked = self._evict(pod) or blocked
            self.blocked = blocked
            if not waited(self.server, self.clock, looks):
                why = f"the time is over; {pods.words()}"
                category = "evictions_blocked" if self.blocked else "not_gone_in_time"
                return self._partly(category, f"{why}; {self.blocked}".rstrip("; "))
            looks += 1

    def _evict(self, pod: Mapping[str, Any]) -> str:
        """Ask for one eviction; say what forbids it for now."""
        meta = metadata(pod)
        try:
            self.server.evict(str(meta["namespace"]), str(meta["name"]), str(meta["uid"]))
        except SaidNoError as error:
            if error.status == TOO_MANY:
                return f"{named(pod)}: {error.message}"
            if error.status not in _GONE:
                raise
        else:
            self.asked.add(str(meta["uid"]))
        return ""

    def _uncordoned(self) -> str:
        if is_cordoned(self.server.get(*self.place.where)):
            return ""
        return "somebody uncordoned it meanwhile, so nothing more is evicted"

    def _so_far(self) -> str:
        return f"{self.place.plane} is cordoned, pods evicted: {len(self.asked)}"

    def _partly(self, category: str, why: str) -> ActionOutcome:
        return ActionOutcome(
            ok=False,
            effect=Effect.PRESENT,
            summary=bounded(f"{self._so_far()}, not all: {why}"),
            return_code=1,
            error_category=category,
        )


def _hindered(server: "ApiServer", place: NodePlace) -> str:
    return _why_unsafe(pods_on(server, place))


def _why_unsafe(pods: Pods) -> str:
    if not pods.unsafe:
        return ""
    return bounded(f"what can't be rebuilt would be lost: {'; '.join(pods.unsafe)}", limit=500)


def _pods(place: NodePlace) -> str:
    return f"pods of {place.plane}"
