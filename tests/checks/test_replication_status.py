"""A real primary and its real standby, in every state that they get into."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.checks import CheckRunner, build_checks
from holdfast.checks.replication_status import ReplicationStatus
from holdfast.response.ports import CheckResult, Health
from tests.actions.standby_parts import NOWHERE, started_standby, wait_for
from tests.io_parts import answering, catalogue, context, read_and_hang
from tests.real_parts import Postgres, short_directory, started_postgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with started_postgres() as primary:
        primary.execute("create role watcher login", "create role blind login")
        primary.execute("grant pg_monitor to watcher")
        yield primary


@pytest.fixture(scope="module")
def standby(primary: Postgres) -> Iterator[Postgres]:
    with started_standby(primary) as standby:
        wait_for(standby, "select 1 from pg_stat_wal_receiver where status = 'streaming'")
        yield standby


@contextmanager
def short_socket() -> Iterator[Path]:
    """Give a place where a driver looks for a server's socket."""
    directory = short_directory("hang")
    try:
        yield directory / ".s.PGSQL.5432"
    finally:
        shutil.rmtree(directory)


def watched(server: Postgres, user: str = "watcher") -> str:
    return server.named("postgres", user=user)


def looked(primary: str, standby: str, max_lag_bytes: int = 16_777_216) -> CheckResult:
    check = ReplicationStatus(primary=primary, standby=standby, max_lag_bytes=max_lag_bytes)
    return check.run(context())


def test_a_pair_that_streams_is_healthy(primary: Postgres, standby: Postgres) -> None:
    result = looked(watched(primary), watched(standby))

    assert result.status is Health.HEALTHY, result.summary
    assert result.data["leader"] == "primary"
    assert result.data["streaming"] is True
    assert result.data["primary"]["timeline"] == result.data["standby"]["timeline"] == 1
    assert result.data["standby"]["in_recovery"] is True
    assert result.data["primary"]["replicas"][0]["state"] == "streaming"
    assert result.data["lag_s"] == 0.0
    assert result.data["two_primaries"] is False
    assert result.data["ready_to_promote"] is False
    assert "would make two" in result.data["ready_why"]


def test_a_role_that_sees_too_little_is_told_what_it_needs(
    primary: Postgres, standby: Postgres
) -> None:
    result = looked(watched(primary, "blind"), watched(standby, "blind"))

    assert result.status is Health.HEALTHY
    assert "grant pg_monitor" in result.summary


def test_a_standby_that_falls_behind_is_degraded_with_the_figure(
    primary: Postgres, standby: Postgres
) -> None:
    standby.execute("select pg_wal_replay_pause()")
    try:
        primary.execute("create table filler as select generate_series(1, 5000)")
        # The standby tells how far it is a moment after it got there.
        until = time.monotonic() + 10.0
        while True:
            result = looked(watched(primary), watched(standby), max_lag_bytes=10_000)
            if result.data["lag_bytes"] > 10_000 or time.monotonic() > until:
                break
        gone = looked(NOWHERE, watched(standby))
    finally:
        standby.execute("select pg_wal_replay_resume()")

    assert result.status is Health.DEGRADED
    assert result.data["lag_bytes"] > 10_000
    assert "bytes behind (threshold 10000)" in result.summary
    assert "replay is paused" in result.summary
    assert gone.data["ready_to_promote"] is False


def test_a_primary_that_is_gone_is_down_and_the_standby_says_whether_it_can_take_over(
    primary: Postgres, standby: Postgres
) -> None:
    wait_for(standby, "select 1 where pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()")
    check = ReplicationStatus(primary=NOWHERE, standby=watched(standby))
    result = CheckRunner([check]).run(context())["replication_status"]

    assert result.status is Health.DOWN
    assert result.summary.startswith(
        "no server that can be reached takes writes: the primary is gone"
    )
    assert result.data["primary"]["reachable"] is False
    assert result.data["ready_to_promote"] is True
    assert result.data["lag_bytes"] is None


def test_a_standby_that_is_gone_is_degraded(primary: Postgres) -> None:
    result = looked(watched(primary), NOWHERE)

    assert result.status is Health.DEGRADED
    assert result.data["streaming"] is False
    assert "the standby can't be reached" in result.summary


def test_nothing_that_answers_is_down() -> None:
    result = looked(NOWHERE, NOWHERE)

    assert result.status is Health.DOWN
    assert "the primary is gone, the standby is gone" in result.summary


def test_two_servers_that_take_writes_are_a_split_brain_and_a_fenced_one_is_not(
    primary: Postgres,
) -> None:
    with started_standby(primary) as second:
        second.execute("select pg_promote()")
        split = looked(watched(primary), watched(second))
        primary.execute(
            "alter system set default_transaction_read_only = on", "select pg_reload_conf()"
        )
        wait_for(primary, "select 1 where current_setting('default_transaction_read_only') = 'on'")
        fenced = looked(watched(primary), watched(second))
        primary.execute(
            "set default_transaction_read_only = off",
            "alter system reset default_transaction_read_only",
            "select pg_reload_conf()",
        )

    assert split.status is Health.DEGRADED
    assert split.data["two_primaries"] is True
    assert split.data["standby"]["timeline"] == 2
    assert split.summary.startswith("split brain: both take writes")
    assert fenced.data["two_primaries"] is False
    assert fenced.data["leader"] == "standby"
    assert "rejoin it" in fenced.summary


def test_a_primary_that_hangs_delays_no_answer_about_the_standby(standby: Postgres) -> None:
    with short_socket() as path, answering(socket.AF_UNIX, str(path), read_and_hang):
        dsn = f"host={path.parent} user=x dbname=x"
        settings = {
            "replication": {"primary": {"dsn": dsn}, "standby": {"dsn": watched(standby)}},
            "timeout_s": 0.5,
        }
        checks = build_checks(catalogue(), settings)
        result = CheckRunner(checks, timeout_s=0.5).run(context())["replication_status"]

    assert result.status is Health.DOWN
    assert result.data["primary"]["error"] == "no answer within 0.3 s"
    assert result.data["ready_to_promote"] is True


def test_no_password_is_shown() -> None:
    dsn = "host=127.0.0.1 port=1 user=x password=hunter2 dbname=x"
    result = looked(dsn, dsn)

    assert "hunter2" not in str(result)
