"""Adds replicas to a deployment: how many there are is compared before it is set.

The generation of a deployment counts every change of it, so a repeat that comes late changes
nothing, and the key is remembered in the same write: idempotent. Where an autoscaler sets the
replicas nothing is added: it would take them away again.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.actions.kubernetes_api import (
    LOOK_S,
    DeploymentPlace,
    SaidNoError,
    connect,
    deployment_of,
)
from holdfast.actions.kubernetes_deployment import (
    carried_out,
    identity,
    probed,
    unseen,
    where,
    why_changed,
)
from holdfast.actions.kubernetes_memory import KNOWN, UNDO, keys_of, merge, metadata
from holdfast.actions.kubernetes_rollout import progress, replicas
from holdfast.actions.places import before_acting, only, refused
from holdfast.actions.planes import compared, predicted
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

if TYPE_CHECKING:
    from holdfast.actions.kubernetes_wire import ApiServer


class ScaleDeployment:
    """Add `by` replicas to the deployment of a target."""

    name = "scale_up"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        place, by = self._place(target, params)
        try:
            with connect(place.access, self._clock, LOOK_S) as server:
                now = server.get(*where(place))
                why = _autoscaled(server, place)
        except (SaidNoError, TargetUnreachableError) as error:
            return unseen(place, error)
        seen = {"instance": target, "reachable": not why, "why": why, **identity(now)}
        if why or by is None:
            return {**seen, "reversible": "no: nothing is added", "planes": []}
        there = replicas(now)
        intended = _words(there + by)
        return {
            **seen,
            "reversible": f"back to {there} replicas, if nobody set them since",
            "to": there + by,
            "planes": [predicted(place.plane, now=_words(there), intended=intended)],
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place, by = self._place(request.target, request.params)
            opened = connect(place.access, self._clock, request.timeout_s)
        before, key = request.pre_image, request.idempotency_key
        to = before.get("to")
        if by is None or to is None or to != before.get("replicas", 0) + by:
            return refused("no_pre_image", f"{place.target}: what to add was not looked at")

        def change(now: Mapping[str, Any]) -> ActionOutcome | Mapping[str, Any]:
            if key in keys_of(now):
                return KNOWN
            if why := _why_changed(before, now):
                return refused("changed_since", f"{place.target}: nothing was added: {why}")
            if why := _autoscaled(opened, place):
                return refused("autoscaled", f"{place.target}: nothing was added: {why}")
            return merge(now, key, {"replicas": to})

        return carried_out(opened, self._clock, place, change, f"{by} added, {to} wanted")

    def probe(self, request: ActionRequest) -> ProbeResult:
        place, _ = self._place(request.target, request.params)
        result, now = probed(place, self._clock, request)
        to = request.pre_image.get("to")
        if now is None or to is None:
            return result
        effect, there = result.effect, replicas(now)
        if effect is Effect.ABSENT and _why_changed(request.pre_image, now):
            effect = Effect.UNKNOWN
        status = now.get("status") or {}
        text = f"{_words(there)}, {int(status.get('availableReplicas') or 0)} available"
        made, seen = effect is Effect.PRESENT and there >= to, progress(now)
        plane = compared(
            place.plane,
            now=text,
            intended=_words(to),
            reached=made and seen.done,
            under_way=made and not seen.failed,
        )
        undone = request.idempotency_key + UNDO in keys_of(now)
        data = {"replicas": there, "undone": undone, "planes": [plane]}
        return ProbeResult(effect=effect, evidence=f"{result.evidence}; {text}", data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place, _ = self._place(request.target, request.params)
            opened = connect(place.access, self._clock, request.timeout_s)
        key, undone = request.idempotency_key, request.idempotency_key + UNDO
        back, to = request.pre_image.get("replicas"), request.pre_image.get("to")

        def change(now: Mapping[str, Any]) -> ActionOutcome | Mapping[str, Any]:
            if undone in keys_of(now):
                return KNOWN
            if key not in keys_of(now) or back is None:
                return refused("nothing_to_undo", f"{place.target}: this step added nothing")
            if replicas(now) != to:
                text = f"somebody set it to {_words(replicas(now))} since, and this step to {to}"
                return refused("changed_since", f"{place.target} was left alone: {text}")
            if why := _autoscaled(opened, place):
                return refused("changed_since", f"{place.target} was left alone: {why}")
            return merge(now, undone, {"replicas": back})

        return carried_out(opened, self._clock, place, change, f"back to {back} replicas")

    def _place(self, target: str, params: Mapping[str, Any]) -> tuple[DeploymentPlace, int | None]:
        only(self.name, params, ("by",))
        by = params.get("by")
        if by is not None and (isinstance(by, bool) or not isinstance(by, int) or by < 1):
            raise BadInputError(
                f"scale_up: by is {by!r}; write a whole number of at least 1", field="params.by"
            )
        return deployment_of(self._catalogue, self.name, target), by


def _why_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Say what was changed: here every change counts, because every one may be of the replicas."""
    if why := why_changed(before, now):
        return why
    if replicas(now) != before.get("replicas"):
        return f"somebody set it to {_words(replicas(now))} since it was looked at"
    if metadata(now).get("generation") != before.get("generation"):
        return "somebody changed it since it was looked at, and changed its replicas back"
    return None


def _autoscaled(server: "ApiServer", place: DeploymentPlace) -> str:
    """Say which autoscaler sets the replicas. Raises where that can't be asked."""
    for each in server.listed("horizontalpodautoscalers", place.namespace):
        aim = (each.get("spec") or {}).get("scaleTargetRef") or {}
        if aim.get("kind") == "Deployment" and aim.get("name") == place.name:
            name, spec = metadata(each).get("name"), each["spec"]
            return (
                f"the autoscaler {name} sets its replicas, up to {spec.get('maxReplicas')};"
                " raise its bounds instead"
            )
    return ""


def _words(count: int) -> str:
    return f"{count} replica{'' if count == 1 else 's'}"
