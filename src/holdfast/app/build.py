"""Puts the parts together: the only place that knows which part fulfils which Protocol."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.actions import PreviousRelease, build_actions
from holdfast.app.audit import AuditStore, audit_store
from holdfast.app.changes import ChangeLog
from holdfast.app.heads import HeadKeeper, Heeding, head_keeper
from holdfast.app.installation import Installation, database_address
from holdfast.app.pager import ContactPager
from holdfast.app.readings import HistoryReadings
from holdfast.app.targets import Targets
from holdfast.app.tokens import SystemView
from holdfast.app.watch import StdoutWatcher
from holdfast.checks import CheckRunner, DeploymentHistory, build_checks
from holdfast.detection import (
    Composite,
    CompositeSettings,
    DetectorSettings,
    Watch,
    ZScore,
)
from holdfast.engine import Carrier, Engine, Hands, Journal, Monitor, Sampler
from holdfast.engine.ports import Watcher
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.ledger import open_ledger
from holdfast.policy import Grant
from holdfast.response import ActionFacts, Timing, World
from holdfast.response.ports import Action
from holdfast.response.store import Ledger
from holdfast.sources import DeploymentsSource, HistoryFile, Scraper

HISTORY_NAME = "history.bin"
_CHANGES_EVERY_S_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A running installation's parts."""

    ledger: Ledger
    engine: Engine
    monitor: Monitor | Sampler | None
    scraper: Scraper
    targets: Targets
    history: HistoryFile
    changes: ChangeLog | None
    heads: HeadKeeper


def build(
    installation: Installation, watcher: StdoutWatcher, *, worker_folder: Path | None = None
) -> Parts:
    """Build everything that `serve` runs, or, with a folder of its own for readings, a worker.

    A worker samples for itself and opens no incident.
    """
    clock = SystemClock()
    config = installation.config
    ledger = open_ledger(database_address(installation.directory), clock)
    scraper = Scraper(
        installation.catalogue, timeout_s=min(0.8 * config.sampling_interval_s, 10.0), clock=clock
    )
    history = HistoryFile.open(
        (worker_folder or installation.directory) / HISTORY_NAME,
        scraper.keys,
        interval_s=config.sampling_interval_s,
    )
    for message in history.messages:
        watcher.notice(message)
    readings = HistoryReadings(history, watcher.on_trouble)
    targets = Targets(scraper.tick, watcher)
    actions = build_actions(
        installation.catalogue, previous_release=_previous_release(installation), clock=clock
    )
    audit = audit_store(installation, ledger, clock)
    heads = head_keeper(installation, ledger, clock, watcher, audit.prune)
    heeding = Heeding(watcher, heads)
    carrier = _carrier(installation, ledger, readings, actions, audit, heeding, clock)
    worker = f"{os.uname().nodename}/{os.getpid()}/{secrets.token_hex(3)}"
    engine = Engine(carrier=carrier, watcher=watcher, worker=worker)
    changes, monitor = None, None
    if worker_folder is None:
        changes = _changes(installation, watcher, clock)
        monitor = _monitor(installation, engine, readings, targets, history, watcher, clock)
        if monitor is not None and changes is not None:
            monitor.changes = changes.recent
    sampler = None if worker_folder is None else _sampler(installation, targets, readings, engine)
    return Parts(
        ledger=ledger,
        engine=engine,
        monitor=monitor or sampler,
        scraper=scraper,
        targets=targets,
        history=history,
        changes=changes,
        heads=heads,
    )


def _changes(installation: Installation, watcher: StdoutWatcher, clock: Clock) -> ChangeLog | None:
    config = installation.config
    if config.deployments is None:
        return None
    source = DeploymentsSource(config.deployments.dsn, table=config.deployments.table)
    every_s = min(max(config.sampling_interval_s, 1.0), _CHANGES_EVERY_S_MAX)
    return ChangeLog(source.recent, watcher, clock, every_s=every_s)


def _previous_release(installation: Installation) -> PreviousRelease | None:
    deployments = installation.config.deployments
    if deployments is None:
        return None
    return DeploymentHistory(deployments.dsn, table=deployments.table).previous_release


