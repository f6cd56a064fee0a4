"""Trouble with the file: a clear message, nothing half-written, nothing acknowledged lost."""

import subprocess
from collections import Counter
from pathlib import Path

import apsw
import pytest

from holdfast.kernel import LedgerUnavailableError
from holdfast.ledger import SqliteLedger, verify
from holdfast.ledger.connection import assert_safe_version
from holdfast.ledger.migrate import migrations
from tests.ledger.ledger_parts import LEASE_S, batch, bodies, opened, program, record


def change(path: Path, statement: str) -> None:
    db = apsw.Connection(str(path))
    db.execute(statement)
    db.close()


def acknowledged(lines: list[str]) -> Counter[str]:
    """Give the highest number that was said to be durable, by incident."""
    highest: Counter[str] = Counter()
    for line in lines:
        incident_id, seq = line.split()
        highest[incident_id] = max(highest[incident_id], int(seq))
    return highest


def nothing_is_lost(path: Path, lines: list[str]) -> None:
    ledger = SqliteLedger(path)
    try:
        for incident_id, seq in acknowledged(lines).items():
            verdict = verify(ledger, incident_id)
            assert verdict.ok, verdict.problem
            assert verdict.records >= seq
        claim = opened(ledger)
        assert verify(ledger, claim.incident_id).ok
    finally:
        ledger.close()


@pytest.mark.promise("L3")
def test_a_full_store_says_so_and_goes_on_once_there_is_room(sqlite: SqliteLedger) -> None:
    claim = opened(sqlite)
    pages = sqlite._writing.pragma("page_count")
    sqlite._writing.pragma("max_page_count", pages)
    before = bodies(sqlite, claim.incident_id)
    big = [record(claim, n, text="x" * 5000) for n in (1, 2, 3)]

    with pytest.raises(LedgerUnavailableError, match=r"is full; nothing was written and no action"):
        sqlite.append(batch(claim, records=big))
    assert bodies(sqlite, claim.incident_id) == before
    assert b'"seq":1}' in (sqlite.kv(f"incident:{claim.incident_id}:status") or b"")
    assert sqlite.broken is None

    sqlite._writing.pragma("max_page_count", pages + 1000)
    assert sqlite.append(batch(claim, records=big)).seq == 4
    assert verify(sqlite, claim.incident_id).ok


@pytest.mark.promise("L3")
@pytest.mark.crash
def test_a_file_that_may_not_grow_stops_the_writer_and_loses_nothing(path: Path) -> None:
    argv, env = program(str(path), "2", str(1_500_000))
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=50, check=False)
    lines = done.stdout.splitlines()

    assert done.returncode == 0, done.stderr
    assert len(lines) > 10
    complaints = done.stderr.splitlines()
    assert len(complaints) == 2
    assert all("nothing more is written" in line or "is full" in line for line in complaints)
    nothing_is_lost(path, lines)


@pytest.mark.promise("L1")
@pytest.mark.crash
@pytest.mark.parametrize("killed_after", [1, 25, 60])
def test_a_writer_killed_at_any_moment_loses_no_acknowledged_record(
    path: Path, killed_after: int
) -> None:
    argv, env = program(str(path), "4")
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(killed_after)]
        writer.kill()
        lines += writer.stdout.readlines()
    complete = [line for line in lines if line.endswith("\n")]

    assert len(complete) >= killed_after
    nothing_is_lost(path, complete)


@pytest.mark.promise("L20")
def test_an_edited_migration_stops_the_start_and_names_both_checksums(path: Path) -> None:
    SqliteLedger(path).close()
    change(path, "update migration set checksum = 'feedfacefeed00'")

    with pytest.raises(
        LedgerUnavailableError, match=r"0001_first\.sql was applied with checksum feedfacefeed but"
    ):
        SqliteLedger(path)


@pytest.mark.promise("L20")
def test_starting_twice_applies_each_migration_once(path: Path) -> None:
    SqliteLedger(path).close()
    SqliteLedger(path).close()
    db = apsw.Connection(str(path))

    applied = db.execute("select number, count(*) from migration group by number").fetchall()
    assert applied == [(number, 1) for number, _, _ in migrations("sqlite")]
    db.close()


@pytest.mark.promise("L20")
def test_a_migration_of_a_newer_version_does_not_stop_this_one(path: Path) -> None:
    SqliteLedger(path).close()
    change(path, "insert into migration values (99, '0099_later.sql', 'abc')")
    ledger = SqliteLedger(path)
    try:
        assert opened(ledger).seq == 1
    finally:
        ledger.close()


@pytest.mark.promise("L19")
@pytest.mark.parametrize("version", ["3.7.0", "3.45.1", "3.51.2"])
def test_an_sqlite_that_can_corrupt_the_file_is_refused(version: str) -> None:
    with pytest.raises(LedgerUnavailableError, match=f"SQLite {version}.*install a current"):
        assert_safe_version(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "4.0.0"])
def test_an_sqlite_with_the_fix_is_used(version: str) -> None:
    assert_safe_version(version)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailableError, match=r"can't open the ledger .*nowhere"):
        SqliteLedger(tmp_path / "nowhere" / "holdfast.db")


def test_a_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"these are my notes, not a database\n" * 200)
    before = path.read_bytes()

    with pytest.raises(LedgerUnavailableError, match="file is not a database"):
        SqliteLedger(path)
    assert path.read_bytes() == before


@pytest.mark.promise("L19")
def test_a_place_that_cannot_hold_a_durable_file_is_refused() -> None:
    with pytest.raises(LedgerUnavailableError, match=r"journal_mode=memory.*is not durable"):
        SqliteLedger(Path(":memory:"))


def test_a_damaged_page_is_a_clear_message(path: Path) -> None:
    ledger = SqliteLedger(path)
    claim = ledger.open_incident("w-1", LEASE_S)
    for _ in range(40):
        claim = ledger.append(batch(claim, records=[record(claim, text="x" * 3000)]))
    ledger.close()
    content = bytearray(path.read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    path.write_bytes(content)

    with pytest.raises(LedgerUnavailableError, match=r"can't (read|prepare) the ledger"):
        SqliteLedger(path).records("INC-1")


def test_a_second_process_at_work_is_waited_for(path: Path) -> None:
    first, second = SqliteLedger(path), SqliteLedger(path)
    try:
        ids = {opened(ledger).incident_id for ledger in (first, second, first, second)}
        assert ids == {"INC-1", "INC-2", "INC-3", "INC-4"}
        assert list(first.incident_ids()) == list(second.incident_ids())
    finally:
        first.close()
        second.close()
