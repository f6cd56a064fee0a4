"""The live state that a directive is judged on: fresh, agreeing, and what was assumed.

A person decides on what they saw a while ago. So all of it is read again right before the step:
what is old, what contradicts itself and what is not as the directive took it to be, refuses.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Step
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.catalogue import SignalKey, split_instance
from holdfast.kernel.clock import format_at
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.reason import Reason
from holdfast.response.contradictions import contradictions
from holdfast.response.events import Prepared
from holdfast.response.ports import CheckResult, Health
from holdfast.response.world import World
from holdfast.verification import parse_expectation

RULE = "live state"
_STALE_S_MIN = 2.0
_SHOWN_MOST = 6
# What changes by itself from one look to the next says nothing of whether somebody changed it.
_VOLATILE = re.compile(
    r"(?:at|now|load|depth|uptime|waiting|wanted|messages|sessions|connections|keys_in_all)$"
    r"|(?:stderr_tail|files|bytes|younger_files|left_alone|counted_all|pods|rollout)$"
    r"|.*_(?:s|ms|bytes|age)$|(?:lag|behind)(?:_.*)?$|(?:read|seen|observed)_at$"
)


def series_to_read(step: Step, world: World) -> tuple[SignalKey, ...]:
    """List the series of the target's service, and those that the criteria ask for."""
    service = world.catalogue.services.get(split_instance(step.target)[0])
    own = service.series() if service else ()
    return tuple(dict.fromkeys((*own, *_asked_for(step, world))))


def live_reasons(step: Step, event: Prepared, now: datetime, world: World) -> tuple[Reason, ...]:
    """Say what the live state was read as, and everything in it that stands in the way."""
    return (
        *_samples(step, event, now, world),
        *_checks(event, now, world),
        *_anything(step, event),
        *contradictions(step.target, event, now, world),
        *_assumed(step, event),
    )


def _asked_for(step: Step, world: World) -> tuple[SignalKey, ...]:
    """List the series of the criteria, in every region of the service that each one names."""
    found: dict[SignalKey, None] = {}
    for text in step.criteria:
        try:
            wanted = parse_expectation(text, service=split_instance(step.target)[0])
        except BadInputError:
            continue  # a criterion that can't be read is refused for that
        service = world.catalogue.services.get(wanted.service or "")
        regions = service.regions if service else ()
        named = (wanted.region,) if wanted.region else regions
        found |= {SignalKey(wanted.service or "", r, wanted.signal): None for r in named}
    return tuple(found)


def _samples(step: Step, event: Prepared, now: datetime, world: World) -> Iterator[Reason]:
    limit_s = max(2 * world.timing.sampling_interval_s, _STALE_S_MIN)
    asked = set(_asked_for(step, world))
    fresh: dict[tuple[str, str], dict[str, tuple[datetime, float]]] = {}
    for key, samples in event.live.items():
        if not samples:
            yield _never_sampled(key, asked=key in asked)
            continue
        at, value = samples[-1]
        if now - at > timedelta(seconds=limit_s):
            yield _stale(str(key), at, now, limit_s)
            continue
        fresh.setdefault((key.service, key.region), {})[key.signal] = (at, value)
    for (service, region), readings in fresh.items():
        told = ", ".join(f"{signal} {_number(v)}" for signal, (_, v) in readings.items())
        newest = max(at for at, _ in readings.values())
        yield Reason(
            rule=RULE,
            ok=True,
            text=f"{service} in {region} was read",
            reading=told,
            source=f"samples of {region}",
            at=format_at(newest),
        )


def _never_sampled(key: SignalKey, *, asked: bool) -> Reason:
    if not asked:
        return Reason(rule=RULE, ok=True, text=f"missing: {key} was never sampled")
    text = (
        f"{key}: a criterion asks for it and it was never sampled, so nobody could tell whether "
        "the step helped; name a signal that is measured"
    )
    return Reason(rule=RULE, ok=False, text=text, reading="no sample", source=str(key))


def _stale(source: str, at: datetime, now: datetime, limit_s: float) -> Reason:
    text = f"{source}: the newest reading is stale, so the live state can't be told; look there"
    return Reason(
        rule=RULE,
        ok=False,
        text=text,
        reading=f"{(now - at).total_seconds():.1f} s old",
        threshold=f"at most {limit_s:g} s old",
        source=source,
        at=format_at(at),
    )


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "no value"