def _carrier(
    installation: Installation,
    ledger: Ledger,
    readings: HistoryReadings,
    actions: Mapping[str, Action],
    audit: AuditStore,
    watcher: Watcher,
    clock: Clock,
) -> Carrier:
    config = installation.config
    return Carrier(
        ledger=ledger,
        journal=Journal(ledger=ledger, clock=clock, watcher=watcher, lease_s=config.lease_s),
        hands=Hands(actions=actions, clock=clock, audit=audit),
        checks=check_runner(installation, clock),
        readings=readings,
        pager=ContactPager(config.notify.webhook),
        system=SystemView(ledger, clock),
        world=world(installation, actions),
        clock=clock,
    )


def check_runner(installation: Installation, clock: Clock) -> CheckRunner:
    """Build the checks that the configuration has the means for."""
    config = installation.config
    settings = config.checks.model_dump(exclude_none=True)
    deployments = config.deployments.model_dump() if config.deployments else None
    checks = build_checks(installation.catalogue, settings, deployments)
    return CheckRunner(checks, timeout_s=config.checks.timeout_s, clock=clock)


def world(installation: Installation, actions: Mapping[str, Action]) -> World:
    """Gather what decisions may know of the installation."""
    config = installation.config
    return World(
        catalogue=installation.catalogue,
        runbooks=installation.runbooks,
        actions={
            name: ActionFacts(repeatability=a.repeatability, least_impact=a.least_impact)
            for name, a in actions.items()
        },
        mode=config.mode,
        grants=tuple(
            Grant(runbook=g.runbook, service=g.service, granted_by=g.granted_by, because=g.because)
            for g in config.autonomy
        ),
        limits=installation.limits,
        timing=Timing(
            sampling_interval_s=config.sampling_interval_s,
            sustain_s=config.verification.sustain_s,
            cooldown_s=config.cooldown_s,
            lease_s=config.lease_s,
            ack_timeout_s=config.escalation.ack_timeout_s,
            approval_ttl_s=config.approval_ttl_s,
        ),
        check_entities=_check_entities(installation),
    )


def _sampler(
    installation: Installation, targets: Targets, readings: HistoryReadings, engine: Engine
) -> Sampler | None:
    if not installation.catalogue.series():
        return None
    return Sampler(
        scrape=targets.tick,
        history=readings,
        clock=engine.carrier.clock,
        interval_s=installation.config.sampling_interval_s,
        watcher=engine.watcher,
    )


def _check_entities(installation: Installation) -> dict[str, str]:
    checks = installation.config.checks
    found = {
        "database_connections": checks.database.service if checks.database else None,
        "redis_health": checks.cache.service if checks.cache else None,
    }
    return {name: service for name, service in found.items() if service}


def _monitor(
    installation: Installation,
    engine: Engine,
    readings: HistoryReadings,
    targets: Targets,
    history: HistoryFile,
    watcher: StdoutWatcher,
    clock: Clock,
) -> Monitor | None:
    """Build the sampler, warm from the history; None where there is nothing to scrape."""
    keys = installation.catalogue.series()
    if not keys:
        return None
    model = installation.config.detection
    settings = DetectorSettings(
        window=model.window,
        min_samples=model.min_samples,
        anomaly_sigma=model.anomaly_sigma,
        critical_sigma=model.critical_sigma,
    )
    composite = CompositeSettings(
        critical=model.composite.critical,
        anomalies=model.composite.anomalies,
        ticks=model.composite.ticks,
    )
    detector = ZScore(len(keys), settings=settings)
    detector.warm(history.rows()[1])
    return Monitor(
        catalogue=installation.catalogue,
        keys=keys,
        scrape=targets.tick,
        history=readings,
        detector=detector,
        composite=Composite(installation.catalogue, keys, settings=composite, detector=settings),
        watch=Watch(installation.catalogue, keys),
        settings=composite,
        engine=engine,
        clock=clock,
        interval_s=installation.config.sampling_interval_s,
        on_tick=watcher.on_tick,
        watcher=watcher,
    )
