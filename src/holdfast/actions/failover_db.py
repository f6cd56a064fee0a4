"""Promotes a PostgreSQL standby, once for a key and never by a token that is older than the newest.

Everything that speaks against it is looked at on the standby in the statement that promotes, under
an advisory lock. The primary must be down, or, for a planned failover, take no writes by default:
promoting beside one that does makes two. Of a planned one the token is written on the primary first
and waited for on the standby, so that nothing committed before it is left behind.

A primary that was down may come back and take writes beside the new one. Only what stands outside
of it can prevent that: the command `control.failover.fence`, which must end well before anything
is promoted. Without one the pre-image and the outcome say so.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from holdfast.actions.places import before_acting, controlled, done, incident_of, only, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.postgres_pair import (
    SaidNoError,
    Session,
    primary_state,
    require_driver,
    session,
)
from holdfast.actions.supervisord import Deadline
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError
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
REPLAY_POLL_S = 0.05
NOT_REVERSIBLE = (
    "no: the old primary must not take writes again; rebuild it as a standby of the new one"
)


UNFENCED = (
    "nothing keeps the old primary from taking writes when it comes back; keep it down, or set"
    " control.failover.fence"
)


class Fencing(Protocol):
    """Runs a command of the configuration for another action."""

    def run_named(self, name: str, request: ActionRequest, timeout_s: float) -> ActionOutcome:
        """Run it to its end. Raises LostReplyError or TargetUnreachableError."""
        ...

    def look_named(self, name: str, request: ActionRequest) -> ProbeResult | None:
        """Look whether its effect is there, with its plane; None where that can't be seen."""
        ...


