"""`holdfast serve`: sources, engine and HTTP in one process.

Everything that can be wrong with the files is said before anything starts. A signal asks for
a graceful end: the step in hand is finished, the incidents are given back.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from holdfast.api import ApiServer, Sources, build_api
from holdfast.app.build import Parts, build
from holdfast.app.installation import Installation
from holdfast.app.linting import refuse_broken_runbooks
from holdfast.app.lock import only_one
from holdfast.app.watch import Counts, StdoutWatcher

_JOIN_S = 5.0


def serve(installation: Installation, *, as_json: bool) -> int:
    """Run until told to stop. Returns the exit code: 0, or 1 when the ledger failed."""
    refuse_broken_runbooks(installation)
    counts = Counts()
    watcher = StdoutWatcher(counts, as_json=as_json)
    with ExitStack() as stack:
        stack.enter_context(only_one(installation.directory))
        server = ApiServer(installation.config.listen)
        stack.callback(server.stop)
        parts = build(installation, watcher)
        stack.callback(_close, parts)
        stack.enter_context(_on_signal(lambda: _stop(parts)))
        sources = Sources(
            health=lambda: _health(parts, watcher), metrics=lambda: _metrics(parts, counts)
        )
        server.start(build_api(sources))
        watcher.listening(server.url, os.getpid())
        return _run(parts, watcher)


def _run(parts: Parts, watcher: StdoutWatcher) -> int:
    monitor = parts.monitor
    if parts.changes is not None:
        threading.Thread(target=parts.changes.run, name="changes", daemon=True).start()
    if monitor is None:
        watcher.notice("services.yaml has no `scrape` target, so nothing is watched; add one")
        parts.engine.run()
    else:
        sampler = threading.Thread(target=monitor.run, name="monitor", daemon=True)
        sampler.start()
        parts.engine.run()
        monitor.stop()
        sampler.join(timeout=_JOIN_S)
    if parts.engine.failed is None:
        watcher.notice("stopped: what was in hand is finished, and nothing more is watched")
    return 1 if parts.engine.failed else 0


def _stop(parts: Parts) -> None:
    if parts.changes is not None:
        parts.changes.stop()
    if parts.monitor is not None:
        parts.monitor.stop()
    parts.engine.stop()


@contextmanager
def _on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` from a thread of its own when SIGTERM or SIGINT comes.

    A handler may interrupt the main thread with a lock in hand, so it only writes a byte.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def wait() -> None:
        if os.read(reading, 1):
            stop()

    def tell(_number: int, _frame: object) -> None:
        with suppress(BlockingIOError):
            os.write(writing, b"s")

    waiting = threading.Thread(target=wait, name="signals", daemon=True)
    waiting.start()
    before = {each: signal.signal(each, tell) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        os.close(writing)
        waiting.join(timeout=_JOIN_S)
        os.close(reading)


def _health(parts: Parts, watcher: StdoutWatcher) -> dict[str, Any]:
    broken = parts.ledger.broken or parts.engine.failed
    troubled = watcher.last_trouble if parts.monitor and watcher.troubled else None
    return {
        "status": "failed" if broken else "degraded" if troubled else "ok",
        "why": broken or troubled,
        "ticks": parts.monitor.ticks if parts.monitor else 0,
        "incidents_live": len(parts.engine.live()),
        "targets_down": parts.targets.down,
        "last_trouble": watcher.last_trouble,
    }


def _metrics(parts: Parts, counts: Counts) -> bytes:
    counts.live.set(len(parts.engine.live()))
    return counts.exposition()


def _close(parts: Parts) -> None:
    parts.scraper.close()
    parts.history.flush()
    parts.history.close()
    parts.ledger.close()
