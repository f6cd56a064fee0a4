"""A PostgreSQL that would not keep what it commits is refused, in words that say what to do."""

import sys
import threading
from collections.abc import Iterator

import psycopg
import pytest

from holdfast.kernel import BadInputError, LedgerUnavailableError, SystemClock
from holdfast.ledger import PostgresLedger, open_ledger
from holdfast.ledger import postgres_connection as connecting
from holdfast.ledger.address import is_there, read_address
from tests.ledger.ledger_parts import opened, seqs
from tests.real_parts import Postgres, started_postgres


@pytest.fixture
def url(durable_postgres: Postgres) -> Iterator[str]:
    with durable_postgres.ledger_url() as url:
        yield url


@pytest.mark.promise("L19")
@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_sync_is_refused(setting: str) -> None:
    with (
        started_postgres(f"{setting}=off", durable=True) as server,
        server.ledger_url() as url,
        pytest.raises(LedgerUnavailableError, match=f"has {setting} = off.*set {setting} = on"),
    ):
        PostgresLedger(url)


@pytest.mark.promise("L19")
@pytest.mark.parametrize("value", ["off", "local"])
def test_a_user_whose_commits_are_answered_before_they_are_safe_is_refused(
    url: str, value: str
) -> None:
    with pytest.raises(LedgerUnavailableError, match=f"synchronous_commit = {value}.*= on"):
        PostgresLedger(f"{url}%20-c%20synchronous_commit%3D{value}")

    assert not is_there(read_address(url))


@pytest.mark.promise("L19")
def test_an_old_server_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "VERSION_MIN", 990_000)
    with pytest.raises(LedgerUnavailableError, match=r"is on PostgreSQL \d+, .* needs 99 or newer"):
        PostgresLedger(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/x", "127.0.0.1:1/x can't be reached"),
        ("postgresql://u:hunter2@/x?host=/nowhere", "/nowhere/x can't be reached"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named_without_its_password(url: str, says: str) -> None:
    with pytest.raises(LedgerUnavailableError, match=says) as told:
        PostgresLedger(url)

    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("postgres@", "nobody-i-know:hunter2@", "nobody-i-know"),
        ("/postgres?", "/not_there?", "not_there"),
    ],
)
def test_a_wrong_user_or_database_is_told_in_the_servers_words(
    url: str, before: str, after: str, says: str
) -> None:
    with pytest.raises(LedgerUnavailableError, match=f'"{says}" does not exist') as told:
        PostgresLedger(url.replace(before, after, 1))

    assert "hunter2" not in str(told.value)


def test_a_url_that_cannot_be_read_is_refused_without_showing_it() -> None:
    with pytest.raises(BadInputError, match=r"HOLDFAST_DATABASE_URL.*%XX") as told:
        open_ledger("postgresql://me:hunter%2@host/x")

    assert "hunter" not in str(told.value)


def test_without_the_driver_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holdfast.ledger.postgres_connection", None)
    with pytest.raises(BadInputError, match=r"pip install 'holdfast\[postgres\]'"):
        open_ledger("postgresql://host/x")


@pytest.mark.promise("L20")
def test_several_that_start_at_once_on_an_empty_database_prepare_it_once(url: str) -> None:
    together, ledgers = threading.Barrier(4), []

    def start() -> None:
        together.wait(10)
        ledgers.append(PostgresLedger(url))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claims = [opened(ledger) for ledger in ledgers]

    assert sorted(claim.incident_id for claim in claims) == ["INC-1", "INC-2", "INC-3", "INC-4"]
    assert seqs(ledgers[0].records("INC-4")) == [1]
    for ledger in ledgers:
        ledger.close()


@pytest.mark.promise("L20")
def test_a_newer_releases_migration_is_worked_beside_and_an_edited_one_is_refused(url: str) -> None:
    PostgresLedger(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("insert into migration values (9001, '9001_next.sql', 'x')")
        connection.execute("alter table incident add column whatever_comes_next text")
    ledger = PostgresLedger(url)
    assert opened(ledger).seq == 1
    ledger.close()

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update migration set checksum = 'edited' where number = 1")
    with pytest.raises(LedgerUnavailableError, match=r"0001_first.sql was applied with checksum"):
        PostgresLedger(url)


@pytest.mark.promise("L11")
def test_a_default_that_would_blind_the_second_look_is_not_taken_over(url: str) -> None:
    blind = f"{url}%20-c%20default_transaction_isolation%3Dserializable"
    server = connecting.Server(dsn=blind, clock=SystemClock())
    with server.connect(durable=True) as connection:
        row = connection.execute("show transaction_isolation").fetchone()

    assert row == ("read committed",)


def test_a_plan_that_no_index_serves_is_not_compiled(url: str) -> None:
    server = connecting.Server(dsn=f"{url}%20-c%20jit%3Don", clock=SystemClock())
    with server.connect() as connection:
        connection.execute("create temporary table bare as select 1 as n")
        plan = connection.execute("explain analyze select n from bare where n = 1").fetchall()

    assert not [line for (line,) in plan if "JIT" in line]


def test_two_schemas_of_one_database_hold_two_ledgers(durable_postgres: Postgres) -> None:
    with durable_postgres.ledger_url() as one, durable_postgres.ledger_url() as two:
        ledgers = [PostgresLedger(url) for url in (one, two)]

        assert [opened(ledger).incident_id for ledger in ledgers] == ["INC-1", "INC-1"]
        detectors = [ledger.only_detector() for ledger in ledgers]
        assert [detector.held() for detector in detectors] == [True, True]
        for detector in detectors:
            detector.release()
        for ledger in ledgers:
            ledger.close()
