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
from holdfast.app.dead_man import DeadMan, dead_man, vitals_of
from holdfast.app.installation import Installation
from holdfast.app.intake import IntakeDesk
from holdfast.app.ledger_place import database_address
from holdfast.app.linting import refuse_broken_runbooks
from holdfast.app.lock import Detector, detector_of, only_one
from holdfast.app.report import daily_report
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
        detector = stack.enter_context(_only_opener(parts))
        stack.enter_context(on_signal(lambda: stop(parts)))
        config, clock = installation.config, parts.engine.carrier.clock
        place = database_address(installation.directory).path
        stack.enter_context(daily_report(installation, parts.ledger, watcher.notice, clock))
        switch = stack.enter_context(
            dead_man(
                config.dead_man,
                lambda: vitals_of(parts, clock, config.lease_s, place),
                watcher.notice,
                clock,
            )
        )
        sources = Sources(
            health=lambda: _health(parts, watcher, switch),
            metrics=lambda: _metrics(parts, counts),
            intake=IntakeDesk(
                engine=parts.engine,
                rules=installation.config.intake,
                changes_known=parts.changes.recent,
                watcher=watcher,
                counts=counts,
                may_open=detector.held,
            ),
        )
        server.start(build_api(sources))
        watcher.listening(server.url, os.getpid())
        return run(parts, watcher)


@contextmanager
def _only_opener(parts: Parts) -> Iterator[Detector]:
    """Be the one that opens incidents on this store. Raises RefusedError while another is.

    The right goes with a session of the server: it is asked for anew before each opening.
    """
    detector = detector_of(parts.ledger)
    if not detector.held():
        raise RefusedError(
            "another `holdfast serve` opens the incidents of this database; run `holdfast worker` "
            "here to help it, or stop it first"
        )
    parts.engine.gate.may_open = detector.held
    if isinstance(parts.monitor, Monitor):
        parts.monitor.may_open = detector.held
    try:
        yield detector
    finally:
        detector.release()


def _health(parts: Parts, watcher: StdoutWatcher, switch: DeadMan | None) -> dict[str, Any]:
    broken = parts.ledger.broken or parts.engine.failed
    troubled = watcher.last_trouble if parts.monitor and watcher.troubled else None
    troubled = parts.engine.away or troubled or next(iter(parts.heads.rewritten), None)
    if parts.targets.engine:
        troubled = troubled or f"Prometheus {parts.targets.engine}"
    return {
        "status": "failed" if broken else "degraded" if troubled else "ok",
        "why": broken or troubled,
        "ticks": parts.monitor.ticks if parts.monitor else 0,
        "incidents_live": len(parts.engine.known()),
        "targets_down": parts.targets.down,
        "last_trouble": watcher.last_trouble,
        "heads": list(parts.heads.problems),
        "dead_man": switch.view() if switch else None,
    }


def _metrics(parts: Parts, counts: Counts) -> bytes:
    counts.live.set(len(parts.engine.known()))
    return counts.exposition()
