"""The checkout API: prices a basket, stores the order, hands the job to the region's queue.

Rule: an ordinary service. What fails here fails for its own reasons (the
release's code, the database, a full pool), is counted in its own metrics and
written to its own log; no fault is switched on in this file.
"""

import asyncio
import contextlib
import json
import random
import time
import traceback
from collections.abc import AsyncIterator, Awaitable
from typing import Any, cast

import psycopg
import uvicorn
from prometheus_client import Counter, Gauge, Summary
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from valkey.asyncio import Valkey

from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.services.exposition import registry_with_memory, render
from holdfast.sandbox.services.feed import Feed
from holdfast.sandbox.services.flags import Flags
from holdfast.sandbox.services.release import Release
from holdfast.sandbox.services.start import Started
from holdfast.sandbox.site import bound_socket

DATABASE_TIMEOUT_S = 1.5
POOL_SIZE = 6
PRICE_TTL_S = 30
BASKET_TTL_S = 3600  # longer than a job may wait
TAIL_ALPHA = 1.2


class UnknownItemError(Exception):
    """The caller asked for what does not exist: their fault, a 4xx."""


class ProviderRefusedError(Exception):
    """The payment provider (simulated) said no: rare, and ours to answer for."""


class Meters:
    """The API's metrics under the blueprint's names."""

    def __init__(self, started: Started) -> None:
        names = started.site.blueprint.metrics
        self.registry = registry_with_memory(names["memory"])
        own = self.registry
        self.requests = Counter(names["requests"], "Requests answered.", ["code"], registry=own)
        self.failures = Counter(names["failures"], "Requests that we failed (5xx).", registry=own)
        self.duration = Summary(names["duration"], "Seconds from request to answer.", registry=own)
        self.in_flight = Gauge(names["in_flight"], "Requests being served.", registry=own)
        self.waiting = Gauge(names["waiting"], "Requests waiting for the database.", registry=own)
        self.build = Gauge(names["build"], "1 for the release served.", ["version"], registry=own)

    def serving(self, version: str) -> None:
        self.build.clear()
        self.build.labels(version).set(1)


