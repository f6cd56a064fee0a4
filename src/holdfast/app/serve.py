"""`holdfast serve`: sources, engine and HTTP in one process.

One process per installation directory, kept by a lock that the kernel frees when
the process dies, however it dies.
"""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.api import ApiServer, Sources, build_api
from holdfast.app.build import Parts, build
from holdfast.app.installation import Installation
from holdfast.app.watch import Counts, StdoutWatcher
from holdfast.kernel.errors import RefusedError

_LOCK_NAME = "serve.lock"


def serve(installation: Installation, *, as_json: bool) -> int:
    """Run until told to stop. Returns the exit code: 0, or 1 when the ledger failed."""
    counts = Counts()
    watcher = StdoutWatcher(counts, as_json=as_json)
    with _only_one(installation.directory):
        parts = build(installation, watcher)
        sources = Sources(health=lambda: _health(parts), metrics=lambda: _metrics(parts, counts))
        server = ApiServer(build_api(sources), installation.config.listen)
        try:
            server.start()
            watcher.listening(server.url, os.getpid())
            return _run(parts, watcher)
        finally:
            server.stop()
            _close(parts)


def _run(parts: Parts, watcher: StdoutWatcher) -> int:
    monitor = parts.monitor
    if monitor is None:
        watcher.notice("services.yaml has no `scrape` target, so nothing is watched; add one")

    def stop(_number: int, _frame: object) -> None:
        if monitor is not None:
            monitor.stop()
        parts.engine.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sampler = threading.Thread(target=monitor.run, name="monitor", daemon=True) if monitor else None
    if sampler is not None:
        sampler.start()
    parts.engine.run()
    if monitor is not None and sampler is not None:
        monitor.stop()
        sampler.join(timeout=5)
    return 1 if parts.engine.failed else 0


def _health(parts: Parts) -> dict[str, Any]:
    broken = parts.ledger.broken or parts.engine.failed
    return {
        "status": "failed" if broken else "ok",
        "why": broken,
        "ticks": parts.monitor.ticks if parts.monitor else 0,
        "incidents_live": len(parts.engine.live()),
    }


def _metrics(parts: Parts, counts: Counts) -> bytes:
    counts.live.set(len(parts.engine.live()))
    return counts.exposition()


def _close(parts: Parts) -> None:
    parts.scraper.close()
    parts.history.flush()
    parts.history.close()
    parts.ledger.close()


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    with (directory / _LOCK_NAME).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(
                f"another `holdfast serve` runs on {directory}; stop it first, or use another --dir"
            ) from None
        yield
