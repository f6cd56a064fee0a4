"""When several anomalies together are worth an incident, and when they are noise.

The plain rule (two critical series or three anomalous ones in a tick, over a whole platform)
fires by chance: with heavy-tailed noise one reading in fifty is beyond three sigmas. It is
counted (`bare_rule`) and opens nothing. The rule that opens looks at golden signals in their
bad direction, within a group of services that the catalogue connects, and wants each series
to be off on at least two of the last three ticks: chance rarely strikes one series twice,
a fault does so at once. What more traffic explains is no symptom, nor is a way back, nor
what the series is in the habit of (see `habits`).
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from holdfast.detection.anomaly import Anomaly, figure
from holdfast.detection.baseline import Baseline, is_return
from holdfast.detection.exact import SCORE_MAX, Floats
from holdfast.detection.habits import Habits
from holdfast.detection.opening import Opening
from holdfast.detection.scores import Scores, spec_confidence
from holdfast.detection.settings import CompositeSettings, DetectorSettings
from holdfast.kernel.catalogue import GOLDEN_SIGNALS, Catalogue, SignalKey
from holdfast.kernel.clock import format_at
from holdfast.kernel.reason import Reason

BAD_DIRECTION = {"errors": 1, "latency": 1, "saturation": 1, "traffic": -1}
# A series counts when it is off on this many of the last ticks.
TICKS_OFF = 2
# Traffic at this multiple of its expected value is a surge (noise of 20 requests a tick,
# averaged over three ticks, stays below 1.4) ...
SURGE = 1.5
# ... and latency that grew no more than this much faster than traffic comes from it.
LATENCY_SLACK = 1.5
# How long after its last anomaly a series remembers its old level, in windows.
MEMORY_WINDOWS = 2
# A series this many times over the critical limit speaks for itself: what is off beside it,
# on the same service in the same region, counts as critical too.
OVERWHELMING = 2
# An error rate is still off while it is this many times its old reach above its old level.
FAR_OFF = 2
# Signals that follow the load.
LOADED = frozenset({"latency", "saturation"})


def bare_rule(scores: Scores, settings: CompositeSettings) -> bool:
    """Apply the plain rule to all series of one tick: to be counted, never acted on."""
    return scores.criticals >= settings.critical or scores.anomalies >= settings.anomalies


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One series over the last ticks: its anomalies, oldest first, one per tick at most."""

    key: SignalKey
    anomalies: tuple[Anomaly, ...]

    @property
    def latest(self) -> Anomaly:
        return self.anomalies[-1]

    @property
    def strength(self) -> float:
        """The mean score of its two worst ticks: one spike alone does not make it critical."""
        worst = sorted((a.score for a in self.anomalies), reverse=True)[:TICKS_OFF]
        return sum(worst) / len(worst)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OldLevel:
    """A series before it first went off, and the reading that was off."""

    baseline: Baseline
    first_off: float
    off_since: datetime
    last_off: int = 0
    ticks_left: int = 0

    @property
    def far_off(self) -> float:
        """From where on it is as bad as when it went off; half way there for a constant level."""
        base = self.baseline
        if base.high > base.expected:
            return base.expected + FAR_OFF * (base.high - base.expected)
        return base.expected + (self.first_off - base.expected) / 2


