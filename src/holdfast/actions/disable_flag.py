"""Turns a feature flag off, in a flagd file or in Unleash, and on again if nobody touched it since.

A file is idempotent: it is compared before it is set, and a journal beside it remembers the key. A
repeat is answered and not done again; one that comes late, after somebody edited the file, does
nothing. What Unleash can promise is less, and is said in `unleash_flag`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.actions import unleash_flag
from holdfast.actions.directory_lock import LockBusyError
from holdfast.actions.flag_file import DISABLED, ENABLED, FlagError, FlagFile, Turn
from holdfast.actions.places import before_acting, chosen, controlled, done, only, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.unleash_api import Unleash
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

PROBE_S = 5.0


class DisableFlag:
    """Disable one flag of `service`. Parameter: `flag`, from the service's allow-list."""

    name = "disable_flag"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        path, flag = self._place(target, params)
        if isinstance(path, Unleash):
            return {"service": target, **unleash_flag.observe(path, flag, self._clock)}
        seen: dict[str, Any] = {"service": target, "file": str(path), "flag": flag}
        try:
            with FlagFile(path, self._clock) as file:
                now = file.read(flag)
        except FlagError as error:
            reversible = "no: the flag can't be read"
            return {**seen, "reachable": False, "reversible": reversible, "why": error.message}
        return {
            **seen,
            "reachable": True,
            "reversible": f"set the flag back to {now.state} if nobody changed it since",
            "state": now.state,
            "digest": now.digest,
            "file_id": now.identity,
            "digest_after": now.digest_disabled,
            "planes": [predicted(_plane(path, flag), now=now.state, intended=DISABLED)]
            if now.state == ENABLED
            else [],
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            path, flag = self._place(request.target, request.params)
        if isinstance(path, Unleash):
            return unleash_flag.perform(path, flag, self._clock, request)
        seen = request.pre_image
        if (
            seen.get("state") != ENABLED
            or seen.get("flag") != flag
            or seen.get("file") != str(path)
        ):
            was = seen.get("state", "not looked at")
            return refused("nothing_to_do", f"flag {flag!r} was {was}, not {ENABLED}: nothing done")
        turn = Turn(
            key=request.idempotency_key,
            flag=flag,
            before=ENABLED,
            after=DISABLED,
            digest=str(seen["digest"]),
            identity=str(seen["file_id"]),
        )
        return self._turn(path, turn, request.timeout_s)

    def probe(self, request: ActionRequest) -> ProbeResult:
        path, flag = self._place(request.target, request.params)
        if isinstance(path, Unleash):
            return unleash_flag.probe(path, flag, self._clock, request)
        try:
            with FlagFile(path, self._clock) as file, file.locked(PROBE_S):
                effect, evidence = file.effect_of(request.idempotency_key)
                now = file.read(flag)
        except (FlagError, LockBusyError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
        except OSError as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=f"{path} can't be read: {error}")
        text = f"{evidence}; flag {flag!r} is {now.state} now"
        off = now.state == DISABLED
        plane = compared(_plane(path, flag), now=now.state, intended=DISABLED, reached=off)
        planes = [plane] if request.pre_image.get("planes") else []
        data = {"state": now.state, "planes": planes}
        return ProbeResult(effect=effect, evidence=text, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        path, flag = self._place(request.target, request.params)
        if isinstance(path, Unleash):
            return unleash_flag.undo(path, flag, self._clock, request)
        if self.probe(request).effect is not Effect.PRESENT:
            return refused("nothing_to_undo", f"{request.target}: this step turned no flag")
        turn = Turn(
            key=f"{request.idempotency_key}/undo",
            flag=flag,
            before=DISABLED,
            after=ENABLED,
            digest=str(request.pre_image["digest_after"]),
        )
        outcome = self._turn(path, turn, request.timeout_s)
        if outcome.error_category == "changed_meanwhile":
            return replace(outcome, error_category="changed_since")
        return outcome

    def _turn(self, path: Path, turn: Turn, timeout_s: float) -> ActionOutcome:
        what = f"flag {turn.flag!r} in {path}"
        try:
            with FlagFile(path, self._clock) as file, file.locked(timeout_s):
                effect, text = _settled(lambda: file.turn(turn), lambda: file.effect_of(turn.key))
        except LockBusyError as error:
            # It may be held by a paused worker that carries this very key.
            raise LostReplyError(f"{error.message}; whether it turns {what} is unknown") from error
        except (OSError, FlagError) as error:
            raise TargetUnreachableError(f"the lock of {path} can't be had: {error}") from error
        if effect is Effect.PRESENT:
            return done(f"{what}: {text}")
        if effect is Effect.ABSENT:
            return refused("changed_meanwhile", f"{what}: {text}")
        raise LostReplyError(f"{what}: {text}")

    def _place(self, target: str, params: Mapping[str, Any]) -> tuple[Path | Unleash, str]:
        only(self.name, params, ("flag",))
        _, control = controlled(self._catalogue, self.name, target, "flags")
        flag = chosen(self.name, "flag", params, list(control["allowed"]))
        if control.get("unleash"):
            return Unleash.of(control["unleash"]), flag
        return Path(str(control["file"])), flag


def _plane(path: Path, flag: str) -> str:
    return f"flagd {path} {flag}"


def _settled(
    turn: Callable[[], tuple[Effect, str]], look: Callable[[], tuple[Effect, str]]
) -> tuple[Effect, str]:
    """Turn the flag; after an error what lies there under the lock is the truth."""
    try:
        return turn()
    except FlagError as error:
        return Effect.ABSENT, error.message
    except OSError as error:
        why = bounded(str(error.strerror or error))
    try:
        effect, evidence = look()
    except OSError:
        return Effect.UNKNOWN, f"{why}; the key journal can't be read"
    return effect, f"{why}; {evidence}"
