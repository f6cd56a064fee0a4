"""A worker of the crash scenes: the real engine on the real store, and a note of what was promised.

What the store acknowledged is noted in a file outside of it before the worker does anything with
the promise; so the checker can hold the store to it.
"""

import faulthandler
import mmap
import os
import signal
import struct
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from holdfast.app.tokens import SystemView
from holdfast.checks import CheckRunner
from holdfast.engine import Carrier, Engine, Hands, Journal
from holdfast.kernel import Clock, SystemClock
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger.address import open_ledger
from holdfast.response.store import Ledger
from tests.crash.scene_world import (
    ACTIONS,
    AtTarget,
    Bell,
    Fine,
    Quiet,
    TargetReadings,
    make_world,
    shortened,
)
from tests.crash.witness import note_in, witnessed

NOTES = "notes.jsonl"
WORKERS_LOG = "workers.log"
TROUBLES = "troubles.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a worker is told. `acts_at` may lead through a proxy, `looks_at` never does."""

    worker: str
    url: str
    directory: Path
    acts_at: Path
    looks_at: Path
    per_action: int
    lease_s: float = 1.0
    mode: str = "autonomous"
    clock: Path | None = None
    next_release: bool = False


class JumpedClock(SystemClock):
    """The machine's clock, off by what a file says: several processes jump together."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 8)

    @property
    def ahead_s(self) -> float:
        return float(struct.unpack("d", self._map[:8])[0])

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)

    @staticmethod
    def set(file: Path, ahead_s: float) -> None:
        """Jump. Eight aligned bytes are written at once."""
        if not file.exists():
            file.write_bytes(struct.pack("d", ahead_s))
            return
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 8) as found:
            found[:8] = struct.pack("d", ahead_s)


def opened(url: str, clock: Clock) -> Ledger:
    """Open the store as the product does."""
    return open_ledger(url, clock)


def opened_with_witness(
    url: str, clock: Clock, directory: Path, *, patience_s: float = 60.0
) -> Ledger:
    """Open the store, however long it is away, and note its promises."""
    give_up = time.monotonic() + patience_s
    while True:
        try:
            return witnessed(opened(url, clock), note_in(directory / NOTES))
        except LedgerUnavailableError:
            if time.monotonic() > give_up:
                raise
            threading.Event().wait(0.05)


def make_engine(spec: Spec, ledger: Ledger, clock: Clock) -> Engine:
    """Put the parts together, as `app` does with the real ones."""
    world = make_world(spec.per_action, lease_s=spec.lease_s, mode=spec.mode)
    watcher = Quiet(file=spec.directory / TROUBLES)
    actions = {
        name: AtTarget(name=name, repeatability=kind, address=spec.acts_at)
        for name, kind in ACTIONS.items()
    }
    carrier = Carrier(
        ledger=ledger,
        journal=Journal(ledger=ledger, clock=clock, watcher=watcher, lease_s=spec.lease_s),
        hands=Hands(actions=actions, clock=clock),
        checks=CheckRunner([Fine()], timeout_s=5.0, clock=SystemClock()),
        readings=TargetReadings(address=spec.looks_at, clock=clock),
        pager=Bell(),
        system=SystemView(ledger, clock),
        world=world,
        clock=clock,
    )
    return Engine(carrier=carrier, watcher=watcher, worker=spec.worker)


def run_worker(spec: Spec) -> None:
    """Work until SIGTERM, as `holdfast worker` does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with (spec.directory / WORKERS_LOG).open("a") as log:
        os.dup2(log.fileno(), 2)
    # Where every thread stands, for whoever asks why a worker does nothing.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    if spec.next_release:
        from tests.crash.next_release import become_next_release

        become_next_release()
    clock = JumpedClock(spec.clock) if spec.clock else SystemClock()
    with shortened():
        ledger = opened_with_witness(spec.url, clock, spec.directory)
        engine = make_engine(spec, ledger, clock)
        thread = threading.Thread(target=engine.run, name="engine")
        thread.start()
        signal.sigwait({signal.SIGTERM})
        engine.stop()
        thread.join(20)
        ledger.close()
