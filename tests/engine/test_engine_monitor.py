"""The ticks: what detection sees becomes an incident, and no tick ends detection."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from holdfast.app.readings import HistoryReadings
from holdfast.detection import Composite, CompositeSettings, Watch, ZScore
from holdfast.engine import Monitor, Tick
from holdfast.engine.ports import Floats
from holdfast.kernel import Catalogue, ManualClock, Service
from holdfast.kernel.catalogue import SignalForm, SignalSpec
from holdfast.sources import HistoryFile
from tests.engine.engine_parts import Site, site, with_world

START = datetime(2030, 1, 1, tzinfo=UTC)
RATIO = SignalSpec(form=SignalForm.RATIO, metrics=("failed", "all"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    at: datetime
    values: Floats


@dataclass(slots=True)
class Watched:
    """A monitor over two regions of one service, fed by hand."""

    monitor: Monitor
    site: Site
    file: HistoryFile
    seen: list[Tick] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    number: int = 0

    def feed(self, *values: Sequence[float]) -> list[Tick]:
        """Tick once for each row: errors and up of east, then of west."""
        for row in values:
            self.number += 1
            at = START + timedelta(seconds=self.number)
            self.rows.append(Row(at=at, values=np.array(row, dtype=float)))
            self.monitor.tick()
        return self.seen

    def kinds(self) -> list[str]:
        return self.site.seen.kinds()


def calm(count: int) -> list[list[float]]:
    return [[0.01 + 0.001 * (n % 5), 1.0, 0.01 + 0.001 * (n % 3), 1.0] for n in range(count)]


BROKEN = [0.4, 1.0, 0.5, 1.0]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    regions = ("east", "west")
    scrape = {region: f"http://{region}.test/metrics" for region in regions}
    shop = Service(name="shop", regions=regions, scrape=scrape, signals={"errors": RATIO})
    catalogue = Catalogue(services={"shop": shop})
    keys = catalogue.series()
    file = HistoryFile.open(tmp_path / "history", keys, interval_s=1.0)
    clock = ManualClock(START)
    with site(tmp_path, clock=clock) as made:
        with_world(made, catalogue=catalogue, mode="observe")
        settings = CompositeSettings()
        rows: list[Row] = []
        seen: list[Tick] = []
        monitor = Monitor(
            catalogue=catalogue,
            keys=keys,
            scrape=lambda: rows[-1],
            history=HistoryReadings(file, made.seen.on_trouble),
            detector=ZScore(len(keys)),
            composite=Composite(catalogue, keys, settings=settings),
            watch=Watch(catalogue, keys),
            settings=settings,
            engine=made.engine,
            clock=clock,
            interval_s=1.0,
            on_tick=seen.append,
            watcher=made.seen,
        )
        yield Watched(monitor=monitor, site=made, file=file, seen=seen, rows=rows)
    file.close()


def test_noise_opens_nothing(watched: Watched) -> None:
    ticks = watched.feed(*calm(80))

    assert watched.site.ledger.incident_ids() == []
    assert len(ticks) == watched.monitor.ticks == 80
    assert ticks[-1].warm == 4


def test_a_fault_in_both_regions_opens_one_incident_with_the_range_from_before(
    watched: Watched,
) -> None:
    watched.feed(*calm(60), *[BROKEN] * 8)
    (state,) = watched.site.engine.live()

    assert watched.kinds().count("incident_opened") == 1
    assert set(state.signals) == {"errors of shop in east", "errors of shop in west"}
    assert state.signals["errors of shop in east"]["high"] < 0.1, (
        "the range must not move with the trouble"
    )
    assert state.baselines["errors of shop in east"]["expected"] < 0.02
    assert any(tick.bare_rule for tick in watched.seen)


def test_who_has_not_the_right_to_open_opens_nothing_and_says_so(watched: Watched) -> None:
    watched.monitor.may_open = lambda: False
    watched.feed(*calm(60), *[BROKEN] * 8)

    assert watched.site.ledger.incident_ids() == []
    assert any("holdfast worker" in text for text in watched.site.seen.troubles)


def test_a_target_that_does_not_answer_opens_an_incident(watched: Watched) -> None:
    gone = [float("nan"), 0.0, 0.01, 1.0]
    watched.feed(*calm(60), *[gone] * 3)
    (state,) = watched.site.engine.live()

    assert state.opened_by == "down"
    assert "up of shop in east" in state.signals


def test_a_detector_that_went_quiet_resolves_nothing(watched: Watched) -> None:
    watched.feed(*calm(60), *[BROKEN] * 90)
    (state,) = watched.site.engine.live()

    assert not any(tick.anomalies for tick in watched.seen[-20:]), "it is used to it by now"
    assert not state.ended
    assert watched.kinds().count("incident_opened") == 1


def drive(watched: Watched) -> None:
    case = watched.site.engine.cases["INC-1"]
    watched.site.engine._drive(case)


def test_a_return_to_the_old_range_is_attached_as_evidence_and_a_relapse_too(
    watched: Watched,
) -> None:
    watched.feed(*calm(60), *[BROKEN] * 4)
    watched.site.engine.carrier.clock.jump(timedelta(seconds=64))  # type: ignore[attr-defined]
    drive(watched)
    watched.feed(*calm(4))
    drive(watched)
    states = [s["state"] for s in watched.site.state().signals.values()]
    assert states == ["returned", "returned"]
    assert not watched.site.state().ended

    watched.feed(*[BROKEN] * 3)
    drive(watched)
    assert [s["state"] for s in watched.site.state().signals.values()] == ["bad", "bad"]


def test_a_tick_that_breaks_is_told_and_the_next_one_comes(watched: Watched) -> None:
    stop = watched.monitor.stopping
    calls: list[int] = []

    def scrape() -> Row:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("no file descriptors left")
        if len(calls) == 3:
            stop.set()
        return Row(at=START + timedelta(seconds=len(calls)), values=np.ones(4))

    watched.monitor.scrape = scrape
    watched.monitor.run()

    assert watched.site.seen.troubles == ["tick 0: OSError: no file descriptors left"]
    assert watched.monitor.ticks == 2


def test_a_late_tick_is_late_and_no_burst_follows_it(watched: Watched) -> None:
    clock = watched.monitor.clock
    assert isinstance(clock, ManualClock)
    began: list[float] = []

    def scrape() -> Row:
        began.append(clock.monotonic())
        if len(began) == 2:
            clock.jump(timedelta(seconds=3.5))
        if len(began) == 5:
            watched.monitor.stop()
        return Row(at=clock.now(), values=np.ones(4))

    watched.monitor.scrape = scrape
    watched.monitor.run()

    assert began == [0.0, 1.0, 4.5, 5.5, 6.5]


def test_a_ledger_that_cannot_take_the_opening_does_not_end_detection(watched: Watched) -> None:
    made: Callable[[], object] = watched.site.ledger.close
    watched.feed(*calm(60))
    made()
    watched.rows.append(Row(at=START + timedelta(seconds=99), values=np.array(BROKEN)))
    ticking = threading.Thread(target=watched.monitor.run)
    ticking.start()
    watched.site.seen.until(
        lambda: any("LedgerUnavailableError" in t for t in watched.site.seen.troubles)
    )
    watched.monitor.stop()
    ticking.join(10)

    assert watched.monitor.ticks > 60
