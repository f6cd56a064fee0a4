"""Says which flag, setting, schema or machine was changed shortly before the trouble began.

The newest such change on a service in question, or on one that it depends on, is a suspect: a
lead, not a verdict. Deployments are listed too, but suspecting them is for recent_deployments.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdfast.checks.recent_deployments import in_question
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import parse_at
from holdfast.response.ports import CheckContext, CheckResult, Health

# Reads the changes since a moment, in any order.
ChangesSince = Callable[[datetime], Sequence[Mapping[str, Any]]]

SUSPECT_KINDS = frozenset({"flag", "config", "infra", "schema"})
LISTED_MAX = 50
_FIELDS = ("id", "kind", "service", "region", "at", "summary", "author", "version", "previous")


class RecentChanges:
    """Degraded when there is a suspect.

    `allowance_s` lets a change be a little later than the onset, as the onset is only known to a
    sampling interval and clocks differ.
    """

    name = "recent_changes"

    def __init__(
        self,
        changes: ChangesSince,
        catalogue: Catalogue,
        *,
        window_s: float = 3600.0,
        allowance_s: float = 60.0,
    ) -> None:
        self._changes = changes
        self._catalogue = catalogue
        self._window_s = window_s
        self._allowance_s = allowance_s

    def run(self, context: CheckContext) -> CheckResult:
        # An old incident is looked at again: what matters is what was recent when it began.
        began = min(context.now, context.started_at) - timedelta(seconds=self._window_s)
        services = in_question(self._catalogue, context.services)
        known = _newest_first(self._changes(began), began)
        here = [(at, change) for at, change in known if change.get("service") in services]
        suspect = self._suspect(here, context)
        return CheckResult(
            name=self.name,
            status=Health.DEGRADED if suspect else Health.HEALTHY,
            summary=self._summary(len(here), len(known), suspect, context),
            at=context.now,
            data={
                "suspect": _shown(*suspect, context.now) if suspect else None,
                "changes": [_shown(at, change, context.now) for at, change in here[:LISTED_MAX]],
                "elsewhere": len(known) - len(here),
            },
        )

    def _suspect(
        self, here: Sequence[tuple[datetime, Mapping[str, Any]]], context: CheckContext
    ) -> tuple[datetime, Mapping[str, Any]] | None:
        earliest = context.started_at - timedelta(seconds=self._window_s)
        latest = context.started_at + timedelta(seconds=self._allowance_s)
        return next(
            (
                (at, change)
                for at, change in here
                if change.get("kind") in SUSPECT_KINDS and earliest <= at <= latest
            ),
            None,
        )

    def _summary(
        self,
        here: int,
        known: int,
        suspect: tuple[datetime, Mapping[str, Any]] | None,
        context: CheckContext,
    ) -> str:
        if suspect is None:
            if not known:
                return f"no change is known within {self._window_s / 60:g} minutes"
            return (
                f"{known} changes are known, {here} of them on a service in question, none of a"
                " flag, of configuration, infrastructure or schema shortly before the trouble began"
            )
        at, change = suspect
        before_s = (context.started_at - at).total_seconds()
        when = f"{before_s:.0f} s before" if before_s >= 0 else f"{-before_s:.0f} s after"
        place = f" in {change['region']}" if change.get("region") else ""
        by = f" (by {change['author']})" if change.get("author") else ""
        return (
            f"{change['kind']} of {change['service']}{place} changed {when} the trouble began:"
            f" {change.get('summary') or 'nobody said how'}{by}"
        )


def _newest_first(
    changes: Iterable[Mapping[str, Any]], began: datetime
) -> list[tuple[datetime, Mapping[str, Any]]]:
    timed: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
    for change in changes:
        at = _time(change.get("at"))
        if at is not None and at >= began:
            timed[str(change.get("id"))] = (at, change)
    return sorted(timed.values(), key=lambda entry: entry[0], reverse=True)


def _time(at: object) -> datetime | None:
    try:
        return parse_at(str(at))
    except ValueError:
        return None


def _shown(at: datetime, change: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        **{field: change.get(field) for field in _FIELDS},
        "age_s": round((now - at).total_seconds(), 3),
    }
