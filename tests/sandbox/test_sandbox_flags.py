"""The flag file as the API reads it, and the fault that a stale flag makes downstream of it."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey

from holdfast.sandbox.effects import CACHE_CLEARED, FLAG_CHANGED
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.services.flags import Flags, canary, value
from holdfast.sandbox.services.jsonlog import JsonLog
from tests.sandbox.shopping import metrics, order

Eventually = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def flags(tmp_path: Path) -> Iterator[Flags]:
    log = JsonLog(tmp_path / "log", "api", "eu")
    yield Flags(tmp_path / "flags.json", log)
    log.close()


def written(file: Path, flags: dict[str, Any]) -> None:
    fresh = file.with_suffix(".next")
    fresh.write_text(json.dumps({"flags": flags}))
    fresh.replace(file)


def failures(platform: Platform) -> float:
    """Add up the jobs that failed in all regions."""
    shape = platform.blueprint
    pages = [metrics(platform.site.url(shape.worker, r, "/metrics")) for r in shape.regions]
    return sum(page[f"{shape.metrics['job_failures']}"] for page in pages)


def test_a_canary_is_on_for_its_share_and_always_for_the_same_orders() -> None:
    flag = canary(10)
    first = [value(flag, "slim", str(number)) for number in range(5000)]
    assert 0.08 < sum(first) / 5000 < 0.12
    assert first == [value(flag, "slim", str(number)) for number in range(5000)]


def test_a_flag_that_is_disabled_or_not_there_is_off() -> None:
    assert value(canary(100), "slim", "1")
    assert not value({**canary(100), "state": "DISABLED"}, "slim", "1")
    assert not value(None, "slim", "1")


@pytest.mark.parametrize("broken", ["", "{", '{"flags": []}', '{"flags": {"slim": {}}}'])
def test_a_file_that_cant_be_understood_leaves_the_flag_off(
    flags: Flags, tmp_path: Path, broken: str
) -> None:
    (tmp_path / "flags.json").write_text(broken)
    assert not flags.is_on("slim", "1")


def test_a_change_counts_from_the_next_use_on(flags: Flags, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    assert not flags.is_on("slim", "1")
    written(file, {"slim": canary(100)})
    assert flags.is_on("slim", "1")
    written(file, {"slim": canary(0)})
    assert not flags.is_on("slim", "1")


def test_a_stale_flag_fails_the_workers_of_both_regions_and_two_steps_mend_it(
    platform: Platform, eventually: Eventually
) -> None:
    shape, before = platform.blueprint, len(platform.observe())
    injected = platform.inject("stale-flag")
    try:
        for region in shape.regions:
            assert order(platform, region, coupon=True) == 201
        began = failures(platform)
        eventually(lambda: failures(platform) > began + 20, "jobs to fail")
        written(platform.site.flag_file, {shape.flag: {**canary(90), "state": "DISABLED"}})
        with valkey.Valkey(unix_socket_path=str(platform.site.cache_socket)) as cache:
            assert cache.unlink(shape.basket_epoch) == 1
            queues = [f"queue:{region}" for region in shape.regions]
            eventually(lambda: not any(cache.llen(q) for q in queues), "the slim jobs to settle")
        seen = platform.observe()[before:]
    finally:
        platform.heal(injected)
    assert injected.entity == shape.api
    assert [(effect.kind, effect.target) for effect in seen] == [
        (FLAG_CHANGED, shape.api),
        (CACHE_CLEARED, shape.cache),
    ]
    assert len(platform.observe()) == before + 2


def test_a_key_that_expires_is_no_effect_and_a_cleared_prefix_is_one(platform: Platform) -> None:
    shape, before = platform.blueprint, len(platform.observe())
    with valkey.Valkey(unix_socket_path=str(platform.site.cache_socket)) as cache:
        names = [f"{shape.price_prefix}{os.getpid()}-{number}" for number in range(30)]
        for name in names:
            cache.set(name, 1)
        cache.set(f"{shape.price_prefix}short-lived", 1, px=1)
        cache.set(f"{shape.basket_prefix}of-nobody", 1)
        cache.delete(f"{shape.basket_prefix}of-nobody")
        assert cache.get(f"{shape.price_prefix}short-lived") in {None, b"1"}
        assert len(platform.observe()) == before
        cache.unlink(*names)
    seen = platform.observe()[before:]
    assert [(e.kind, e.detail) for e in seen] == [(CACHE_CLEARED, "30 keys gone")]
