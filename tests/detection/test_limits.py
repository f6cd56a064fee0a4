from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import nan

import numpy as np
import pytest

from holdfast.detection import Opening, Watch
from holdfast.kernel.catalogue import Catalogue, Limit, Service, SignalForm, SignalSpec

START = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
GAUGE = SignalSpec(form=SignalForm.GAUGE, metrics=("x",))


def watch_one(
    limit: Limit | None, readings: Sequence[tuple[float, float]], step_s: float = 60
) -> list[tuple[Opening, ...]]:
    """Feed (reading, up) pairs of one service in one region."""
    service = Service(
        name="packer",
        regions=("north",),
        scrape={"north": "http://127.0.0.1:1"},
        signals={"level": GAUGE},
        limits=(limit,) if limit else (),
    )
    catalogue = Catalogue(services={"packer": service})
    watch = Watch(catalogue, catalogue.series())
    return [
        watch.observe(np.array(pair), START + timedelta(seconds=step_s * n))
        for n, pair in enumerate(readings)
    ]


def opened(limit: Limit, values: Sequence[float]) -> list[int]:
    ticks = watch_one(limit, [(value, 1.0) for value in values])
    return [n for n, openings in enumerate(ticks) if openings]


def test_a_limit_opens_once_it_is_exceeded_for_its_samples() -> None:
    limit = Limit(signal="level", above=30, for_samples=3)

    assert opened(limit, [31, 31, 29, 31, 31, 31, 32, 30, 31]) == [5, 6]


def test_a_lower_limit_works_the_other_way() -> None:
    assert opened(Limit(signal="level", below=2, for_samples=2), [3, 1, 1, 2, 1]) == [2]


def test_a_gap_neither_counts_towards_a_limit_nor_clears_it() -> None:
    assert opened(Limit(signal="level", above=30, for_samples=3), [31, nan, 31, nan, 31]) == [4]


def test_a_slow_leak_opens_although_it_never_leaves_three_sigmas() -> None:
    limit = Limit(signal="level", growth_per_minute_above=5, for_samples=30)

    assert opened(limit, [100 + 6 * n for n in range(40)]) == list(range(30, 40))
    assert opened(limit, [100 + 4 * n for n in range(40)]) == []


def test_one_jump_is_no_trend() -> None:
    limit = Limit(signal="level", growth_per_minute_above=5, for_samples=30)

    assert opened(limit, [100.0] * 20 + [5000.0] * 20) == []


def test_a_limit_says_reading_threshold_source_and_time() -> None:
    limit = Limit(signal="level", above=30, for_samples=1)
    ((opening,),) = watch_one(limit, [(31.5, 1.0)])

    assert opening.cause == "limit"
    assert opening.reason == "level of packer in north at 31.5, above 30.0 for 1 samples"
    (reason,) = opening.reasons
    assert (reason.reading, reason.threshold) == ("31.5", "above 30.0 for 1 samples")
    assert reason.source == "limits.level of packer in the catalogue"
    assert reason.at == "2026-01-31T10:00:00.000000Z"


def test_two_failed_scrapes_in_a_row_open_and_one_does_not() -> None:
    up, down = (1.0, 1.0), (nan, 0.0)
    ticks = watch_one(None, [up, down, up, down, down, down, up])

    assert [n for n, openings in enumerate(ticks) if openings] == [4, 5]
    (opening,) = ticks[4]
    assert opening.cause == "down"
    assert opening.reason == "packer in north has not answered 2 scrapes in a row"
    assert opening.services == ("packer",)
    assert opening.started_at == START + timedelta(seconds=180)


@pytest.mark.parametrize("samples", [1, 30])
def test_growth_needs_all_its_samples(samples: int) -> None:
    limit = Limit(signal="level", growth_per_minute_above=5, for_samples=samples)

    assert opened(limit, [100.0 * n for n in range(samples)]) == []
    assert opened(limit, [100.0 * n for n in range(samples + 1)]) == [samples]
