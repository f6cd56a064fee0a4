"""What a /metrics page says, as numbers, and what two readings of it say per second.

Rule: for people's eyes and for counters of the run; nothing is graded by it but
what Holdfast itself exposes.
"""

import math
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.sandbox.site import Site

READ_TIMEOUT_S = 0.8

# What the figures of a reading are made of: the first of each line that an instance tells.
_DONE = ("requests", "jobs", "receipts", "pool_transactions", "commits", "cache_commands")
_FAILED = ("failures", "job_failures", "receipt_failures")
_DURATIONS = ("duration", "job_duration", "receipt_duration", "pool_wait")
_WAITING = ("waiting", "queue_depth", "pool_waiting", "locks_waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One instance in one second. None: there was nothing to read."""

    service: str
    region: str
    up: bool
    errors: float | None = None
    latency_s: float | None = None
    traffic: float | None = None
    waiting: float | None = None


def parse_exposition(text: str) -> dict[str, float]:
    """Sum the samples of each name of an OpenMetrics or Prometheus page."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        head, _, rest = line.partition("}") if "{" in line else line.partition(" ")
        name = head.partition("{")[0].strip()
        try:
            value = float(rest.split()[0])
        except (ValueError, IndexError):
            continue
        if math.isfinite(value):
            found[name] = found.get(name, 0.0) + value
    return found


class Instances:
    """Reads every instance of a platform; each reading is what changed since the last one."""

    def __init__(self, site: Site) -> None:
        self._names = site.blueprint.metrics
        self._pages = {
            (service, region): site.url(service, region, "/metrics")
            for service, region in site.processes()
        }
        stores = (site.blueprint.database, site.blueprint.cache)
        self._pages |= {(store, "global"): site.store_url(store) for store in stores}
        self._last: dict[tuple[str, str], tuple[float, Mapping[str, float]]] = {}

    def read(self, at_s: float) -> tuple[Reading, ...]:
        """Read all of them now; `at_s` is a monotonic time."""
        return tuple(self._read_one(key, url, at_s) for key, url in self._pages.items())

    def _read_one(self, key: tuple[str, str], url: str, at_s: float) -> Reading:
        try:
            with urllib.request.urlopen(url, timeout=READ_TIMEOUT_S) as page:  # noqa: S310 - a loopback address of ours
                now = parse_exposition(page.read().decode())
        except OSError:
            self._last.pop(key, None)
            return Reading(service=key[0], region=key[1], up=False)
        before = self._last.get(key)
        self._last[key] = (at_s, now)
        service, region = key
        if before is None:
            return Reading(service=service, region=region, up=True)
        return self._rates(service, region, at_s - before[0], before[1], now)

    def _rates(
        self,
        service: str,
        region: str,
        span_s: float,
        before: Mapping[str, float],
        now: Mapping[str, float],
    ) -> Reading:
        def grew(*meanings: str) -> float | None:
            names = [self._names[meaning] for meaning in meanings]
            name = next((n for n in names if n in now), None)
            return None if name is None else max(0.0, now[name] - before.get(name, 0.0))

        def spent(suffix: str) -> float:
            names = [self._names[meaning] + suffix for meaning in _DURATIONS]
            return sum(max(0.0, now[n] - before.get(n, 0.0)) for n in names if n in now)

        done, failed = grew(*_DONE), grew(*_FAILED)
        served = spent("_count")
        waits = [self._names[meaning] for meaning in _WAITING]
        return Reading(
            service=service,
            region=region,
            up=True,
            errors=failed / done if failed is not None and done else None,
            latency_s=spent("_sum") / served if served else None,
            traffic=done / span_s if done is not None and span_s > 0 else None,
            waiting=next((now[name] for name in waits if name in now), None),
        )
