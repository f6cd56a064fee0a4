from datetime import timedelta
from itertools import islice

import numpy as np
import pytest

from holdfast.detection import CompositeSettings, Opening
from holdfast.kernel.catalogue import SignalKey
from holdfast.kernel.errors import BadInputError
from tests.detection.small_platform import REGIONS, START, Fault, platform_ticks

ONSET = 90


def failing(
    *regions: str,
    share: float = 1 / 3,
    latency: float = 1.0,
    traffic: float = 1.0,
    until: int = 10**6,
) -> Fault:
    """Fail a share of the shop's requests from ONSET on, in some regions."""

    def fault(n: int, readings: dict[SignalKey, float]) -> None:
        if not ONSET <= n < until:
            return
        rng = np.random.default_rng(n)
        for region in regions:
            count = readings[SignalKey("shop", region, "traffic")]
            errors = rng.binomial(int(count), share) / count
            readings[SignalKey("shop", region, "errors")] = errors
            readings[SignalKey("shop", region, "latency")] *= latency
            readings[SignalKey("shop", region, "traffic")] *= traffic

    return fault


def first_opening(seed: int, fault: Fault) -> tuple[int, Opening]:
    for tick in platform_ticks(seed, ONSET + 10, fault):
        if tick.openings:
            return tick.n - ONSET + 1, tick.openings[0]
    raise AssertionError("nothing was opened")


@pytest.mark.parametrize("seed", range(4))
def test_a_service_that_fails_in_both_regions_opens_within_three_ticks(seed: int) -> None:
    ticks, opening = first_opening(seed, failing(*REGIONS))

    assert 1 <= ticks <= 3
    assert opening.services[0] == "shop"
    assert opening.regions == REGIONS
    assert opening.group == ("packer", "shop", "store")
    assert opening.severity == "critical"


@pytest.mark.parametrize(
    "fault",
    [failing("north", latency=5.0), failing("north", traffic=0.1)],
    ids=["latency", "traffic"],
)
def test_a_fault_in_one_region_opens_when_two_signals_show_it(fault: Fault) -> None:
    ticks, opening = first_opening(1, fault)

    assert 1 <= ticks <= 3
    assert opening.regions == ("north",)


def test_an_opening_says_why_with_reading_threshold_source_and_time() -> None:
    _, opening = first_opening(0, failing(*REGIONS))

    summary, *each = opening.reasons
    assert "of the last 3 ticks" in opening.reason
    assert summary.reading == "2 critical, 2 anomalous"
    assert summary.threshold == "2 critical or 3 anomalous"
    assert len(each) == len(opening.anomalies) == 2
    for reason in each:
        assert "errors of shop in" in reason.text
        assert reason.reading
        assert reason.threshold
        assert reason.source == "zscore"
        assert reason.at
    assert opening.started_at < opening.at


def test_a_healthy_platform_with_heavy_tails_and_surges_opens_nothing_where_the_bare_rule_fires() -> (
    None
):
    def surge(n: int) -> float:
        return 3.0 if 120 <= n < 150 or 210 <= n < 290 else 1.0

    ticks = [t for seed in range(4) for t in platform_ticks(seed, 340, surge=surge)]

    assert sum(t.bare for t in ticks) > 20
    assert [t.openings for t in ticks if t.openings] == []


def test_one_blip_of_a_lone_series_opens_nothing() -> None:
    fault = failing("north", share=1.0, until=ONSET + 1)

    assert not any(t.openings for t in platform_ticks(2, ONSET + 20, fault))


def test_a_blip_everywhere_for_one_tick_opens_nothing() -> None:
    fault = failing(*REGIONS, share=1.0, latency=10.0, until=ONSET + 1)

    assert not any(t.openings for t in platform_ticks(2, ONSET + 20, fault))


def test_two_services_that_nothing_connects_make_no_incident_together() -> None:
    def fault(n: int, readings: dict[SignalKey, float]) -> None:
        if n >= ONSET:
            readings[SignalKey("shop", "north", "errors")] = 0.5
            readings[SignalKey("blog", "north", "errors")] = 0.5

    assert not any(t.openings for t in platform_ticks(3, ONSET + 10, fault))


