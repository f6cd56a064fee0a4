"""Metrics for the database and the cache, which have none of their own.

Rule: reads only, as the role that can't write. When a store does not answer, its
page answers 503: a failed scrape is a reading.
"""

import signal
import threading
from typing import Any, cast

import psycopg
import valkey
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from holdfast.sandbox.services.exposition import render, serve_pages
from holdfast.sandbox.services.start import Started
from holdfast.sandbox.site import DATABASE, READONLY_ROLE, STORES, Site

_SESSIONS = """
SELECT count(*) FILTER (WHERE backend_type = 'client backend'),
       count(*) FILTER (WHERE wait_event_type = 'Lock'),
       (SELECT xact_commit FROM pg_stat_database WHERE datname = %s)
FROM pg_stat_activity
"""


class PostgresMetrics(Collector):
    """Asks the database at each scrape, over one connection that is made anew when it broke."""

    def __init__(self, site: Site) -> None:
        self._dsn = site.dsn(READONLY_ROLE) + " application_name=exporter connect_timeout=1"
        self._names = site.blueprint.metrics
        self._connection: psycopg.Connection[Any] | None = None

    def collect(self) -> list[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._dsn, autocommit=True)
        row = self._connection.execute(_SESSIONS, (DATABASE,)).fetchone()
        sessions, waiting, commits = row or (0, 0, 0)
        names = self._names
        return [
            GaugeMetricFamily(names["connections"], "Client sessions.", sessions),
            GaugeMetricFamily(names["locks_waiting"], "Sessions that wait for a lock.", waiting),
            CounterMetricFamily(names["commits"], "Transactions committed.", commits),
        ]


class ValkeyMetrics(Collector):
    """Asks the cache for its own account at each scrape."""

    def __init__(self, site: Site) -> None:
        self._client = valkey.Valkey(unix_socket_path=str(site.cache_socket), socket_timeout=1.0)
        self._names = site.blueprint.metrics

    def collect(self) -> list[Any]:
        info = cast("dict[str, Any]", self._client.info())
        names, done = self._names, info["total_commands_processed"]
        return [
            GaugeMetricFamily(names["cache_memory"], "Bytes used.", info["used_memory"]),
            GaugeMetricFamily(names["cache_clients"], "Clients.", info["connected_clients"]),
            CounterMetricFamily(names["cache_commands"], "Commands processed.", done),
        ]


def run(started: Started) -> None:
    """Serve until told to end."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    site, pages = started.site, {}
    collectors = {
        site.blueprint.database: PostgresMetrics(site),
        site.blueprint.cache: ValkeyMetrics(site),
    }
    for service, collector in collectors.items():
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        pages[f"/{service}/metrics"] = lambda accept, r=registry: render(r, accept)
    serve_pages(site.ports[STORES], pages)
    stop.wait()
