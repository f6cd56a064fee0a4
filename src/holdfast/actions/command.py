"""Runs one program that the configuration names, without a shell, and says how it went.

Exit code 0 is done. Any other says nothing about what was done before it, so the step is in doubt,
unless the program has a code for "I did nothing". It is told key and fence, so that it can refuse a
repeat; whether it does can't be known here, so at best it is probeable.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from holdfast.actions import child
from holdfast.actions.executable import check_executable, identity_of
from holdfast.actions.named_call import Chosen, NamedCalls, fill, values_of, without
from holdfast.actions.places import before_acting, incident_of, refused
from holdfast.actions.planes import compared, predicted
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
_SECRET = ("env",)


class RunCommand:
    """Run the command `call` of `actions.commands`. Parameters: `call`, and `values`."""

    name = "command"
    least_impact = "high"

    def __init__(
        self,
        catalogue: Catalogue,
        commands: Mapping[str, Mapping[str, Any]],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._commands = commands
        self._named = NamedCalls(
            catalogue=catalogue,
            action=self.name,
            section="actions.commands",
            calls=commands,
            secret=_SECRET,
            done="run",
        )
        self._clock = clock or SystemClock()

    @property
    def repeatability(self) -> Repeatability:
        """Say the best that any command has; the pre-image says what its command has."""
        probed = any(call.get("probe") for call in self._commands.values())
        return Repeatability.PROBEABLE if probed else Repeatability.NONE

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        chosen = self._named.choose(target, params)
        call, values = chosen.call, {"incident": "later", **chosen.values}
        argv = _argv(call, values)
        back, look = call.get("undo"), call.get("probe")
        seen = {
            "instance": target,
            "call": chosen.name,
            "executable": argv[0],
            "digest": chosen.digest,
            "undo_digest": chosen.undo_digest,
            "repeatability": (Repeatability.PROBEABLE if look else Repeatability.NONE).value,
            "reversible": f"run {back}" if back else "no: no command undoes it",
        }
        try:
            seen["identity"] = identity_of(check_executable(argv[0]))
        except (ValueError, OSError) as error:
            return {**seen, "reachable": False, "why": f"it may not be run: {error}"}
        plane = _plane(chosen.name, target)
        if not look:
            planes = [predicted(plane, now="not looked at", intended=_intended(call))]
            return {**seen, "reachable": True, "planes": planes}
        found = self._looked(look, values, {})
        return {
            **seen,
            "reachable": True,
            "before": found.effect.value,
            "before_evidence": found.evidence,
            "planes": [predicted(plane, now=found.evidence, intended=_intended(call))],
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        chosen = self._named.to_perform(request)
        if isinstance(chosen, ActionOutcome):
            return chosen
        identity = request.pre_image.get("identity")
        if not identity:
            text = f"the command {chosen.name} was not looked at before"
            return refused("changed_meanwhile", f"{request.target}: {text}; nothing was run")
        return self._done(chosen.name, chosen.values, request, identity=identity)

    def probe(self, request: ActionRequest) -> ProbeResult:
        chosen = self._named.to_probe(request)
        if isinstance(chosen, ProbeResult):
            return chosen
        look = chosen.call.get("probe")
        if not look:
            text = f"no probe is written for {chosen.name}"
            return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
        found = self._looked(look, chosen.values, _tokens(request))
        found = _with_plane(found, _plane(chosen.name, request.target), _intended(chosen.call))
        before = request.pre_image.get("before")
        if found.effect is Effect.PRESENT and before == Effect.PRESENT.value:
            text = f"{found.evidence}, but so it was before; whose effect that is can't be told"
            return replace(found, effect=Effect.UNKNOWN, evidence=text)
        return found

    def undo(self, request: ActionRequest) -> ActionOutcome:
        def look(chosen: Chosen) -> ProbeResult:
            return self._looked(chosen.call["probe"], chosen.values, _tokens(request))

        back = self._named.to_undo(request, look)
        if isinstance(back, ActionOutcome):
            return back
        return self._done(back.name, back.values, request)

    def run_named(self, name: str, request: ActionRequest, timeout_s: float) -> ActionOutcome:
        """Run a command for another action, such as the one that keeps an old primary down."""
        with before_acting():
            incident = incident_of(request.idempotency_key)
            values = values_of(self._catalogue, self.name, request.target, {}, incident)
        return self._done(name, values, request, timeout_s=timeout_s)

    def look_named(self, name: str, request: ActionRequest) -> ProbeResult | None:
        """Look whether a command's effect is there, or None where no probe is written for it."""
        call = self._commands.get(name, {})
        if not call.get("probe"):
            return None
        incident = incident_of(request.idempotency_key)
        values = values_of(self._catalogue, self.name, request.target, {}, incident)
        found = self._looked(call["probe"], values, _tokens(request))
        return _with_plane(found, _plane(name, request.target), _intended(call))

    def _done(
        self,
        name: str,
        values: Mapping[str, str],
        request: ActionRequest,
        *,
        identity: str | None = None,
        timeout_s: float | None = None,
    ) -> ActionOutcome:
        call = self._commands[name]
        limit_s = min(timeout_s or request.timeout_s, float(call["timeout_s"]))
        try:
            ended = self._run(call, values, _tokens(request), limit_s, identity)
        except _ChangedError as error:
            return refused("changed_meanwhile", f"{request.target}: {error}; nothing was run")
        output = without(ended.output, call.get("env") or {})
        if ended.code is None:
            last = f"; its last words: {output[-300:]}" if output else ""
            raise LostReplyError(f"{name} did not end within {limit_s:g} s and was ended{last}")
        nothing = ended.code in (call.get("refuses") or ())
        effect = Effect.PRESENT if ended.code == 0 else Effect.UNKNOWN
        return ActionOutcome(
            ok=ended.code == 0,
            effect=Effect.ABSENT if nothing else effect,
            summary=f"{request.target}: {name} {_how(ended.code, nothing=nothing)}",
            return_code=ended.code,
            error_category=None if ended.code == 0 else "refused" if nothing else "exit_code",
            output=output,
        )

    def _looked(
        self, name: str, values: Mapping[str, str], tokens: Mapping[str, str]
    ) -> ProbeResult:
        call = self._commands[name]
        limit_s = min(LOOK_S, float(call["timeout_s"]))
        try:
            ended = self._run(call, values, tokens, limit_s, None)
        except (TargetUnreachableError, BadInputError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
        effect = {0: Effect.PRESENT, 1: Effect.ABSENT}.get(
            -1 if ended.code is None else ended.code, Effect.UNKNOWN
        )
        how = "did not end in time" if ended.code is None else f"ended with {ended.code}"
        return ProbeResult(effect=effect, evidence=f"{name} {how}", data={"code": ended.code})

    def _run(
        self,
        call: Mapping[str, Any],
        values: Mapping[str, str],
        tokens: Mapping[str, str],
        timeout_s: float,
        identity: str | None,
    ) -> child.Ended:
        with before_acting():
            argv = _argv(call, values)
        try:
            now = identity_of(check_executable(argv[0]))
        except (ValueError, OSError) as error:
            raise TargetUnreachableError(f"nothing was run: it may not be run: {error}") from error
        if identity is not None and now != identity:
            raise _ChangedError(f"{argv[0]} was exchanged since it was looked at")
        try:
            return child.run(
                argv,
                environment={**(call.get("env") or {}), **tokens},
                cwd=str(call.get("cwd") or "/"),
                timeout_s=timeout_s,
                clock=self._clock,
            )
        except child.NotRunError as error:
            raise TargetUnreachableError(f"nothing was run: {error}") from error


def _plane(name: str, target: str) -> str:
    return f"command {name} {target}"


def _intended(call: Mapping[str, Any]) -> str:
    return f"{call['probe']} ends with 0" if call.get("probe") else "ended well"


def _with_plane(found: ProbeResult, plane: str, intended: str) -> ProbeResult:
    """Add the plane as the probe saw it, and nothing where it saw nothing."""
    if found.effect is Effect.UNKNOWN:
        return found
    reached = found.effect is Effect.PRESENT
    entry = compared(plane, now=found.evidence, intended=intended, reached=reached)
    return replace(found, data={**found.data, "planes": [entry]})


class _ChangedError(Exception):
    """The program is not the one that was looked at."""


def _argv(call: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    executable, *arguments = call["argv"]
    return [executable, *(fill(each, values) for each in arguments)]


def _tokens(request: ActionRequest) -> dict[str, str]:
    """What lets the command refuse a repeat or a late one, if it cares to."""
    return {
        "HOLDFAST_KEY": request.idempotency_key,
        "HOLDFAST_FENCE": str(request.fence),
        "HOLDFAST_INCIDENT": incident_of(request.idempotency_key),
        "HOLDFAST_TARGET": request.target,
    }


def _how(code: int, *, nothing: bool) -> str:
    if code == 0:
        return "ended well"
    if nothing:
        return f"ended with {code}, by which it says that it did nothing"
    if code < 0:
        return f"was ended by signal {-code}; what it did before is not known"
    return f"ended with {code}; what it did before is not known"
