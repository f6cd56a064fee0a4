"""Restarts one service unit of systemd, and tells by its invocation whether that happened.

systemd gives each start an id, so a newer one than the pre-image's proves a start; its own restarts
after a crash are counted and told apart. It remembers no key of ours, and the comparison before the
restart is made by us, so a worker that was paused in between restarts it again: probeable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.actions.child import Ended
from holdfast.actions.places import before_acting, filled, known_target, one_region, only, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.supervisord import Deadline
from holdfast.actions.systemd import SYSTEM, SYSTEMCTL, Systemd, Unit, check_unit
from holdfast.kernel.catalogue import Catalogue, instance_name
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
OUTPUT_CHARS_MAX = 2000
INTENDED = "started anew"
NOT_REVERSIBLE = "no: what ran before is gone; a restart can only be followed by another restart"
# By this systemd says that another job is there, and that it left it as it is.
_DESTRUCTIVE = " is destructive ("
_NOT_ALLOWED = ("access denied", "authentication required", "not permitted", "permission denied")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an instance lives."""

    instance: str
    unit: str
    systemd: Systemd

    @property
    def plane(self) -> str:
        return f"systemd {self.unit}"


class RestartUnit:
    """Restart the unit of `service@region`. Takes no parameters."""

    name = "restart_service"
    repeatability = Repeatability.PROBEABLE
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        only(self.name, params, ())
        place = self._place(target)
        seen = {
            "instance": place.instance,
            "unit": place.unit,
            "scope": place.systemd.scope,
            "reversible": NOT_REVERSIBLE,
        }
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            unit = place.systemd.look(place.unit, deadline)
            manager = place.systemd.manager(deadline)
        except TargetUnreachableError as error:
            return {**seen, "reachable": False, "why": bounded(error.message)}
        why = unit.why_not()
        planes = [predicted(place.plane, now=unit.words(), intended=_intended(unit.with_it))]
        return {
            **seen,
            **_told(unit),
            "reachable": why is None,
            "why": why or "",
            "manager": manager,
            "with_it": list(unit.with_it),
            "planes": [] if why else planes,
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            place = self._place(request.target)
        deadline = Deadline.after(self._clock, request.timeout_s)
        before = place.systemd.look(place.unit, deadline)
        if why := before.why_not():
            return refused("refused", f"{place.instance} was not touched: {why}")
        if before.job:
            text = f"a job of somebody else ({before.job}) is at {place.unit}; try again"
            return refused("changed_meanwhile", f"{place.instance} was not touched: {text}")
        if "invocation" in request.pre_image and _by_hand(request.pre_image, before):
            text = f"{place.unit} was started anew since it was looked at; it is left alone"
            return refused("changed_meanwhile", f"{place.instance} was not touched: {text}")
        try:
            ended = place.systemd.restart(place.unit, deadline)
        except TimeoutError as error:
            raise TargetUnreachableError(
                f"{place.instance} was not touched: the time was over"
            ) from error
        return self._ended(place, before, ended)

    def probe(self, request: ActionRequest) -> ProbeResult:
        place = self._place(request.target)
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            now = place.systemd.look(place.unit, deadline)
            manager = place.systemd.manager(deadline)
        except TargetUnreachableError as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=bounded(error.message))
        before = request.pre_image
        effect, evidence = _compare(before, now, manager)
        data = {**_told(now), "manager": manager}
        # Of a oneshot that has ended systemd keeps no id, so nothing can be told by it.
        if before.get("reachable") and (now.invocation or now.kind != "oneshot"):
            # By whomever: another than before, and up.
            reached = now.is_up and now.invocation not in {"", before["invocation"]}
            plane = compared(
                place.plane,
                now=now.words(),
                intended=_intended(before.get("with_it") or ()),
                reached=reached,
                under_way=bool(now.job) or now.active == "activating",
            )
            data["planes"] = [plane]
        return ProbeResult(effect=effect, evidence=f"{place.instance}: {evidence}", data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        text = f"the restart of {request.target} can't be undone ({NOT_REVERSIBLE})"
        return refused("not_reversible", text)

    def _ended(self, place: _Place, before: Unit, ended: Ended) -> ActionOutcome:
        """Say what came of it by what lies there now: systemctl's code alone says too little."""
        if ended.code != 0 and _DESTRUCTIVE in ended.output:
            said = bounded(" ".join(ended.output.split()), limit=300)
            text = f"{place.instance} was not touched: a job of somebody else is there: {said}"
            return refused("changed_meanwhile", text)
        try:
            # A look of its own time: the restart may have taken all that it was given.
            now = place.systemd.look(place.unit, Deadline.after(self._clock, LOOK_S))
        except TargetUnreachableError as error:
            text = f"{place.instance}: systemctl ended with {ended.code}, and {error.message}"
            raise LostReplyError(text) from error
        output = bounded(ended.output, limit=OUTPUT_CHARS_MAX)
        anew = bool(now.invocation) and now.invocation != before.invocation
        if ended.code == 0 and now.is_up and (anew or now.kind == "oneshot"):
            did = "restarted" if before.pid else "started"
            return ActionOutcome(
                ok=True,
                effect=Effect.PRESENT,
                summary=f"{place.instance} was {did}: {place.unit} is {now.words()}",
                return_code=0,
                output=output,
            )
        if now.job or (not anew and ended.code == 0) or now.restarts > before.restarts:
            text = f"systemctl ended with {ended.code}, and {place.unit} is {now.words()}"
            raise LostReplyError(f"{place.instance}: {text}; what came of it can't be told")
        touched = anew or (now.active, now.pid) != (before.active, before.pid)
        return _failed(place, now, ended, output, touched=touched)

    def _place(self, target: str) -> _Place:
        service, _ = known_target(self._catalogue, self.name, target)
        control = service.control.get("systemd")
        if control is None:
            raise BadInputError(
                f"restart_service: {service.name} is not under systemd's control; add"
                " control.systemd to it in services.yaml, or restart it by hand",
                field="target",
            )
        region = one_region(self.name, service, target)
        unit = filled(str(control.get("unit", "{service}.service")), service, region)
        try:
            check_unit(unit)
        except ValueError as error:
            raise BadInputError(f"restart_service: {error}", field="target") from None
        return _Place(
            instance=instance_name(service.name, region),
            unit=unit,
            systemd=Systemd(
                scope=str(control.get("scope", SYSTEM)),
                systemctl=str(control.get("systemctl") or SYSTEMCTL),
                runtime_dir=control.get("runtime_dir"),
            ),
        )


def _failed(place: _Place, now: Unit, ended: Ended, output: str, *, touched: bool) -> ActionOutcome:
    said = " ".join(output.split())[:300]
    if not touched:
        denied = any(words in said.lower() for words in _NOT_ALLOWED)
        text = f"{place.instance} was not touched: {said or f'systemctl ended with {ended.code}'}"
        return ActionOutcome(
            ok=False,
            effect=Effect.ABSENT,
            summary=text,
            return_code=ended.code,
            error_category="permission" if denied else "refused",
            output=output,
        )
    return ActionOutcome(
        ok=False,
        effect=Effect.PRESENT,
        summary=f"{place.instance} was restarted, but does not stay up: {place.unit} is"
        f" {now.words()}; {said}".rstrip("; "),
        return_code=now.exit_status or ended.code,
        error_category="start_failed",
        output=output,
    )


def _intended(with_it: Sequence[str]) -> str:
    """Say what is to come of it, also for the services that the unit's file takes with it."""
    return f"{INTENDED}, and with it {', '.join(with_it)} if it runs" if with_it else INTENDED


def _told(unit: Unit) -> dict[str, Any]:
    return {
        "state": f"{unit.active} ({unit.sub})",
        "pid": unit.pid,
        "invocation": unit.invocation,
        "restarts": unit.restarts,
        "started_us": unit.started_us,
        "result": unit.result,
        "job": unit.job,
    }


def _by_hand(before: Mapping[str, Any], now: Unit) -> bool:
    """Say whether somebody started it since. Its own restarts after a crash only count up."""
    anew = bool(now.invocation) and now.invocation != before["invocation"]
    return anew and now.restarts <= before["restarts"]


def _compare(before: Mapping[str, Any], now: Unit, manager: str) -> tuple[Effect, str]:
    """Tell from two looks whether the unit was started in between."""
    if not before.get("reachable"):
        return Effect.UNKNOWN, "there is no pre-image to compare with"
    if before["manager"] != manager:
        return Effect.UNKNOWN, "systemd itself was started anew since, so its ids prove nothing"
    if now.job:
        return Effect.UNKNOWN, f"job {now.job} of systemd is still under way"
    ids = f"invocation {before['invocation'] or 'none'} → {now.invocation or 'none'}"
    if now.invocation and now.invocation != before["invocation"]:
        if _by_hand(before, now):
            return Effect.PRESENT, f"started since the intent ({ids}), now {now.words()}"
        text = f"{now.restarts - before['restarts']} times by systemd itself after a crash"
        return Effect.UNKNOWN, f"started since the intent ({ids}), at least {text}"
    if before["pid"] and now.pid != before["pid"]:
        return Effect.UNKNOWN, f"pid {before['pid']} is gone, but nothing was started in its place"
    if not now.invocation:
        # One that has ended is forgotten with its id.
        return Effect.UNKNOWN, f"it is {now.words()}; whether it ran in between can't be told"
    return Effect.ABSENT, f"not started since the intent ({ids}, {now.words()})"
