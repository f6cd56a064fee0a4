"""Several workers on one PostgreSQL: who claims, who may act, who hears of it."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from holdfast.kernel import SYSTEM, HoldfastError
from holdfast.ledger import PostgresLedger
from holdfast.response.store import Batch, ChangedMeanwhileError, LimitCheck
from tests.ledger.ledger_parts import LEASE_S, START, batch, intent, opened, request, seen
from tests.real_parts import Postgres

WORKERS = 4


@pytest.fixture
def url(durable_postgres: Postgres) -> Iterator[str]:
    with durable_postgres.ledger_url() as url:
        yield url


@pytest.fixture
def ledgers(url: str) -> Iterator[list[PostgresLedger]]:
    """One ledger for each of several workers: nothing is shared between them but the server."""
    opened_ = [PostgresLedger(url) for _ in range(WORKERS)]
    yield opened_
    for one in opened_:
        one.close()


def all_at_once(works: list[Callable[[], None]]) -> None:
    together = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        together.wait(10)
        work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what follows the end of a session, which the server notices in its own time."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_workers_that_claim_at_once_share_the_incidents_without_waiting(
    ledgers: list[PostgresLedger],
) -> None:
    for _ in range(40):
        ledgers[0].release(opened(ledgers[0]))
    claims: list[str] = []

    def claim(ledger: PostgresLedger, owner: str) -> None:
        while taken := ledger.claim_many(owner, LEASE_S, 3):
            claims.extend(one.incident_id for one in taken)

    all_at_once([partial(claim, ledger, f"w-{n}") for n, ledger in enumerate(ledgers)])

    assert sorted(claims) == sorted(f"INC-{n}" for n in range(1, 41))


def intended(ledger: PostgresLedger, wanted: Batch, written: list[str]) -> None:
    try:
        written.append(ledger.append(wanted).incident_id)
    except ChangedMeanwhileError:
        return


@pytest.mark.promise("L11")
def test_of_workers_that_act_on_one_target_at_once_one_passes(
    ledgers: list[PostgresLedger],
) -> None:
    for round_ in range(10):
        target = f"shop-{round_}@east"
        wanted = []
        for ledger in ledgers:
            claim = opened(ledger)
            one = LimitCheck(action="restart_service", target=target, window_s=600, most=1)
            wanted.append(intent(claim, seen(ledger, claim, limits=(one,)), target=target))
        written: list[str] = []
        pairs = zip(ledgers, wanted, strict=True)
        all_at_once([partial(intended, *pair, written) for pair in pairs])

        assert len(written) == 1, f"round {round_}: {written}"
        assert len(ledgers[0].actions_on(target, START)) == 1


def _freeze(ledger: PostgresLedger, _: list[str], number: int) -> None:
    ledger.append_system("freeze", {"scope": f"s-{number}"}, SYSTEM, START)


def _hold(ledger: PostgresLedger, incident_ids: list[str], number: int) -> None:
    for incident_id in incident_ids:
        ledger.submit(request(incident_id, f"hold-{incident_id}-{number}"))


@pytest.mark.promise("L13")
@pytest.mark.parametrize("stop", [_freeze, _hold])
def test_once_a_freeze_or_a_hold_is_acknowledged_no_intent_is_written_that_did_not_see_it(
    ledgers: list[PostgresLedger], stop: Callable[[PostgresLedger, list[str], int], None]
) -> None:
    for round_ in range(10):
        claims = [opened(ledger) for ledger in ledgers[1:]]
        wanted = [
            intent(claim, seen(ledger, claim), target=f"{claim.incident_id}@east")
            for ledger, claim in zip(ledgers[1:], claims, strict=True)
        ]
        ids = [claim.incident_id for claim in claims]
        acknowledged: list[int] = []
        pairs = zip(ledgers[1:], wanted, strict=True)
        all_at_once(
            [
                partial(
                    stopped, ledgers[0], partial(stop, ledgers[0], ids, round_), ids, acknowledged
                ),
                *(partial(intended, *pair, []) for pair in pairs),
            ]
        )

        assert [count_intents(ledgers[0], ids)] == acknowledged


def stopped(
    ledger: PostgresLedger, stop: Callable[[], None], ids: list[str], acknowledged: list[int]
) -> None:
    """Count the intents at the moment at which whoever asked is told that it holds."""
    stop()
    acknowledged.append(count_intents(ledger, ids))


def count_intents(ledger: PostgresLedger, incident_ids: list[str]) -> int:
    return sum(len(ledger.actions_on(f"{i}@east", START)) for i in incident_ids)


def test_a_worker_hears_at_once_what_another_one_wrote_and_again_after_its_line_was_lost(
    ledgers: list[PostgresLedger], url: str
) -> None:
    told = threading.Event()
    claim = opened(ledgers[0])
    stop = ledgers[1].listen(told.set)
    assert told.wait(10)  # what was written before it listened
    for number, write in enumerate((ledgers[0].submit, ledgers[2].submit)):
        told.clear()
        write(request(claim.incident_id, f"r-{number}"))
        assert told.wait(10)

    told.clear()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like '%at work%'"
            " and pid <> pg_backend_pid()"
        )
    assert told.wait(10)
    stop()


@pytest.mark.promise("L14")
def test_a_request_whose_notification_is_lost_is_found_by_the_poll(
    ledgers: list[PostgresLedger],
) -> None:
    claim = opened(ledgers[0])
    assert ledgers[0].park(claim, None)
    assert ledgers[1].claim_many("w-2", LEASE_S, 5) == []
    ledgers[0].submit(request(claim.incident_id))  # nobody listens

    assert [c.incident_id for c in ledgers[1].claim_many("w-2", LEASE_S, 5)] == [claim.incident_id]


def test_a_database_knows_whether_a_worker_listens(ledgers: list[PostgresLedger]) -> None:
    assert not ledgers[0].somebody_works()
    told = threading.Event()
    ledgers[1].listen(told.set)
    assert told.wait(10)
    assert ledgers[0].somebody_works()

    ledgers[1].close()
    eventually(lambda: not ledgers[0].somebody_works())


def test_one_process_at_a_time_is_the_detector_and_notices_when_it_no_longer_is(
    ledgers: list[PostgresLedger], url: str
) -> None:
    first, second = ledgers[0].only_detector(), ledgers[1].only_detector()
    assert first.held()
    assert not second.held()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where query = 'select 1' or "
            "query like '%pg_try_advisory_lock%' and pid <> pg_backend_pid()"
        )

    eventually(second.held)
    assert not first.held()
    second.release()
    eventually(first.held)
    first.release()


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
def test_a_worker_whose_store_clock_jumps_an_hour_takes_over_only_by_raising_the_fence(
    ledgers: list[PostgresLedger], url: str, ahead_s: float
) -> None:
    claim = opened(ledgers[0])
    jumped = PostgresLedger(url, ahead_s=ahead_s)
    taken = jumped.claim_many("w-2", LEASE_S, 5)

    assert [c.fence for c in taken] == ([2] if ahead_s > 0 else [])
    if taken:
        with pytest.raises(HoldfastError, match="is not current any more"):
            ledgers[0].append(batch(claim))
    else:
        assert ledgers[0].append(batch(claim)).seq == 2
    jumped.close()


def test_many_threads_of_one_worker_share_commits_and_lose_nothing(
    ledgers: list[PostgresLedger],
) -> None:
    ledger = ledgers[0]
    claims = {claim.incident_id: claim for claim in (opened(ledger) for _ in range(16))}
    before = _transactions(ledger)

    def write(incident_id: str) -> None:
        for _ in range(20):
            claims[incident_id] = ledger.append(batch(claims[incident_id]))

    all_at_once([partial(write, incident_id) for incident_id in claims])

    assert {claim.seq for claim in claims.values()} == {21}
    assert all(len(ledger.records(incident_id)) == 21 for incident_id in claims)
    assert _transactions(ledger) - before < 16 * 20


def _transactions(ledger: PostgresLedger) -> int:
    """Read the newest transaction id: each commit that wrote took one."""
    with ledger._server.connect() as connection:
        row = connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
    assert row is not None
    return int(row[0])


def test_renewals_and_appends_of_the_same_incidents_never_wait_for_each_other_in_a_ring(
    ledgers: list[PostgresLedger],
) -> None:
    ledger = ledgers[0]
    claims = {claim.incident_id: claim for claim in (opened(ledger) for _ in range(12))}
    deadlocks = _deadlocks(ledger)

    def write(incident_id: str) -> None:
        for _ in range(20):
            claims[incident_id] = ledger.append(batch(claims[incident_id]))

    def renew() -> None:
        for _ in range(40):
            assert ledger.renew_many(list(reversed(claims.values())), LEASE_S) == []

    all_at_once([renew, renew, *(partial(write, incident_id) for incident_id in claims)])

    assert {claim.seq for claim in claims.values()} == {21}
    assert _deadlocks(ledger) == deadlocks


def _deadlocks(ledger: PostgresLedger) -> int:
    with ledger._server.connect() as connection:
        row = connection.execute(
            "select deadlocks from pg_stat_database where datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])
