import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from holdfast.checks import CheckRunner, DatabaseConnections
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Health
from tests.io_parts import context
from tests.real_parts import Database, started_postgres


@contextmanager
def jam(dsn: str, waiting: int) -> Iterator[int]:
    """Lock a table in one session and have `waiting` others queue for it."""
    with ExitStack() as stack:
        holder = stack.enter_context(psycopg.connect(dsn, application_name="nightly-batch"))
        holder.execute("LOCK TABLE orders /* password=hunter2 */ IN ACCESS EXCLUSIVE MODE")
        watcher = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        for _ in range(waiting):
            queued = stack.enter_context(psycopg.connect(dsn, autocommit=True))
            thread = threading.Thread(target=queued.execute, args=("SELECT FROM orders",))
            thread.start()
            stack.callback(thread.join)
        stack.callback(holder.rollback)  # before the joins: they wait for it
        while _waiting(watcher) < waiting:
            pass
        yield holder.info.backend_pid


def _waiting(watcher: psycopg.Connection) -> int:
    row = watcher.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    assert row
    return int(row[0])


def test_a_calm_database_is_healthy_and_counted(database: Database) -> None:
    result = DatabaseConnections(database.reader_dsn).run(context())

    assert result.status is Health.HEALTHY
    assert result.data["max_connections"] > result.data["total"]
    assert result.data["waiting_on_locks"] == 0
    assert result.data["blockers"] == []
    assert result.data["role_can_write"] is False
    assert result.data["sees_all_sessions"] is True


def test_six_sessions_behind_a_lock_are_degraded_and_the_blocker_is_named(
    database: Database,
) -> None:
    with jam(database.dsn, 6) as holding_pid:
        result = DatabaseConnections(database.reader_dsn).run(context())

    assert result.status is Health.DEGRADED
    assert result.data["waiting_on_locks"] >= 6
    blocker = next(b for b in result.data["blockers"] if b["pid"] == holding_pid)
    assert blocker["application"] == "nightly-batch"
    assert blocker["state"] == "idle in transaction"
    assert blocker["blocks"] >= 6
    assert blocker["held_s"] >= 0
    assert "hunter2" not in blocker["query"]
    assert "nightly-batch" in result.summary


def test_five_sessions_behind_a_lock_are_not_yet_degraded(database: Database) -> None:
    check = DatabaseConnections(database.reader_dsn, waiting_max=5)

    with jam(database.dsn, 2):
        result = check.run(context())

    assert result.status is Health.HEALTHY
    assert result.data["waiting_on_locks"] >= 2


def test_nearly_all_connections_in_use_are_degraded(database: Database) -> None:
    with psycopg.connect(database.dsn):
        result = DatabaseConnections(database.reader_dsn, used_ratio_max=0.001).run(context())

    assert result.status is Health.DEGRADED
    assert "of max_connections in use (threshold 0%)" in result.summary


def test_a_role_that_can_write_is_reported(database: Database) -> None:
    result = DatabaseConnections(database.dsn).run(context())

    assert result.data["role_can_write"] is True
    assert "the role of this check can write" in result.summary


def test_the_session_of_a_check_cannot_write_even_where_its_role_could(database: Database) -> None:
    from holdfast.checks.postgres import read_only_session

    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        read_only_session(database.dsn, statement_timeout_s=5, connect_timeout_s=3) as session,
    ):
        session.execute("INSERT INTO orders (note) VALUES ('from a check')")


def test_a_slow_statement_is_cut_off_by_the_server(database: Database) -> None:
    from holdfast.checks.postgres import read_only_session

    with (
        pytest.raises(psycopg.errors.QueryCanceled),
        read_only_session(
            database.reader_dsn, statement_timeout_s=0.05, connect_timeout_s=3
        ) as session,
    ):
        session.execute("SELECT pg_sleep(30)")


def test_a_database_that_is_gone_mid_check_is_down_with_the_reason() -> None:
    with started_postgres() as server:
        runner = CheckRunner([DatabaseConnections(server.dsn)])
        before = runner.run(context())["database_connections"]
        with psycopg.connect(server.dsn, autocommit=True) as watcher:
            asked = threading.Event()

            class Killed(DatabaseConnections):
                """Loses its server between two of its statements."""

                name = "killed"

                def _read(
                    self, connection: "psycopg.Connection[dict[str, object]]"
                ) -> dict[str, object]:
                    watcher.execute(
                        "SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,)
                    )
                    asked.set()
                    return super()._read(connection)

            killed = CheckRunner([Killed(server.dsn)]).run(context())["killed"]
    after = runner.run(context())["database_connections"]

    assert before.status is Health.HEALTHY
    assert asked.is_set()
    assert killed.status is Health.DOWN
    assert "AdminShutdown" in killed.summary
    assert after.status is Health.DOWN
    assert "No such file" in after.summary


def test_an_unreadable_dsn_is_an_error_that_keeps_its_password() -> None:
    with pytest.raises(BadInputError, match="can't be read") as caught:
        DatabaseConnections("host=x password=hunter2 nonsense").run(context())

    assert "hunter2" not in caught.value.message
