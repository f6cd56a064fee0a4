"""Restarts a deployment by a rollout: new pods of the same template, at the pace it allows.

The template gets the key of the step as a mark, as `kubectl rollout restart` gives it the time, and
the deployment remembers the key in the same write: idempotent. A deployment that somebody changed
since it was looked at is left alone.
"""

from collections.abc import Mapping
from typing import Any

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
from holdfast.actions.kubernetes_memory import KNOWN, keys_of, merge
from holdfast.actions.kubernetes_rollout import RESTARTED, progress, replicas, standing
from holdfast.actions.places import before_acting, only, refused
from holdfast.actions.planes import compared, predicted
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

NOT_REVERSIBLE = "no: the pods that ran before are gone; a restart can only be followed by another"
INTENDED = "restarted: every pod made anew from the same template"


class RestartDeployment:
    """Restart the deployment of a target. Takes no parameters."""

    name = "restart_service"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        only(self.name, params, ())
        place = deployment_of(self._catalogue, self.name, target)
        try:
            with connect(place.access, self._clock, LOOK_S) as server:
                now = server.get(*where(place))
        except (SaidNoError, TargetUnreachableError) as error:
            return {**unseen(place, error), "reversible": NOT_REVERSIBLE}
        why = _why_not(now)
        planes = [predicted(place.plane, now=standing(now), intended=INTENDED)]
        return {
            "instance": target,
            "reachable": not why,
            "why": why,
            "reversible": NOT_REVERSIBLE,
            **identity(now),
            "rollout": progress(now).words,
            "planes": [] if why else planes,
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = deployment_of(self._catalogue, self.name, request.target)
            opened = connect(place.access, self._clock, request.timeout_s)
        key = request.idempotency_key

        def change(now: Mapping[str, Any]) -> ActionOutcome | Mapping[str, Any]:
            if key in keys_of(now):
                return KNOWN
            if why := why_changed(request.pre_image, now) or (_paused(now) and "it is paused"):
                return refused("changed_since", f"{place.target} was not restarted: {why}")
            mark = {"metadata": {"annotations": {RESTARTED: key}}}
            return merge(now, key, {"template": mark})

        return carried_out(opened, self._clock, place, change, "restarted")

    def probe(self, request: ActionRequest) -> ProbeResult:
        place = deployment_of(self._catalogue, self.name, request.target)
        result, now = probed(place, self._clock, request)
        return result if now is None else _with_planes(result, place, now)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        text = f"the restart of {request.target} can't be undone ({NOT_REVERSIBLE})"
        return refused("not_reversible", text)


def _with_planes(
    result: ProbeResult, place: DeploymentPlace, now: Mapping[str, Any]
) -> ProbeResult:
    seen, made = progress(now), result.effect is Effect.PRESENT
    plane = compared(
        place.plane,
        now=standing(now),
        intended=INTENDED,
        reached=made and seen.done,
        under_way=made and not seen.failed,
    )
    data = {"rollout": seen.words, "replicas": replicas(now), "planes": [plane]}
    return ProbeResult(effect=result.effect, evidence=result.evidence, data=data)


def _why_not(deployment: Mapping[str, Any]) -> str:
    """Say why a restart would change nothing, or come on top of another rollout."""
    seen = progress(deployment)
    if _paused(deployment):
        return "it is paused, so nothing would be rolled out"
    if seen.under_way and not seen.failed:
        return f"a rollout is under way ({seen.words}); wait for it, or roll it back"
    return ""


def _paused(deployment: Mapping[str, Any]) -> bool:
    return bool((deployment.get("spec") or {}).get("paused"))
