"""Group commit: what waits is committed together, each piece stands alone, nobody is forgotten."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from holdfast.kernel import LedgerUnavailableError, StaleFenceError
from holdfast.ledger import SqliteLedger, verify
from holdfast.ledger import writer as writers
from holdfast.response.store import Claim
from tests.ledger.ledger_parts import batch, count_commits, opened, writer_stopped


def test_sixteen_writers_of_sixteen_incidents_share_one_commit(sqlite: SqliteLedger) -> None:
    claims = [opened(sqlite) for _ in range(16)]
    commits = count_commits(sqlite)
    with writer_stopped(sqlite) as stopped, ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(sqlite.append, batch(claim)) for claim in claims]
        stopped.wait_for(16)
        stopped.go()
        after = [future.result() for future in futures]

    assert [claim.seq for claim in after] == [2] * 16
    assert len(commits) == 2, "one for what stopped the writer, one for all sixteen"
    assert all(verify(sqlite, claim.incident_id).ok for claim in claims)


def test_one_piece_that_fails_takes_nothing_else_of_its_group_with_it(sqlite: SqliteLedger) -> None:
    claims = [opened(sqlite) for _ in range(3)]
    sqlite.append(batch(claims[1]))
    with writer_stopped(sqlite) as stopped, ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(sqlite.append, batch(claim)) for claim in claims]
        stopped.wait_for(3)
        stopped.go()

    assert futures[0].result().seq == 2
    assert isinstance(futures[1].exception(), StaleFenceError)
    assert futures[2].result().seq == 2


def test_many_batches_of_one_caller_are_one_commit(sqlite: SqliteLedger) -> None:
    claims = [opened(sqlite) for _ in range(300)]
    commits = count_commits(sqlite)
    after = sqlite.append_many([batch(claim) for claim in claims])

    assert [one.seq for one in after if not isinstance(one, Exception)] == [2] * 300
    assert len(commits) == 1


def test_a_lone_caller_writes_in_its_own_thread(sqlite: SqliteLedger) -> None:
    assert sqlite._writer.run(lambda _: threading.get_ident()) == threading.get_ident()


def test_whoever_waits_longest_leads_next(
    sqlite: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "GROUP_MAX", 4)
    claims = [opened(sqlite) for _ in range(12)]
    commits = count_commits(sqlite)
    with writer_stopped(sqlite) as stopped, ThreadPoolExecutor(12) as pool:
        futures = [pool.submit(sqlite.append, batch(claim)) for claim in claims]
        stopped.wait_for(12)
        stopped.go()
        assert [future.result(10).seq for future in futures] == [2] * 12

    assert len(commits) == 4, "one for what stopped the writer, three of four each"


def test_an_interrupted_leader_writes_nothing_and_leaves_nobody_waiting(
    sqlite: SqliteLedger,
) -> None:
    claim = opened(sqlite)

    def interrupted(_: apsw.Connection) -> None:
        raise KeyboardInterrupt

    with writer_stopped(sqlite) as stopped, ThreadPoolExecutor(2) as pool:
        first = pool.submit(sqlite._writer.run, interrupted)
        stopped.wait_for(1)
        second = pool.submit(sqlite.append, batch(claim))
        stopped.wait_for(2)
        stopped.go()
        with pytest.raises(KeyboardInterrupt):
            first.result(10)
        with pytest.raises(LedgerUnavailableError, match=r"interrupted.*nothing was written"):
            second.result(10)

    assert sqlite.append(batch(claim)).seq == 2, "the next one leads again"


def test_what_is_run_again_beside_one_that_fails_is_written_once(sqlite: SqliteLedger) -> None:
    claims = [opened(sqlite) for _ in range(3)]
    current = sqlite.append(batch(claims[2]))
    batches = [batch(claims[0]), batch(claims[1]), batch(claims[2]), batch(current)]
    commits = count_commits(sqlite)
    first, second, stale, third = sqlite.append_many(batches)

    assert isinstance(stale, StaleFenceError)
    assert [one.seq for one in (first, second, third) if isinstance(one, Claim)] == [2, 2, 3]
    assert [len(sqlite.records(claim.incident_id)) for claim in claims] == [2, 2, 3]
    assert len(commits) == 1


class _InterruptedAtTheSecondBegin:
    """The writer's cursor, with a signal that arrives when a group is about to be run again."""

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        self._begun = 0

    def execute(self, sql: str) -> object:
        self._begun += sql == "begin immediate"
        if sql == "begin immediate" and self._begun == 2:
            raise KeyboardInterrupt
        return self._cursor.execute(sql)


def test_a_group_that_is_interrupted_before_it_is_run_again_is_not_told_of_success(
    sqlite: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [opened(sqlite) for _ in range(3)]
    sqlite.append(batch(claims[1]))
    with writer_stopped(sqlite) as stopped, ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(sqlite.append, batch(claim)) for claim in claims]
        stopped.wait_for(3)
        cursor = _InterruptedAtTheSecondBegin(sqlite._writer._cursor)
        monkeypatch.setattr(sqlite._writer, "_cursor", cursor)
        stopped.go()
        errors = [future.exception(10) for future in futures]

    told = [e for e in errors if isinstance(e, LedgerUnavailableError)]
    assert len(told) == 2, "and its leader was interrupted"
    assert all("nothing was written" in str(error) for error in told)
    assert [len(sqlite.records(claim.incident_id)) for claim in claims] == [1, 2, 1]


def test_closing_waits_for_what_was_handed_in(sqlite: SqliteLedger) -> None:
    claims = [opened(sqlite) for _ in range(3)]
    with writer_stopped(sqlite) as stopped, ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(sqlite.append, batch(claim)) for claim in claims]
        stopped.wait_for(3)
        closing = pool.submit(sqlite._writer.close)
        stopped.go()
        closing.result(10)

    assert [future.result().seq for future in futures] == [2, 2, 2]


def test_the_log_is_copied_home_so_that_it_does_not_grow_for_ever(
    sqlite: SqliteLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "CHECKPOINT_PAGES", 50)
    sqlite._writer._checkpoint_at = 50
    claim = opened(sqlite)
    for _ in range(300):
        claim = sqlite.append(batch(claim))

    assert path.with_name("holdfast.db-wal").stat().st_size < 200 * 4200
    assert verify(sqlite, claim.incident_id).ok


@pytest.mark.promise("L3")
def test_a_log_that_cannot_be_copied_home_stops_the_writer(
    sqlite: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = opened(sqlite)

    class Failing:
        """The real connection, but for a disk that fails when the log is copied home."""

        def __getattr__(self, name: str) -> object:
            return getattr(sqlite._writing, name)

        def wal_checkpoint(self, **_: object) -> None:
            raise apsw.IOError("disk I/O error")

    monkeypatch.setattr(sqlite._writer, "_db", Failing())
    sqlite._writer._checkpoint_at = 1
    sqlite._writer.run(lambda db: db.execute("create table more (x)"))  # durable, so no error here

    assert sqlite.broken is not None
    with pytest.raises(LedgerUnavailableError, match="nothing more is written by this process"):
        sqlite.append(batch(claim))
