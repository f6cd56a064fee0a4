"""Asks systemd through `systemctl`, and always knows whether anything was sent.

A list of arguments and never a shell; the unit is a plain name of one service, without a pattern.
systemctl is looked at before each run as every command is: nobody but root and we may exchange it.
systemd goes on with a job whose systemctl was ended, so that leaves the effect unknown.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.actions import child
from holdfast.actions.executable import check_executable
from holdfast.actions.supervisord import Deadline
from holdfast.kernel.redact import bounded
from holdfast.response.ports import LostReplyError, TargetUnreachableError

SYSTEMCTL = "/usr/bin/systemctl"
SYSTEM, USER = "system", "user"
UNIT_CHARS_MAX = 255
_UNIT = re.compile(r"[A-Za-z0-9_:.\\@][A-Za-z0-9_:.\\@-]*\.service", re.ASCII)
_LINE = re.compile(r"^(\w+)=(.*)$", re.ASCII | re.MULTILINE)
# What systemd restarts with a unit: what is a part of it, bound to it or requires it.
_WITH_IT = ("ConsistsOf", "BoundBy", "RequiredBy")
_PROPERTIES = (
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "Type",
    "Result",
    "InvocationID",
    "MainPID",
    "NRestarts",
    "ExecMainStartTimestampMonotonic",
    "ExecMainStatus",
    "Job",
    "CanStart",
    "CanStop",
    *_WITH_IT,
)
_OF_THE_MANAGER = ("UserspaceTimestamp", "UserspaceTimestampMonotonic")


def check_unit(unit: str) -> str:
    """Return the name of one service unit. Raises ValueError for a pattern or another kind."""
    if not _UNIT.fullmatch(unit) or len(unit) > UNIT_CHARS_MAX:
        raise ValueError(
            f"{unit!r} is no plain name of a service unit; write one such as shop-api.service,"
            " without * ? [ ] / and not beginning with a dash"
        )
    return unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A service unit as systemd has it. `invocation` is a new one for each start.

    `with_it` are the services that systemd restarts with it, where they run.
    """

    load: str
    load_error: str
    active: str
    sub: str
    kind: str
    result: str
    invocation: str
    pid: int
    restarts: int
    started_us: int
    exit_status: int
    job: int
    can_start: bool
    can_stop: bool
    with_it: tuple[str, ...] = ()

    @property
    def is_up(self) -> bool:
        """Say whether it is as it is to be after a start; a oneshot has ended by then."""
        if self.kind == "oneshot" and self.active == "inactive":
            return self.result == "success"
        return self.active in {"active", "reloading"}

    def words(self) -> str:
        state = f"{self.active} ({self.sub})"
        return f"{state}, pid {self.pid}" if self.pid else state

    def why_not(self) -> str | None:
        """Say why it can't be restarted by anybody, or None."""
        if self.load != "loaded":
            found = re.search(r'"(.*)"', self.load_error)
            said = found[1] if found else f"it is {self.load}"
            return f"systemd says: {said} Correct control.systemd.unit, or the unit"
        if not self.can_start or (self.active == "active" and not self.can_stop):
            return "the unit refuses to be started or stopped by hand (RefuseManualStart, -Stop)"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """One instance of systemd: that of the system, or of the user who runs Holdfast."""

    scope: str = SYSTEM
    systemctl: str = SYSTEMCTL
    runtime_dir: str | None = None

    def look(self, unit: str, deadline: Deadline) -> Unit:
        """Read one unit. Raises TargetUnreachableError: it only looks."""
        named = self._show([f"--property={','.join(_PROPERTIES)}", "--", unit], deadline)
        try:
            return _unit(named)
        except (KeyError, ValueError) as error:
            text = f"what systemctl says of {unit} can't be read: {error!r}"
            raise TargetUnreachableError(text) from error

    def manager(self, deadline: Deadline) -> str:
        """Name the instance that answers: after a boot every unit was started anew."""
        named = self._show([f"--property={','.join(_OF_THE_MANAGER)}"], deadline)
        return " ".join(named.get(name, "") for name in _OF_THE_MANAGER)

    def restart(self, unit: str, deadline: Deadline) -> child.Ended:
        """Restart one unit and wait for it. Raises LostReplyError when its time was over.

        In `fail` mode systemd refuses where a job of somebody else is there that says otherwise: a
        unit that a person is stopping is not started again.
        """
        limit_s = deadline.left_s()
        ended = self._run(["restart", "--job-mode=fail", "--", unit], limit_s, deadline)
        if ended.code is None:
            raise LostReplyError(
                f"systemctl restart {unit} did not end within {limit_s:.1f} s and was ended;"
                " systemd goes on with the job"
            )
        return ended

    def _show(self, arguments: list[str], deadline: Deadline) -> dict[str, str]:
        try:
            ended = self._run(["show", *arguments], deadline.left_s(), deadline)
        except TimeoutError as error:
            raise TargetUnreachableError("no time was left to look; nothing was done") from error
        if ended.code != 0:
            said = bounded(" ".join(ended.output.split()), limit=300) or f"exit code {ended.code}"
            said = "no answer in time" if ended.code is None else said
            raise TargetUnreachableError(
                f"systemd ({self.scope}) can't be asked: {said}; nothing was done"
            )
        return dict(_LINE.findall(ended.output))

    def _run(self, arguments: list[str], timeout_s: float, deadline: Deadline) -> child.Ended:
        """Run systemctl. Raises TargetUnreachableError where it certainly was not run."""
        try:
            executable = check_executable(self.systemctl)
        except (ValueError, OSError) as error:
            raise TargetUnreachableError(
                f"systemctl may not be run: {error}; nothing was done"
            ) from error
        argv = [executable, f"--{self.scope}", "--no-ask-password", "--no-pager", *arguments]
        place = {}
        if self.scope == USER:
            place["XDG_RUNTIME_DIR"] = self.runtime_dir or f"/run/user/{os.geteuid()}"
        try:
            return child.run(
                argv, environment=place, cwd="/", timeout_s=timeout_s, clock=deadline.clock
            )
        except child.NotRunError as error:
            raise TargetUnreachableError(f"nothing was done: {error}") from error


def _unit(named: dict[str, str]) -> Unit:
    return Unit(
        load=named["LoadState"],
        load_error=named.get("LoadError", ""),
        active=named["ActiveState"],
        sub=named["SubState"],
        kind=named.get("Type", ""),
        result=named.get("Result", ""),
        invocation=named["InvocationID"],
        pid=int(named.get("MainPID") or 0),
        restarts=int(named.get("NRestarts") or 0),
        started_us=int(named.get("ExecMainStartTimestampMonotonic") or 0),
        exit_status=int(named.get("ExecMainStatus") or 0),
        job=int(named.get("Job") or 0),
        can_start=named.get("CanStart") == "yes",
        can_stop=named.get("CanStop") == "yes",
        with_it=tuple(sorted(set(_services(" ".join(named.get(each, "") for each in _WITH_IT))))),
    )


def _services(listed: str) -> Iterator[str]:
    return (name for name in listed.split() if name.endswith(".service"))