def test_a_fault_that_is_missed_at_first_is_found_while_it_lasts() -> None:
    def fault(n: int, readings: dict[SignalKey, float]) -> None:
        for region, onset in (("north", ONSET), ("south", ONSET + 8)):
            if n >= onset:
                readings[SignalKey("shop", region, "errors")] = 0.3

    opened = [t for t in platform_ticks(6, ONSET + 20, fault) if t.openings]

    assert ONSET + 8 <= opened[0].n <= ONSET + 11
    assert "still above" in opened[-1].openings[0].anomalies[0].reason


def test_one_signal_each_of_two_services_in_two_regions_is_not_one_fault() -> None:
    def fault(n: int, readings: dict[SignalKey, float]) -> None:
        if n >= ONSET:
            readings[SignalKey("shop", "north", "errors")] = 0.5
            readings[SignalKey("packer", "south", "errors")] = 0.5

    assert not any(t.openings for t in platform_ticks(7, ONSET + 6, fault))


def test_traffic_that_comes_back_to_its_old_level_after_a_surge_is_no_symptom() -> None:
    def surge(n: int) -> float:
        return 3.0 if 80 <= n < 180 else 1.0

    ticks = list(platform_ticks(5, 220, surge=surge))

    assert any(t.bare for t in ticks[180:184])
    assert not any(t.openings for t in ticks)


def test_errors_that_leave_a_constant_level_and_stay_open_although_they_fill_their_own_window() -> (
    None
):
    # 31 samples are few: one failing tick widens the range so much that the next looks normal.
    for seed in range(6):
        _, opening = first_opening(seed, failing(*REGIONS, share=0.3))
        assert opening.services[0] == "shop"
    ticks = list(platform_ticks(1, ONSET + 30, failing(*REGIONS)))[ONSET + 3 :]
    assert sum(bool(tick.openings) for tick in ticks) > len(ticks) / 2


NORTH = (0.381, 0.32, 0.15, 0.312, 0.36, 0.45, 0.29, 0.33, 0.21, 0.35)
SOUTH = (0.208, 0.364, 0.273, 0.18, 0.316, 0.25, 0.458, 0.29, 0.3, 0.5)


def recorded(n: int, readings: dict[SignalKey, float]) -> None:
    """A third of the requests fails 31 samples after the start, as it was seen on a platform."""
    one, other = (SignalKey("shop", region, "errors") for region in REGIONS)
    readings[one] = 0.0
    readings[other] = 0.056 if n == 10 else 0.0
    if 31 <= n < 31 + len(NORTH):
        readings[one], readings[other] = NORTH[n - 31], SOUTH[n - 31]


def test_a_fault_is_not_missed_because_its_first_tick_widened_the_range() -> None:
    opened = [t for t in platform_ticks(3, 31 + len(NORTH), recorded) if t.openings]
    assert opened[0].n <= 33


def test_a_trouble_began_when_its_series_first_went_off_however_late_it_opens() -> None:
    # The range that counts as normal is taken from before that moment.
    openings = [o for t in platform_ticks(3, 31 + len(NORTH), recorded) for o in t.openings]
    assert {o.started_at for o in openings} == {START + timedelta(seconds=31)}


def test_the_end_of_a_fault_does_not_open_again() -> None:
    fault = failing(*REGIONS, latency=5.0, traffic=0.1, until=ONSET + 80)
    ticks = list(islice(platform_ticks(4, ONSET + 120, fault), ONSET + 80, None))

    assert not any(t.openings for t in ticks)


def test_the_rule_can_be_configured() -> None:
    strict = CompositeSettings(critical=5, anomalies=6)

    assert not any(
        t.openings for t in platform_ticks(0, ONSET + 10, failing(*REGIONS), settings=strict)
    )
    with pytest.raises(BadInputError, match=r"composite\.ticks is 0"):
        CompositeSettings(ticks=0)
