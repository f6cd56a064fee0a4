"""Samples the targets for a worker's own use: fresh readings, and no judgement.

A worker verifies its steps on what it has read itself; to open incidents is the
business of the one process that detects.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.engine.monitor import History, Row
from holdfast.engine.ports import Watcher
from holdfast.kernel.clock import Clock


@dataclass(slots=True, kw_only=True)
class Sampler:
    """Runs the ticks. `run` blocks until `stop` is called."""

    scrape: Callable[[], Row]
    history: History
    clock: Clock
    interval_s: float
    watcher: Watcher
    stopping: threading.Event = field(default_factory=threading.Event)
    ticks: int = 0

    def run(self) -> None:
        """Take a sample of everything at every interval until stopped."""
        due = self.clock.monotonic()
        while not self.stopping.is_set():
            try:
                row = self.scrape()
                self.history.append(row.at, row.values)
                self.ticks += 1
            except Exception as error:  # noqa: BLE001 - one bad tick must not end the sampling
                self.watcher.on_trouble(f"tick {self.ticks}: {type(error).__name__}: {error}")
            due = max(due + self.interval_s, self.clock.monotonic())
            self.clock.wait(self.stopping, due - self.clock.monotonic())

    def stop(self) -> None:
        """Ask `run` to end."""
        self.stopping.set()
