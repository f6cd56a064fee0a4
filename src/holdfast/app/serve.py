"""`holdfast serve`: sources, engine and HTTP in one process.

Everything that can be wrong with the files is said before anything starts. A signal asks for
a graceful end: the step in hand is finished, the incidents are given back.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from holdfast.api import ApiServer, Sources, build_api
from holdfast.app.build import Parts, build
from holdfast.app.installation import Installation
from holdfast.app.linting import refuse_broken_runbooks
from holdfast.app.lock import detector_of, only_one
from holdfast.app.running import close, on_signal, run, stop
from holdfast.app.watch import Counts, StdoutWatcher
from holdfast.engine import Monitor
from holdfast.kernel.errors import RefusedError


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
        stack.callback(close, parts)
        stack.callback(parts.heads.stop)
        stack.enter_context(_only_opener(parts))
        stack.enter_context(on_signal(lambda: stop(parts)))
        sources = Sources(
            health=lambda: _health(parts, watcher), metrics=lambda: _metrics(parts, counts)
        )
        server.start(build_api(sources))
        watcher.listening(server.url, os.getpid())
        return run(parts, watcher)


@contextmanager
def _only_opener(parts: Parts) -> Iterator[None]:
    """Be the one that opens incidents on this store. Raises RefusedError while another is.

    The right goes with a session of the server: it is asked for anew before each opening.
    """
    detector = detector_of(parts.ledger)
    if not detector.held():
        raise RefusedError(
            "another `holdfast serve` opens the incidents of this database; run `holdfast worker` "
            "here to help it, or stop it first"
        )
    if isinstance(parts.monitor, Monitor):
        parts.monitor.may_open = detector.held
    try:
        yield
    finally:
        detector.release()


def _health(parts: Parts, watcher: StdoutWatcher) -> dict[str, Any]:
    broken = parts.ledger.broken or parts.engine.failed
    troubled = watcher.last_trouble if parts.monitor and watcher.troubled else None
    troubled = parts.engine.away or troubled or next(iter(parts.heads.rewritten), None)
    return {
        "status": "failed" if broken else "degraded" if troubled else "ok",
        "why": broken or troubled,
        "ticks": parts.monitor.ticks if parts.monitor else 0,
        "incidents_live": len(parts.engine.known()),
        "targets_down": parts.targets.down,
        "last_trouble": watcher.last_trouble,
        "heads": list(parts.heads.problems),
    }


def _metrics(parts: Parts, counts: Counts) -> bytes:
    counts.live.set(len(parts.engine.known()))
    return counts.exposition()
