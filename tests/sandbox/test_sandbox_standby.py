"""The pair of servers: what the standby has, who may promote it, and what becomes of the old one."""

import os
import signal
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from prometheus_client.core import Metric

from holdfast.actions.command import RunCommand
from holdfast.actions.executable import check_executable
from holdfast.actions.failover_db import FailoverDb
from holdfast.kernel import HoldfastError
from holdfast.kernel.catalogue import Service
from holdfast.sandbox.database_catalogue import fencing
from holdfast.sandbox.database_faults import PrimaryDown
from holdfast.sandbox.database_observers import promotions
from holdfast.sandbox.effects import DB_PROMOTED
from holdfast.sandbox.failover_aftercare import aftercare, restart_old_primary
from holdfast.sandbox.services.exporter import PostgresMetrics
from holdfast.sandbox.site import FAILOVER_ROLE, FENCE, READONLY_ROLE
from holdfast.sandbox.standby import ask, postmaster, timeline_at
from tests.io_parts import catalogue, request
from tests.sandbox.data_plane import DataPlane, started_data_plane, until

pytestmark = pytest.mark.slow
ORDER = "INSERT INTO orders (region, item, total) VALUES (%s, 1, 1)"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataPlane]:
    """Give a pair; which server is the primary, the test of the failover changes."""
    with started_data_plane(tmp_path_factory.mktemp("pair"), pool_size=3) as running:
        yield running


def exported(collector: PostgresMetrics) -> dict[str, float]:
    families: list[Metric] = collector.collect()
    return {sample.name: sample.value for family in families for sample in family.samples}


def orders(dsn: str, region: str) -> object:
    return ask(dsn, f"SELECT count(*) FROM orders WHERE region = '{region}'")  # noqa: S608


def fence(plane: DataPlane) -> None:
    """Run what Holdfast's configuration names for it."""
    [command] = fencing(plane.site)["commands"].values()
    argv = command["argv"]
    assert check_executable(argv[0])
    subprocess.run(argv, check=True, env={"PATH": os.defpath}, umask=0o077)


def promote(plane: DataPlane) -> None:
    """Have Holdfast's own action do it, in its role and with the fence."""
    site = plane.site
    failover = {
        "primary": {"dsn": site.dsn(FAILOVER_ROLE)},
        "standby": {"dsn": site.standby_dsn(FAILOVER_ROLE)},
        "fence": FENCE,
    }
    database = Service(name=site.blueprint.database, control={"failover": failover})
    known = catalogue(database)
    action = FailoverDb(known, fencing=RunCommand(known, fencing(site)["commands"]))
    seen = action.observe(database.name, {})
    outcome = action.perform(request("failover_db", database.name, pre_image=seen))
    assert outcome.ok
    assert f"the old primary is fenced by the command {FENCE}" in outcome.summary
    assert site.bar_file.exists()


def test_what_is_written_reaches_the_standby_and_the_lag_is_told(plane: DataPlane) -> None:
    site, names = plane.site, plane.site.blueprint.metrics
    collector = PostgresMetrics(site)
    standby = site.dsn() if plane.databases.failed_over else site.standby_dsn()
    with plane.client() as client:
        client.execute(ORDER, ("streamed",))
    until(lambda: orders(standby, "streamed") == 1, "the order on the standby")
    until(lambda: exported(collector)[names["replication_lag"]] == 0, "the standby to catch up")
    assert exported(collector)[names["connections"]] > 0
    assert timeline_at(standby) == 0
    assert timeline_at(site.primary_dsn()) == timeline_at(site.pool_dsn()) > 0
    collector.close()


