import sys
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from holdfast.kernel.errors import BadInputError
from holdfast.sources import DeploymentsSource, SourceError
from tests.real_parts import Database

NOW = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)


def deploy(database: Database, version: str, at: datetime) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            "insert into deployments (service, version, previous_version, deployed_at, deployed_by, summary)"
            " values ('shop', %s, 'v1', %s, 'dana', 'new prices')",
            (version, at),
        )


def test_recent_deployments_come_newest_first_with_who_and_what(database: Database) -> None:
    for version, hours in (("v2", 5), ("v3", 1), ("v4", 0)):
        deploy(database, version, NOW - timedelta(hours=hours))

    changes = DeploymentsSource(database.reader_dsn).recent(NOW - timedelta(hours=2))

    assert [c.version for c in changes] == ["v4", "v3"]
    newest = changes[0]
    assert (newest.kind, newest.service, newest.previous) == ("deploy", "shop", "v1")
    assert (newest.author, newest.summary, newest.at) == ("dana", "new prices", NOW)


def test_reading_happens_in_a_read_only_transaction(database: Database) -> None:
    source = DeploymentsSource(database.dsn)
    source._query = "insert into deployments (service) values ('x') returning 1, %s"

    with pytest.raises(SourceError, match="read-only transaction"):
        source.recent(NOW)


def test_a_query_that_waits_is_ended(database: Database) -> None:
    source = DeploymentsSource(database.dsn, timeout_s=0.2)
    source._query = "select pg_sleep(30), %s"

    with pytest.raises(SourceError, match="statement timeout"):
        source.recent(NOW)


def test_a_database_that_is_gone_is_named_with_the_next_step() -> None:
    source = DeploymentsSource("host=/nowhere port=1 dbname=x user=x")

    with pytest.raises(
        SourceError, match=r"deployments can't be read from table deployments .*check"
    ):
        source.recent(NOW)


def test_a_missing_table_is_said(database: Database) -> None:
    with pytest.raises(SourceError, match='relation "absent" does not exist'):
        DeploymentsSource(database.dsn, table="absent").recent(NOW)


def test_a_missing_driver_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(
        SourceError, match=r"not installed; run `pip install 'holdfast\[postgres\]'`"
    ):
        DeploymentsSource("dbname=x").recent(NOW)


def test_a_table_that_is_no_name_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"deployments\.table is 'x; drop table y'"):
        DeploymentsSource("dbname=x", table="x; drop table y")
