"""The platform as its users, its operators and its enemies see it."""

from collections.abc import Callable

import psycopg
import pytest

from holdfast.kernel import BadInputError, HoldfastError
from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.releases import current_version
from holdfast.sandbox.site import READONLY_ROLE, process_name
from tests.sandbox.shopping import metrics, order

Eventually = Callable[[Callable[[], bool], str], None]


def share_of_failures(platform: Platform, region: str) -> float:
    """Order as the traffic does, one basket in three without a coupon."""
    codes = [order(platform, region, coupon=n % 3 != 0) for n in range(30)]
    return len([code for code in codes if code >= 500]) / len(codes)


def test_both_regions_serve_orders_and_the_workers_settle_them(
    platform: Platform, eventually: Eventually
) -> None:
    for region in platform.blueprint.regions:
        assert order(platform, region, coupon=False) == 201
    with psycopg.connect(platform.site.dsn(), autocommit=True) as connection:

        def settled() -> bool:
            query = "SELECT count(DISTINCT region) FROM orders WHERE state = 'settled'"
            row = connection.execute(query).fetchone()
            return row == (2,)

        eventually(settled, "orders of both regions to be settled")


def test_every_service_tells_its_metrics_under_the_catalogues_names(platform: Platform) -> None:
    site, names = platform.site, platform.blueprint.metrics
    told: set[str] = set()
    for region in platform.blueprint.regions:
        order(platform, region, coupon=True)
    for service, region in site.processes():
        told |= metrics(site.url(service, region, "/metrics")).keys()
    for store in (platform.blueprint.database, platform.blueprint.cache):
        told |= metrics(site.store_url(store)).keys()
    timed = {
        names[meaning] for meaning in ("duration", "job_duration", "receipt_duration", "pool_wait")
    }
    expected = (set(names.values()) - timed) | {f"{name}_sum" for name in timed}
    assert expected <= told


def test_an_item_that_does_not_exist_is_the_callers_error_and_no_failure(
    platform: Platform,
) -> None:
    region = platform.blueprint.regions[0]
    url = platform.site.url(platform.blueprint.api, region, "/metrics")
    name = platform.blueprint.metrics["failures"]
    before = metrics(url)[name]
    assert order(platform, region, coupon=True, item=9999) == 422
    assert metrics(url)[name] == before


def test_a_bad_deploy_fails_a_third_of_the_requests_until_the_link_is_put_back(
    platform: Platform,
) -> None:
    injected = platform.inject("bad-deploy")
    for region in platform.blueprint.regions:
        assert share_of_failures(platform, region) == pytest.approx(1 / 3, abs=0.05)
    platform.heal(injected)
    assert current_version(platform.site, platform.blueprint.api) == "v7"
    for region in platform.blueprint.regions:
        assert share_of_failures(platform, region) < 0.1


def test_only_the_bad_deploy_looks_recent_in_the_deployments(platform: Platform) -> None:
    query = (
        "SELECT service, previous_version FROM deployments"
        " WHERE deployed_at > now() - interval '2 hours' AND deployed_at >= %s"
    )
    began = SystemClock().now()
    with psycopg.connect(platform.site.dsn(READONLY_ROLE)) as connection:
        assert connection.execute(query, (began,)).fetchall() == []
        connection.commit()
        injected = platform.inject("bad-deploy")
        found = connection.execute(query, (began,)).fetchall()
    platform.heal(injected)
    assert found == [(platform.blueprint.api, injected.detail["previous_version"])]


def test_a_service_that_is_kept_down_refuses_to_start_and_then_starts(
    platform: Platform, eventually: Eventually
) -> None:
    service, region = platform.blueprint.worker, platform.blueprint.regions[1]
    name = process_name(service, region)
    injected = platform.inject("service-down", service=service, region=region, down_for_s=None)
    assert injected.entity == service
    with pytest.raises(OSError, match="refused"):
        metrics(platform.site.url(service, region, "/metrics"))
    assert not platform.supervisor.start(name)
    platform.heal(injected)
    assert platform.supervisor.state(name)["statename"] == "RUNNING"

    def queue_is_empty() -> bool:
        try:
            told = metrics(platform.site.url(service, region, "/metrics"))
        except OSError:  # it runs, and doesn't listen yet
            return False
        return told["queue_depth"] == 0.0

    eventually(queue_is_empty, "the restarted workers to empty their queue")


def test_a_held_lock_makes_orders_time_out_and_its_end_heals_them(platform: Platform) -> None:
    region = platform.blueprint.regions[0]
    injected = platform.inject("novel")
    try:
        assert order(platform, region, coupon=True) == 503
    finally:
        platform.heal(injected)
    assert order(platform, region, coupon=True) == 201


def test_traffic_surges_and_stops_when_it_is_told_to(
    platform: Platform, eventually: Eventually
) -> None:
    def last_sent() -> int:
        regions = len(platform.blueprint.regions)
        return sum(second.sent for second in platform.traffic.seconds()[-regions:])

    platform.traffic.surge(3.0)
    eventually(lambda: last_sent() > 70, "three times the traffic")
    platform.traffic.stop()
    eventually(lambda: bool(platform.traffic.seconds()) and last_sent() == 0, "no traffic")
    platform.traffic.resume()
    eventually(lambda: last_sent() > 10, "traffic again")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orders (region, item, total) VALUES ('x', 1, 1)",
        "DELETE FROM deployments",
        "CREATE TABLE mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
    ],
)
def test_the_readonly_role_cant_write_even_in_a_writing_transaction(
    platform: Platform, statement: str
) -> None:
    with psycopg.connect(platform.site.dsn(READONLY_ROLE), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_the_readonly_role_sees_what_others_do_and_reads_the_history(platform: Platform) -> None:
    with psycopg.connect(platform.site.dsn(READONLY_ROLE)) as connection:
        names = connection.execute(
            "SELECT application_name, query FROM pg_stat_activity"
        ).fetchall()
        assert any(name == process_name(*platform.site.processes()[0]) for name, _ in names)
        assert not any(query == "<insufficient privilege>" for _, query in names)
        assert connection.execute("SELECT count(*) >= 6 FROM deployments").fetchone() == (True,)


def test_an_unknown_fault_is_refused_with_the_known_ones(platform: Platform) -> None:
    with pytest.raises(BadInputError, match="no fault 'flood'; choose one of bad-deploy"):
        platform.inject("flood")


def test_a_directory_that_holds_something_is_left_alone(platform: Platform) -> None:
    with pytest.raises(BadInputError, match="is not empty"):
        Platform.start(directory=platform.site.root)
    assert platform.site.file.exists()


def test_a_process_that_runs_no_more_cant_be_killed_again(platform: Platform) -> None:
    where = {"service": platform.blueprint.worker, "region": platform.blueprint.regions[0]}
    injected = platform.inject("service-down", **where)
    try:
        with pytest.raises(HoldfastError, match="does not run"):
            platform.inject("service-down", **where)
    finally:
        platform.heal(injected)
