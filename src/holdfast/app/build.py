"""Puts the parts together: the only place that knows which part fulfils which Protocol."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.actions import PreviousRelease, build_actions
from holdfast.app.changes import ChangeLog
from holdfast.app.installation import Installation, database_path, open_ledger
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
from holdfast.engine import Carrier, Engine, Hands, Journal, Monitor
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.ledger import SqliteLedger
from holdfast.policy import Grant
from holdfast.response import ActionFacts, Timing, World
from holdfast.response.ports import Action
from holdfast.sources import DeploymentsSource, HistoryFile, Scraper

HISTORY_NAME = "history.bin"
_CHANGES_EVERY_S_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A running installation's parts."""

    ledger: SqliteLedger
    engine: Engine
    monitor: Monitor | None
    scraper: Scraper
    targets: Targets
    history: HistoryFile
    changes: ChangeLog | None


def build(installation: Installation, watcher: StdoutWatcher) -> Parts:
    """Build everything that `serve` runs."""
    clock = SystemClock()
    config = installation.config
    ledger = open_ledger(database_path(installation.directory), clock)
    scraper = Scraper(
        installation.catalogue, timeout_s=min(0.8 * config.sampling_interval_s, 10.0), clock=clock
    )
    history = HistoryFile.open(
        installation.directory / HISTORY_NAME, scraper.keys, interval_s=config.sampling_interval_s
    )
    for message in history.messages:
        watcher.notice(message)
    readings = HistoryReadings(history, watcher.on_trouble)
    targets = Targets(scraper.tick, watcher)
    actions = build_actions(
        installation.catalogue, previous_release=_previous_release(installation), clock=clock
    )
    carrier = _carrier(installation, ledger, readings, actions, watcher, clock)
    worker = f"{os.uname().nodename}/{os.getpid()}/{secrets.token_hex(3)}"
    engine = Engine(carrier=carrier, watcher=watcher, worker=worker)
    changes = _changes(installation, watcher, clock)
    monitor = _monitor(installation, engine, readings, targets, history, watcher, clock)
    if monitor is not None and changes is not None:
        monitor.changes = changes.recent
    return Parts(
        ledger=ledger,
        engine=engine,
        monitor=monitor,
        scraper=scraper,
        targets=targets,
        history=history,
        changes=changes,
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
    ledger: SqliteLedger,
    readings: HistoryReadings,
    actions: Mapping[str, Action],
    watcher: StdoutWatcher,
    clock: Clock,
) -> Carrier:
    config = installation.config
    return Carrier(
        ledger=ledger,
        journal=Journal(ledger=ledger, clock=clock, watcher=watcher, lease_s=config.lease_s),
        hands=Hands(actions=actions, clock=clock),
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
