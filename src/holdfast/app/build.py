"""Puts the parts together: the only place that knows which part fulfils which Protocol."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.actions import PreviousRelease, build_actions
from holdfast.app.audit import AuditStore, audit_store
from holdfast.app.boundaries import boundaries_of, holders_of
from holdfast.app.changes import Changes
from holdfast.app.checking import check_runner
from holdfast.app.following import follow_changes
from holdfast.app.heads import HeadKeeper, Heeding, head_keeper
from holdfast.app.installation import Installation
from holdfast.app.keeping_models import change_freezes, weekly_windows
from holdfast.app.ledger_place import database_address
from holdfast.app.pager import ContactPager
from holdfast.app.prometheus import backfill, prometheus_queries
from holdfast.app.readings import HistoryReadings
from holdfast.app.targets import Targets
from holdfast.app.tokens import SystemView
from holdfast.app.watch import StdoutWatcher
from holdfast.checks import DeploymentHistory
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
from holdfast.sources import HistoryFile, Scraper

HISTORY_NAME = "history.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A running installation's parts."""

    ledger: Ledger
    engine: Engine
    monitor: Monitor | Sampler | None
    scraper: Scraper
    targets: Targets
    history: HistoryFile
    changes: Changes
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
    scraper = _scraper(installation, clock)
    history = _history(installation, worker_folder, scraper, watcher)
    if worker_folder is None:
        backfill(installation, history, clock, watcher.notice)
    readings = HistoryReadings(history, watcher.on_trouble)
    targets = Targets(scraper.tick, watcher)
    actions = build_actions(
        installation.catalogue,
        previous_release=_previous_release(installation),
        clock=clock,
        settings=config.actions.model_dump(exclude_none=True),
    )
    audit = audit_store(installation, ledger, clock)
    heads = head_keeper(installation, ledger, clock, watcher, audit.prune)
    heeding = Heeding(watcher, heads)
    follows = worker_folder is None
    changes = follow_changes(installation, ledger, watcher, clock, follows=follows)
    carrier = _carrier(installation, ledger, readings, actions, audit, heeding, clock, changes)
    worker = f"{os.uname().nodename}/{os.getpid()}/{secrets.token_hex(3)}"
    engine = Engine(carrier=carrier, watcher=watcher, worker=worker)
    engine.gate.told = watcher.on_suppressed
    if worker_folder is not None:
        engine.gate.may_open = lambda: False
    monitor = None
    if worker_folder is None:
        monitor = _monitor(installation, engine, readings, targets, history, watcher, clock)
        if monitor is not None:
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


def _scraper(installation: Installation, clock: Clock) -> Scraper:
    timeout_s = min(0.8 * installation.config.sampling_interval_s, 10.0)
    return Scraper(
        installation.catalogue,
        timeout_s=timeout_s,
        clock=clock,
        queries=prometheus_queries(installation, clock, timeout_s=timeout_s),
    )


def _history(
    installation: Installation, folder: Path | None, scraper: Scraper, watcher: StdoutWatcher
) -> HistoryFile:
    history = HistoryFile.open(
        (folder or installation.directory) / HISTORY_NAME,
        scraper.keys,
        interval_s=installation.config.sampling_interval_s,
    )
    for message in history.messages:
        watcher.notice(message)
    return history


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
    changes: Changes,
) -> Carrier:
    config = installation.config
    return Carrier(
        ledger=ledger,
        journal=Journal(
            ledger=ledger,
            clock=clock,
            watcher=watcher,
            lease_s=config.lease_s,
            reopen_window_s=config.detection.reopen_window_s,
        ),
        hands=Hands(actions=actions, clock=clock, audit=audit),
        checks=check_runner(installation, clock, changes.since),
        readings=readings,
        pager=ContactPager(config.notify.webhook),
        system=SystemView(ledger, clock),
        world=world(installation, actions),
        clock=clock,
    )


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
        maintenance=weekly_windows(config.maintenance),
        change_freezes=change_freezes(config.change_freezes),
        limits=installation.limits,
        reopenings_per_hour=config.detection.reopenings_per_hour,
        timing=Timing(
            sampling_interval_s=config.sampling_interval_s,
            sustain_s=config.verification.sustain_s,
            cooldown_s=config.cooldown_s,
            lease_s=config.lease_s,
            ack_timeout_s=config.escalation.ack_timeout_s,
            approval_ttl_s=config.approval_ttl_s,
            reopen_window_s=config.detection.reopen_window_s,
            handoff_timeout_s=config.escalation.handoff_s,
            commander_silent_s=config.escalation.commander_silent_s,
        ),
        check_entities=config.checks.entities(),
        boundaries=boundaries_of(config.boundaries),
        holders=holders_of(installation.catalogue),
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
