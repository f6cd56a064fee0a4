"""Metrics for the database and the cache, which have none of their own.

Rule: reads only, as the role that can't write. When a store does not answer, its
page answers 503: a failed scrape is a reading.
"""

import contextlib
import signal
import threading
from dataclasses import dataclass
from typing import Any, cast

import psycopg
import valkey
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from holdfast.kernel import HoldfastError
from holdfast.sandbox.services.exposition import render, serve_pages
from holdfast.sandbox.services.start import Started
from holdfast.sandbox.site import DATABASE, READONLY_ROLE, STORES, Site

# The timeline is 0 for a standby, and its place in the write-ahead log is what it has replayed.
_SESSIONS = """
SELECT CASE WHEN standby THEN 0
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
       CASE WHEN standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
           - '0/0'::pg_lsn,
       sessions, waiting,
       (SELECT xact_commit FROM pg_stat_database WHERE datname = %s)
FROM (SELECT pg_is_in_recovery() AS standby,
             count(*) FILTER (WHERE backend_type = 'client backend') AS sessions,
             count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting
      FROM pg_stat_activity) AS seen
"""


@dataclass(frozen=True, slots=True)
class _Server:
    """What one server said of itself."""

    timeline: int
    place: int
    sessions: int
    waiting: int
    commits: int


class PostgresMetrics(Collector):
    """Asks both servers at each scrape and speaks for the primary of now.

    Each is asked over one connection that is made anew when it broke. How far the standby is
    behind is told only while there is one: an unknown lag is no sample.
    """

    def __init__(self, site: Site) -> None:
        more = " application_name=exporter connect_timeout=2"
        self._dsns = (site.dsn(READONLY_ROLE) + more, site.standby_dsn(READONLY_ROLE) + more)
        self._names = site.blueprint.metrics
        self._connections: dict[str, psycopg.Connection[Any]] = {}

    def collect(self) -> list[Any]:
        answers = [answer for dsn in self._dsns if (answer := self._ask(dsn)) is not None]
        primary = max(answers, key=lambda server: server.timeline, default=None)
        if primary is None or primary.timeline == 0:
            raise HoldfastError("no server of the database takes writes")
        names = self._names
        told = [
            GaugeMetricFamily(names["connections"], "Client sessions.", primary.sessions),
            GaugeMetricFamily(
                names["locks_waiting"], "Sessions that wait for a lock.", primary.waiting
            ),
            CounterMetricFamily(names["commits"], "Transactions committed.", primary.commits),
        ]
        lag = [max(0, primary.place - other.place) for other in answers if other.timeline == 0]
        if lag:
            what = "Bytes of the log that the standby has not replayed."
            told.append(GaugeMetricFamily(names["replication_lag"], what, lag[0]))
        return told

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def _ask(self, dsn: str) -> _Server | None:
        """Ask over the connection of before; where that broke, the server may be back already."""
        known = self._connections.pop(dsn, None)
        if known is not None:
            with contextlib.suppress(psycopg.OperationalError):
                return self._answer(dsn, known)
        with contextlib.suppress(psycopg.OperationalError):
            return self._answer(dsn, psycopg.connect(dsn, autocommit=True))
        return None

    def _answer(self, dsn: str, connection: psycopg.Connection[Any]) -> _Server | None:
        row = connection.execute(_SESSIONS, (DATABASE,)).fetchone()
        self._connections[dsn] = connection
        return _Server(*map(int, row)) if row is not None else None


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
