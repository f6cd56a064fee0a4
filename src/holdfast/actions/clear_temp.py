"""The half of `clear_cache` that clears temporary directories.

The moment before which a file must have been changed is fixed when the target is looked at, and
never moves. So a repeat goes on where the first try stopped, and neither it nor a worker that comes
late removes what was made since: compared before it is removed, which makes it idempotent.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.actions.places import before_acting, chosen, done, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.supervisord import Deadline
from holdfast.actions.temp_tree import Cut, Found, TempTree, TreeError, check_temp_path
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import BadInputError
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

LOOK_S = 5.0
NOT_REVERSIBLE = "no: the files are gone; what needs them makes them again"
_INTENDED = "none of them left"


def observe(
    control: Mapping[str, Any], target: str, params: Mapping[str, Any], clock: Clock
) -> Mapping[str, Any]:
    """Count what would go, and fix the moment that decides it."""
    path = _path(control, params)
    seen = {"service": target, "path": path, "reversible": NOT_REVERSIBLE}
    now = clock.now().timestamp()
    cut = Cut(modified=now - float(control.get("older_than_s", 0.0)), looked_at=now)
    try:
        with TempTree(path, Deadline.after(clock, LOOK_S)) as tree:
            found = tree.count(cut)
            identity, free_bytes = tree.identity, tree.free_bytes()
    except TreeError as error:
        return {**seen, "reachable": False, "why": error.message}
    return {
        **seen,
        "reachable": True,
        "repeatability": Repeatability.IDEMPOTENT.value,
        "identity": identity,
        "modified_before": cut.modified,
        "looked_at": cut.looked_at,
        "files": found.files,
        "bytes": found.size_bytes,
        "younger_files": found.younger,
        "left_alone": found.others,
        "counted_all": found.complete,
        "free_bytes": free_bytes,
        "planes": [predicted(_plane(path), now=_words(found), intended=_INTENDED)],
    }


def perform(control: Mapping[str, Any], request: ActionRequest, clock: Clock) -> ActionOutcome:
    with before_acting():
        path = _path(control, request.params)
    seen = request.pre_image
    if not seen.get("identity") or seen.get("path") != path:
        return refused("no_pre_image", f"{request.target} was not looked at before")
    found = Found()
    try:
        with TempTree(path, Deadline.after(clock, request.timeout_s)) as tree:
            if tree.identity != seen["identity"]:
                return refused(
                    "changed_meanwhile", f"another directory is at {path} than was looked at"
                )
            tree.clear(_cut(seen), found)
            free_bytes = tree.free_bytes()
    except TreeError as error:
        raise TargetUnreachableError(f"nothing was removed: {error.message}") from error
    except OSError as error:
        why = bounded(str(error.strerror or error))
        raise LostReplyError(f"{_told(path, found)}, then it ended: {why}") from error
    if not found.complete:
        raise LostReplyError(f"{_told(path, found)}, then the time was over")
    return _ended(path, found, free_bytes)


def probe(control: Mapping[str, Any], request: ActionRequest, clock: Clock) -> ProbeResult:
    """Look for what should have gone: an attempt is there when nothing of it is left."""
    path, seen = _path(control, request.params), request.pre_image
    if not seen.get("identity"):
        return ProbeResult(effect=Effect.UNKNOWN, evidence="there is no pre-image to compare with")
    try:
        with TempTree(path, Deadline.after(clock, LOOK_S)) as tree:
            same, left = tree.identity == seen["identity"], tree.count(_cut(seen))
    except TreeError as error:
        return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
    if not same or (not left.files and not left.complete):
        text = f"{path} is another directory now" if not same else f"{path} is too big to look at"
        return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
    reached = not left.files
    plane = compared(_plane(path), now=_words(left), intended=_INTENDED, reached=reached)
    data = {"files_left": left.files, "planes": [plane]}
    if left.files:
        text = f"{left.files} files that were to go are still below {path}; a repeat goes on"
        return ProbeResult(effect=Effect.ABSENT, evidence=text, data=data)
    text = f"no file that was to go is left below {path}"
    return ProbeResult(effect=Effect.PRESENT, evidence=text, data=data)


def undo(request: ActionRequest) -> ActionOutcome:
    text = f"clearing {request.target} can't be undone ({NOT_REVERSIBLE})"
    return refused("not_reversible", text)


def _plane(path: str) -> str:
    return f"files {path}"


def _words(found: Found) -> str:
    at_least = "" if found.complete else "at least "
    return f"{at_least}{found.files} files to go, {found.size_bytes} bytes"


def _cut(seen: Mapping[str, Any]) -> Cut:
    return Cut(modified=float(seen["modified_before"]), looked_at=float(seen["looked_at"]))


def _path(control: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    path = chosen("clear_cache", "path", params, list(control["paths"]))
    try:
        return check_temp_path(path)
    except ValueError as error:
        raise BadInputError(f"clear_cache: {error}", field="params.path") from None


def _told(path: str, found: Found) -> str:
    return f"{found.files} files ({found.size_bytes} bytes) below {path} were removed"


def _ended(path: str, found: Found, free_bytes: int) -> ActionOutcome:
    text = f"{_told(path, found)}; {free_bytes} bytes are free now"
    if found.younger or found.others:
        text += f"; left alone: {found.younger} younger ones, {found.others} that are no plain file"
    if not found.kept:
        return done(text)
    first = bounded("; ".join(found.problems[:5]), limit=500)
    effect = Effect.PRESENT if found.files else Effect.ABSENT
    return ActionOutcome(
        ok=False,
        effect=effect,
        summary=f"{text}; {found.kept} could not be removed: {first}",
        return_code=1,
        error_category="kept",
    )
