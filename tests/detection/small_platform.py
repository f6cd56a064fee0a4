"""Readings of a small platform, drawn from a seed: heavy tails, granular errors, surges, faults."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from holdfast.detection import (
    Composite,
    DetectorSettings,
    Opening,
    ZScore,
    bare_rule,
    list_anomalies,
)
from holdfast.detection.exact import Floats
from holdfast.detection.settings import CompositeSettings
from holdfast.kernel.catalogue import Catalogue, Service, SignalForm, SignalKey, SignalSpec

START = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
REGIONS = ("north", "south")
GAUGE = SignalSpec(form=SignalForm.GAUGE, metrics=("x",))
GOLDEN = dict.fromkeys(("errors", "latency", "traffic", "saturation"), GAUGE)


def service(name: str, *, depends_on: tuple[str, ...] = ()) -> Service:
    return Service(
        name=name,
        depends_on=depends_on,
        regions=REGIONS,
        scrape=dict.fromkeys(REGIONS, "http://127.0.0.1:1/metrics"),
        signals=GOLDEN,
    )


PLATFORM = Catalogue(
    services={
        s.name: s
        for s in (
            service("shop", depends_on=("store",)),
            service("packer", depends_on=("store",)),
            service("store"),
            service("blog"),
        )
    }
)
KEYS = PLATFORM.series()

Fault = Callable[[int, dict[SignalKey, float]], None]


@dataclass(frozen=True)
class Tick:
    n: int
    bare: bool
    openings: tuple[Opening, ...]


def no_fault(n: int, readings: dict[SignalKey, float]) -> None:
    pass


def healthy_reading(rng: np.random.Generator, n: int, surge: float) -> dict[SignalKey, float]:
    """20 requests a tick with the daily shape, errors one request in 300, a slow tail of latency."""
    readings: dict[SignalKey, float] = {}
    day = 1 + 0.3 * np.sin(n / 60)
    for name in PLATFORM.services:
        for region in REGIONS:
            traffic = int(rng.poisson(20 * day * surge))
            tail = rng.pareto(2.5, max(traffic, 1))
            latency = 0.012 * (1 + float(tail.mean())) * (1 + 0.25 * (surge - 1))
            readings[SignalKey(name, region, "traffic")] = traffic
            readings[SignalKey(name, region, "latency")] = latency
            failed = rng.binomial(traffic, 1 / 300)
            readings[SignalKey(name, region, "errors")] = failed / traffic if traffic else np.nan
            readings[SignalKey(name, region, "saturation")] = int(rng.poisson(traffic * latency))
            readings[SignalKey(name, region, "up")] = 1.0
    return readings


def platform_ticks(
    seed: int,
    ticks: int,
    fault: Fault = no_fault,
    *,
    surge: Callable[[int], float] | None = None,
    settings: CompositeSettings | None = None,
) -> Iterator[Tick]:
    rng = np.random.default_rng(seed)
    rules = settings or CompositeSettings()
    detector = ZScore(len(KEYS), settings=DetectorSettings())
    composite = Composite(PLATFORM, KEYS, rules)
    for n in range(ticks):
        readings = healthy_reading(rng, n, surge(n) if surge else 1.0)
        fault(n, readings)
        values: Floats = np.array([readings[key] for key in KEYS], dtype=np.float64)
        at = START + timedelta(seconds=n)
        scores = detector.tick(values)
        openings = composite.observe(scores, list_anomalies(scores, KEYS, at), at)
        yield Tick(n=n, bare=bare_rule(scores, rules), openings=openings)
