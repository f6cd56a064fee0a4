"""Reads a deployment and its revisions as the API server gives them; pure functions of JSON.

How far a rollout has come is judged as `kubectl rollout status` judges it. What a template is
compared by leaves out the label that Kubernetes itself adds to each revision.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.actions.kubernetes_memory import metadata
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.redact import bounded

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
RESTARTED = "holdfast/restarted-by"
# A template that differs in these only runs the same release.
RESTARTS = frozenset({RESTARTED, "kubectl.kubernetes.io/restartedAt"})

Thing = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a rollout has come: `done`, `failed` for good, or neither.

    `under_way`: old pods are still being replaced; new ones that are not well are no part of that.
    """

    done: bool = False
    failed: bool = False
    under_way: bool = False
    words: str


def progress(deployment: Thing) -> Progress:
    """Judge a rollout. Method: `kubectl rollout status`, polymorphichelpers/rollout_status.go."""
    status = deployment.get("status") or {}
    wanted = replicas(deployment)
    updated, total = _count(status, "updatedReplicas"), _count(status, "replicas")
    available = _count(status, "availableReplicas")
    words = f"{updated} of {wanted} updated, {available} available"
    failing = "; ".join(_failing(status))
    if failing:
        words = f"{words}; {failing}"
    if not settled(deployment):
        return Progress(under_way=True, words="Kubernetes has not taken it up yet")
    if any(_is(each, "Progressing", "ProgressDeadlineExceeded") for each in _conditions(status)):
        return Progress(failed=True, words=f"{words}; its progress deadline is over")
    if updated < wanted or total > updated:
        return Progress(under_way=True, words=words)
    if available < updated:
        return Progress(words=words)
    return Progress(done=True, words=words)


def settled(deployment: Thing) -> bool:
    """Say whether the controller has seen the deployment as it is."""
    observed = (deployment.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= metadata(deployment).get("generation", 0))


def replicas(deployment: Thing) -> int:
    """Say how many replicas are wanted; one where nobody said."""
    return int((deployment.get("spec") or {}).get("replicas", 1))


def standing(deployment: Thing) -> str:
    """Say in short how a deployment stands."""
    status = deployment.get("status") or {}
    ready, wanted = _count(status, "readyReplicas"), replicas(deployment)
    return (
        f"revision {revision(deployment)} ({versions(template(deployment))}),"
        f" {ready} of {wanted} ready"
    )


def template(thing: Thing) -> dict[str, Any]:
    """Copy the pod template of a deployment or of a revision, without the label of the revision."""
    found = dict((thing.get("spec") or {}).get("template") or {})
    meta = {k: v for k, v in (found.get("metadata") or {}).items() if k != "creationTimestamp"}
    meta["labels"] = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH_LABEL}
    return {**found, "metadata": meta}


def digest(thing: Thing) -> str:
    """Sum up the template, so that two can be compared."""
    return _sum(template(thing))


def release_digest(thing: Thing) -> str:
    """Sum up the template without the marks of restarts."""
    found = template(thing)
    marks = found["metadata"].get("annotations") or {}
    kept = {k: v for k, v in marks.items() if k not in RESTARTS}
    return _sum({**found, "metadata": {**found["metadata"], "annotations": kept}})


def revision(thing: Thing) -> int:
    """Read the number of a revision, 0 where it has none."""
    text = str(metadata(thing)["annotations"].get(REVISION, "0"))
    return int(text) if text.isdecimal() else 0


def versions(found: Thing) -> str:
    """Name the versions that a template runs: the tag of each container's image."""
    tags = dict(_tags(found))
    if len(tags) == 1:
        return next(iter(tags.values()))
    return ", ".join(f"{name}={tag}" for name, tag in tags.items()) or "no container"


def runs(thing: Thing, version: str) -> bool:
    """Say whether a deployment or revision is the one that is meant, by its number or its tag."""
    return version == str(revision(thing)) or version in dict(_tags(template(thing))).values()


def revisions(deployment: Thing, sets: Sequence[Thing]) -> list[Thing]:
    """List the revisions of a deployment that are kept, newest first."""
    uid = metadata(deployment).get("uid")
    owned = [each for each in sets if any(o.get("uid") == uid for o in owners(each))]
    return sorted(owned, key=revision, reverse=True)


def owners(thing: Thing) -> Sequence[Thing]:
    """List what an object belongs to."""
    return metadata(thing).get("ownerReferences") or ()


def _tags(found: Thing) -> Iterator[tuple[str, str]]:
    for each in (found.get("spec") or {}).get("containers") or ():
        image = str(each.get("image", ""))
        plain, _, by_digest = image.partition("@")
        tag = plain.rpartition("/")[2].partition(":")[2]
        yield str(each.get("name", "")), tag or by_digest or "latest"


def _failing(status: Thing) -> Iterator[str]:
    for each in _conditions(status):
        if each.get("type") == "ReplicaFailure" and each.get("status") == "True":
            yield bounded(str(each.get("message", "")), limit=200)


def _is(condition: Thing, kind: str, reason: str) -> bool:
    return condition.get("type") == kind and condition.get("reason") == reason


def _conditions(status: Thing) -> Sequence[Thing]:
    return status.get("conditions") or ()


def _count(status: Thing, name: str) -> int:
    return int(status.get(name) or 0)


def _sum(found: Thing) -> str:
    return hashlib.sha256(canonical_json(found)).hexdigest()[:16]