def could_look(result: CheckResult) -> bool:
    """Say whether a check saw what it looks at: one that failed or hung tells nothing of it."""
    return result.status is not Health.UNKNOWN and "error" not in result.data


def _checks(event: Prepared, now: datetime, world: World) -> Iterator[Reason]:
    limit_s = world.limits.readings_max_age_s
    for name, result in event.checks.items():
        source = f"check {name}"
        if not could_look(result):
            text = f"missing: {source} could not look: {result.summary}"
            yield Reason(rule=RULE, ok=True, text=text, source=source, at=format_at(result.at))
        elif now - result.at > timedelta(seconds=limit_s):
            yield _stale(source, result.at, now, limit_s)
        else:
            yield Reason(
                rule=RULE,
                ok=True,
                text=f"{source} says {result.status.value}",
                reading=result.summary,
                source=source,
                at=format_at(result.at),
            )


def _anything(step: Step, event: Prepared) -> Iterator[Reason]:
    """Where nothing at all could be read beside the target itself, nobody knows what goes on."""
    looked = any(could_look(result) for result in event.checks.values())
    sampled = any(
        math.isfinite(samples[-1][1]) for samples in event.live.values() if len(samples) > 0
    )
    if looked or sampled:
        return
    text = (
        f"nothing could be read about {step.target}: no check could look and no series has a "
        "value; mend what is measured first, or act by hand and report it with `holdfast did`"
    )
    yield Reason(rule=RULE, ok=False, text=text, source=step.target)


# --- what was assumed


def stable(pre_image: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the part of a pre-image that only changes when somebody changes the target."""
    return {
        name: _planes(value) if name == "planes" else _kept(value)
        for name, value in sorted(pre_image.items())
        if not _VOLATILE.match(name) and not isinstance(value, float)
    }


def _kept(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return stable(value)
    if isinstance(value, list | tuple):
        return [_kept(each) for each in value]
    return value


def _planes(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Numbers in a plane's words may be counts, which change by themselves."""
    if not isinstance(value, list | tuple):
        return None
    return [
        [each.get("plane"), re.sub(r"\d+(?:\.\d+)?", "#", str(each.get("now")))]
        for each in value
        if isinstance(each, Mapping)
    ]


def digest(target: str, pre_image: Mapping[str, Any]) -> str:
    """Hash the stable part of a target's pre-image (SHA-256, hex): what `--seen` is compared with.

    Two targets may read the same, so its name is part of it.
    """
    return hashlib.sha256(canonical_json([target, stable(pre_image)])).hexdigest()


def _assumed(step: Step, event: Prepared) -> Iterator[Reason]:
    if step.seen is None:
        return
    found = digest(step.target, event.pre_image)
    if found.startswith(step.seen):
        text = f"{step.target} is as it was when this was decided"
        yield Reason(rule=RULE, ok=True, text=text, reading=found, source=step.target)
        return
    text = (
        f"{step.target} is not as it was when this was decided: {_changed(event)}; look at it "
        "again with `--dry-run`"
    )
    yield Reason(
        rule=RULE, ok=False, text=text, reading=found, threshold=step.seen, source=step.target
    )


def _changed(event: Prepared) -> str:
    """Say what changed where the earlier look is at hand, else what is there now."""
    after = stable(event.pre_image)
    if event.assumed is None:
        return short(event.pre_image) or "nothing of it can be read"
    before = stable(event.assumed)
    names = [n for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
    told = [f"{n} was {before.get(n)!r:.80} and is {after.get(n)!r:.80}" for n in names]
    return "; ".join(told[:_SHOWN_MOST])


def planes_by_name(pre_image: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give each control plane's place of a pre-image under its name, for a precondition."""
    planes = pre_image.get("planes")
    if not isinstance(planes, list | tuple):
        return {}
    return {
        str(each["plane"]): {"now": each.get("now"), "intended": each.get("intended")}
        for each in planes
        if isinstance(each, Mapping) and "plane" in each
    }


def short(observed: Mapping[str, Any]) -> str:
    """Say what was seen of a target in a few words."""
    shown = {k: v for k, v in observed.items() if isinstance(v, (str, int, float, bool))}
    return ", ".join(f"{key}={value}" for key, value in list(shown.items())[:_SHOWN_MOST])


def newest(samples: Sequence[tuple[datetime, float]]) -> dict[str, Any]:
    """Give the newest of some samples as data; a gap has no value."""
    if not samples:
        return {"value": None, "at": None}
    at, value = samples[-1]
    return {"value": value if math.isfinite(value) else None, "at": format_at(at)}
