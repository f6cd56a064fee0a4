"""Builds what follows changes, from the configuration: deployments, watched files, the ledger.

A path of a watched file is taken from the installation's directory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdfast.actions.disable_flag import DisableFlag
from holdfast.app.changes import ChangeLog, Changes, ChangeWatcher, FileLog
from holdfast.app.installation import Installation
from holdfast.kernel.catalogue import Catalogue, instance_name
from holdfast.kernel.clock import Clock, parse_at
from holdfast.response.store import Ledger, LoggedAction
from holdfast.sources import DeploymentsSource, WatchedFile, WatchedFiles

_EVERY_S_MAX = 30.0
# From a step's intent to its effect in the file.
_STEP = timedelta(seconds=60)
_TURNS = ("state ENABLED -> DISABLED", "state DISABLED -> ENABLED")


def follow_changes(
    installation: Installation,
    store: Ledger,
    watcher: ChangeWatcher,
    clock: Clock,
    *,
    follows: bool = True,
) -> Changes:
    """Build the followers that the configuration names; without any, the ledger is read alone."""
    if not follows:
        return Changes(store, clock)
    return Changes(
        store,
        clock,
        deployments=_deployments(installation, watcher, clock),
        files=_files(installation, store, watcher, clock),
    )


def _deployments(
    installation: Installation, watcher: ChangeWatcher, clock: Clock
) -> ChangeLog | None:
    config = installation.config
    if config.deployments is None:
        return None
    source = DeploymentsSource(config.deployments.dsn, table=config.deployments.table)
    every_s = min(max(config.sampling_interval_s, 1.0), _EVERY_S_MAX)
    return ChangeLog(source.recent, watcher, clock, every_s=every_s)


def _files(
    installation: Installation, store: Ledger, watcher: ChangeWatcher, clock: Clock
) -> FileLog | None:
    settings = installation.config.changes
    if not settings.files:
        return None
    files = [
        WatchedFile(
            path=installation.directory / each.path,
            service=each.service,
            kind=each.kind,
            region=each.region,
        )
        for each in settings.files
    ]

    def author_of(change: Mapping[str, Any]) -> str | None:
        targets = _targets(str(change["service"]), installation.catalogue)
        return own_step(change, targets, store.actions_on)

    log = FileLog(
        WatchedFiles(files, clock),
        store,
        watcher,
        clock,
        every_s=settings.every_s,
        author_of=author_of,
    )
    log.poll()  # learns what is there, before anybody is told that we watch
    return log


def own_step(
    change: Mapping[str, Any],
    targets: Iterable[str],
    actions_on: Callable[[str, datetime], Sequence[LoggedAction]],
) -> str | None:
    """Name the step of Holdfast's own that turned a flag, or None: somebody else did."""
    if change["kind"] != "flag" or not any(turn in change["summary"] for turn in _TURNS):
        return None
    at = parse_at(change["at"])
    steps = (step for target in targets for step in actions_on(target, at - _STEP))
    ours = [s for s in steps if s.action == DisableFlag.name and at - _STEP <= s.at <= at]
    if not ours:
        return None
    last = max(ours, key=lambda step: step.at)
    return f"holdfast, step {last.step_id} of {last.incident_id}"


def _targets(service: str, catalogue: Catalogue) -> list[str]:
    known = catalogue.services.get(service)
    return [service, *(instance_name(service, each) for each in (known.regions if known else ()))]
