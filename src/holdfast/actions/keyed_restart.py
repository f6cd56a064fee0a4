"""Restarts through the plugin in supervisord, which remembers keys and fences.

The other side is `orchestrator`. Whatever it has decided comes back as an answer with a state; a
reply that is lost can be asked for again with the same key, and is never a second restart.
"""

from collections.abc import Mapping
from typing import Any, cast

from holdfast.actions.places import done, refused
from holdfast.actions.supervisord import Deadline, Fault, FaultError, Supervisord
from holdfast.kernel.redact import bounded
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    TargetUnreachableError,
)

_API = 1
# The answer has to have time to travel: the plugin waits a little less than its caller.
_TRAVEL_S = 0.5
_LIVE = frozenset({"RUNNING", "STARTING"})


def require(supervisord: Supervisord, deadline: Deadline) -> None:
    """Raise TargetUnreachableError unless the plugin is there and speaks this version."""
    try:
        answer = supervisord.call(deadline, "holdfast.describe")
    except FaultError as fault:
        if fault.code != Fault.UNKNOWN_METHOD:
            raise
        raise TargetUnreachableError(
            f"control.supervisord.wrapper is true, but supervisord at {supervisord.socket_path} has"
            " no section [rpcinterface:holdfast]; add it and restart supervisord, or take the"
            " setting away"
        ) from None
    api = cast("Mapping[str, Any]", answer).get("api")
    if api != _API:
        raise TargetUnreachableError(
            f"the plugin in supervisord at {supervisord.socket_path} speaks version {api}, not"
            f" {_API}; install the same release of holdfast there"
        )


def perform(
    supervisord: Supervisord,
    instance: str,
    process: str,
    request: ActionRequest,
    deadline: Deadline,
) -> ActionOutcome:
    """Ask for the restart. Raises as every action does."""
    before = request.pre_image
    seen = int(before.get("pid") or 0) if before.get("state") in _LIVE else 0
    timeout_s = max(deadline.left_s() - _TRAVEL_S, 0.0)
    try:
        answer = supervisord.call(
            deadline,
            "holdfast.restart",
            process,
            request.idempotency_key,
            request.fence,
            timeout_s,
            seen,
        )
    except FaultError as fault:
        category = "unknown_process" if fault.code == Fault.BAD_NAME else "refused"
        return refused(category, f"{instance} was not touched: {fault.message}")
    return _outcome(instance, cast("Mapping[str, Any]", answer))


def probe(
    supervisord: Supervisord, request: ActionRequest, now: Mapping[str, Any], deadline: Deadline
) -> ProbeResult:
    """Ask what is known of the key."""
    key = request.idempotency_key
    answer = cast("Mapping[str, Any]", supervisord.call(deadline, "holdfast.attempt", key))
    state, text = str(answer["state"]), bounded(str(answer["text"]))
    effect = {"done": Effect.PRESENT, "refused": Effect.ABSENT, "unknown": Effect.ABSENT}
    return ProbeResult(
        effect=effect.get(state, Effect.UNKNOWN),
        evidence=f"the key journal in supervisord says {state}: {text}",
        data=now,
    )


def _outcome(instance: str, answer: Mapping[str, Any]) -> ActionOutcome:
    state, text = str(answer["state"]), bounded(str(answer["text"]))
    again = ", already done, not repeated" if answer.get("repeated") else ""
    match state:
        case "done" if answer["ok"]:
            return done(f"{instance}{again}: {text}")
        case "done":
            return ActionOutcome(
                ok=False,
                effect=Effect.PRESENT,
                summary=f"{instance}{again}: {text}",
                return_code=1,
                error_category="start_failed",
            )
        case "refused":
            return refused("changed_meanwhile", f"{instance} was not touched: {text}")
        case "stale":
            return refused("stale_token", f"{instance} was not touched: {text}")
        case _:
            raise LostReplyError(f"{instance}: the restart is {state}: {text}")
