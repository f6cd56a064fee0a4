"""Maintenance windows: while one is open, what it covers opens no incident and is not acted on.

A window always has an end, so that nothing stays quiet because somebody forgot it. Prior art: the
silences of Alertmanager, which hide a message; a window also keeps Holdfast's own hands away.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from holdfast.kernel import BadInputError, format_at
from holdfast.kernel.catalogue import split_instance
from holdfast.policy.question import GuardInput, Window
from holdfast.policy.rules import Decision, Ground, ground

MAINTENANCE_RULE = "maintenance"
LONGEST = timedelta(days=30)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERYTHING = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """A window that comes back every week, by the clocks of a place.

    One whose `until` is not after its `since` ends on the next day.
    """

    name: str
    scope: str
    days: frozenset[str]
    since: time
    until: time
    zone: tzinfo
    why: str = "every week"
    by: str = "holdfast.yaml"

    def open_at(self, now: datetime) -> Window | None:
        """Give the occurrence that is open now; None between them."""
        today = now.astimezone(self.zone).date()
        for day in (today, today - timedelta(days=1)):
            if DAYS[day.weekday()] in self.days:
                window = self._of(day)
                if is_open(window, now):
                    return window
        return None

    def _of(self, day: date) -> Window:
        ends_on = day if self.until > self.since else day + timedelta(days=1)
        # Of an hour that the clocks show twice or leave out, the window takes rather too much.
        starts, ends = self._moments(day, self.since), self._moments(ends_on, self.until)
        return Window(
            window_id=f"{self.name}/{day.isoformat()}",
            scope=self.scope,
            starts_at=min(starts),
            ends_at=max(ends),
            by=self.by,
            why=self.why,
        )

    def _moments(self, day: date, clock: time) -> list[datetime]:
        at = datetime.combine(day, clock, self.zone)
        return [at.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]


def is_open(window: Window, now: datetime) -> bool:
    """Say whether a window is open: from its start on, and not at its end any more."""
    return window.starts_at <= now < window.ends_at


def covers(scope: str, *, service: str, region: str | None) -> bool:
    """Say whether a scope covers a series or a target.

    A target that names no region is the whole service, so a window on one region of it covers it.
    A scope is `all`, `region:NAME`, `SERVICE` or `SERVICE@REGION`.
    """
    if scope == EVERYTHING:
        return True
    kind, found, name = scope.partition(":")
    if found and kind == "region":
        return region is None or region == name
    own, place = split_instance(name if found and kind == "service" else scope)
    return own == service and (place is None or region is None or region == place)


def covering(windows: Iterable[Window], *, service: str, region: str | None) -> Window | None:
    """Find the window over a series or a target; of several, the one that ends last."""
    found = [w for w in windows if covers(w.scope, service=service, region=region)]
    return max(found, key=lambda window: window.ends_at, default=None)


def check_span(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    """Raise BadInputError for a window that ends before it begins, is over, or lasts too long."""
    if ends_at <= starts_at:
        raise BadInputError(
            f"the window would end at {format_at(ends_at)}, which is not after its start at "
            f"{format_at(starts_at)}; give a later end",
            field="to",
        )
    if ends_at <= now:
        raise BadInputError(
            f"the window would be over already: it ends at {format_at(ends_at)}; give an end that "
            "is still to come",
            field="to",
        )
    if ends_at - starts_at > LONGEST:
        raise BadInputError(
            f"the window would last {(ends_at - starts_at).days} days and the most is "
            f"{LONGEST.days}; give an earlier end, and add another one when it is over",
            field="to",
        )


def maintenance(question: GuardInput) -> Iterator[Ground]:
    """Nothing is performed on a target that people are at work on."""
    found = question.maintenance
    if found is None:
        yield ground(Decision.ALLOW, MAINTENANCE_RULE, "no maintenance window covers the target")
        return
    text = (
        f"{question.target} is in maintenance {found.window_id} ({found.scope}) until "
        f"{format_at(found.ends_at)}, which {found.by} announced: {found.why}"
    )
    yield ground(
        Decision.REFUSE,
        MAINTENANCE_RULE,
        text,
        source=f"maintenance {found.window_id}",
        at=found.starts_at,
    )
