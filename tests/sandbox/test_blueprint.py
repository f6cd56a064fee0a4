"""The shape of the platform and what another seed does to it."""

import json

import pytest

from holdfast.sandbox.blueprint import METRICS, Blueprint, default_blueprint

SEEDS = range(1, 40)


def test_seed_nought_is_the_platform_of_the_documentation() -> None:
    shape = default_blueprint()
    assert shape.regional == ("checkout-api", "checkout-worker")
    assert shape.single == ("orders-pool", "receipt-printer")
    assert shape.services == (*shape.regional, *shape.single, "orders-db", "session-cache")
    assert shape.regions == ("eu-west", "us-east")


@pytest.mark.parametrize("seed", SEEDS)
def test_another_seed_changes_every_name_and_keeps_the_shape(seed: int) -> None:
    shape, default = Blueprint.vary(seed), default_blueprint()
    assert not shape.names() & default.names()
    assert len(set(shape.services)) == 6
    assert len(set(shape.regions)) == 2
    assert shape.metrics.keys() == METRICS.keys()
    assert len(set(shape.metrics.values())) == len(METRICS)
    assert 0.28 <= shape.failing_share <= 0.40


def test_the_same_seed_makes_the_same_platform() -> None:
    assert Blueprint.vary(5) == Blueprint.vary(5)
    assert Blueprint.vary(5) != Blueprint.vary(6)


def test_a_blueprint_survives_the_way_through_the_site_file() -> None:
    shape = Blueprint.vary(3)
    assert Blueprint.from_json(json.loads(json.dumps(shape.to_json()))) == shape
