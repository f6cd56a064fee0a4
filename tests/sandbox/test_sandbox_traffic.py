"""What the users are drawn as, and the orders the generator obeys."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.kernel.clock import format_at
from holdfast.sandbox.blueprint import default_blueprint
from holdfast.sandbox.traffic import Orders, basket, rate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_day_swings_around_the_mean_and_the_regions_are_not_in_step() -> None:
    shape = default_blueprint()
    day = [rate(shape, "eu-west", t) for t in range(300)]
    assert sum(day) / 300 == pytest.approx(shape.requests_per_s, rel=0.01)
    assert max(day) == pytest.approx(shape.requests_per_s * 1.25, rel=0.01)
    assert day.index(max(day)) != [rate(shape, "us-east", t) for t in range(300)].index(max(day))


def test_a_third_of_the_baskets_come_without_a_coupon() -> None:
    shape, rng = default_blueprint(), random.Random(1)
    bare = sum(basket(shape, rng)["coupon"] is None for _ in range(20_000))
    assert bare / 20_000 == pytest.approx(1 / 3, abs=0.02)


def test_a_surge_ends_by_itself_and_a_stop_does_not() -> None:
    surge = Orders(surge=3.0, surge_until=format_at(NOW + timedelta(seconds=20)))
    assert surge.factor(NOW) == 3.0
    assert surge.factor(NOW + timedelta(seconds=20)) == 1.0
    assert Orders(stopped=True).factor(NOW + timedelta(days=1)) == 0.0
