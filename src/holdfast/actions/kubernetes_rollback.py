"""Rolls a deployment back to the release before, as `kubectl rollout undo` does: by its revisions.

A revision that differs from the one that runs only in the mark of a restart is the same release and
is passed over. The template is compared before it is set, and the key is remembered in the same
write: idempotent.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from holdfast.actions.kubernetes_api import (
    LOOK_S,
    NOT_FOUND,
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
from holdfast.actions.kubernetes_memory import (
    ANNOTATION,
    KNOWN,
    UNDO,
    keys_of,
    metadata,
    remembering,
)
from holdfast.actions.kubernetes_rollout import (
    digest,
    progress,
    release_digest,
    revision,
    revisions,
    runs,
    standing,
    template,
    versions,
)
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

CAUSE = "kubernetes.io/change-cause"
Thing = Mapping[str, Any]


class RollbackDeployment:
    """Roll the deployment of a target back. Parameters: `to`; `from`, only if at it.

    Each names a revision by its number, or by the tag of an image.
    """

    name = "rollback_deploy"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        wanted = _versions(params)
        place = deployment_of(self._catalogue, self.name, target)
        try:
            with connect(place.access, self._clock, LOOK_S) as server:
                now = server.get(*where(place))
                kept = revisions(now, server.listed("replicasets", place.namespace))
        except (SaidNoError, TargetUnreachableError) as error:
            return unseen(place, error)
        current, (to, why) = _current(now, kept), _earlier(now, kept, wanted)
        seen = {"instance": target, "reachable": True, "why": why, **identity(now)}
        if to is None or current is None:
            why = why if to is None else "Kubernetes has not taken its last change up yet"
            return {**seen, "why": why, "reversible": "no: nothing is rolled back", "planes": []}
        return {
            **seen,
            "reversible": f"forward again to revision {revision(now)}, while that is kept",
            "current": _named(current),
            "to": _named(to),
            "deployed_at": _since(now, kept),
            "planes": [predicted(place.plane, now=standing(now), intended=_intended(_named(to)))],
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = deployment_of(self._catalogue, self.name, request.target)
            opened = connect(place.access, self._clock, request.timeout_s)
        before, key = request.pre_image, request.idempotency_key
        to = before.get("to")
        if not to:
            why = before.get("why", "the step has no pre-image")
            return refused("no_previous_release", f"{place.target} stays as it is: {why}")

        def change(now: Thing) -> ActionOutcome | Sequence[Any]:
            if key in keys_of(now):
                return KNOWN
            if why := why_changed(before, now):
                return refused("changed_since", f"{place.target} was not rolled back: {why}")
            return _set(opened, place, now, key, to)

        return carried_out(opened, self._clock, place, change, f"rolled back, {_intended(to)}")

    def probe(self, request: ActionRequest) -> ProbeResult:
        place = deployment_of(self._catalogue, self.name, request.target)
        result, now = probed(place, self._clock, request)
        to = request.pre_image.get("to")
        if now is None or not to:
            return result
        there = digest(now) == to["template"]
        made, seen = result.effect is Effect.PRESENT and there, progress(now)
        plane = compared(
            place.plane,
            now=standing(now),
            intended=_intended(to),
            reached=made and seen.done,
            under_way=made and not seen.failed,
        )
        undone = request.idempotency_key + UNDO in keys_of(now)
        data = {"revision": revision(now), "undone": undone, "planes": [plane]}
        return ProbeResult(effect=result.effect, evidence=result.evidence, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = deployment_of(self._catalogue, self.name, request.target)
            opened = connect(place.access, self._clock, request.timeout_s)
        key, undone = request.idempotency_key, request.idempotency_key + UNDO
        back, to = request.pre_image.get("current"), request.pre_image.get("to")

        def change(now: Thing) -> ActionOutcome | Sequence[Any]:
            if undone in keys_of(now):
                return KNOWN
            if key not in keys_of(now) or not back or not to:
                return refused("nothing_to_undo", f"{place.target} was not moved by this step")
            if digest(now) != to["template"]:
                text = f"its template was changed since; it is at revision {revision(now)}"
                return refused("changed_since", f"{place.target} was left alone: {text}")
            return _set(opened, place, now, undone, back)

        did = f"forward again, {_intended(back or {})}"
        return carried_out(opened, self._clock, place, change, did)


def _set(
    server: "ApiServer", place: DeploymentPlace, now: Thing, key: str, to: Mapping[str, Any]
) -> ActionOutcome | Sequence[Any]:
    """Write the patch that sets the template of a revision, whole: a merge would keep leftovers."""
    if (now.get("spec") or {}).get("paused"):
        return refused("paused", f"{place.target} is paused, so nothing would be rolled out")
    gone = f"revision {to['revision']} of {place.target} is not kept any more"
    try:
        found = server.get("replicasets", to["replica_set"], place.namespace)
    except SaidNoError as error:
        if error.status != NOT_FOUND:
            raise
        return refused("revision_gone", gone)
    if metadata(found).get("uid") != to["uid"] or digest(found) != to["template"]:
        return refused("revision_gone", gone)
    marks = {k: v for k, v in metadata(now)["annotations"].items() if k != CAUSE}
    if cause := metadata(found)["annotations"].get(CAUSE):
        marks[CAUSE] = cause
    marks[ANNOTATION] = remembering(now, key)
    version = metadata(now)["resourceVersion"]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/annotations", "value": marks},
        {"op": "replace", "path": "/spec/template", "value": template(found)},
    ]


def _current(now: Thing, kept: Sequence[Thing]) -> Thing | None:
    return next((each for each in kept if digest(each) == digest(now)), None)


def _since(now: Thing, kept: Sequence[Thing]) -> str | None:
    """Say since when this release runs: a restart makes a revision anew, and deploys nothing."""
    runs_on = takewhile(lambda each: release_digest(each) == release_digest(now), kept)
    times = [metadata(each).get("creationTimestamp") for each in runs_on]
    return min((str(each) for each in times if each), default=None)


def _earlier(
    now: Thing, kept: Sequence[Thing], wanted: Mapping[str, str]
) -> tuple[Thing | None, str]:
    """Choose what to go back to. Returns it with the reason, or None with the reason why not."""
    if (now.get("spec") or {}).get("paused"):
        return None, "it is paused, so nothing would be rolled out"
    if "from" in wanted and not runs(now, wanted["from"]):
        at = f"revision {revision(now)} ({versions(template(now))})"
        return None, f"it runs {at}, not {wanted['from']} as the step says"
    older = [each for each in kept if digest(each) != digest(now)]
    if "to" in wanted:
        named = [each for each in older if runs(each, wanted["to"])]
        if not named:
            return None, f"no other revision is {wanted['to']}; kept are {_listed(older)}"
        return named[0], "the step names it"
    before = [each for each in older if revision(each) < revision(now)]
    others = [each for each in before if release_digest(each) != release_digest(now)]
    if not others:
        return None, f"no revision of an earlier release is kept; kept are {_listed(older)}"
    return others[0], f"revision {revision(others[0])} is the release before"


def _named(found: Thing) -> dict[str, Any]:
    return {
        "revision": revision(found),
        "replica_set": metadata(found).get("name"),
        "uid": metadata(found).get("uid"),
        "template": digest(found),
        "versions": versions(template(found)),
    }


def _intended(to: Mapping[str, Any]) -> str:
    return f"as revision {to.get('revision')} was ({to.get('versions')})"


def _listed(kept: Sequence[Thing]) -> str:
    return ", ".join(f"{revision(each)} ({versions(template(each))})" for each in kept) or "none"


def _versions(params: Mapping[str, Any]) -> dict[str, str]:
    only("rollback_deploy", params, ("from", "to"))
    for name, value in params.items():
        if isinstance(value, bool) or not isinstance(value, int | str) or not str(value):
            raise BadInputError(
                f"rollback_deploy: {name} is {value!r}; name a revision by its number or its tag",
                field=f"params.{name}",
            )
    return {name: str(value) for name, value in params.items()}
