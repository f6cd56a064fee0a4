"""The dead-man's switch: what counts as working, and what the outside gets to see."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from holdfast.app.dead_man import DeadMan, Vitals, dead_man, works
from holdfast.app.keeping_models import DeadManModel
from holdfast.app.readings import HistoryReadings
from holdfast.detection import Composite, CompositeSettings, Watch, ZScore
from holdfast.engine import Monitor
from holdfast.kernel import Catalogue, ManualClock, Service, SystemClock
from holdfast.sources import HistoryFile
from tests.app.receiver_parts import Receiver, receiver
from tests.engine.engine_parts import Site, site

WELL = Vitals(now=1000.0, interval_s=60.0, ticked_at=950.0, rounded_at=999.8, store_within_s=30.0)
SECRET = "3f0c-not-to-be-shown"


@pytest.fixture
def outside() -> Iterator[Receiver]:
    with receiver() as told:
        yield told


def against(vitals: Vitals) -> list[str]:
    return [reason.rule for reason in works(vitals) if not reason.ok]


def test_whoever_samples_writes_and_may_open_works() -> None:
    assert against(WELL) == []
    assert len(works(WELL)) == 4


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"ticked_at": 819.0}, "sampling", "too old (reading 181 s old, threshold at most 3 min"),
        ({"ticked_at": None}, "sampling", "no whole tick yet"),
        ({"rounded_at": 969.0}, "engine", "too old (reading 31 s old"),
        ({"rounded_at": None}, "engine", "no whole round with the store yet"),
        ({"broken": "the disk failed"}, "ledger", "the disk failed"),
        ({"away": "the database is away"}, "ledger", "the database is away"),
        ({"unavailable_at": 995.0}, "ledger", "refused a record a moment ago"),
        ({"opens": False}, "detection", "another process"),
        ({"free_bytes": 8192}, "ledger", "disk of the ledger is full (reading 8 KiB free"),
    ],
)
def test_each_way_to_stall_is_one_reason(changes: dict[str, object], rule: str, words: str) -> None:
    stalled = replace(WELL, **changes)  # type: ignore[arg-type]

    assert against(stalled) == [rule]
    (reason,) = [r for r in works(stalled) if not r.ok]
    assert words in reason.sentence()


@pytest.mark.parametrize(
    "changes",
    [
        {"ticked_at": 820.0},
        {"interval_s": None, "ticked_at": None},
        {"unavailable_at": 989.0},
        {"interval_s": 0.2, "ticked_at": 998.5},
        {"free_bytes": 50 << 20},
    ],
    ids=str,
)
def test_what_is_only_slow_or_past_still_works(changes: dict[str, object]) -> None:
    assert against(replace(WELL, **changes)) == []  # type: ignore[arg-type]


class Switch:
    """A switch whose vitals a test sets, with what it told."""

    def __init__(self, url: str, **settings: object) -> None:
        self.vitals = WELL
        self.notices: list[str] = []
        model = DeadManModel.model_validate({"url": url, "timeout_s": 0.3, **settings})
        self.switch = DeadMan(model, lambda: self.vitals, self.notices.append, SystemClock())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_ping_goes_out_while_it_works_and_none_while_it_does_not(
    method: str, outside: Receiver
) -> None:
    made = Switch(f"{outside.url}/ping/{SECRET}", method=method)

    assert made.switch.poll()
    assert outside.got == [(method, f"/ping/{SECRET}", b"")]
    assert made.switch.view()["last_ping_at"]
    made.vitals = replace(WELL, ticked_at=10.0)
    assert not made.switch.poll()
    assert not made.switch.poll()
    assert len(outside.got) == 1
    view = made.switch.view()
    assert view["works"] is False
    assert "the last whole tick is too old" in view["why"][0]
    made.vitals = WELL
    assert made.switch.poll()
    assert len(outside.got) == 2
    assert [n.split(":")[1].split(" to ")[0] for n in made.notices] == [
        " pings go", " no ping", " pings go"
    ]  # fmt: skip


def test_an_address_that_fails_is_told_once_and_never_shown(outside: Receiver) -> None:
    made = Switch(f"{outside.url}/ping/{SECRET}")
    outside.status = 404
    for _ in range(3):
        assert made.switch.poll(), "that nobody listens is no stall of ours"
    outside.hangs = True
    made.switch.poll()
    outside.hangs, outside.status = False, 200
    made.switch.poll()
    gone = Switch(f"http://user:{SECRET}@127.0.0.1:1/ping/{SECRET}")
    gone.switch.poll()

    told = [*made.notices[1:], *gone.notices[1:]]
    assert [text.split("1:")[1].split(" ", 1)[1] for text in told] == [
        "answered 404; nothing here waits for it",
        "did not answer within 0.3 s; nothing here waits for it",
        "takes pings again",
        "can't be reached: ConnectError; nothing here waits for it",
    ]
    said = f"{made.notices} {gone.notices} {made.switch.view()} {gone.switch.view()}"
    assert SECRET not in said


def test_a_redirect_is_not_followed(outside: Receiver) -> None:
    made = Switch(f"{outside.url}/ping/{SECRET}")
    outside.status, outside.location = 302, f"{outside.url}/elsewhere"
    made.switch.poll()

    assert len(outside.got) == 1
    assert made.switch.view()["problem"] == "answered 302"


def test_a_judging_that_hangs_with_its_store_is_not_said_to_work(outside: Receiver) -> None:
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
    switch = DeadMan(DeadManModel(url=f"{outside.url}/x"), lambda: WELL, print, clock)
    assert switch.poll()
    clock.wait(threading.Event(), 66)
    assert switch.view()["works"] is True
    clock.wait(threading.Event(), 60)

    assert switch.view()["works"] is False
    assert switch.view()["why"] == ["whether it works could not be judged for 126 s"]


def test_without_an_address_there_is_no_switch() -> None:
    with dead_man(None, lambda: WELL, print, SystemClock()) as switch:
        assert switch is None


class Row:
    """One scrape of one target that is up."""

    def __init__(self, at: datetime) -> None:
        self.at, self.values = at, np.ones(1)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as one:
        yield one.start()


@pytest.fixture
def monitor(made: Site, tmp_path: Path) -> Iterator[Monitor]:
    """A real monitor over one target; what it scrapes is a test's to say."""
    shop = Service(name="shop", regions=("east",), scrape={"east": "http://127.0.0.1:1/"})
    catalogue = Catalogue(services={"shop": shop})
    keys, settings = catalogue.series(), CompositeSettings()
    with closing(HistoryFile.open(tmp_path / "history", keys, interval_s=0.05)) as file:
        one = Monitor(
            catalogue=catalogue,
            keys=keys,
            scrape=lambda: Row(made.clock.now()),
            history=HistoryReadings(file, made.seen.on_trouble),
            detector=ZScore(len(keys)),
            composite=Composite(catalogue, keys, settings=settings),
            watch=Watch(catalogue, keys),
            settings=settings,
            engine=made.engine,
            clock=made.clock,
            interval_s=0.05,
            on_tick=lambda _tick: None,
            watcher=made.seen,
        )
        ticking = threading.Thread(target=one.run)
        ticking.start()
        yield one
        one.stop()
        ticking.join(10)


def test_a_source_that_hangs_stops_the_pings(
    made: Site, monitor: Monitor, outside: Receiver
) -> None:
    """The outside sees it within seconds: a scrape that never comes back is no tick."""
    released, stalled = threading.Event(), threading.Event()
    told: list[str] = []

    def scrape() -> Row:
        if outside.got:
            released.wait(20)
        return Row(made.clock.now())

    def vitals() -> Vitals:
        return Vitals(
            now=made.clock.monotonic(),
            interval_s=monitor.interval_s,
            ticked_at=monitor.ticked_at,
            rounded_at=made.engine.rounded_at,
            store_within_s=30.0,
        )

    def notice(text: str) -> None:
        told.append(text)
        if "no ping" in text:
            stalled.set()

    monitor.scrape = scrape
    model = DeadManModel(url=f"{outside.url}/ping", every_s=0.1)
    with dead_man(model, vitals, notice, made.clock):
        assert stalled.wait(10), told
        count = len(outside.got)
        assert count
        released.set()
        outside.until(count + 1)
    assert "the last whole tick is too old" in next(t for t in told if "no ping" in t)
