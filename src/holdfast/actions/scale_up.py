"""Starts instances that supervisord has ready but stopped, and knows by name which ones.

The names are decided when the target is looked at, so a repeat starts the same ones and no more.
supervisord remembers no key, and a worker that was paused on its way could start them again after
somebody stopped them: probeable.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.actions.places import before_acting, done, filled, only, refused, regional
from holdfast.actions.planes import compared, predicted
from holdfast.actions.supervisord import Deadline, Fault, FaultError, Supervisord
from holdfast.kernel.catalogue import Catalogue
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
ALIVE = frozenset({"STARTING", "RUNNING", "BACKOFF"})
IN_USE = ALIVE | {"STOPPING"}
_RUNNING = "RUNNING"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool:
    """The instances that may be added at one place."""

    supervisord: Supervisord
    names: tuple[str, ...]

    def look(self, deadline: Deadline) -> dict[str, Mapping[str, Any]]:
        """Read all of them. Raises FaultError, LostReplyError, TargetUnreachableError."""
        return {name: _short(self.supervisord.process(name, deadline)) for name in self.names}


class ScaleUp:
    """Start `by` more instances of `service@region`."""

    name = "scale_up"
    repeatability = Repeatability.PROBEABLE
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        pool, by = self._pool(target), _by(params)
        seen: dict[str, Any] = {"instance": target, "extra": len(pool.names)}
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            now = pool.look(deadline)
            supervisor_pid = pool.supervisord.pid(deadline)
        except (TargetUnreachableError, LostReplyError, FaultError) as error:
            why = bounded(error.message)
            return {**seen, "reachable": False, "reversible": "no: it can't be read", "why": why}
        ready = [name for name, each in now.items() if each["state"] not in IN_USE]
        starts = ready[:by]
        short = by is not None and len(starts) < by
        why = f"{by} were asked for, and only {len(ready)} of {len(now)} are ready" if short else ""
        return {
            **seen,
            "reachable": not short,
            "why": why,
            "reversible": f"stop {', '.join(starts)} again" if starts else "no: nothing is started",
            "supervisor_pid": supervisor_pid,
            "instances": now,
            "running": sum(each["state"] in ALIVE for each in now.values()),
            "starts": starts if by is not None else [],
            "planes": [_planned(name, now[name]) for name in starts if by and not short],
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            pool, by = self._pool(request.target), _by(request.params)
        starts = [name for name in request.pre_image.get("starts", ()) if name in pool.names]
        if not starts or len(starts) != by:
            return refused("no_pre_image", f"{request.target}: what to start was not looked at")
        deadline = Deadline.after(self._clock, request.timeout_s)
        return _started(pool.supervisord, request, starts, deadline)

    def probe(self, request: ActionRequest) -> ProbeResult:
        pool, before = self._pool(request.target), request.pre_image
        starts = before.get("starts") or ()
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            now = pool.look(deadline)
            same = pool.supervisord.pid(deadline) == before.get("supervisor_pid")
        except (TargetUnreachableError, LostReplyError, FaultError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=bounded(error.message))
        planes = [_seen(name, now.get(name, {})) for name in starts]
        if not starts or not same:
            text = "supervisord itself was restarted since" if starts else "there is no pre-image"
            evidence = f"{request.target}: {text}"
            return ProbeResult(effect=Effect.UNKNOWN, evidence=evidence, data={"planes": planes})
        began = [name for name in starts if _began(before["instances"][name], now.get(name, {}))]
        run = [name for name in starts if now.get(name, {}).get("state") in ALIVE]
        text = (
            f"{request.target}: of {', '.join(starts)} {len(began)} were started since the intent,"
            f" {len(run)} run now"
        )
        unseen = [name for name in starts if _too_soon(before["instances"][name])]
        effect = Effect.PRESENT if len(began) == len(starts) else Effect.UNKNOWN
        if not began and not unseen:
            effect = Effect.ABSENT
        data = {"started": began, "running": run, "planes": planes}
        return ProbeResult(effect=effect, evidence=text, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        """Stop what this step started and still runs, in the order of the last first."""
        with before_acting():
            supervisord = self._pool(request.target).supervisord
        seen = self.probe(request)
        if not seen.data:
            raise TargetUnreachableError(f"{seen.evidence}; nothing was stopped")
        if "running" not in seen.data and request.pre_image.get("starts"):
            # Restarted, every process of it is another one: nothing there is known to be ours.
            return refused("changed_since", f"{seen.evidence}; nothing was stopped")
        running = seen.data.get("running", ())
        began = [name for name in running if name in seen.data["started"]]
        if not began:
            text = f"{request.target}: nothing that this step started runs"
            return refused("nothing_to_undo", text)
        deadline = Deadline.after(self._clock, request.timeout_s)
        stopped: list[str] = []
        for name in reversed(began):
            try:
                supervisord.stop(name, deadline)
            except FaultError as fault:
                if fault.code != Fault.NOT_RUNNING:
                    return _partly(request, "stopped", stopped, f"{name}: {fault.message}")
            except TargetUnreachableError as error:
                if not stopped:
                    raise
                raise LostReplyError(f"{_list('stopped', stopped)}; {error.message}") from error
            stopped.append(name)
        return done(f"{request.target}: {_list('stopped', stopped)}")

    def _pool(self, target: str) -> _Pool:
        service, regions, control = regional(self._catalogue, self.name, target, "scale")
        if len(regions) != 1:
            raise BadInputError(
                f"scale_up: {target} runs in {', '.join(regions)}; add to one at a time, as"
                f" {service.name}@{regions[0]}",
                field="target",
            )
        place = control["supervisord"]
        pattern = filled(str(place["process"]), service, regions[0])
        return _Pool(
            supervisord=Supervisord(socket_path=str(place["socket"])),
            names=tuple(pattern.replace("{n}", str(n + 1)) for n in range(int(control["extra"]))),
        )


def _by(params: Mapping[str, Any]) -> int | None:
    """Read how many are to be added; None where nobody said, and then nothing is."""
    only("scale_up", params, ("by",))
    by = params.get("by")
    if by is not None and (isinstance(by, bool) or not isinstance(by, int) or by < 1):
        raise BadInputError(
            f"scale_up: by is {by!r}; write a whole number of at least 1", field="params.by"
        )
    return by


def _started(
    supervisord: Supervisord, request: ActionRequest, starts: list[str], deadline: Deadline
) -> ActionOutcome:
    begun: list[str] = []
    ran: list[str] = []
    for name in starts:
        try:
            supervisord.start(name, deadline)
        except FaultError as fault:
            if fault.code == Fault.ALREADY_STARTED:
                # By an earlier try, or by someone else: it runs, and that is what was wanted.
                ran.append(name)
            elif begun or fault.code in {Fault.SPAWN_ERROR, Fault.ABNORMAL_TERMINATION}:
                return _partly(request, "started", begun, f"{name}: {fault.message}")
            else:
                return refused("refused", f"{request.target}: nothing was started: {fault.message}")
        except TargetUnreachableError as error:
            if not begun:
                raise
            raise LostReplyError(f"{_list('started', begun)}; {error.message}") from error
        except LostReplyError as error:
            raise LostReplyError(f"{_list('started', begun)}; {error.message}") from error
        begun.append(name)
    return _looked_at_again(supervisord, request, begun, ran, deadline)


def _looked_at_again(
    supervisord: Supervisord,
    request: ActionRequest,
    begun: list[str],
    ran: list[str],
    deadline: Deadline,
) -> ActionOutcome:
    """Look once more: supervisord may have said "started" of one that is dead already."""
    try:
        now = {name: supervisord.process(name, deadline)["statename"] for name in begun}
    except (FaultError, LostReplyError, TargetUnreachableError):
        now = {}
    dead = [f"{name} is {state}" for name, state in now.items() if state != _RUNNING]
    if dead:
        return _partly(request, "started", begun, ", ".join(dead))
    started = [name for name in begun if name not in ran]
    also = f"; {', '.join(ran)} ran already" if ran else ""
    return done(f"{request.target}: {_list('started', started)}{also}")


def _partly(request: ActionRequest, did: str, names: list[str], why: str) -> ActionOutcome:
    return ActionOutcome(
        ok=False,
        effect=Effect.PRESENT,
        summary=bounded(f"{request.target}: {_list(did, names)}; {why}"),
        return_code=1,
        error_category="start_failed" if did == "started" else "stop_failed",
    )


def _list(did: str, names: list[str]) -> str:
    return f"{', '.join(names) or 'nothing'} {'was' if len(names) < 2 else 'were'} {did}"  # noqa: PLR2004 - one or many


def _began(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """`start` counts whole seconds, so within one second only the pid tells."""
    if not now:
        return False
    return bool(now["start"] > before["start"] or (now["pid"] and now["pid"] != before["pid"]))


def _planned(name: str, now: Mapping[str, Any]) -> dict[str, Any]:
    return predicted(f"supervisord {name}", now=_words(now), intended=_RUNNING)


def _seen(name: str, now: Mapping[str, Any]) -> dict[str, Any]:
    words = _words(now)
    return compared(
        f"supervisord {name}",
        now=words,
        intended=_RUNNING,
        reached=words == _RUNNING,
        # One that ended well by itself has done its work; nobody took it away.
        lasting=now.get("ended_well") is not True,
        under_way=words in ALIVE,
    )


def _words(now: Mapping[str, Any]) -> str:
    """Say how an instance stands; each way of being down is the same to who wants one more."""
    if not now:
        return "gone"
    return str(now["state"]) if now["state"] in IN_USE else "not running"


def _too_soon(before: Mapping[str, Any]) -> bool:
    """Say whether a start may be hidden: in the very second of the one before, and dead again."""
    return bool(before["start"] >= before["now"])


def _short(info: Mapping[str, Any]) -> Mapping[str, Any]:
    named = {name: info[name] for name in ("pid", "start", "now")}
    well = info["statename"] == "EXITED" and info.get("exitstatus") == 0
    return {"state": info["statename"], "ended_well": well, **named}
