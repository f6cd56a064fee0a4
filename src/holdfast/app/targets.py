"""Says when a target or Prometheus stops answering and when it is back, with the reason.

The reading of a failed scrape is a bare zero and that of a failed query a gap; what a person
needs is why.
"""

from collections.abc import Callable
from typing import Protocol

from holdfast.kernel.catalogue import SignalKey
from holdfast.sources import ScrapeRow

Target = tuple[str, str]
# A query whose reason changes all the time must not fill the log.
_REASONS_MOST = 3


class TargetWatcher(Protocol):
    """Is told of targets."""

    def on_target(self, service: str, region: str, *, up: bool, reason: str | None) -> None: ...

    def on_prometheus(self, reason: str | None) -> None: ...

    def on_gaps(self, count: int) -> None: ...

    def notice(self, text: str) -> None: ...


class Targets:
    """Scrapes, and compares what fails with what failed before."""

    def __init__(self, scrape: Callable[[], ScrapeRow], watcher: TargetWatcher) -> None:
        self._scrape = scrape
        self._watcher = watcher
        self._down: dict[Target, str] = {}
        self._told: dict[SignalKey, set[str]] = {}
        # Why Prometheus gives no answers now; None while it does, and where none is asked.
        self.engine: str | None = None

    @property
    def down(self) -> dict[str, str]:
        """Say which targets are down, and why."""
        return {f"{service}@{region}": why for (service, region), why in self._down.items()}

    def tick(self) -> ScrapeRow:
        """Scrape every target and ask every query once."""
        row = self._scrape()
        self._tell_engine(row)
        self._tell_gaps(row)
        failed = {(f.service, f.region): f.reason for f in row.failures}
        before, self._down = self._down, failed
        for (service, region), reason in failed.items():
            if (service, region) not in before:
                self._watcher.on_target(service, region, up=False, reason=reason)
        for service, region in before.keys() - failed.keys():
            self._watcher.on_target(service, region, up=True, reason=None)
        return row

    def _tell_engine(self, row: ScrapeRow) -> None:
        before, self.engine = self.engine, row.engine
        if (before is None) != (row.engine is None):
            self._watcher.on_prometheus(row.engine)

    def _tell_gaps(self, row: ScrapeRow) -> None:
        """Tell why a query gives no number, each reason once."""
        self._watcher.on_gaps(len(row.gaps))
        for key, reason in row.gaps.items():
            told = self._told.setdefault(key, set())
            if reason not in told and len(told) < _REASONS_MOST:
                told.add(reason)
                self._watcher.notice(f"{key} has no reading: Prometheus {reason}")
