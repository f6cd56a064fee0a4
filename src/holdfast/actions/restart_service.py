"""Stops and starts one process under supervisord, and says how it went.

By itself supervisord remembers no key, so a second restart is a second restart: probeable. A
newer start than the pre-image proves that one happened; the same process as before proves
nothing about a worker that was paused on its way here. Where the plugin `orchestrator` runs in
supervisord (`control.supervisord.wrapper: true`) it remembers the key: idempotent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from holdfast.actions import keyed_restart
from holdfast.actions.places import before_acting, one_region
from holdfast.actions.planes import compared, predicted
from holdfast.actions.supervisord import Deadline, Fault, FaultError, Supervisord
from holdfast.kernel.catalogue import Catalogue, Service, instance_name, split_instance
from holdfast.kernel.clock import Clock, SystemClock
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
STDERR_BYTES = 4000
OUTPUT_CHARS_MAX = 2000
NOT_REVERSIBLE = "no: what ran before is gone; a restart can only be followed by another restart"

_RUNNING = "RUNNING"
_INTENDED = "started anew"
_ALIVE = frozenset({"STARTING", "RUNNING", "BACKOFF"})
# Faults of a start that came before supervisord forked anything.
_BEFORE_SPAWN = frozenset({Fault.NO_FILE, Fault.NOT_EXECUTABLE, Fault.SHUTDOWN_STATE, Fault.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an instance lives."""

    instance: str
    process: str
    supervisord: Supervisord
    wrapper: bool = False

    @property
    def repeatability(self) -> Repeatability:
        return Repeatability.IDEMPOTENT if self.wrapper else Repeatability.PROBEABLE

    @property
    def plane(self) -> str:
        return f"supervisord {self.process}"


class RestartService:
    """Restart `service@region`. Takes no parameters."""

    name = "restart_service"
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    @property
    def repeatability(self) -> Repeatability:
        """Say the best that any service here has; the pre-image says what its target has."""
        wrapped = (s.control.get("supervisord", {}) for s in self._catalogue.services.values())
        if any(control.get("wrapper") for control in wrapped):
            return Repeatability.IDEMPOTENT
        return Repeatability.PROBEABLE

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if params:
            raise BadInputError(
                f"restart_service takes no parameter {', '.join(sorted(params))}; leave it out",
                field="params",
            )
        place = self._place(target)
        try:
            if place.wrapper:
                keyed_restart.require(place.supervisord, Deadline.after(self._clock, LOOK_S))
            now = self._look(place)
            planes = [predicted(place.plane, now=_words(now), intended=_INTENDED)]
            return {**now, "repeatability": place.repeatability.value, "planes": planes}
        except (TargetUnreachableError, LostReplyError, FaultError) as error:
            return {
                "reachable": False,
                "reversible": NOT_REVERSIBLE,
                "instance": place.instance,
                "process": place.process,
                "why": bounded(error.message),
            }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = self._place(request.target)
        deadline = Deadline.after(self._clock, request.timeout_s)
        if _declared(request) != place.repeatability:
            raise LostReplyError(
                f"{place.instance}: control.supervisord.wrapper was changed since this step was"
                " intended, so whether it was carried out the other way can't be told here"
            )
        if place.wrapper:
            return keyed_restart.perform(
                place.supervisord, place.instance, place.process, request, deadline
            )
        return _plainly(place, deadline)

    def probe(self, request: ActionRequest) -> ProbeResult:
        place = self._place(request.target)
        try:
            now = self._look(place)
            if place.wrapper and _declared(request) == place.repeatability:
                deadline = Deadline.after(self._clock, LOOK_S)
                found = keyed_restart.probe(place.supervisord, request, now, deadline)
                return _with_plane(place, request, found)
        except (TargetUnreachableError, LostReplyError, FaultError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=bounded(error.message))
        effect, evidence = _compare(request.pre_image, now)
        found = ProbeResult(effect=effect, evidence=f"{place.instance}: {evidence}", data=now)
        return _with_plane(place, request, found)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        return ActionOutcome(
            ok=False,
            effect=Effect.ABSENT,
            summary=f"the restart of {request.target} can't be undone ({NOT_REVERSIBLE})",
            error_category="not_reversible",
        )

    def _place(self, target: str) -> _Place:
        service = self._service(target)
        region = one_region(self.name, service, target)
        control = service.control["supervisord"]
        process = str(control.get("process", "{service}"))
        name = process.replace("{region}", region).replace("{service}", service.name)
        return _Place(
            instance=instance_name(service.name, region),
            process=name,
            supervisord=Supervisord(socket_path=str(control["socket"])),
            wrapper=bool(control.get("wrapper")),
        )

    def _service(self, target: str) -> Service:
        name, _ = split_instance(target)
        service = self._catalogue.services.get(name)
        if service is None:
            raise BadInputError(
                f"restart_service: the catalogue has no service {name!r};"
                " name one of services.yaml, as service@region",
                field="target",
            )
        if not service.control.get("supervisord", {}).get("socket"):
            raise BadInputError(
                f"restart_service: {name} is not under supervisord's control;"
                " add control.supervisord.socket to it in services.yaml, or restart it by hand",
                field="target",
            )
        return service

    def _look(self, place: _Place) -> Mapping[str, Any]:
        deadline = Deadline.after(self._clock, LOOK_S)
        info = place.supervisord.process(place.process, deadline)
        return {
            "reachable": True,
            "reversible": NOT_REVERSIBLE,
            "instance": place.instance,
            "process": place.process,
            "supervisor_pid": place.supervisord.pid(deadline),
            "state": info["statename"],
            "pid": info["pid"],
            "start": info["start"],
            "stop": info["stop"],
            "exit_status": _exit_status(info),
            "spawn_error": bounded(info["spawnerr"], limit=300),
            "stderr_tail": _output(place, deadline),
        }


