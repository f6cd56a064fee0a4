"""What `serve` and `worker` have in common: run until a signal, finish the step in hand, let go."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from holdfast.app.build import Parts
from holdfast.app.watch import StdoutWatcher

_JOIN_S = 5.0


def run(parts: Parts, watcher: StdoutWatcher) -> int:
    """Work until told to stop. Returns the exit code: 0, or 1 when the ledger failed."""
    monitor = parts.monitor
    parts.heads.start()
    threading.Thread(target=parts.changes.run, name="changes", daemon=True).start()
    if monitor is None:
        watcher.notice(
            "services.yaml has no `scrape` target and no query, so nothing is watched; add one"
        )
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


def stop(parts: Parts) -> None:
    """Ask everything to end."""
    parts.changes.stop()
    if parts.monitor is not None:
        parts.monitor.stop()
    parts.engine.stop()


@contextmanager
def on_signal(stop: Callable[[], None]) -> Iterator[None]:
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


def close(parts: Parts) -> None:
    """Let go of files and connections."""
    parts.scraper.close()
    parts.history.flush()
    parts.history.close()
    parts.ledger.close()
