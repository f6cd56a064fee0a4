"""Two readings of one thing that can't both be true: nothing is done on either of them.

Only what excludes each other counts. A process that runs and does not answer is no contradiction,
nor is a server that is slow to say it is well: those are the troubles that a step is directed for.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Step
from holdfast.kernel.catalogue import UP, SignalForm, SignalKey, instance_name, split_instance
from holdfast.kernel.clock import format_at, parse_at
from holdfast.kernel.reason import Reason
from holdfast.response.events import Prepared
from holdfast.response.ports import CheckResult
from holdfast.response.world import World

RULE = "live state"
_HEALTH, _STATUS = "http_health", "service_status"
_REPLICATION, _QUEUE = "replication_status", "queue_health"
_SERVER_ERRORS = 500
_STOPPED = frozenset({"STOPPED", "EXITED", "FATAL", "BACKOFF"})
_SLOW = re.compile(r"no answer|time[d]? ?out|not complete", re.IGNORECASE)
_FAR_OFF, _FEW_MESSAGES = 10.0, 100.0
_CLOCK_AHEAD_S = 60.0
_DISAGREE = "readings disagree"
_PATIENCE_S_MAX, _LOOKS_PER_SAMPLE = 10.0, 4


def contradictions(target: str, event: Prepared, now: datetime, world: World) -> Iterator[Reason]:
    """Name every pair of readings that exclude each other."""
    yield from _instances(event)
    yield from _replication(target, event, world)
    yield from _queues(event, world)
    yield from _ahead(event, now)


def _instances(event: Prepared) -> Iterator[Reason]:
    answers = _instances_of(event.checks.get(_HEALTH))
    processes = _instances_of(event.checks.get(_STATUS))
    for key, samples in event.live.items():
        if key.signal != UP or not samples or not math.isfinite(samples[-1][1]):
            continue
        at, value = samples[-1]
        place = instance_name(key.service, key.region)
        answered, state = answers.get(place, {}), processes.get(place, {}).get("state")
        said = f"{key} is {value:g}"
        if value < 1 and _is_well(answered):
            other = f"{_HEALTH} of {place} answered {answered['code']}"
            yield _both(f"{place} is down and answers", said, other, at)
        if value >= 1 and _is_gone(answered):
            other = f"{_HEALTH} of {place}: {answered['error']}"
            yield _both(f"{place} is up and does not answer", said, other, at)
        if value >= 1 and state in _STOPPED:
            other = f"{_STATUS} of {place} is {state}"
            yield _both(f"{place} is up and its process does not run", said, other, at)


def _instances_of(result: CheckResult | None) -> Mapping[str, Mapping[str, Any]]:
    found = result.data.get("instances") if result else None
    return found if isinstance(found, Mapping) else {}


def _is_well(answered: Mapping[str, Any]) -> bool:
    code = answered.get("code")
    return isinstance(code, int) and code < _SERVER_ERRORS


def _is_gone(answered: Mapping[str, Any]) -> bool:
    """Nobody took the request. One that took it and is slow may be alive."""
    error = answered.get("error")
    return bool(error) and answered.get("code") is None and not _SLOW.search(str(error))


def _replication(target: str, event: Prepared, world: World) -> Iterator[Reason]:
    result = event.checks.get(_REPLICATION)
    if result is None or "error" in result.data:
        return
    primary, standby = (result.data.get(role) for role in ("primary", "standby"))
    if result.data.get("two_primaries"):
        yield _both(
            "two servers take writes, and only one of them may",
            "the primary takes writes",
            "the standby takes writes",
            result.at,
        )
    seen = [s for s in (primary, standby) if isinstance(s, Mapping) and not s.get("error")]
    # At the database itself this is what its own action looks at, and may be there to end.
    own = split_instance(target)[0] == world.check_entities.get(_REPLICATION)
    if result.data.get("leader") is None and len(seen) == 2 and not own:  # noqa: PLR2004 - a pair
        yield _both(
            "both servers answer and none takes writes",
            "the primary takes no writes",
            "the standby takes no writes",
            result.at,
        )


def _queues(event: Prepared, world: World) -> Iterator[Reason]:
    """A queue's depth as its metric tells it and as the check counted it, where both name it."""
    result = event.checks.get(_QUEUE)
    lists = result.data.get("lists") if result else None
    if result is None or not isinstance(lists, Mapping):
        return
    for name, facts in lists.items():
        counted = facts.get("depth") if isinstance(facts, Mapping) else None
        if not isinstance(counted, int):
            continue
        for key, value, at in _gauges_of(str(name), event, world):
            most, least = max(value, counted), min(value, counted)
            if most >= _FEW_MESSAGES and most > _FAR_OFF * (least + 1):
                said = f"{key} is {value:g}"
                yield _both(
                    f"the depth of {name} is told in two ways",
                    said,
                    f"{_QUEUE} counted {counted}",
                    at,
                )


def _gauges_of(
    queue: str, event: Prepared, world: World
) -> Iterator[tuple[SignalKey, float, datetime]]:
    for key, samples in event.live.items():
        service = world.catalogue.services.get(key.service)
        spec = service.signals.get(key.signal) if service else None
        if spec is None or spec.form is not SignalForm.GAUGE or not samples:
            continue
        named = any(f'"{queue}"' in text for text in spec.metrics)
        at, value = samples[-1]
        if named and math.isfinite(value):
            yield key, value, at


def _ahead(event: Prepared, now: datetime) -> Iterator[Reason]:
    """A sample from the future says that the clocks disagree, and with them what is fresh."""
    for key, samples in event.live.items():
        if samples and (samples[-1][0] - now).total_seconds() > _CLOCK_AHEAD_S:
            text = f"{key} was sampled in the future; the clocks of the sources disagree"
            yield Reason(
                rule=RULE, ok=False, text=text, source=str(key), at=format_at(samples[-1][0])
            )


def look_again_at(
    refusals: Sequence[Reason], step: Step, now: datetime, world: World
) -> datetime | None:
    """Say when to read once more; None where that would tell nothing new.

    Two readings of different moments may both have been right: a service can have died between
    them. So what was sampled before the step was asked for is waited for, a short while.
    """
    asked_at = step.proposed_at or now
    patience_s = min(2 * world.timing.sampling_interval_s, _PATIENCE_S_MAX)
    if not refusals or now - asked_at >= timedelta(seconds=patience_s):
        return None
    if not all(_is_older(reason, asked_at) for reason in refusals):
        return None
    return now + timedelta(seconds=world.timing.sampling_interval_s / _LOOKS_PER_SAMPLE)


def _is_older(reason: Reason, asked_at: datetime) -> bool:
    disagrees = reason.rule == RULE and reason.text.startswith(_DISAGREE)
    return disagrees and reason.at is not None and parse_at(reason.at) < asked_at


def _both(what: str, one: str, other: str, at: datetime) -> Reason:
    text = f"{_DISAGREE}: {what} ({one}; {other}); find out which is true first"
    return Reason(rule=RULE, ok=False, text=text, reading=one, threshold=other, at=format_at(at))
