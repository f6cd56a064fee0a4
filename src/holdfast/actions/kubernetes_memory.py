"""Lets an object in Kubernetes remember the keys of the steps that changed it.

The key is an annotation, written in the very patch that makes the change, so the two are there or
neither is. Each patch carries the resource version that was read just before: who comes second is
refused and looks again. An object remembers the last keys only.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.actions.kubernetes_api import CONFLICT, PAUSES_S, SaidNoError
from holdfast.actions.places import done
from holdfast.kernel.clock import Clock
from holdfast.response.ports import ActionOutcome

if TYPE_CHECKING:
    from holdfast.actions.kubernetes_wire import ApiServer

ANNOTATION = "holdfast/keys"
KEYS_MAX = 20
UNDO = "/undo"
# A key that is remembered is answered, and not done again.
KNOWN = done("already done, not repeated")

Change = Callable[[Mapping[str, Any]], "ActionOutcome | Mapping[str, Any] | Sequence[Any]"]


def keys_of(thing: Mapping[str, Any]) -> list[str]:
    """List the keys that an object remembers, oldest first."""
    text = metadata(thing).get("annotations", {}).get(ANNOTATION, "[]")
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [str(each) for each in found] if isinstance(found, list) else []


def remembering(thing: Mapping[str, Any], key: str) -> str:
    """Write the memory of an object with one key more."""
    kept = [each for each in keys_of(thing) if each != key]
    return json.dumps([*kept, key][-KEYS_MAX:])


def metadata(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the metadata of an object, with annotations and labels that are there."""
    found = thing.get("metadata") or {}
    return {
        **found,
        "annotations": found.get("annotations") or {},
        "labels": found.get("labels") or {},
    }


def merge(thing: Mapping[str, Any], key: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the merge patch that changes `spec` of what was just read, and remembers the key."""
    return {
        "metadata": {
            "resourceVersion": metadata(thing)["resourceVersion"],
            "annotations": {ANNOTATION: remembering(thing, key)},
        },
        "spec": spec,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A change that is there; `known` where an earlier try with the same key made it."""

    thing: Mapping[str, Any]
    known: bool


def changed(
    server: "ApiServer",
    clock: Clock,
    where: tuple[str, str, str | None],
    change: Change,
) -> ActionOutcome | Made:
    """Read an object, let `change` judge it and write its patch, until nobody came between.

    `change` returns the patch, KNOWN, or the outcome of one that changes nothing.
    Raises SaidNoError, TargetUnreachableError or LostReplyError.
    """
    kind, name, namespace = where
    while True:
        now = server.get(kind, name, namespace)
        patch = change(now)
        if patch is KNOWN:
            return Made(thing=now, known=True)
        if isinstance(patch, ActionOutcome):
            return patch
        try:
            return Made(thing=server.patch(kind, name, patch, namespace), known=False)
        except SaidNoError as error:
            if error.status != CONFLICT:
                raise
            clock.wait(threading.Event(), PAUSES_S[0])
