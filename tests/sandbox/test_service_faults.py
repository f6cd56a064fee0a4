"""The faults of single services: each shows as it does in life, hits one place, and can be undone."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
import valkey

from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.effects import INSTANCE_STARTED, QUEUE_PARKED
from holdfast.sandbox.faults import Injected
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.queue_faults import DRAIN_S, JOB_S, backlog_jobs, lines
from holdfast.sandbox.site import extra_name, process_name
from tests.sandbox.shopping import metrics, order, post

Eventually = Callable[[Callable[[], bool], str], None]


@contextlib.contextmanager
def broken(platform: Platform, fault: str, **options: object) -> Iterator[Injected]:
    injected = platform.inject(fault, **options)
    try:
        yield injected
    finally:
        platform.heal(injected)


def figure(platform: Platform, service: str, region: str, meaning: str) -> float:
    page = metrics(platform.site.url(service, region, "/metrics"))
    return page[platform.blueprint.metrics[meaning]]


def test_a_client_that_stops_reading_makes_one_api_grow_and_not_the_other(
    platform: Platform, eventually: Eventually
) -> None:
    api, (sick, well) = platform.blueprint.api, platform.blueprint.regions
    before = {r: figure(platform, api, r, "memory") for r in (sick, well)}
    with broken(platform, "memory-leak", region=sick) as injected:
        assert (injected.entity, injected.region) == (api, sick)
        eventually(
            lambda: figure(platform, api, sick, "memory") > before[sick] + 4_000_000,
            "the API to keep what it can't send",
        )
        assert figure(platform, api, well, "memory") < before[well] + 2_000_000
        assert order(platform, sick, coupon=True) == 201


def test_a_hung_region_accepts_and_answers_nothing_while_the_other_serves(
    platform: Platform,
) -> None:
    api, (sick, well) = platform.blueprint.api, platform.blueprint.regions
    with broken(platform, "regional", region=sick) as injected:
        assert injected.region == sick
        assert platform.supervisor.state(process_name(api, sick))["statename"] == "RUNNING"
        with pytest.raises(TimeoutError):
            post(platform.site.url(api, sick, "/checkout"), {}, timeout_s=0.3)
        assert order(platform, well, coupon=True) == 201
    assert order(platform, sick, coupon=True) == 201


def test_what_flaps_dies_again_after_each_start_until_it_is_healed(
    platform: Platform, eventually: Eventually
) -> None:
    options = {"service": platform.blueprint.worker, "lives_s": (0.1, 0.2)}
    with broken(platform, "flapping", **options) as injected:
        name = injected.detail["process"]

        def is_down() -> bool:
            return str(platform.supervisor.state(name)["statename"]) == "EXITED"

        eventually(is_down, "it to be killed")
        with platform.observers.own():
            platform.supervisor.start(name)
        eventually(is_down, "it to be killed again")
    assert platform.supervisor.state(name)["statename"] == "RUNNING"


def test_an_import_waits_in_one_queue_until_more_workers_take_it(
    platform: Platform, eventually: Eventually
) -> None:
    shape, before = platform.blueprint, len(platform.observe())
    with broken(platform, "queue-backlog", jobs=70) as injected:
        region = str(injected.region)
        eventually(lambda: figure(platform, shape.worker, region, "queue_age") > 0.5, "age")
        extra = extra_name(shape.worker, region, 1)
        assert platform.supervisor.start(extra)
        eventually(lambda: figure(platform, shape.worker, region, "queue_age") < 0.2, "an end")
        [seen] = platform.observe()[before:]
    assert (seen.kind, seen.target) == (INSTANCE_STARTED, f"{shape.worker}@{region}")
    assert extra in seen.detail
    assert platform.supervisor.state(extra)["statename"] == "STOPPED"


def test_jobs_put_aside_are_one_effect_however_many_they_are(platform: Platform) -> None:
    shape, before = platform.blueprint, len(platform.observe())
    with broken(platform, "queue-flood", jobs=400) as injected:
        queue = injected.detail["queue"]
        with valkey.Valkey(unix_socket_path=str(platform.site.cache_socket)) as cache:
            while cache.lmove(queue, f"{queue}:parked:1", "RIGHT", "LEFT") is not None:
                pass
            assert int(str(cache.llen(f"{queue}:parked:1"))) > 300
        seen = platform.observe()[before:]
    assert [(effect.kind, effect.target) for effect in seen] == [(QUEUE_PARKED, shape.worker)]


def test_broken_prices_fail_a_third_of_the_items_and_a_rollback_does_not_help(
    platform: Platform,
) -> None:
    region = platform.blueprint.regions[0]
    with broken(platform, "bad-runbook") as injected:
        assert injected.detail["version"] != injected.detail["previous_version"]
        for_each = [order(platform, region, coupon=True, item=item) for item in (3, 4, 5, 6)]
        assert for_each == [500, 201, 201, 500]
    assert order(platform, region, coupon=True, item=3) == 201


@pytest.mark.parametrize("seed", range(6))
def test_a_backlog_keeps_the_workers_of_any_platform_busy_for_as_long(seed: int) -> None:
    shape = Blueprint.vary(seed)
    job_s = lines(shape) * shape.work_median_s * 1.1
    assert job_s == pytest.approx(JOB_S, rel=0.15)
    assert 0.8 * DRAIN_S < backlog_jobs(shape) * job_s / shape.workers < 1.2 * DRAIN_S
