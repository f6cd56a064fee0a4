"""What a maintenance window keeps quiet is in the ledger: the process may end, the trouble stays."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.app.tokens import SystemView
from holdfast.engine import Engine
from holdfast.engine.maintenance import Suppressed
from holdfast.kernel import ManualClock, format_at
from holdfast.ledger import MemoryLedger
from tests.engine.engine_parts import Site, facts, site
from tests.engine.test_engine_maintenance import START, announce


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Site]:
    """An engine that is not running, with a clock that stands still."""
    clock = ManualClock(START)
    with site(tmp_path, clock=clock, ledger=MemoryLedger(clock)) as made:
        yield made


def next_engine(made: Site, worker: str) -> Engine:
    """An engine of a process that came after, on the same store."""
    carrier = made.engine.carrier
    system = SystemView(made.ledger, made.clock)
    return Engine(carrier=replace(carrier, system=system), watcher=made.seen, worker=worker)


def test_what_is_kept_quiet_outlives_the_process_and_is_told_by_the_next_one_only_once(
    quiet: Site,
) -> None:
    announce(quiet, "all")
    told = facts("stock", START)
    alert = {**told.signals[0], "signal": "alert", "series": "alert Slow of stock"}
    quiet.engine.opening(facts("shop", START))
    quiet.engine.opening(replace(told, signals=(alert,)))
    quiet.clock.jump(timedelta(hours=3))  # type: ignore[attr-defined]

    worker, heir, last = (next_engine(quiet, name) for name in ("w-2", "w-3", "w-4"))
    worker.gate.may_open = lambda: False
    assert worker.gate.left_over(quiet.readings) == []
    for left in heir.gate.left_over(quiet.readings):
        assert left.started_at == format_at(START)
        heir.opening(left)
    assert [list(state.signals) for state in heir.live()] == [
        ["errors of shop in east"],
        ["alert Slow of stock"],
    ]
    assert last.gate.left_over(quiet.readings) == []
    assert last.carrier.system.state().kept_quiet == {}


def test_an_alert_that_fires_again_in_the_same_window_is_kept_again(quiet: Site) -> None:
    announce(quiet, "all")
    heard: list[Suppressed] = []
    quiet.engine.gate.told = heard.append
    told = facts("shop", START)
    alert = {**told.signals[0], "signal": "alert", "series": "alert Slow of shop"}
    for _ in range(2):
        quiet.engine.opening(replace(told, signals=(alert,)))
        quiet.engine.gate.forget("alert Slow of shop")
    quiet.engine.opening(replace(told, signals=(alert,)))
    quiet.clock.jump(timedelta(hours=3))  # type: ignore[attr-defined]

    assert len(heard) == 1, "told once for each series and window"
    assert len(next_engine(quiet, "w-2").gate.left_over(quiet.readings)) == 1
