"""What Holdfast would have done in mode observe, beside what people did and how it ended.

From recorded facts alone. Nothing was performed, so whether a step would have helped is never
said: only whether people did the same, something else, or nothing, and what speaks against it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from statistics import median
from typing import Any

from holdfast.incident import Kind, Record, State
from holdfast.kernel.catalogue import split_instance
from holdfast.kernel.clock import format_at
from holdfast.learning.account import Account, Attempt
from holdfast.learning.by_people import ByPerson, SeenChange, by_people
from holdfast.learning.ended import false_alarm, gone_at
from holdfast.learning.statistics import seconds

NEVER_KNOWN = (
    "No step listed here was performed by Holdfast. Whether one would have helped can't be known, "
    "nor what people did and nobody reported."
)
_OBSERVE_RULE = "observe"
_OPPOSITES = frozenset(
    frozenset(pair)
    for pair in (
        ("drain_pool", "undrain_pool"),
        ("disable_flag", "enable_flag"),
        ("scale_up", "scale_down"),
    )
)


class Compared(StrEnum):
    """How a step, or an incident without one, compares with what people did."""

    AGREED = "agreed"
    OTHER_TARGET = "other_target"
    DIFFERENT = "different"
    CONTRADICTING = "contradicting"
    NEEDLESS = "needless"
    FALSE_ALARM = "false_alarm"
    MISSED = "missed"
    QUIET = "quiet"
    UNCLEAR = "unclear"
    STILL_OPEN = "still_open"


_TELLING = (
    Kind.MANUAL_ACTION_REPORTED,
    Kind.LABELLED,
    Kind.DISMISSED,
    Kind.MERGED,
    Kind.RESOLVED,
    Kind.REOPENED,
)
SPEAKS_AGAINST = (
    Compared.CONTRADICTING,
    Compared.FALSE_ALARM,
    Compared.NEEDLESS,
    Compared.OTHER_TARGET,
    Compared.DIFFERENT,
    Compared.MISSED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldHave:
    """One step that only the mode observe stood in the way of. `earlier_s`: than the person."""

    step_id: str
    action: str
    target: str
    at: datetime
    seq: int
    after_approval: bool
    compared: Compared
    why: str
    earlier_s: float | None = None

    @property
    def what(self) -> str:
        return f"{self.action} on {self.target}"

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "at": format_at(self.at), "compared": self.compared.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One incident of the report. `compared` sums it up, and is what its steps say where it has
    any; `gone_at`: since when every series is back.
    """

    incident_id: str
    title: str
    severity: str
    phase: str
    opened_at: datetime
    gone_at: datetime | None
    compared: Compared
    why: str
    steps: tuple[WouldHave, ...] = ()
    people: tuple[ByPerson, ...] = ()
    changes: tuple[SeenChange, ...] = ()

    def as_data(self) -> dict[str, Any]:
        return {
            "incident_id": self.incident_id,
            "title": self.title,
            "severity": self.severity,
            "phase": self.phase,
            "opened_at": format_at(self.opened_at),
            "gone_at": format_at(self.gone_at) if self.gone_at else None,
            "compared": self.compared.value,
            "why": self.why,
            "steps": [step.as_data() for step in self.steps],
            "people": [each.as_data() for each in self.people],
            "changes": [change.as_data() for change in self.changes],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report over a time. `unread`: what could not be read, so that a gap is no silence."""

    since: datetime
    until: datetime
    incidents: tuple[Told, ...] = ()
    unread: tuple[str, ...] = field(default=())

    def figures(self) -> dict[str, float | None]:
        """Count; `minutes_earlier_median` is over the steps on which people agreed."""
        steps = [step for told in self.incidents for step in told.steps]
        earlier = [step.earlier_s for step in steps if step.earlier_s is not None]
        by_step = {each: sum(s.compared is each for s in steps) for each in Compared}
        alone = {each: sum(t.compared is each for t in self.incidents) for each in Compared}
        return {
            "incidents": len(self.incidents),
            "would_have_steps": len(steps),
            "agreed": by_step[Compared.AGREED],
            "different": by_step[Compared.DIFFERENT] + by_step[Compared.OTHER_TARGET],
            "contradicting": by_step[Compared.CONTRADICTING],
            "needless": by_step[Compared.NEEDLESS],
            "false_alarms": by_step[Compared.FALSE_ALARM],
            "missed": alone[Compared.MISSED],
            "not_known_yet": by_step[Compared.STILL_OPEN] + by_step[Compared.UNCLEAR],
            "minutes_earlier_median": round(median(earlier) / 60, 1) if earlier else None,
        }

    def as_data(self) -> dict[str, Any]:
        return {
            "since": format_at(self.since),
            "until": format_at(self.until),
            "note": NEVER_KNOWN,
            "figures": self.figures(),
            "incidents": [told.as_data() for told in self.incidents],
            "unread": list(self.unread),
        }


def would_have(
    chains: Iterable[Sequence[Record]],
    changes: Sequence[Mapping[str, Any]],
    *,
    since: datetime,
    until: datetime,
    unread: Sequence[str] = (),
) -> Report:
    """Write the report over incidents in which something happened from `since` to `until`."""
    accounts = (Account(records=records, chain={}) for records in chains if records)
    told = [
        _told(each, changes, unread=unread) for each in accounts if _concerns(each, since, until)
    ]
    told.sort(key=lambda each: each.opened_at)
    return Report(since=since, until=until, incidents=tuple(told), unread=tuple(unread))


def _concerns(account: Account, since: datetime, until: datetime) -> bool:
    """Observed, and something of it within the time: a step shown, something done by hand, its end.

    One that was not over at the last report is told again when it is, with how it compares then.
    """
    shown = _shown(account)
    opened = account.opened
    if opened is None or not (shown or opened.data.get("mode") == "observe"):
        return False
    moments = [opened, *account.all(*_TELLING), *(record for _, record in shown)]
    return any(since <= record.at < until for record in moments)


def _shown(account: Account) -> list[tuple[Attempt, Record]]:
    return [
        (attempt, record)
        for attempt in account.attempts
        for record in attempt.all(Kind.STEP_BLOCKED)
        if record.data["verdict"].get("would_have")
    ]


def _told(account: Account, changes: Sequence[Mapping[str, Any]], *, unread: Sequence[str]) -> Told:
    state = account.state
    people, seen = by_people(account, changes)
    found = _Found(
        account=account,
        people=people,
        changes=seen,
        gone_at=gone_at(account),
        state=state,
        unread=tuple(unread),
    )
    steps = tuple(_step(found, attempt, record) for attempt, record in _shown(account))
    compared, why = _summed_up(found, steps)
    return Told(
        incident_id=state.incident_id,
        title=state.title,
        severity=state.severity,
        phase=state.phase.value,
        opened_at=account.records[0].at,
        gone_at=found.gone_at,
        compared=compared,
        why=why,
        steps=steps,
        people=people,
        changes=seen,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    account: Account
    state: State
    people: tuple[ByPerson, ...]
    changes: tuple[SeenChange, ...]
    gone_at: datetime | None
    unread: tuple[str, ...]


def _step(found: _Found, attempt: Attempt, record: Record) -> WouldHave:
    data = attempt.proposed.data
    asked = [r for r in record.data["verdict"].get("reasons", ()) if not r["ok"]]
    asks = any(reason["rule"] != _OBSERVE_RULE for reason in asked)
    compared, why, earlier_s = _compare(
        found, str(data["action"]), str(data["target"]), record.at, asks=asks
    )
    return WouldHave(
        step_id=attempt.step_id,
        action=str(data["action"]),
        target=str(data["target"]),
        at=record.at,
        seq=record.seq,
        after_approval=asks,
        compared=compared,
        why=why,
        earlier_s=earlier_s,
    )


_Verdict = tuple[Compared, str, float | None]


def _compare(found: _Found, action: str, target: str, at: datetime, *, asks: bool) -> _Verdict:
    """Ask one question after the other; the first that has an answer decides.

    `asks`: the step would have waited for an approval first.
    """
    if alarm := false_alarm(found.account):
        return Compared.FALSE_ALARM, alarm, None
    same = [p for p in found.people if p.action == action and _same_place(p.target, target)]
    if same:
        return _agreed(found, same[0], at, asks=asks)
    service = split_instance(target)[0]
    for person in found.people:
        opposite = frozenset({person.action, action}) in _OPPOSITES
        if opposite and split_instance(person.target)[0] == service:
            return Compared.CONTRADICTING, f"{_who(person)}, which is the opposite", None
    if found.people:
        return _differs(found, found.people[0], action)
    return _nobody_acted(found, at)


def _agreed(found: _Found, person: ByPerson, at: datetime, *, asks: bool) -> _Verdict:
    gone = found.gone_at
    if person.done_at is not None and gone is not None and gone < person.done_at:
        text = f"{_who(person)}, and by then the trouble was gone for {_since(gone, person)}"
        return Compared.NEEDLESS, text, None
    if person.done_at is None and gone is not None and gone < person.told_at:
        text = f"{_who(person)}, told after the trouble was gone: how much earlier is not recorded"
        return Compared.AGREED, text, None
    earlier_s = (person.told_at - at).total_seconds()
    word = "before" if earlier_s >= 0 else "after"
    how = "done" if person.done_at else "reported"
    apart = f"{seconds(abs(earlier_s))} {word} that was {how}"
    if asks:
        # How long somebody would have taken to approve it can't be known.
        return Compared.AGREED, f"{_who(person)}; approval would have been asked for {apart}", None
    text = f"{_who(person)}; it would have been {apart}"
    return Compared.AGREED, text, earlier_s


def _since(gone: datetime, person: ByPerson) -> str:
    return seconds(((person.done_at or person.told_at) - gone).total_seconds())


def _differs(found: _Found, person: ByPerson, action: str) -> _Verdict:
    gone = found.gone_at
    if person.done_at is not None and gone is not None and gone < person.done_at:
        text = f"{_who(person)}, and by then the trouble was gone for {_since(gone, person)}"
        return Compared.NEEDLESS, text, None
    if person.action == action:
        return Compared.OTHER_TARGET, f"{_who(person)}: the same, on another target", None
    text = f"{_who(person)} instead, so the step may not address what they found"
    return Compared.DIFFERENT, text, None


def _nobody_acted(found: _Found, at: datetime) -> _Verdict:
    """Nobody reported anything: that nobody did anything can't be known."""
    gone = found.gone_at
    if gone is None and not found.state.ended:
        return Compared.STILL_OPEN, "nobody has reported anything yet, and it is not over", None
    if unclear := _may_have_helped(found, gone):
        return Compared.UNCLEAR, unclear, None
    if gone is None:
        return Compared.UNCLEAR, "how the trouble ended is not recorded", None
    after_s = (gone - at).total_seconds()
    when = f"{seconds(after_s)} after the step" if after_s > 0 else "before the step"
    text = f"nobody reported anything, and without anything that is recorded it ended {when}"
    return Compared.NEEDLESS, text, None


def _may_have_helped(found: _Found, gone: datetime | None) -> str | None:
    """Say what else may have ended the trouble; None where nothing is known of."""
    performed = [
        a
        for a in found.account.attempts
        if (intent := a.last(Kind.STEP_INTENDED)) is not None
        and (gone is None or intent.at <= gone)
    ]
    if performed:
        named = ", ".join(attempt.what for attempt in performed[:3])
        return f"nobody reported anything, but Holdfast itself performed this later: {named}"
    changes = [c for c in found.changes if gone is None or c.at <= gone]
    if changes:
        named = ", ".join(f"{c.kind} {c.id} of {c.service}" for c in changes[:3])
        return f"nobody reported anything, but this was changed meanwhile: {named}"
    if found.unread:
        return "nobody reported anything, and what was changed meanwhile could not be read"
    return None


def _who(person: ByPerson) -> str:
    because = f" ({person.because})" if person.because else ""
    return f"{person.by} did {person.what}, {person.source}{because}"


def _same_place(one: str, other: str) -> bool:
    """The same service, in the same region; a target without one is the whole service."""
    (service, region), (second, place) = split_instance(one), split_instance(other)
    return service == second and (region is None or place is None or region == place)


def _summed_up(found: _Found, steps: Sequence[WouldHave]) -> tuple[Compared, str]:
    if steps:
        worst = next((s for c in SPEAKS_AGAINST for s in steps if s.compared is c), steps[0])
        return worst.compared, worst.why
    stop = _why_no_step(found.account)
    if found.people:
        return Compared.MISSED, f"{_who(found.people[0])}; nothing would have been done: {stop}"
    if alarm := false_alarm(found.account):
        return Compared.QUIET, f"nothing would have been done, and {alarm}"
    if found.unread:
        text = "nothing would have been done; what was changed meanwhile could not be read"
        return Compared.UNCLEAR, text
    return Compared.QUIET, f"nothing would have been done, and nobody reported anything: {stop}"


def _why_no_step(account: Account) -> str:
    last = account.last(Kind.STEP_BLOCKED, Kind.HELD, Kind.DISMISSED, Kind.RESOLVED)
    plan = account.last(Kind.PLAN_CHOSEN)
    chosen = plan is not None and plan.data.get("runbook") is None
    record = plan if chosen else last or plan
    return str(record.data.get("why")) if record is not None else "it was not diagnosed yet"
