"""What `holdfast doctor` finds, and how findings are judged: pure, apart from all reading.

A finding says what was looked at, what it is, how bad that is, and what to do. Unsafe is apart from
broken: an unsafe installation works, and may do or show what nobody meant it to.
"""

import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from holdfast.app.installation import Installation
from holdfast.kernel.clock import Clock
from holdfast.kernel.redact import bounded

SKEW_MAX_S = 2.0
_SHOWN_MAX = 300
_ERRNO = re.compile(r"\[Errno -?\d+\] ")
_GROUP_OR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_ANY_CHANGE = stat.S_IWGRP | stat.S_IWOTH


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    UNSAFE = "unsafe"
    ERROR = "error"


BAD = frozenset({Level.UNSAFE, Level.ERROR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `next_step` is empty where nothing need be done."""

    what: str
    level: Level
    value: str
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a probe may use: the installation as it is configured, a clock, how long it may take."""

    installation: Installation
    clock: Clock
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One thing to look at. `look` may block for the time limit and may raise HoldfastError."""

    area: str
    what: str
    look: Callable[[], Iterable[Finding]]


Probes = Callable[[Look], Iterator[Probe]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings by area, in the order of the areas."""

    findings: Mapping[str, tuple[Finding, ...]]

    @property
    def ok(self) -> bool:
        return not any(each.level in BAD for found in self.findings.values() for each in found)

    @property
    def counts(self) -> Mapping[str, int]:
        levels = [each.level for found in self.findings.values() for each in found]
        return {level.value: levels.count(level) for level in Level}

    def as_data(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "counts": dict(self.counts),
            "findings": [
                {
                    "area": area,
                    "what": each.what,
                    "level": each.level.value,
                    "value": each.value,
                    "next_step": each.next_step,
                }
                for area, found in self.findings.items()
                for each in found
            ],
        }


def fine(what: str, value: str) -> Finding:
    return Finding(what=what, level=Level.OK, value=clean(value))


def told(what: str, value: str) -> Finding:
    return Finding(what=what, level=Level.INFO, value=clean(value))


def found(what: str, level: Level, value: str, next_step: str) -> Finding:
    return Finding(what=what, level=level, value=clean(value), next_step=next_step)


def failed(what: str, message: str, level: Level = Level.ERROR) -> Finding:
    """Make a finding of an error's words: fact, value; next step."""
    fact, _, step = clean(message).partition("; ")
    return Finding(what=what, level=level, value=fact, next_step=step)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Say how many: `1 sample`, `3 samples`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def clean(text: str) -> str:
    """Take secrets, line breaks and error numbers out of what somebody else wrote."""
    return bounded(_ERRNO.sub("", " ".join(text.split())), limit=_SHOWN_MAX)


def judge_clock(what: str, skew_s: float, doubt_s: float) -> Finding:
    """Judge how far another clock is from ours, where reading it took up to `doubt_s`."""
    if abs(skew_s) - doubt_s <= SKEW_MAX_S:
        return fine(f"clock of {what}", f"within {max(SKEW_MAX_S, abs(skew_s)):.0f} s of ours")
    way = "ahead of" if skew_s > 0 else "behind"
    return found(
        f"clock of {what}",
        Level.WARNING,
        f"{abs(skew_s):.0f} s {way} ours",
        "set both clocks with NTP: what is fresh and what came first is judged by them",
    )


def judge_secret_rights(what: str, mode: int) -> Finding:
    """Judge the rights of a file that holds a secret."""
    rights = stat.S_IMODE(mode)
    if rights & (stat.S_IRWXO | stat.S_IWGRP):
        return found(
            what,
            Level.UNSAFE,
            f"rights {rights:03o}: others can read or change it",
            "run `chmod 600` on it, and replace the secret if somebody may have seen it",
        )
    if rights & _GROUP_OR_OTHERS:
        return found(
            what, Level.WARNING, f"rights {rights:03o}: its group can read it", "run `chmod 600`"
        )
    return fine(what, f"rights {rights:03o}")


def judge_owner(what: str, uid: int, ours: Collection[int]) -> Finding | None:
    """Judge whose a file or folder is that steers what Holdfast does; None where it is ours."""
    if uid in ours:
        return None
    return found(
        what,
        Level.UNSAFE,
        f"belongs to user {uid}, who can change it",
        "run `chown` on it, for the user that runs Holdfast",
    )


def judge_place_rights(what: str, mode: int) -> Finding:
    """Judge the rights of a file or folder that steers what Holdfast does."""
    rights = stat.S_IMODE(mode)
    if rights & stat.S_IWOTH:
        return found(
            what,
            Level.UNSAFE,
            f"rights {rights:03o}: everybody on this host can change it",
            "run `chmod o-w` on it",
        )
    if rights & _ANY_CHANGE:
        return found(
            what,
            Level.WARNING,
            f"rights {rights:03o}: its group can change it",
            "run `chmod g-w` on it, unless that group is meant to",
        )
    return fine(what, f"rights {rights:03o}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFacts:
    """What a PostgreSQL role may do in its database."""

    role: str
    superuser: bool
    writable: int
    example: str | None
    may_create: bool
    sees_activity: bool


def judge_role(what: str, facts: RoleFacts) -> Iterator[Finding]:
    """Judge a role that is only meant to read."""
    what = f"role of {what}"
    step = "give the check a role of its own with SELECT and pg_monitor, and nothing else"
    if facts.superuser:
        yield found(what, Level.UNSAFE, f"{facts.role} is a superuser", step)
    elif facts.writable:
        value = f"{facts.role} may change {facts.writable} tables, such as {facts.example}"
        yield found(what, Level.UNSAFE, value, step)
    elif facts.may_create:
        yield found(what, Level.WARNING, f"{facts.role} may create tables", step)
    else:
        yield fine(what, f"{facts.role} can only read")
    if not facts.sees_activity:
        yield found(
            what,
            Level.WARNING,
            f"{facts.role} does not see what other sessions do",
            f"run `GRANT pg_monitor TO {facts.role}` there",
        )
