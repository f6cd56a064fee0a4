"""Maintenance windows against the engine: what opens, what is put off, and what comes after."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.app.readings import HistoryReadings
from holdfast.detection import Composite, CompositeSettings, Watch, ZScore
from holdfast.engine import Monitor, OpeningFacts
from holdfast.engine.maintenance import Suppressed
from holdfast.engine.ports import Floats
from holdfast.incident import Kind, line
from holdfast.incident.system import MAINTENANCE_ADDED, MAINTENANCE_ENDED, OPENING_SUPPRESSED
from holdfast.kernel import Catalogue, ManualClock, Service, format_at
from holdfast.kernel.catalogue import SignalForm, SignalSpec
from holdfast.ledger import MemoryLedger
from holdfast.response.store import SYSTEM_CHAIN
from holdfast.sources import HistoryFile
from tests.engine.engine_parts import Site, facts, site, with_world
from tests.engine.marks import lose

START = datetime(2030, 1, 1, tzinfo=UTC)
REGIONS = ("east", "west")
RATIO = SignalSpec(form=SignalForm.RATIO, metrics=("failed", "all"))
# errors and up of east, then of west
BROKEN = [0.4, 1.0, 0.5, 1.0]
EAST_DOWN = [float("nan"), 0.0, 0.01, 1.0]


def announce(made: Site, scope: str, hours: float = 2.0) -> None:
    """Announce a window from now on."""
    now = made.clock.now()
    data = {
        "scope": scope,
        "starts_at": format_at(now),
        "ends_at": format_at(now + timedelta(hours=hours)),
        "because": "disks are moved",
    }
    made.ledger.append_system(MAINTENANCE_ADDED, data, made.dana(), now)


def end(made: Site, window_id: str = "MW-1") -> None:
    data = {"window_id": window_id, "because": "they are moved"}
    made.ledger.append_system(MAINTENANCE_ENDED, data, made.dana(), made.clock.now())


def suppressed(made: Site) -> list[list[str]]:
    records = made.ledger.records(SYSTEM_CHAIN)
    return [list(r.data["series"]) for r in records if r.kind == OPENING_SUPPRESSED]


# --- the gate -----------------------------------------------------------------


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Site]:
    """An engine that is not running, with a clock that stands still."""
    clock = ManualClock(START)
    with site(tmp_path, clock=clock, ledger=MemoryLedger(clock)) as made:
        yield made


def both(made: Site) -> OpeningFacts:
    """An opening on two services at once."""
    shop, stock = facts("shop", made.clock.now()), facts("stock", made.clock.now())
    return replace(
        shop,
        services=("shop", "stock"),
        group=("shop", "stock"),
        signals=(*shop.signals, *stock.signals),
    )


def test_what_a_window_covers_opens_nothing_and_is_written_down_once(quiet: Site) -> None:
    heard: list[Suppressed] = []
    quiet.engine.gate.told = heard.append
    announce(quiet, "shop")

    answers = [quiet.engine.opening(facts("shop", START)) for _ in range(3)]

    assert quiet.ledger.incident_ids() == []
    assert answers[0] is not None
    assert answers[0].whole
    assert answers[2] == answers[0]
    assert answers[0].sentence() == "suppressed by maintenance MW-1: errors of shop in east"
    assert suppressed(quiet) == [["errors of shop in east"]]
    assert len(heard) == 1


def test_of_an_opening_across_the_edge_only_the_part_outside_counts(quiet: Site) -> None:
    announce(quiet, "shop@east")

    kept = quiet.engine.opening(both(quiet))

    assert kept is not None
    assert not kept.whole
    assert kept.series == ("errors of shop in east",)
    (state,) = quiet.engine.live()
    assert state.services == ("stock",)
    assert list(state.signals) == ["errors of stock in east"]
    opened = quiet.ledger.records("INC-1")[0]
    assert "apart from it, by a maintenance window: errors of shop in east" in opened.data["why"]


@pytest.mark.parametrize("scope", ["stock", "shop@west", "region:west"])
def test_a_window_elsewhere_keeps_nothing_quiet(scope: str, quiet: Site) -> None:
    announce(quiet, scope)

    assert quiet.engine.opening(facts("shop", START)) is None
    assert quiet.ledger.incident_ids() == ["INC-1"]


def test_a_new_sign_inside_a_window_is_not_attached_to_an_incident_beside_it(quiet: Site) -> None:
    quiet.engine.opening(replace(facts("stock", START), group=("shop", "stock")))
    announce(quiet, "shop")

    kept = quiet.engine.opening(both(quiet))

    assert kept is not None
    assert quiet.ledger.incident_ids() == ["INC-1"]
    assert quiet.engine.known()[0].services == ("stock",)


def test_an_alert_that_is_resolved_in_the_window_opens_nothing_after_it(quiet: Site) -> None:
    announce(quiet, "all")
    for service in ("shop", "stock"):
        told = facts(service, START)
        alert = {**told.signals[0], "signal": "alert", "series": f"alert Slow of {service}"}
        quiet.engine.opening(replace(told, signals=(alert,)))
    quiet.engine.gate.forget("alert Slow of shop")
    quiet.clock.jump(timedelta(hours=3))  # type: ignore[attr-defined]

    (left,) = quiet.engine.gate.left_over(quiet.readings)
    assert left.services == ("stock",)


def test_what_detection_is_used_to_by_now_opens_by_its_readings_or_is_dropped(
    quiet: Site,
) -> None:
    announce(quiet, "all")
    for service in ("shop", "stock"):
        quiet.engine.opening(facts(service, START))
    gate, clock = quiet.engine.gate, quiet.clock
    assert isinstance(clock, ManualClock)
    (quiet.directory / "shop.effects").write_text("somebody mended it\n")
    clock.jump(timedelta(hours=3))

    (left,) = gate.left_over(quiet.readings)
    assert left.services == ("stock",)
    assert left.started_at == format_at(START)
    assert left.why.startswith("still so after a maintenance window: ")
    assert gate.left_over(quiet.readings) == [], "not twice in a second"
    clock.jump(timedelta(seconds=2))
    assert gate.left_over(quiet.readings) == [left], "until it was told"
    quiet.engine.opening(left)
    clock.jump(timedelta(seconds=2))
    assert gate.left_over(quiet.readings) == []
    assert [state.services for state in quiet.engine.live()] == [("stock",)]


# --- detection ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    at: datetime
    values: Floats


@dataclass(slots=True)
class Watched:
    """A monitor over two regions of one service, fed by hand; the clock goes with the ticks."""

    monitor: Monitor
    site: Site
    rows: list[Row]

    def feed(self, *values: list[float]) -> None:
        """Tick once for each row, and let the engine look at what is left over."""
        for row in values:
            self.site.clock.jump(timedelta(seconds=1))  # type: ignore[attr-defined]
            self.rows.append(Row(at=self.site.clock.now(), values=np.array(row)))
            self.monitor.tick()
            for left in self.site.engine.gate.left_over(self.monitor.history):
                self.site.engine.opening(left)


def calm(count: int) -> list[list[float]]:
    return [[0.01 + 0.001 * (n % 5), 1.0, 0.01 + 0.001 * (n % 3), 1.0] for n in range(count)]


@pytest.fixture
def watched(quiet: Site, tmp_path: Path) -> Iterator[Watched]:
    scrape = {region: f"http://{region}.test/metrics" for region in REGIONS}
    shop = Service(name="shop", regions=REGIONS, scrape=scrape, signals={"errors": RATIO})
    catalogue = Catalogue(services={"shop": shop})
    keys = catalogue.series()
    file = HistoryFile.open(tmp_path / "history", keys, interval_s=1.0)
    with_world(quiet, catalogue=catalogue, mode="observe")
    rows: list[Row] = []
    monitor = Monitor(
        catalogue=catalogue,
        keys=keys,
        scrape=lambda: rows[-1],
        history=HistoryReadings(file, quiet.seen.on_trouble),
        detector=ZScore(len(keys)),
        composite=Composite(catalogue, keys, settings=CompositeSettings()),
        watch=Watch(catalogue, keys),
        settings=CompositeSettings(),
        engine=quiet.engine,
        clock=quiet.clock,
        interval_s=1.0,
        on_tick=lambda _tick: None,
        watcher=quiet.seen,
    )
    yield Watched(monitor=monitor, site=quiet, rows=rows)
    file.close()


def test_what_is_still_wrong_when_the_window_ends_opens_then_with_its_real_start(
    watched: Watched,
) -> None:
    watched.feed(*calm(60))
    announce(watched.site, "shop")
    # So long that a rolling window takes it for normal.
    watched.feed(*[BROKEN] * 80)
    assert watched.site.ledger.incident_ids() == []
    named = {series for row in suppressed(watched.site) for series in row}
    assert named == {f"errors of shop in {region}" for region in REGIONS}

    end(watched.site)
    watched.feed(BROKEN)

    (state,) = watched.site.engine.live()
    assert set(state.signals) == {f"errors of shop in {region}" for region in REGIONS}
    assert state.started_at is not None
    assert START + timedelta(seconds=60) < state.started_at < START + timedelta(seconds=65)
    assert state.signals["errors of shop in east"]["high"] < 0.1, "the range from before it"
    watched.feed(*[BROKEN] * 3)
    assert watched.site.ledger.incident_ids() == ["INC-1"]


def test_what_is_well_again_when_the_window_ends_opens_nothing(watched: Watched) -> None:
    watched.feed(*calm(60))
    announce(watched.site, "all", hours=30 / 3600)
    watched.feed(*[BROKEN] * 10, *calm(50))

    assert watched.site.clock.now() > START + timedelta(seconds=90), "the window is over"
    assert watched.site.ledger.incident_ids() == []
    assert suppressed(watched.site)


def test_a_target_that_is_still_down_when_the_window_ends_opens_then(watched: Watched) -> None:
    watched.feed(*calm(60))
    announce(watched.site, "shop@east", hours=10 / 3600)
    watched.feed(*[EAST_DOWN] * 9)
    assert watched.site.ledger.incident_ids() == []

    watched.feed(*[EAST_DOWN] * 2)
    (state,) = watched.site.engine.live()
    assert state.opened_by == "down"
    assert state.started_at == START + timedelta(seconds=61)


def test_signals_that_only_count_together_must_be_enough_without_those_inside(
    watched: Watched,
) -> None:
    watched.feed(*calm(60))
    announce(watched.site, "shop@west")
    watched.feed(*[BROKEN] * 8)
    assert watched.site.ledger.incident_ids() == [], "one series alone opens nothing"

    down_beside = [float("nan"), 0.0, 0.5, 1.0]
    watched.feed(*[down_beside] * 3)
    (state,) = watched.site.engine.live()
    assert list(state.signals) == ["up of shop in east"]


def test_while_a_window_keeps_it_quiet_a_tick_asks_for_nothing_twice(watched: Watched) -> None:
    announce(watched.site, "all")
    watched.feed(*calm(60), *[EAST_DOWN] * 3)
    asked: list[str] = []

    def changes() -> tuple[Mapping[str, Any], ...]:
        asked.append("facts were made")
        return ()

    watched.monitor.changes = changes

    watched.feed(*[EAST_DOWN] * 5)

    assert asked == []
    assert len(suppressed(watched.site)) == 1


# --- steps --------------------------------------------------------------------


def once(act: Callable[[], None]) -> Callable[[], None]:
    """Do it the first time only."""
    done: list[bool] = []

    def maybe() -> None:
        if not done:
            done.append(True)
            act()

    return maybe


@pytest.fixture
def acting(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        made.dana()
        yield made


def test_a_step_in_maintenance_is_put_off_and_performed_once_the_window_is_over(
    acting: Site,
) -> None:
    acting.action.looking = once(lambda: announce(acting, "region:east"))
    acting.open()
    acting.start()
    acting.seen.until(acting.seen.has("step_blocked"))
    assert acting.effects() == []
    (blocked,) = [r for r in acting.ledger.records("INC-1") if r.kind == Kind.STEP_BLOCKED]
    assert "shop is in maintenance MW-1 (region:east) until" in line(blocked)
    assert not acting.state().held
    assert not acting.state().escalated
    assert acting.pages.sent == []

    end(acting)
    acting.seen.until(acting.seen.has("resolved"))
    assert len(acting.effects()) == 1
    assert acting.seen.kinds().count("step_blocked") == 1


@pytest.mark.promise("L13")
def test_maintenance_announced_between_the_guard_and_the_intent_stops_the_step(
    acting: Site,
) -> None:
    # The target is observed after the guard's view of the installation was taken.
    acting.action.looking = once(lambda: announce(acting, "shop"))
    acting.open()
    acting.start()
    acting.seen.until(acting.seen.has("step_blocked"))

    assert acting.effects() == []
    assert "step_intended" not in acting.seen.kinds()


@pytest.mark.promise("L13")
def test_maintenance_announced_while_a_target_is_probed_stops_the_repeat(acting: Site) -> None:
    acting.action.before = lose
    acting.action.probing = once(lambda: announce(acting, "shop"))
    acting.open()
    acting.start()
    acting.seen.until(acting.seen.has("paged"))

    assert acting.effects() == []
    assert "step_repeated" not in acting.seen.kinds()
    assert "not repeated during maintenance MW-1" in acting.state().held["why"]  # type: ignore[index]


def test_a_step_that_a_person_directs_into_a_window_is_refused_with_the_reason(
    acting: Site,
) -> None:
    with_world(acting, mode="guided")
    acting.open()
    acting.start()
    acting.seen.until(acting.seen.has("paged"))
    announce(acting, "shop")

    asked = acting.submit(
        "direct", action="write_mark", target="shop", because="I know", expect=["up >= 0 for 1s"]
    )
    assert acting.answer(asked).ok
    acting.seen.until(
        lambda: any("in maintenance MW-1" in line(r) for r in acting.seen.records), timeout_s=5
    )
    assert acting.effects() == []
