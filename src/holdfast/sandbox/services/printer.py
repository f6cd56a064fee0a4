"""The receipt printer: renders a receipt through a draft file in its temp directory.

Rule: an ordinary service that stands alone, with no database and no cache. The directory is
size-limited by the service itself, as an orchestrator limits ephemeral storage: whatever lies
there counts, whoever wrote it. Without room it waits for some, and then renders in memory, which
is slow: a full disk is latency before it is errors.
"""

import asyncio
import errno
import os
import random
import time
import zlib
from collections import deque
from pathlib import Path
from typing import Any

import uvicorn
from prometheus_client import Counter, Gauge, Summary
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.sandbox.services.exposition import registry_with_memory, render
from holdfast.sandbox.services.scratch import Scratch
from holdfast.sandbox.services.start import Started
from holdfast.sandbox.site import bound_socket

DRAFTS_KEPT = 16  # the last receipts can be printed once more; so some of the room is always taken
DRAFT_BYTES = (60_000, 140_000)
BACKOFF_S = (0.1, 0.2, 0.3, 0.4)
IN_MEMORY_S = 0.25
MEDIAN_S = 0.025
SIGMA = 0.3


class Printer:
    """The one printer process."""

    def __init__(self, started: Started) -> None:
        shape = started.site.blueprint
        self.log = started.log
        self.scratch = Scratch(started.site.temp, shape.temp_limit_bytes)
        self.kept: deque[Path] = deque()
        self.random = random.Random(f"{shape.seed}/{started.name}")
        names = shape.metrics
        self.registry = own = registry_with_memory(names["memory"])
        self.receipts = Counter(names["receipts"], "Receipts asked for.", registry=own)
        self.failures = Counter(names["receipt_failures"], "Receipts not printed.", registry=own)
        self.duration = Summary(names["receipt_duration"], "Seconds for a receipt.", registry=own)
        full = Gauge(names["temp_used"], "Share of the temp directory that is used.", registry=own)
        full.set_function(lambda: self.scratch.used() / self.scratch.limit)
        self.number = 0

    async def print(self, request: Request) -> Response:
        """Print one receipt. Every way out is counted and timed."""
        began = time.perf_counter()
        code, answer = await self._answer(request)
        self.receipts.inc()
        self.duration.observe(time.perf_counter() - began)
        return JSONResponse(answer, status_code=code)

    async def _answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        try:
            return 201, {"receipt": await self._receipt(await request.json())}
        except (ValueError, KeyError, OSError) as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> tuple[int, dict[str, Any]]:
        self.failures.inc()
        self.log.error("receipt failed", error=f"{type(error).__name__}: {error}")
        return 500, {"error": "the receipt was not printed"}

    async def _receipt(self, wanted: dict[str, Any]) -> int:
        self.number += 1
        content = self._drawn(int(wanted["order"]))
        await asyncio.sleep(self.random.lognormvariate(0.0, SIGMA) * MEDIAN_S)
        draft = await self._draft(f"receipt-{os.getpid()}-{self.number}.draft", content)
        if draft is None:
            await asyncio.sleep(IN_MEMORY_S)
            return zlib.crc32(content)
        return zlib.crc32(draft)

    def _drawn(self, order: int) -> bytes:
        line = f"order {order}: thank you for your purchase\n".encode()
        return line * (self.random.randint(*DRAFT_BYTES) // len(line))

    async def _draft(self, name: str, content: bytes) -> bytes | None:
        """Write a draft and read it back; None when there is no room, or someone took it away."""
        for pause_s in (*BACKOFF_S, None):
            try:
                path = self.scratch.write(name, content)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                if pause_s is not None:
                    await asyncio.sleep(pause_s)
                continue
            self._keep(path)
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None
        self.log.warning("no room for a draft", directory=str(self.scratch.directory))
        return None

    def _keep(self, path: Path) -> None:
        self.kept.append(path)
        while len(self.kept) > DRAFTS_KEPT:
            self.kept.popleft().unlink(missing_ok=True)

    async def health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        content_type, body = render(self.registry, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})


def run(started: Started) -> None:
    """Serve until told to end. Drafts of an earlier process are nobody's any more."""
    for old in started.site.temp.glob("receipt-*.draft"):
        old.unlink(missing_ok=True)
    printer = Printer(started)
    app = Starlette(
        routes=[
            Route("/print", printer.print, methods=["POST"]),
            Route("/healthz", printer.health),
            Route("/metrics", printer.metrics),
        ]
    )
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
    sock = bound_socket(started.site.port(started.service, started.region))
    uvicorn.Server(config).run(sockets=[sock])