def _with_plane(place: _Place, request: ActionRequest, found: ProbeResult) -> ProbeResult:
    """Add how the process stands, by whomever: another than before, and up."""
    now, before = found.data, request.pre_image
    if not before.get("reachable"):
        return found
    anew = _is_another(before, now)
    plane = compared(
        place.plane,
        now=_words(now),
        intended=_INTENDED,
        reached=anew and now["state"] == _RUNNING,
        # It may restart by itself once more: then it is on its way up for a moment.
        under_way=anew and now["state"] in _ALIVE,
    )
    return replace(found, data={**now, "planes": [plane]})


def _is_another(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Say whether the process was started anew; `start` counts whole seconds, so the pid tells."""
    return bool(now["start"] > before["start"] or (now["pid"] and now["pid"] != before["pid"]))


def _words(now: Mapping[str, Any]) -> str:
    return f"{now['state']}, pid {now['pid']}" if now["pid"] else str(now["state"])


def _declared(request: ActionRequest) -> object:
    """Say how the step was intended: a plugin that came later knows nothing of it."""
    return request.pre_image.get("repeatability", Repeatability.PROBEABLE.value)


def _plainly(place: _Place, deadline: Deadline) -> ActionOutcome:
    try:
        before = _read_first(place, deadline)
        touched = _stop(place, before, deadline)
    except FaultError as fault:
        return _untouched(place, fault)
    try:
        place.supervisord.start(place.process, deadline)
    except FaultError as fault:
        return _not_started(place, fault, before, deadline, touched=touched)
    except TargetUnreachableError as error:
        if not touched:
            raise
        raise LostReplyError(
            f"{place.instance} was stopped, but the start could not be sent: {error.message}"
        ) from error
    return _started(place, deadline, touched=touched)


def _read_first(place: _Place, deadline: Deadline) -> Mapping[str, Any]:
    """Read the process before anything is done to it: a reply lost here left no effect."""
    try:
        return place.supervisord.process(place.process, deadline)
    except LostReplyError as error:
        raise TargetUnreachableError(
            f"{place.instance} was not touched, as its state could not be read: {error.message}"
        ) from error


def _stop(place: _Place, before: Mapping[str, Any], deadline: Deadline) -> bool:
    """Stop the process if it is alive; say whether anything was done to it."""
    if before["statename"] == "STOPPING":
        raise FaultError(Fault.NOT_RUNNING, "it is being stopped by someone else; try again")
    if before["statename"] not in _ALIVE:
        return False
    try:
        place.supervisord.stop(place.process, deadline)
    except FaultError as fault:
        if fault.code == Fault.FAILED:
            raise LostReplyError(
                f"{place.instance}: supervisord failed halfway through the stop: {fault.message}"
            ) from fault
        if fault.code != Fault.NOT_RUNNING:
            raise
        return False  # it ended by itself meanwhile
    return True


def _started(place: _Place, deadline: Deadline, *, touched: bool) -> ActionOutcome:
    # Looked at once more: supervisord notices late that a process has died, and may have said
    # "started" of one that is dead already.
    now = _now(place, deadline)
    if now and now["statename"] != _RUNNING:
        return _not_up(place, f"it is {now['statename']} again", now, deadline, touched=touched)
    return ActionOutcome(
        ok=True,
        effect=Effect.PRESENT,
        summary=f"{place.instance} was {'restarted' if touched else 'started'} and is RUNNING",
        return_code=0,
        output=_output(place, deadline),
    )


def _not_started(
    place: _Place,
    fault: FaultError,
    before: Mapping[str, Any],
    deadline: Deadline,
    *,
    touched: bool,
) -> ActionOutcome:
    if fault.code == Fault.ALREADY_STARTED:
        return _started_by_another(place, before, deadline)
    if not touched and fault.code in _BEFORE_SPAWN:
        return _untouched(place, fault)
    return _not_up(place, fault.message, _now(place, deadline), deadline, touched=touched)


def _not_up(
    place: _Place, why: str, now: Mapping[str, Any], deadline: Deadline, *, touched: bool
) -> ActionOutcome:
    did = "stopped and started" if touched else "started"
    return ActionOutcome(
        ok=False,
        effect=Effect.PRESENT,
        summary=f"{place.instance} was {did}, but does not stay up: {why}",
        return_code=_exit_status(now),
        error_category="start_failed",
        output=_output(place, deadline),
    )


def _started_by_another(
    place: _Place, before: Mapping[str, Any], deadline: Deadline
) -> ActionOutcome:
    now = _now(place, deadline)
    up = now.get("statename") == _RUNNING and now.get("pid") != before["pid"]
    return ActionOutcome(
        ok=up,
        effect=Effect.PRESENT if up else Effect.UNKNOWN,
        summary=f"{place.instance} was started by something else at the same moment"
        + (" and is RUNNING" if up else ""),
        return_code=0 if up else None,
        error_category=None if up else "start_failed",
        output=_output(place, deadline),
    )


def _now(place: _Place, deadline: Deadline) -> Mapping[str, Any]:
    try:
        return place.supervisord.process(place.process, deadline)
    except (FaultError, LostReplyError, TargetUnreachableError):
        return {}


def _exit_status(info: Mapping[str, Any]) -> int | None:
    """Read the code a process ended with; supervisord knows none of one that ended too quickly."""
    return info["exitstatus"] if info.get("statename") == "EXITED" else None


def _output(place: _Place, deadline: Deadline) -> str:
    tail = place.supervisord.stderr_tail(place.process, STDERR_BYTES, deadline)
    return bounded(tail, limit=OUTPUT_CHARS_MAX)


def _untouched(place: _Place, fault: FaultError) -> ActionOutcome:
    return ActionOutcome(
        ok=False,
        effect=Effect.ABSENT,
        summary=f"{place.instance} was not touched: {fault.message}",
        error_category="unknown_process" if fault.code == Fault.BAD_NAME else "refused",
    )


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Effect, str]:
    """Tell from two looks whether the process was started in between."""
    if not before.get("reachable"):
        return Effect.UNKNOWN, "there is no pre-image to compare with"
    if before["supervisor_pid"] != now["supervisor_pid"]:
        return Effect.UNKNOWN, "supervisord itself was restarted since, so its times prove nothing"
    if _is_another(before, now):
        return Effect.PRESENT, (
            f"started since the intent (pid {before['pid']} → {now['pid']},"
            f" start {before['start']} → {now['start']}), now {now['state']}"
        )
    if before["pid"] and not now["pid"]:
        return Effect.UNKNOWN, f"pid {before['pid']} is gone, but nothing was started in its place"
    return Effect.ABSENT, (
        f"not started since the intent (pid {now['pid']}, start {now['start']}, {now['state']})"
    )
