"""What the actions on a deployment share: how it is looked at, compared, watched and reported.

A change is compared with what was seen before it: the same deployment, the same template and the
same revision. Revisions only count up, so one that was changed and changed back is another. What
an autoscaler does to the replicas meanwhile is no such change.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.actions.kubernetes_api import (
    LOOK_S,
    NOT_FOUND,
    DeploymentPlace,
    SaidNoError,
    connect,
    waited,
)
from holdfast.actions.kubernetes_memory import KNOWN, Change, changed, keys_of, metadata
from holdfast.actions.kubernetes_rollout import (
    Progress,
    digest,
    progress,
    replicas,
    revision,
    settled,
)
from holdfast.actions.places import done, refused
from holdfast.kernel.clock import Clock
from holdfast.kernel.redact import bounded
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

KIND = "deployments"


def where(place: DeploymentPlace) -> tuple[str, str, str]:
    """Name the deployment to the API server."""
    return KIND, place.name, place.namespace


def identity(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a deployment is compared by."""
    return {
        "uid": metadata(deployment).get("uid"),
        "generation": metadata(deployment).get("generation"),
        "template": digest(deployment),
        "revision": revision(deployment),
        "replicas": replicas(deployment),
        "repeatability": Repeatability.IDEMPOTENT.value,
    }


def unseen(place: DeploymentPlace, error: SaidNoError | TargetUnreachableError) -> dict[str, Any]:
    """Say that a deployment could not be looked at."""
    return {
        "instance": place.target,
        "reachable": False,
        "reversible": "no: it can't be read",
        "why": bounded(error.message, limit=500),
    }


def why_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Say what somebody changed since the look; None where nothing was."""
    if not before.get("uid"):
        return "it was not looked at before"
    if metadata(now).get("uid") != before["uid"]:
        return "it was deleted and made anew since it was looked at"
    if digest(now) != before.get("template") or revision(now) != before.get("revision"):
        return f"its template was changed since it was looked at; it is at revision {revision(now)}"
    if not settled(now) and metadata(now).get("generation") != before.get("generation"):
        return "it was changed a moment ago, and Kubernetes has not taken that up yet"
    return None


def _said_no(place: DeploymentPlace, error: SaidNoError) -> ActionOutcome:
    """Answer that the API server refused, before anything was changed."""
    category = {403: "forbidden", NOT_FOUND: "not_found", 422: "invalid"}.get(error.status)
    text = f"{place.target}: nothing was changed: {error.message}"
    return refused(category or "refused", bounded(text))


def carried_out(
    server: "ApiServer", clock: Clock, place: DeploymentPlace, change: Change, did: str
) -> ActionOutcome:
    """Make a change once, and watch the rollout that comes of it.

    Raises TargetUnreachableError where nothing was done, LostReplyError where that isn't known.
    """
    with server:
        try:
            made = changed(server, clock, where(place), change)
        except SaidNoError as error:
            return _said_no(place, error)
        if isinstance(made, ActionOutcome):
            return made
        return _ended(place, did, _rolled_out(server, clock, place, made.thing), known=made.known)


def _rolled_out(
    server: "ApiServer", clock: Clock, place: DeploymentPlace, made: Mapping[str, Any]
) -> Progress:
    """Watch a rollout until it is done, fails, or the time is over. Raises nothing."""
    looks = 0
    while True:
        try:
            now = server.get(*where(place))
        except (SaidNoError, TargetUnreachableError) as error:
            return Progress(words=f"it can't be watched: {bounded(error.message, limit=300)}")
        if digest(now) != digest(made):
            return Progress(failed=True, words="somebody changed its template meanwhile")
        seen = progress(now)
        if seen.done or seen.failed or not waited(server, clock, looks):
            return seen
        looks += 1


def _ended(place: DeploymentPlace, did: str, seen: Progress, *, known: bool) -> ActionOutcome:
    """Answer for a change that was made, now or by an earlier try, and for its rollout.

    One that is not through when the time is over is no failure: it goes on by itself, and whether
    it helped is for the verification to say.
    """
    text = f"{place.target}: {did}{f' ({KNOWN.summary})' if known else ''}: {seen.words}"
    if not seen.failed:
        return done(bounded(text if seen.done else f"{text}; the rollout goes on by itself"))
    return ActionOutcome(
        ok=False,
        effect=Effect.PRESENT,
        summary=bounded(f"{text}; the rollout does not get on"),
        return_code=1,
        error_category="rollout_failed",
    )


def probed(
    place: DeploymentPlace, clock: Clock, request: ActionRequest
) -> tuple[ProbeResult, Mapping[str, Any] | None]:
    """Look whether the deployment remembers the key; give what was seen with the answer."""
    try:
        with connect(place.access, clock, LOOK_S) as server:
            now = server.get(*where(place))
    except (SaidNoError, TargetUnreachableError) as error:
        return ProbeResult(effect=Effect.UNKNOWN, evidence=bounded(error.message)), None
    seen = progress(now)
    if request.idempotency_key in keys_of(now):
        text = f"{place.target} remembers this step: {seen.words}"
        return ProbeResult(effect=Effect.PRESENT, evidence=text), now
    if why := why_changed(request.pre_image, now):
        text = f"{place.target} does not remember this step, but {why}"
        return ProbeResult(effect=Effect.UNKNOWN, evidence=text), now
    text = f"{place.target} does not remember this step, and is as it was"
    return ProbeResult(effect=Effect.ABSENT, evidence=text), now
