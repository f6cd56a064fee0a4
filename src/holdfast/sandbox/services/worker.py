"""The pool of queue workers of one region: takes a job, settles the order, counts it.

Rule: an ordinary consumer. A job that fails goes back to the end of the queue
with the time it was first queued, so that the age of the oldest job tells the truth. A job
that holds no basket has it in the cache, under the epoch that is looked up for each job. The first
process of a region speaks for the further ones: they tell it what they did through the cache. When
it starts it sets aside the jobs whose basket is nowhere, for somebody to look at.
"""

import json
import random
import signal
import threading
import time
from http.server import HTTPServer
from typing import Any, cast

import psycopg
import valkey
from prometheus_client import Counter, Gauge, Summary
from psycopg_pool import ConnectionPool, PoolTimeout

from holdfast.sandbox.services.exposition import registry_with_memory, render, serve_pages
from holdfast.sandbox.services.release import Release
from holdfast.sandbox.services.start import Started

TAKE_TIMEOUT_S = 1
TOLD_MAX = 10_000
EXTRA_SIZE = 2  # a further process is that many times as large as an ordinary one
RETRY_PAUSE_S = 0.05  # after a failure, so that a queue of failing jobs costs no processor
DATABASE_TIMEOUT_S = 1.5


class Workers:
    """All threads of one worker process and what they share."""

    def __init__(self, started: Started) -> None:
        site = started.site
        self.shape = site.blueprint
        self.log = started.log
        self.stop = threading.Event()
        self.queue = f"queue:{started.region}"
        self.aside = f"aside:{started.region}"
        self.told = f"worked:{started.region}"
        self.is_extra = started.extra is not None
        self.threads = self.shape.workers * (EXTRA_SIZE if self.is_extra else 1)
        self.cache = valkey.Valkey(unix_socket_path=str(site.cache_socket))
        self.pool = ConnectionPool(
            site.pool_dsn() + f" application_name={started.name}",
            kwargs={
                "autocommit": True,
                "prepare_threshold": None,  # the pooler gives each transaction another session
                "options": f"-c statement_timeout={DATABASE_TIMEOUT_S}s",
            },
            min_size=1,
            max_size=self.threads,
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

    def set_aside(self) -> None:
        """Move the jobs whose basket is not where it should be to a list beside the queue."""
        waiting = cast("list[bytes]", self.cache.lrange(self.queue, 0, -1))
        slim = [line for line in waiting if "basket" not in json.loads(line)]
        if not slim:
            return
        epoch = self._epoch()
        keys = [self._basket_key(json.loads(line)["order"], epoch) for line in slim]
        baskets = cast("list[bytes | None]", self.cache.mget(keys))
        lost = [line for line, found in zip(slim, baskets, strict=True) if found is None]
        for line in lost:
            if self.cache.lrem(self.queue, 1, line.decode()):
                self.cache.lpush(self.aside, line)
        self.log.warning("jobs set aside", jobs=len(lost), aside=self.aside)

    def _epoch(self) -> int:
        return int(cast("bytes | None", self.cache.get(self.shape.basket_epoch)) or 0)

    def _basket_key(self, order: int, epoch: int) -> str:
        return f"{self.shape.basket_prefix}{epoch}:{order}"

    def _work(self, job: dict[str, Any], rng: random.Random) -> None:
        began, failed = time.perf_counter(), False
        try:
            self._settle(job, rng)
        except (psycopg.Error, PoolTimeout, ArithmeticError, LookupError, TypeError) as error:
            failed = True
            why = f"{type(error).__name__}: {error}"
            self.log.warning("job failed, queued again", order=job["order"], error=why)
            self.cache.lpush(self.queue, json.dumps(job))
            self.stop.wait(RETRY_PAUSE_S)
        self._count(time.perf_counter() - began, failed=failed)

    def _count(self, took_s: float, *, failed: bool) -> None:
        if self.is_extra:
            self.cache.lpush(self.told, json.dumps([took_s, failed]))
            return
        self.jobs.inc()
        self.failures.inc(int(failed))
        self.duration.observe(took_s)

    def page(self, accept: str) -> tuple[str, bytes]:
        """Render the metrics, with what the further processes have done since the last time."""
        for line in cast("list[bytes] | None", self.cache.rpop(self.told, TOLD_MAX)) or []:
            took_s, failed = json.loads(line)
            self._count(took_s, failed=failed)
        return render(self.registry, accept)

    def _settle(self, job: dict[str, Any], rng: random.Random) -> None:
        basket = job["basket"] if "basket" in job else self._cached_basket(job["order"])
        state = self.release.current().settle(job)
        line_s = rng.lognormvariate(0.0, self.shape.work_sigma) * self.shape.work_median_s
        self.stop.wait(line_s * basket.get("lines", 1))
        with self.pool.connection() as connection:
            connection.execute(
                "UPDATE orders SET state = %s, settled_at = now() WHERE id = %s",
                (state, job["order"]),
            )

    def _cached_basket(self, order: int) -> dict[str, Any]:
        """Fetch the basket of a slim job. Raises LookupError when it is not where it should be."""
        key = self._basket_key(order, self._epoch())
        found = cast("bytes | None", self.cache.get(key))
        if found is None:
            raise LookupError(f"no basket at {key}")
        basket: dict[str, Any] = json.loads(found)
        return basket


def run(started: Started) -> None:
    """Work until told to end. An extra process has no page: the queue's figures are the first's."""
    workers = Workers(started)
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: workers.stop.set())
    if not started.extra:
        workers.set_aside()
    server = None if started.extra else _serve(workers, started)
    threads = [
        threading.Thread(target=workers.run, args=(n,), name=f"worker-{n}")
        for n in range(workers.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if server is not None:
        server.shutdown()
    workers.pool.close()


def _serve(workers: Workers, started: Started) -> HTTPServer:
    return serve_pages(
        started.site.port(started.service, started.region),
        {
            "/metrics": workers.page,
            "/healthz": lambda _accept: ("application/json", b'{"status": "ok"}'),
        },
    )