def test_the_failover_role_may_promote_and_keep_its_tokens_and_nothing_else(
    plane: DataPlane,
) -> None:
    with psycopg.connect(plane.site.primary_dsn(FAILOVER_ROLE), autocommit=True) as connection:
        connection.execute("INSERT INTO holdfast_token VALUES ('t', 'INC-1', 1, 'k')")
        connection.execute("UPDATE holdfast_token SET promoted_at = now() WHERE key = 'k'")
        assert connection.execute(
            "SELECT system_identifier > 0 FROM pg_control_system()"
        ).fetchone()
        for forbidden in (
            "SELECT * FROM orders",
            "DELETE FROM holdfast_token",
            "CREATE TABLE mine (n int)",
            "SELECT pg_reload_conf()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
    with psycopg.connect(plane.site.primary_dsn(READONLY_ROLE), autocommit=True) as reader:
        may = "SELECT has_function_privilege('pg_promote(boolean, integer)', 'execute')"
        assert reader.execute(may).fetchone() == (False,)


def test_the_fence_keeps_the_first_server_out_of_the_pooler_before_anything_is_promoted(
    plane: DataPlane,
) -> None:
    assert not plane.databases.failed_over, "the failover is the test after this one"
    with plane.client() as client:
        client.execute(ORDER, ("fenced yet",))
        fence(plane)
        fence(plane)
        until(lambda: not plane.healthy(), "the pooler to refuse it")
        assert plane.measured("pool_fenced") == 1
        plane.databases.lift_bar()
    until(plane.healthy, "the pooler to take it again")


def test_clients_of_the_pooler_follow_a_failover_and_never_reach_the_old_primary_again(
    plane: DataPlane,
) -> None:
    site, collector = plane.site, PostgresMetrics(plane.site)
    names = site.blueprint.metrics
    assert promotions(site) == ()
    with plane.client() as client:
        client.execute(ORDER, ("before",))
        # The standby follows a moment later: what the primary alone has is lost with it.
        until(lambda: orders(site.standby_dsn(), "before") == 1, "the order on the standby")
        fault = PrimaryDown(site, plane.databases)
        assert fault.injected.entity == site.blueprint.database
        with pytest.raises(psycopg.errors.CannotConnectNow, match="no server takes writes"):
            client.execute(ORDER, ("meanwhile",))
        assert not plane.healthy()
        with pytest.raises(HoldfastError, match="no server"):
            collector.collect()

        promote(plane)
        client.execute(ORDER, ("after",))  # over the connection that it had before

        assert [orders(site.standby_dsn(), r) for r in ("before", "after")] == [1, 1]
        found = [(effect.kind, effect.target) for effect in promotions(site)]
        assert found == [(DB_PROMOTED, site.blueprint.database)]
        assert names["replication_lag"] not in exported(collector)
        assert exported(collector)[names["commits"]] > 0
        the_old_primary_comes_back(plane, client)

    held = aftercare(site, plane.databases)
    assert held == {"fenced": True, "rejoined": True, "streaming": True}
    with plane.client() as client:
        client.execute(ORDER, ("at last",))
    until(lambda: orders(site.dsn(), "at last") == 1, "the order on the old primary")
    assert exported(collector)[names["replication_lag"]] >= 0
    assert len(promotions(site)) == 1
    fault.heal()  # there is nothing left to do
    collector.close()


def the_old_primary_comes_back(
    plane: DataPlane, client: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    """Let it take writes in its own eyes, also while it is the only one that answers."""
    site = plane.site
    assert restart_old_primary(site, plane.databases)
    assert plane.measured("pool_fenced") == 1
    assert timeline_at(site.dsn()) == 1
    client.execute(ORDER, ("fenced",))
    assert (orders(site.dsn(), "fenced"), orders(site.standby_dsn(), "fenced")) == (0, 1)

    second = postmaster(site.standby_directory)
    assert second
    os.kill(second, signal.SIGQUIT)
    until(lambda: postmaster(site.standby_directory) is None, "the new primary to be gone")
    plane.restart_pooler(healthy=False)  # what it has seen, it remembers
    with (
        pytest.raises(psycopg.OperationalError, match="no server takes writes"),
        plane.client() as other,
    ):
        other.execute(ORDER, ("lost",))
    assert orders(site.dsn(), "lost") == 0
    plane.databases.start_second()
    until(plane.healthy, "the new primary to be back")