class Composite:
    """The rule over a catalogue; holds the anomalies of the last ticks and nothing else."""

    def __init__(
        self,
        catalogue: Catalogue,
        keys: Sequence[SignalKey],
        settings: CompositeSettings | None = None,
        *,
        detector: DetectorSettings | None = None,
    ) -> None:
        self._settings = settings or CompositeSettings()
        self._detector = detector or DetectorSettings()
        self._groups = {name: group for group in catalogue.groups() for name in group}
        self._places = {key: place for place, key in enumerate(keys)}
        traffic = [(place, key) for place, key in enumerate(keys) if key.signal == "traffic"]
        self._traffic = np.array([place for place, _ in traffic], dtype=np.intp)
        self._own_traffic = {(key.service, key.region): n for n, (_, key) in enumerate(traffic)}
        self._group_traffic: dict[tuple[str, ...] | None, list[int]] = {}
        for n, (_, key) in enumerate(traffic):
            self._group_traffic.setdefault(self._groups.get(key.service), []).append(n)
        self._anomalies: deque[Mapping[SignalKey, Anomaly]] = deque(maxlen=self._settings.ticks)
        self._loads: deque[Floats] = deque(maxlen=self._settings.ticks)
        self._habits = Habits(ticks=self._settings.ticks, window=self._detector.window)
        self._old_levels: dict[SignalKey, _OldLevel] = {}
        self._tick = 0

    def observe(
        self, scores: Scores, anomalies: Iterable[Anomaly], at: datetime
    ) -> tuple[Opening, ...]:
        """Take a tick in; give an opening for every group in which the rule holds now."""
        golden = [a for a in anomalies if a.key.signal in GOLDEN_SIGNALS]
        self._tick += 1
        bad = _worst_of_each(a for a in (*self._still_off(scores, at), *golden) if _is_bad(a))
        self._habits.observe(bad)
        symptoms = {
            key: a
            for key, a in bad.items()
            if not self._is_way_back(a) and not self._habits.knows(a)
        }
        self._remember(golden, symptoms, at)
        self._anomalies.append(symptoms)
        self._loads.append(self._load(scores))
        openings = (self._judge(group, found, at) for group, found in self._evidence().items())
        return tuple(opening for opening in openings if opening is not None)

    # ------------------------------------------------------------------ old levels
    def _is_way_back(self, anomaly: Anomaly) -> bool:
        known = self._old_levels.get(anomaly.key)
        return known is not None and is_return(anomaly, known.baseline)

    def _remember(self, golden: Iterable[Anomaly], off: Iterable[SignalKey], at: datetime) -> None:
        """Keep the level that a series had before it first went off, for a while, and since when
        it has been off without a longer break.
        """
        memory = MEMORY_WINDOWS * self._detector.window
        levels = {
            key: replace(old, ticks_left=old.ticks_left - 1)
            for key, old in self._old_levels.items()
            if old.ticks_left > 1
        }
        for anomaly in golden:
            known = levels.get(anomaly.key) or _old_level(anomaly, at)
            levels[anomaly.key] = replace(known, ticks_left=memory)
        for key in off:
            old = levels.get(key)
            if old is not None:
                is_new = self._tick - old.last_off > self._settings.ticks
                since = at if is_new else old.off_since
                levels[key] = replace(old, last_off=self._tick, off_since=since)
        self._old_levels = levels

    def _still_off(self, scores: Scores, at: datetime) -> Iterable[Anomaly]:
        """Give the error rates that are as bad as when they went off, whatever is normal by now.

        A rolling window takes a fault for normal within a minute, and a fault that several
        signals show one after the other would never add up. Where the level was constant there
        is no range to be above: then whatever is above it is off, and lasting makes it critical.
        """
        for key, old in self._old_levels.items():
            if key.signal == "errors":
                value = float(scores.values[self._places[key]])
                if value > old.far_off:
                    yield _measured_by(old.baseline, key, value, at, self._detector)

    # ------------------------------------------------------------------ load
    def _load(self, scores: Scores) -> Floats:
        """Give the traffic of every place as a multiple of what was expected there."""
        with np.errstate(all="ignore"):
            ratios = scores.values[self._traffic] / scores.expected[self._traffic]
        known: Floats = np.where(np.isfinite(ratios), ratios, np.nan)
        return known

    def _load_at(self, key: SignalKey) -> float:
        """Give the load at a place over the last ticks: its own traffic, or else its group's."""
        own = self._own_traffic.get((key.service, key.region))
        recent = np.array(self._loads)
        if own is None or np.isnan(recent[:, own]).all():
            recent = recent[:, self._group_traffic.get(self._groups.get(key.service), [])]
        else:
            recent = recent[:, [own]]
        recent = recent[:, ~np.isnan(recent).all(axis=0)]
        return float(np.nanmean(recent, axis=0).max()) if recent.size else 1.0

    def _explained_by_load(self, anomaly: Anomaly) -> bool:
        """Busier is not broken: fuller in a surge, and slower in step with it, is expected."""
        if anomaly.key.signal not in LOADED:
            return False
        load = self._load_at(anomaly.key)
        if load < SURGE:
            return False
        slowed = anomaly.value > anomaly.expected * load * LATENCY_SLACK
        return anomaly.key.signal == "saturation" or not slowed

    # ------------------------------------------------------------------ the verdict
    def _evidence(self) -> dict[tuple[str, ...], list[Evidence]]:
        """Collect, by group, the series that are off on enough of the last ticks."""
        seen: dict[SignalKey, list[Anomaly]] = {}
        for tick in self._anomalies:
            for key, anomaly in tick.items():
                if not self._explained_by_load(anomaly):
                    seen.setdefault(key, []).append(anomaly)
        found: dict[tuple[str, ...], list[Evidence]] = {}
        for key, anomalies in seen.items():
            if len(anomalies) >= min(TICKS_OFF, self._settings.ticks):
                evidence = Evidence(key=key, anomalies=tuple(anomalies))
                found.setdefault(self._groups.get(key.service, (key.service,)), []).append(evidence)
        return found

    def _judge(self, group: tuple[str, ...], found: list[Evidence], at: datetime) -> Opening | None:
        rule = self._settings
        if not any(e.key.signal == "errors" for e in found):
            # a stalled machine slows everything for a moment; a slow service stays slow
            found = [e for e in found if len(e.anomalies) == rule.ticks]
        if not _hang_together(found):
            return None
        found.sort(key=lambda e: -e.strength)
        critical = sum(e.strength > self._detector.critical_sigma for e in found)
        critical = max(critical, self._beside_an_overwhelming_one(found))
        if critical < rule.critical and len(found) < rule.anomalies:
            return None
        return self._opening(group, found, critical, at)

    def _beside_an_overwhelming_one(self, found: list[Evidence]) -> int:
        """Count what is off at one place where a signal is off beyond doubt, with that signal."""
        doubtless = OVERWHELMING * self._detector.critical_sigma
        places = Counter(e.key[:2] for e in found)
        return max((places[e.key[:2]] for e in found if e.strength > doubtless), default=0)

    def _opening(
        self, group: tuple[str, ...], found: list[Evidence], critical: int, at: datetime
    ) -> Opening:
        latest = tuple(e.latest for e in found)
        services = tuple(dict.fromkeys(e.key.service for e in found))
        reason = self._summary(services, found, critical, at)
        return Opening(
            cause="composite",
            group=group,
            services=services,
            regions=tuple(sorted({e.key.region for e in found})),
            keys=tuple(e.key for e in found),
            anomalies=latest,
            severity="critical" if critical >= self._settings.critical else "warning",
            reason=reason.text,
            reasons=(reason, *(_reason(anomaly) for anomaly in latest)),
            started_at=min(self._off_since(e) for e in found),
            at=at,
        )

    def _off_since(self, evidence: Evidence) -> datetime:
        """The first tick of the trouble, which may be longer ago than the evidence reaches: the
        range that was normal is taken from before it.
        """
        first = evidence.anomalies[0].at
        known = self._old_levels.get(evidence.key)
        return min(first, known.off_since) if known is not None else first

    def _summary(
        self, services: Sequence[str], found: Sequence[Evidence], critical: int, at: datetime
    ) -> Reason:
        rule = self._settings
        names = ", ".join(str(e.key) for e in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""  # noqa: PLR2004 - as above
        return Reason(
            rule="composite_health",
            ok=False,
            text=(
                f"{' and '.join(services[:2])}: {len(found)} signals off for at least "
                f"{min(TICKS_OFF, rule.ticks)} of the last {rule.ticks} ticks, "
                f"{critical} of them critical ({names}{more})"
            ),
            reading=f"{critical} critical, {len(found)} anomalous",
            threshold=f"{rule.critical} critical or {rule.anomalies} anomalous",
            source="golden signals of connected services",
            at=format_at(at),
        )


def _hang_together(found: Sequence[Evidence]) -> bool:
    """Tell whether one fault could show so: two services in two regions share nothing."""
    services, regions = ({e.key[n] for e in found} for n in (0, 1))
    return len(found) > len(services) or len(found) > len(regions)


def _is_bad(anomaly: Anomaly) -> bool:
    return anomaly.direction == BAD_DIRECTION[anomaly.key.signal]


def _measured_by(
    level: Baseline, key: SignalKey, value: float, at: datetime, detector: DetectorSettings
) -> Anomaly:
    """Make an anomaly of a reading that is above an old level."""
    score = _score_above(level, value, detector)
    return Anomaly(
        key=key,
        at=at,
        value=value,
        expected=level.expected,
        low=level.low,
        high=level.high,
        score=score,
        confidence=spec_confidence(score),
        severity="critical" if score > detector.critical_sigma else "warning",
        direction=1,
        reason=f"{key} at {figure(value)}, {_before(level, score)}",
    )


def _before(level: Baseline, score: float) -> str:
    if level.high > level.expected:
        top = f"still above {figure(level.high)}, the top of its range before it went off"
        return f"{top}, {score:.1f} sigma"
    return f"constant at {figure(level.expected)} before it went off"


def _score_above(level: Baseline, value: float, detector: DetectorSettings) -> float:
    """Measure how far above an old level a reading is, in its sigmas.

    A constant level has none. Its first change scores between the two limits (see `zscore`),
    so a change that is still there scores as far above the critical limit: together the two
    ticks are critical, either alone is not.
    """
    above = value - level.expected
    sigma = (level.high - level.expected) / detector.anomaly_sigma
    if sigma > 0:
        return min(above / sigma, SCORE_MAX)
    return detector.critical_sigma + 1 + above / (above + max(abs(level.expected), 1.0))


def _worst_of_each(anomalies: Iterable[Anomaly]) -> dict[SignalKey, Anomaly]:
    """Keep the one with the highest score of each series: its own window may hide a fault that
    its old level shows.
    """
    worst: dict[SignalKey, Anomaly] = {}
    for anomaly in anomalies:
        known = worst.get(anomaly.key)
        if known is None or anomaly.score > known.score:
            worst[anomaly.key] = anomaly
    return worst


def _old_level(anomaly: Anomaly, at: datetime) -> _OldLevel:
    baseline = Baseline(
        expected=anomaly.expected,
        median=anomaly.expected,
        low=anomaly.low,
        high=anomaly.high,
        samples=0,
    )
    return _OldLevel(baseline=baseline, first_off=anomaly.value, off_since=at)


def _reason(anomaly: Anomaly) -> Reason:
    return Reason(
        rule="anomaly",
        ok=False,
        text=anomaly.reason,
        reading=figure(anomaly.value),
        threshold=f"{figure(anomaly.low)} to {figure(anomaly.high)}",
        source="zscore",
        at=format_at(anomaly.at),
    )
