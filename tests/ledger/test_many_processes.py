"""Several processes on one file: they wait for each other, and never write over each other."""

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from holdfast.kernel import LedgerUnavailableError, ManualClock
from holdfast.ledger import SqliteLedger, verify
from tests.ledger.ledger_parts import batch, opened, program

RACER = str(Path(__file__).with_name("racing_program.py"))


def race(path: Path, workers: int, records: int) -> list[int]:
    """Let so many processes begin at once; give their exit codes."""
    _, env = program()
    racers = [
        subprocess.Popen(
            [sys.executable, RACER, str(path), f"w-{n}", str(records)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(workers)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate(timeout=50)
    return [racer.returncode for racer in racers]


@pytest.mark.promise("L9")
def test_four_processes_that_race_write_each_chain_one_after_another(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger:
        # On a busy machine one may be done before another begins: that proves nothing, so again.
        for _ in range(5):
            made = [opened(ledger) for _ in range(6)]
            for claim in made:
                ledger.release(claim)
            assert race(path, 4, 60) == [0, 0, 0, 0]

            owners: set[str] = set()
            for claim in made:
                assert verify(ledger, claim.incident_id).ok
                owners |= _owners_one_after_another(ledger, claim.incident_id, 60)
            if len(owners) > 1:
                return
    raise AssertionError("they never raced: this proves nothing")


def _owners_one_after_another(ledger: SqliteLedger, incident_id: str, wanted: int) -> set[str]:
    records = ledger.records(incident_id)[1:]
    fences = [int(one.data["fence"]) for one in records]
    assert len(records) == wanted - 1
    assert fences == sorted(fences), "a fence went back"
    by_fence = {(one.data["fence"], str(one.data["owner"])) for one in records}
    assert len(by_fence) == len(set(fences)), "two owners wrote under one fence"
    return {owner for _, owner in by_fence}


@pytest.fixture
def other(path: Path, sqlite: SqliteLedger) -> apsw.Connection:
    """Another program's connection to the same file."""
    return apsw.Connection(str(path))


def test_a_file_locked_for_too_long_is_told_and_is_not_broken(
    sqlite: SqliteLedger, other: apsw.Connection
) -> None:
    claim = opened(sqlite)
    sqlite._writing.set_busy_timeout(50)
    other.execute("begin immediate")

    with pytest.raises(LedgerUnavailableError, match="locked by another process for too long"):
        sqlite.append(batch(claim))
    assert sqlite.broken is None
    other.execute("rollback")
    other.close()
    assert sqlite.append(batch(claim)).seq == 2


def test_a_lock_that_is_let_go_in_time_is_only_waited_for(
    sqlite: SqliteLedger, other: apsw.Connection
) -> None:
    claim = opened(sqlite)
    other.execute("begin immediate")
    appended = threading.Thread(target=sqlite.append, args=(batch(claim),))
    appended.start()
    other.execute("rollback")
    other.close()
    appended.join(10)

    assert verify(sqlite, claim.incident_id).records == 2


def test_a_poll_that_finds_nothing_does_not_wait_for_a_writer(
    sqlite: SqliteLedger, other: apsw.Connection
) -> None:
    opened(sqlite)
    sqlite._writing.set_busy_timeout(0)
    other.execute("begin immediate")

    assert sqlite.claim_many("w-2", 30, 9) == []
    other.close()


@pytest.mark.promise("L20")
def test_two_processes_that_start_at_once_make_one_schema(path: Path, clock: ManualClock) -> None:
    made: list[SqliteLedger] = []
    threads = [
        threading.Thread(target=lambda: made.append(SqliteLedger(path, clock))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    try:
        assert len({opened(ledger).incident_id for ledger in made}) == 6
    finally:
        for ledger in made:
            ledger.close()
