"""How much Holdfast may do by itself: the lowest of what everyone concerned allows.

A runbook, a service or a person who sets a mode can only lower it, so that no word in a hurry gives
Holdfast more room than the configuration does. Autonomy is granted by a person, for one runbook on
one service; without that grant the most is `supervised`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from holdfast.kernel import BadInputError, Reason, format_at

RULE = "mode"


class Mode(StrEnum):
    """The four modes, in the order of what they allow."""

    OBSERVE = "observe"
    GUIDED = "guided"
    SUPERVISED = "supervised"
    AUTONOMOUS = "autonomous"

    @property
    def rank(self) -> int:
        return list(Mode).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A person's word that a runbook may run by itself on a service."""

    runbook: str
    service: str
    granted_by: str
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMode:
    """A person's word: at most this mode in `all`, or in one service, runbook or incident.

    `scope` is `all`, `service:NAME`, `runbook:NAME` or `incident:ID`.
    """

    scope: str
    mode: Mode
    by: str
    why: str
    since: datetime

    def sentence(self) -> str:
        """Say who set what, and why."""
        return f"{self.by} set the mode of {self.scope} to at most {self.mode.value}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeInput:
    """What everyone concerned allows; None where someone says nothing."""

    installation: Mode | str
    service_name: str
    service: Mode | str | None = None
    runbook: Mode | str | None = None
    runbook_name: str | None = None
    grant: Grant | None = None
    people: tuple[SetMode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeVerdict:
    """The mode that holds, and who said what. `lowered` are the people who set it that low."""

    mode: Mode
    reasons: tuple[Reason, ...]
    lowered: tuple[SetMode, ...] = ()

    def lowered_by(self) -> str:
        """Say which people set it that low, and why; nothing where nobody did."""
        return "; ".join(each.sentence() for each in self.lowered)


def effective_mode(question: ModeInput) -> ModeVerdict:
    """Take the lowest mode; the reason that is not ok is the one that lowered it."""
    said = list(_said(question))
    lowest = min((mode for mode, _, _, _ in said), key=lambda mode: mode.rank)
    reasons = tuple(
        Reason(
            rule=RULE,
            ok=mode.rank > lowest.rank or lowest is Mode.AUTONOMOUS,
            text=text,
            reading=mode.value,
            source=source,
            at=at,
        )
        for mode, text, source, at in said
    )
    lowered = tuple(each for each in question.people if each.mode is lowest)
    return ModeVerdict(mode=lowest, reasons=reasons, lowered=lowered)


def mode_applies(scope: str, *, service: str, incident_id: str, runbook: str | None = None) -> bool:
    """Say whether a mode that a person set covers a step; an unreadable scope covers everything.

    `runbook`: the one that chose the step; None where a person did.
    """
    kind, _, name = scope.partition(":")
    if kind == "service" and name:
        return name == service
    if kind == "incident" and name:
        return name == incident_id
    if kind == "runbook" and name:
        return name == runbook
    return True


def read_mode(value: Mode | str, *, source: str) -> Mode:
    """Read a mode. Raises BadInputError for a word that is none."""
    try:
        return Mode(value)
    except ValueError:
        known = ", ".join(Mode)
        raise BadInputError(f"{source}: the mode {value!r} is unknown; choose {known}") from None


_Said = tuple[Mode, str, str, str | None]


def _said(question: ModeInput) -> Iterator[_Said]:
    voices = (
        ("the installation", question.installation),
        (f"service {question.service_name}", question.service),
        (f"runbook {question.runbook_name}", question.runbook),
    )
    for who, value in voices:
        if value is not None:
            mode = read_mode(value, source=who)
            yield mode, f"{who} allows {mode.value}", who, None
    for each in question.people:
        yield each.mode, each.sentence(), f"mode of {each.scope}", format_at(each.since)
    yield *_granted(question), None


def _granted(question: ModeInput) -> tuple[Mode, str, str]:
    grant, name = question.grant, question.runbook_name
    on = f"runbook {name} on {question.service_name}"
    if name is None:
        return Mode.SUPERVISED, "a person chose this step; no autonomy is asked for", "autonomy"
    if grant is None:
        return Mode.SUPERVISED, f"no person granted autonomy to {on}", "autonomy"
    if (grant.runbook, grant.service) != (name, question.service_name):
        other = f"runbook {grant.runbook} on {grant.service}"
        return Mode.SUPERVISED, f"autonomy was granted to {other}, not to {on}", "autonomy"
    because = f": {grant.because}" if grant.because else ""
    return Mode.AUTONOMOUS, f"{grant.granted_by} granted autonomy to {on}{because}", "autonomy"