class Api:
    """One region's API process."""

    def __init__(self, started: Started) -> None:
        self.region = started.region
        self.shape = started.site.blueprint
        self.log = started.log
        self.meters = Meters(started)
        self.release = Release(started.site.releases / started.service, self._release_changed)
        self.pool = AsyncConnectionPool(
            started.site.pool_dsn() + f" application_name={started.name}",
            kwargs={
                "autocommit": True,
                "prepare_threshold": None,  # the pooler gives each transaction another session
                "options": f"-c statement_timeout={DATABASE_TIMEOUT_S}s",
            },
            min_size=2,
            max_size=POOL_SIZE,
            timeout=DATABASE_TIMEOUT_S,
            open=False,
        )
        self.cache = Valkey(unix_socket_path=str(started.site.cache_socket))
        self.queue = f"queue:{started.region}"
        self.flags = Flags(started.site.flag_file, started.log)
        self.feed = Feed()
        self.epoch = 0
        self.random = random.Random(f"{self.shape.seed}/{started.name}")
        self.meters.waiting.set_function(
            lambda: float(self.pool.get_stats().get("requests_waiting", 0))
        )

    def _release_changed(self, version: str) -> None:
        self.meters.serving(version)
        self.log.info("serving release", version=version)

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self.pool:
            await self.pool.wait(timeout=10.0)
            self.release.current()
            self.epoch = int(await self.cache.get(self.shape.basket_epoch) or 0)
            yield
        await self.cache.aclose()

    async def checkout(self, request: Request) -> Response:
        """Place an order. Every way out is counted and timed."""
        began = time.perf_counter()
        self.meters.in_flight.inc()
        try:
            code, answer = await self._answer(request)
        finally:
            self.meters.in_flight.dec()
        self.meters.requests.labels(str(code)).inc()
        self.meters.duration.observe(time.perf_counter() - began)
        return JSONResponse(answer, status_code=code)

    async def _answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        try:
            order = await self._place(await request.json())
        except (UnknownItemError, ValueError) as error:
            self.log.warning("request refused", error=str(error))
            return 422, {"error": str(error)}
        except (psycopg.OperationalError, PoolTimeout) as error:
            return self._failed(503, "the database did not answer in time", error)
        except Exception as error:  # noqa: BLE001 - a surface: counted, logged, answered
            return self._failed(500, "request failed", error)
        self.log.info("order placed", order=order, version=self.release.version)
        return 201, {"order": order}

    def _failed(self, code: int, message: str, error: Exception) -> tuple[int, dict[str, Any]]:
        self.meters.failures.inc()
        self.log.error(
            message,
            code=code,
            version=self.release.version,
            error=f"{type(error).__name__}: {error}",
            stack="".join(traceback.format_exception(error)),
        )
        return code, {"error": message}

    async def _place(self, basket: dict[str, Any]) -> int:
        price = await self._price(int(basket["item"]))
        total = self.release.current().total(price, basket)
        await self._pay()
        async with self.pool.connection() as connection:
            row = await (
                await connection.execute(
                    "INSERT INTO orders (region, item, total) VALUES (%s, %s, %s) RETURNING id",
                    (self.region, basket["item"], total),
                )
            ).fetchone()
        order = int(row[0]) if row else 0
        await self._hand_over(order, basket)
        self.feed.publish(order, basket)
        return order

    async def _hand_over(self, order: int, basket: dict[str, Any]) -> None:
        """Queue the order's job. A slim one holds no basket: that waits in the cache."""
        job: dict[str, Any] = {"order": order, "at": time.time()}
        if self.flags.is_on(self.shape.flag, str(order)):
            key = f"{self.shape.basket_prefix}{self.epoch}:{order}"
            await self.cache.set(key, json.dumps(basket), ex=BASKET_TTL_S)
        else:
            job["basket"] = basket
        await cast("Awaitable[int]", self.cache.lpush(self.queue, json.dumps(job)))

    async def _price(self, item: int) -> int:
        key = f"{self.shape.price_prefix}{item}"
        cached = await self.cache.get(key)
        if cached is not None:
            return int(cached)
        async with self.pool.connection() as connection:
            cursor = await connection.execute("SELECT price FROM items WHERE id = %s", (item,))
            row = await cursor.fetchone()
        if row is None:
            raise UnknownItemError(f"there is no item {item}")
        price = int(row[0])
        await self.cache.set(key, price, ex=PRICE_TTL_S)
        return price

    async def _pay(self) -> None:
        """Wait as the payment provider makes us wait: log-normal, now and then much longer."""
        await asyncio.sleep(work_s(self.random, self.shape))
        if self.random.random() < self.shape.server_errors:
            raise ProviderRefusedError("the payment provider closed the connection")

    async def orders(self, _request: Request) -> Response:
        """Stream every order from now on."""
        return StreamingResponse(self.feed.stream(), media_type="application/x-ndjson")

    async def health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": self.release.version})

    async def metrics(self, request: Request) -> Response:
        content_type, body = render(self.meters.registry, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})


def work_s(rng: random.Random, shape: Blueprint) -> float:
    """Draw one duration: log-normal around the median, with a Pareto tail for a few."""
    base = rng.lognormvariate(0.0, shape.work_sigma) * shape.work_median_s
    if rng.random() < shape.tail_share:
        base += min(rng.paretovariate(TAIL_ALPHA) * shape.work_median_s, shape.tail_max_s)
    return base


def run(started: Started) -> None:
    """Serve until told to end."""
    api = Api(started)
    app = Starlette(
        routes=[
            Route("/checkout", api.checkout, methods=["POST"]),
            Route("/feed", api.orders),
            Route("/healthz", api.health),
            Route("/metrics", api.metrics),
        ],
        lifespan=api.lifespan,
    )
    sock = bound_socket(started.site.port(started.service, started.region))
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,  # longer than any gap in the traffic: no request meets a closed line
    )
    uvicorn.Server(config).run(sockets=[sock])