class FailoverDb:
    """Promote the standby of `service`. Parameter: `primary`, `down` (default) or `read_only`."""

    name = "failover_db"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "high"

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        fencing: Fencing | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._fencing = fencing
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        control, expected = self._place(target, params)
        seen: dict[str, Any] = {"service": target, "reversible": NOT_REVERSIBLE}
        try:
            with session(_dsn(control, "standby"), "standby", LOOK_S) as standby:
                now = dict(standby.ask("look"))
        except TargetUnreachableError as error:
            return {**seen, "reachable": False, "why": error.message}
        primary = primary_state(_dsn(control, "primary"))
        why = _why_not_ready(now) or _why_not_primary(primary, expected)
        return {
            **seen,
            "reachable": why is None,
            "why": why or "",
            "in_recovery": now["in_recovery"],
            "started_at": now["started_at"],
            "system_id": now["system_id"],
            "behind_bytes": int(now["behind_bytes"]),
            "primary": primary,
            "old_primary": _fate(control, expected),
            "planes": [] if why else _planned(control, target, now, expected),
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            control, expected = self._place(request.target, request.params)
        if not request.pre_image.get("started_at"):
            return refused("no_pre_image", f"{request.target} was not looked at before")
        deadline = Deadline.after(self._clock, request.timeout_s)
        where = _dsn(control, "standby")
        with session(where, "standby", request.timeout_s, writes=True) as standby:
            if not standby.ask("lock", target=request.target)["got"]:
                # It may be held by a paused worker that carries this very key.
                raise LostReplyError(
                    f"{request.target}: another worker is at its failover; whether it promotes the"
                    " standby is unknown"
                )
            known = self._already(standby, request)
            if known is not None:
                return known
            primary = primary_state(_dsn(control, "primary"))
            if why := _why_not_primary(primary, expected):
                return refused("primary", f"{request.target}: nothing was promoted: {why}")
            if primary == "read_only":
                stopped = self._seal(control, standby, request, deadline)
                if stopped is not None:
                    return stopped
            elif stopped := self._fenced(control, standby, request, deadline):
                return stopped
            outcome = _promote(standby, request, deadline, _fate(control, expected))
        return outcome if outcome.ok else _and_barred(outcome, control, expected)

    def probe(self, request: ActionRequest) -> ProbeResult:
        control, expected = self._place(request.target, request.params)
        try:
            with session(_dsn(control, "standby"), "standby", LOOK_S) as standby:
                now = standby.ask("look")
                known = standby.ask("known", key=request.idempotency_key)
        except TargetUnreachableError as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
        promoted = not now["in_recovery"]
        role = "primary" if promoted else "standby"
        plane = compared(_plane(request.target), now=role, intended="primary", reached=promoted)
        data = {"planes": [plane, *self._fence_seen(control, expected, request)]}
        effect, text = _judged(known, request, in_recovery=not promoted)
        return ProbeResult(effect=effect, evidence=text, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        text = f"the failover of {request.target} can't be undone ({NOT_REVERSIBLE})"
        return refused("not_reversible", text)

    def _already(self, standby: Session, request: ActionRequest) -> ActionOutcome | None:
        known = standby.ask("known", key=request.idempotency_key)
        if known.get("promoted"):
            text = f"already done at {known['at']}, not repeated"
            return done(f"{request.target}: {text}")
        return None

    def _fenced(
        self,
        control: Mapping[str, Any],
        standby: Session,
        request: ActionRequest,
        deadline: Deadline,
    ) -> ActionOutcome | None:
        """Keep the old primary from coming back, where a command is set for it."""
        name = control.get("fence")
        if not name:
            return None
        # One that comes too late must not bar what is in use by now.
        state = standby.ask("would", **_token(request), started_at=_started_at(request))["state"]
        if state != "ready":
            return _not_promoted(request, state)
        why = "no command of that name is set up here"
        if self._fencing is not None:
            try:
                outcome = self._fencing.run_named(str(name), request, deadline.left_s())
                why = outcome.summary
                if outcome.ok:
                    return None
            except (LostReplyError, TargetUnreachableError, TimeoutError) as error:
                why = str(error)
        # Whatever became of the old primary, which is down: nothing is promoted yet.
        text = f"{request.target}: nothing was promoted: the fence {name} did not succeed: {why}"
        return refused("not_fenced", text)

    def _fence_seen(
        self, control: Mapping[str, Any], expected: str, request: ActionRequest
    ) -> list[Mapping[str, Any]]:
        """Say how the fence stands, where its command has a probe."""
        name = control.get("fence")
        if not name or expected != "down" or self._fencing is None:
            return []
        found = self._fencing.look_named(str(name), request)
        return list(found.data.get("planes", ())) if found else []

    def _seal(
        self,
        control: Mapping[str, Any],
        standby: Session,
        request: ActionRequest,
        deadline: Deadline,
    ) -> ActionOutcome | None:
        """Write the token on the primary and wait for it here. Promotes nothing yet."""
        try:
            with session(_dsn(control, "primary"), "primary", LOOK_S, writes=True) as primary:
                sealed = primary.tell("seal", **_token(request))
        except (SaidNoError, LostReplyError) as error:
            # A token alone is no effect.
            return refused("not_sealed", f"nothing was promoted: {error.message}")
        if not sealed:
            return refused("stale_token", f"{request.target}: a newer token was there already")
        never = threading.Event()
        while not standby.ask("known", key=request.idempotency_key):
            try:
                self._clock.wait(never, min(REPLAY_POLL_S, deadline.left_s()))
            except TimeoutError:
                text = f"the standby of {request.target} did not catch up; nothing was promoted"
                return refused("standby_behind", text)
        return None

    def _place(self, target: str, params: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
        only(self.name, params, ("primary",))
        _, control = controlled(self._catalogue, self.name, target, "failover")
        expected = params.get("primary", "down")
        if expected not in ("down", "read_only"):
            raise BadInputError(
                f"failover_db: primary is {expected!r}; write down (it must not answer) or"
                " read_only (a planned failover)",
                field="params.primary",
            )
        require_driver(self.name)
        return control, expected


def _plane(target: str) -> str:
    return f"postgresql {target} standby"


def _planned(
    control: Mapping[str, Any], target: str, now: Mapping[str, Any], expected: str
) -> list[dict[str, Any]]:
    behind = f"standby, {int(now['behind_bytes'])} bytes behind"
    planes = [predicted(_plane(target), now=behind, intended="primary")]
    if control.get("fence") and expected == "down":
        name = f"command {control['fence']} {target}"
        planes.append(predicted(name, now="not run by this step", intended="ended well"))
    return planes


def _judged(
    known: Mapping[str, Any], request: ActionRequest, *, in_recovery: bool
) -> tuple[Effect, str]:
    if known.get("promoted"):
        text = f"the token table says that this attempt promoted it at {known['at']}"
        return Effect.PRESENT, text
    if in_recovery:
        text = "it is a standby still, and the token table knows no promotion by this attempt"
        return Effect.ABSENT, text
    if request.pre_image.get("in_recovery") is True:
        text = "it was promoted since it was looked at; by whom, the token table does not say"
        return Effect.PRESENT, text
    return Effect.UNKNOWN, "it is a primary, and there is no pre-image to compare with"


def _promote(
    standby: Session, request: ActionRequest, deadline: Deadline, fate: str
) -> ActionOutcome:
    try:
        wait_s = max(1, int(deadline.left_s() - 1))
        state = standby.tell(
            "promote",
            **_token(request),
            started_at=_started_at(request),
            wait_s=wait_s,
        )["state"]
    except (SaidNoError, TimeoutError) as error:
        return refused("refused", f"{request.target}: nothing was promoted: {error}")
    match state:
        case "promoted":
            return done(
                f"{request.target}: the standby is the primary now{_remembered(standby, request)};"
                f" {fate}"
            )
        case "slow":
            raise LostReplyError(
                f"{request.target}: the promotion began, and has not ended in time"
            )
        case "known":
            return done(f"{request.target}: already done, not repeated")
        case _:
            return _not_promoted(request, state)


def _not_promoted(request: ActionRequest, state: str) -> ActionOutcome:
    if state == "stale":
        text = f"{request.target}: a newer token was there already; nothing was promoted"
        return refused("stale_token", text)
    what = "is a primary already" if state == "primary" else "was restarted"
    text = f"{request.target}: the standby {what} since it was looked at; it is left alone"
    return refused("changed_meanwhile", text)


def _and_barred(outcome: ActionOutcome, control: Mapping[str, Any], expected: str) -> ActionOutcome:
    """Say it where the fence stands and no promotion came of it."""
    if expected != "down" or not control.get("fence"):
        return outcome
    kept = f"the command {control['fence']} has run, so the old primary is kept out until that is"
    text = f"{kept} undone by hand"
    return replace(outcome, summary=f"{outcome.summary}; {text}")


def _started_at(request: ActionRequest) -> str:
    return str(request.pre_image["started_at"])


def _fate(control: Mapping[str, Any], expected: str) -> str:
    """Say what keeps the old primary from taking writes."""
    if expected == "read_only":
        return (
            "the old primary takes no writes by default, as ALTER SYSTEM says, until that is reset"
        )
    if control.get("fence"):
        return f"the old primary is fenced by the command {control['fence']}"
    return UNFENCED


def _remembered(standby: Session, request: ActionRequest) -> str:
    try:
        standby.tell("remember", **_token(request))
    except (SaidNoError, LostReplyError) as error:
        return f"; its token table did not take the key: {error.message}"
    return ""


def _token(request: ActionRequest) -> dict[str, Any]:
    return {
        "target": request.target,
        "incident": incident_of(request.idempotency_key),
        "fence": request.fence,
        "key": request.idempotency_key,
    }


def _why_not_ready(now: Mapping[str, Any]) -> str | None:
    if not now["in_recovery"]:
        return "it is a primary already; correct control.failover to name the standby of today"
    if not now["has_tokens"]:
        return "it has no table holdfast_token; make it on the primary: see configuration.md"
    if not now["may_promote"]:
        return "the role may not promote; grant it EXECUTE on function pg_promote"
    return None


def _why_not_primary(state: str, expected: str) -> str | None:
    if state == expected:
        return None
    if state == "standby":
        return "the address of the primary leads to a standby; correct control.failover.primary"
    if state == "down":
        return "the primary does not answer, so it can't be a planned failover; say `primary: down`"
    if state == "read_only":
        return "the primary answers, read-only; say `primary: read_only` for a planned failover"
    return (
        "the primary takes writes, and two would; stop it, or, for a planned failover, set"
        " default_transaction_read_only = on there with ALTER SYSTEM and say `primary: read_only`"
    )


def _dsn(control: Mapping[str, Any], role: str) -> str:
    return str(control[role]["dsn"])
