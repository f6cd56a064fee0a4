"""Says when a target stops answering and when it is back, with the reason.

The reading of a failed scrape is a bare zero; what a person needs is why.
"""

from collections.abc import Callable
from typing import Protocol

from holdfast.sources import ScrapeRow

Target = tuple[str, str]


class TargetWatcher(Protocol):
    """Is told of targets."""

    def on_target(self, service: str, region: str, *, up: bool, reason: str | None) -> None: ...


class Targets:
    """Scrapes, and compares what fails with what failed before."""

    def __init__(self, scrape: Callable[[], ScrapeRow], watcher: TargetWatcher) -> None:
        self._scrape = scrape
        self._watcher = watcher
        self._down: dict[Target, str] = {}

    @property
    def down(self) -> dict[str, str]:
        """Say which targets are down, and why."""
        return {f"{service}@{region}": why for (service, region), why in self._down.items()}

    def tick(self) -> ScrapeRow:
        """Scrape every target once."""
        row = self._scrape()
        failed = {(f.service, f.region): f.reason for f in row.failures}
        before, self._down = self._down, failed
        for (service, region), reason in failed.items():
            if (service, region) not in before:
                self._watcher.on_target(service, region, up=False, reason=reason)
        for service, region in before.keys() - failed.keys():
            self._watcher.on_target(service, region, up=True, reason=None)
        return row
