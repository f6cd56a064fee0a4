"""Faults of a queue: an import that its workers are too few for, and one that no number helps with.

Rule: the import is real: its orders are in the database and its jobs in the queue, each with ten
times the work of an ordinary one. How many there are follows from what the workers can do.
"""

import json
import random
import time
from collections.abc import Sequence
from typing import Any, cast

import psycopg
import valkey

from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.breakage import Victim
from holdfast.sandbox.faults import QUEUE_BACKLOG, QUEUE_FLOOD, Injected
from holdfast.sandbox.site import Site
from holdfast.sandbox.supervisor import extras

JOB_S = 0.11  # what one imported order takes a worker
DRAIN_S = 28.0  # how long the ordinary workers of a region need for a backlog
FLOOD_JOBS = 15_000
_ORDINARY_JOB_S = 0.016
_PAGE = 1000
_ORDERS = """
INSERT INTO orders (region, item, total)
SELECT %s, 1 + n %% 200, 900 + n %% 5000 FROM generate_series(1, %s) AS n
RETURNING id
"""


class Backlog:
    """A bulk import goes into one region's queue. With `flood`, a hopelessly large one."""

    def __init__(
        self,
        site: Site,
        *,
        region: str | None = None,
        flood: bool = False,
        jobs: int | None = None,
    ) -> None:
        shape = site.blueprint
        rng = random.Random(f"import/{shape.seed}")
        self._site, self._region = site, region or rng.choice(shape.regions)
        self._queue = f"queue:{self._region}"
        jobs = jobs or (FLOOD_JOBS if flood else backlog_jobs(shape))
        self.injected = Injected(
            fault=QUEUE_FLOOD if flood else QUEUE_BACKLOG,
            injected_at=SystemClock().now(),
            entity=shape.worker,
            region=self._region,
            detail={"queue": self._queue, "jobs": str(jobs)},
        )
        self._push(_place_orders(site, self._region, jobs))

    def _push(self, orders: Sequence[int]) -> None:
        at, basket = time.time(), {"item": 1, "quantity": 1, "lines": lines(self._site.blueprint)}
        with valkey.Valkey(unix_socket_path=str(self._site.cache_socket)) as cache:
            for first in range(0, len(orders), _PAGE):
                page = orders[first : first + _PAGE]
                jobs = [json.dumps({"order": o, "at": at, "basket": basket}) for o in page]
                cache.lpush(self._queue, *jobs)

    def release(self) -> None:
        """End nothing: the jobs are there."""

    def heal(self) -> None:
        """Withdraw the import from the queue, and stop the further workers."""
        for name, _, region in extras(self._site):
            if region == self._region:
                with Victim(self._site, name) as extra:
                    extra.stop()
        with valkey.Valkey(unix_socket_path=str(self._site.cache_socket)) as cache:
            for parked in cache.scan_iter(f"{self._queue}:*"):
                cache.delete(parked)
            aside = f"withdrawn:{self._region}"
            if cache.exists(self._queue):
                cache.rename(self._queue, aside)
            kept = [
                job
                for job in _jobs(cache, aside)
                if "lines" not in json.loads(job).get("basket", {})
            ]
            if kept:
                cache.rpush(self._queue, *kept)
            cache.delete(aside)


def backlog_jobs(shape: Blueprint) -> int:
    """Count the imported orders that keep a region's own workers busy for DRAIN_S."""
    ordinary = shape.requests_per_s * _ORDINARY_JOB_S
    return round((shape.workers - ordinary) / JOB_S * DRAIN_S)


def lines(shape: Blueprint) -> int:
    """Say how many lines an imported order has, so that it takes about JOB_S."""
    return max(2, round(JOB_S / 1.1 / shape.work_median_s))


def _place_orders(site: Site, region: str, count: int) -> list[int]:
    with psycopg.connect(site.primary_dsn()) as connection:
        return [row[0] for row in connection.execute(_ORDERS, (region, count)).fetchall()]


def _imported(job: bytes) -> bool:
    return "lines" in json.loads(job).get("basket", {})


def _jobs(cache: "valkey.Valkey", name: str) -> list[bytes]:
    return cast("list[Any]", cache.lrange(name, 0, -1))
