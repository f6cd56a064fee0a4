"""The pooler's own account of itself, on /metrics, and on /healthz whether it has a primary.

Rule: read at each scrape from where the pooler keeps it; nothing here is counted twice.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client import Gauge, Summary
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from holdfast.kernel import HoldfastError
from holdfast.sandbox.services.exposition import registry_with_memory, render, serve_pages

if TYPE_CHECKING:
    from holdfast.sandbox.services.pool_clients import Pooler


class PoolMetrics:
    """The pooler's metrics under the blueprint's names."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self.registry = registry_with_memory(names["memory"])
        self._wait = Summary(
            names["pool_wait"],
            "Seconds a transaction waited for a server connection, to the millisecond.",
            registry=self.registry,
        )
        self._pooler: Pooler | None = None

    def waited(self, seconds: float) -> None:
        self._wait.observe(round(seconds, 3))

    def tell_of(self, pooler: "Pooler") -> None:
        """Register everything that is read from the pooler."""
        self._pooler = pooler
        pool, names = pooler.pool, self._names
        gauges = {
            "pool_size": ("Server connections at most.", lambda: pool.size),
            "pool_in_use": ("Server connections in a transaction.", lambda: pool.in_use),
            "pool_held": (
                "Transactions held open by a client that is quiet.",
                lambda: len(pooler.held()),
            ),
            "pool_waiting": ("Clients that wait for a server connection.", lambda: pool.waiting),
            "pool_fenced": (
                "Servers that are refused as primaries of the past.",
                lambda: len(pool.upstream.fenced),
            ),
        }
        for meaning, (what, read) in gauges.items():
            gauge = Gauge(names[meaning], what, registry=self.registry)
            gauge.set_function(read)
        self.registry.register(_Transactions(pooler, names["pool_transactions"]))

    def serve(self, port: int) -> None:
        pages = {"/metrics": lambda accept: render(self.registry, accept), "/healthz": self._health}
        serve_pages(port, pages)

    def _health(self, _accept: str) -> tuple[str, bytes]:
        if self._pooler is None or self._pooler.pool.upstream.primary is None:
            raise HoldfastError("no server takes writes")  # a page that raises answers 503
        return "application/json", b'{"status": "ok"}'


class _Transactions(Collector):
    """Counts in the pooler, where it costs an addition."""

    def __init__(self, pooler: "Pooler", name: str) -> None:
        self._pooler = pooler
        self._name = name

    def collect(self) -> list[CounterMetricFamily]:
        done = self._pooler.transactions
        return [CounterMetricFamily(self._name, "Transactions relayed.", done)]
