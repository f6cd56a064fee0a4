"""Says whether the cache has room, and whether it throws out what it should keep.

Works for Redis and Valkey, as both answer INFO alike. A server without a memory
limit has no headroom to measure; that is said rather than shown as 100 %.
"""

import threading
from collections.abc import Mapping
from typing import Any, cast

from holdfast.checks.valkey_client import valkey_client
from holdfast.response.ports import CheckContext, CheckResult, Health


class RedisHealth:
    """Degraded below 10 % headroom, while loading, or when evictions grew since the last look."""

    name = "redis_health"

    def __init__(self, url: str, *, timeout_s: float = 3.0, headroom_min: float = 0.1) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._headroom_min = headroom_min
        self._evicted_before: int | None = None
        self._lock = threading.Lock()

    def run(self, context: CheckContext) -> CheckResult:
        data = self._data(_info(self._url, self._timeout_s))
        problems = self._problems(data)
        return CheckResult(
            name=self.name,
            status=Health.DEGRADED if problems else Health.HEALTHY,
            summary="; ".join([_counted(data), *problems]),
            at=context.now,
            data=data,
        )

    def _data(self, info: Mapping[str, Any]) -> dict[str, Any]:
        used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
        evicted = int(info.get("evicted_keys", 0))
        return {
            "used_memory": used,
            "maxmemory": limit,
            "headroom_ratio": round(1 - used / limit, 4) if limit else None,
            "connected_clients": int(info.get("connected_clients", 0)),
            "evicted_keys": evicted,
            "evicted_since_last": self._grown(evicted),
            "loading": bool(int(info.get("loading", 0))),
            "uptime_s": int(info.get("uptime_in_seconds", 0)),
        }

    def _grown(self, evicted: int) -> int:
        """Say by how much the counter grew; one that fell was restarted and counts from zero."""
        with self._lock:
            before, self._evicted_before = self._evicted_before, evicted
        if before is None:
            return 0
        return evicted - before if evicted >= before else evicted

    def _problems(self, data: Mapping[str, Any]) -> list[str]:
        problems = []
        if data["loading"]:
            problems.append("still loading its data set")
        headroom = data["headroom_ratio"]
        if headroom is not None and headroom < self._headroom_min:
            problems.append(f"{headroom:.1%} headroom (threshold {self._headroom_min:.0%})")
        if data["evicted_since_last"]:
            problems.append(f"{data['evicted_since_last']} keys evicted since the last look")
        return problems


def _info(url: str, timeout_s: float) -> Mapping[str, Any]:
    client = valkey_client(url, timeout_s, check=RedisHealth.name, field="checks.cache.url")
    with client:
        return cast("Mapping[str, Any]", client.info())


def _counted(data: Mapping[str, Any]) -> str:
    used = f"{data['used_memory'] / 1e6:.1f} MB used"
    if data["headroom_ratio"] is None:
        room = "no memory limit set"
    else:
        room = f"of {data['maxmemory'] / 1e6:.1f} MB, {data['headroom_ratio']:.1%} headroom"
    return f"{used}, {room}, {data['connected_clients']} clients, up {data['uptime_s']} s"
