"""The pool of queue workers of one region: takes a job, settles the order, counts it.

Rule: an ordinary consumer. A job that fails goes back to the end of the queue
with the time it was first queued, so that the age of the oldest job tells the truth.
"""

import json
import random
import signal
import threading
import time
from typing import Any, cast

import psycopg
import valkey
from prometheus_client import Counter, Gauge, Summary
from psycopg_pool import ConnectionPool, PoolTimeout

from holdfast.sandbox.services.exposition import registry_with_memory, render, serve_pages
from holdfast.sandbox.services.release import Release
from holdfast.sandbox.services.start import Started

TAKE_TIMEOUT_S = 1
DATABASE_TIMEOUT_S = 1.5


class Workers:
    """All threads of one worker process and what they share."""

    def __init__(self, started: Started) -> None:
        site = started.site
        self.shape = site.blueprint
        self.log = started.log
        self.stop = threading.Event()
        self.queue = f"queue:{started.region}"
        self.cache = valkey.Valkey(unix_socket_path=str(site.cache_socket))
        self.pool = ConnectionPool(
            site.dsn() + f" application_name={started.name}",
            kwargs={"autocommit": True, "options": f"-c statement_timeout={DATABASE_TIMEOUT_S}s"},
            min_size=1,
            max_size=self.shape.workers,
            timeout=DATABASE_TIMEOUT_S,
            open=True,
        )
        self._meters()
        self.release = Release(site.releases / started.service, self._release_changed)
        self.release.current()

    def _meters(self) -> None:
        names = self.shape.metrics
        self.registry = registry_with_memory(names["memory"])
        own = self.registry
        self.jobs = Counter(names["jobs"], "Jobs taken and ended, well or not.", registry=own)
        self.failures = Counter(names["job_failures"], "Jobs that failed.", registry=own)
        self.duration = Summary(names["job_duration"], "Seconds from take to end.", registry=own)
        self.build = Gauge(
            names["build"], "1 for the release that runs.", ["version"], registry=own
        )
        depth = Gauge(names["queue_depth"], "Jobs that wait.", registry=own)
        age = Gauge(names["queue_age"], "Seconds the oldest job has waited.", registry=own)
        depth.set_function(lambda: float(cast("int", self.cache.llen(self.queue))))
        age.set_function(self.oldest_age_s)

    def _release_changed(self, version: str) -> None:
        self.build.clear()
        self.build.labels(version).set(1)
        self.log.info("running release", version=version)

    def oldest_age_s(self) -> float:
        last = cast("bytes | None", self.cache.lindex(self.queue, -1))
        return 0.0 if last is None else max(0.0, time.time() - json.loads(last)["at"])

    def run(self, number: int) -> None:
        """Take and settle until told to stop."""
        rng = random.Random(f"{self.shape.seed}/{self.queue}/{number}")
        while not self.stop.is_set():
            taken = cast("Any", self.cache.brpop([self.queue], timeout=TAKE_TIMEOUT_S))
            if taken is not None:
                self._work(json.loads(taken[1]), rng)

    def _work(self, job: dict[str, Any], rng: random.Random) -> None:
        began = time.perf_counter()
        try:
            self._settle(job, rng)
        except (psycopg.Error, PoolTimeout, ArithmeticError, LookupError, TypeError) as error:
            self.failures.inc()
            why = f"{type(error).__name__}: {error}"
            self.log.warning("job failed, queued again", order=job["order"], error=why)
            self.cache.lpush(self.queue, json.dumps(job))
        self.jobs.inc()
        self.duration.observe(time.perf_counter() - began)

    def _settle(self, job: dict[str, Any], rng: random.Random) -> None:
        state = self.release.current().settle(job)
        self.stop.wait(rng.lognormvariate(0.0, self.shape.work_sigma) * self.shape.work_median_s)
        with self.pool.connection() as connection:
            connection.execute(
                "UPDATE orders SET state = %s, settled_at = now() WHERE id = %s",
                (state, job["order"]),
            )


def run(started: Started) -> None:
    """Serve until told to end."""
    workers = Workers(started)
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: workers.stop.set())
    server = serve_pages(
        started.site.port(started.service, started.region),
        {
            "/metrics": lambda accept: render(workers.registry, accept),
            "/healthz": lambda _accept: ("application/json", b'{"status": "ok"}'),
        },
    )
    threads = [
        threading.Thread(target=workers.run, args=(n,), name=f"worker-{n}")
        for n in range(workers.shape.workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.shutdown()
    workers.pool.close()
