"""Appends: all or nothing, by the holder of the fence, in the order of the chain."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.kernel import SYSTEM, LedgerUnavailableError, ManualClock, StaleFenceError
from holdfast.ledger import SqliteLedger
from holdfast.response.store import SYSTEM_CHAIN, Claim
from tests.ledger.ledger_parts import (
    LEASE_S,
    START,
    batch,
    count_commits,
    opened,
    record,
    seqs,
    writer_stopped,
)


def test_a_record_reads_back_as_it_was_written(ledger: SqliteLedger) -> None:
    claim = ledger.open_incident("w-1", LEASE_S)
    written = [record(claim, n, text=f"ü {n}", value=0.1 + n, nothing=None) for n in (1, 2, 3)]
    after = ledger.append(batch(claim, records=written))

    assert ledger.records(claim.incident_id) == written
    assert ledger.records(claim.incident_id, after=2) == written[2:]
    assert after.seq == 3
    assert ledger.links(claim.incident_id)[-1].hash == after.head


def test_an_incident_exists_once_its_first_record_does(ledger: SqliteLedger) -> None:
    claim = ledger.open_incident("w-1", LEASE_S)
    assert ledger.incident_ids() == []

    ledger.append(batch(claim))
    assert ledger.incident_ids() == [claim.incident_id]


def test_ids_count_up_and_a_number_never_used_leaves_a_gap(ledger: SqliteLedger) -> None:
    first = opened(ledger)
    ledger.open_incident("w-1", LEASE_S)
    third = opened(ledger)

    assert (first.incident_id, third.incident_id) == ("INC-1", "INC-3")
    assert ledger.incident_ids() == ["INC-1", "INC-3"]


def test_projections_are_written_with_their_records(ledger: SqliteLedger) -> None:
    claim = opened(ledger)
    key = f"incident:{claim.incident_id}:status"

    assert ledger.kv(key) == b'{"head":"%b","seq":1}' % claim.head.hex()[:6].encode()
    after = ledger.append(batch(claim, 2))
    assert ledger.kv(key) == b'{"head":"%b","seq":3}' % after.head.hex()[:6].encode()
    assert ledger.kv("incident:INC-9:status") is None


def _nothing_written(ledger: SqliteLedger, claim: Claim, attempt: Callable[[], object]) -> None:
    before = (ledger.links(claim.incident_id), ledger.kv(f"incident:{claim.incident_id}:status"))
    with pytest.raises(StaleFenceError, match=f"{claim.incident_id} moved on.*nothing was written"):
        attempt()

    after = (ledger.links(claim.incident_id), ledger.kv(f"incident:{claim.incident_id}:status"))
    assert before == after
    assert ledger.verify(claim.incident_id).ok


def test_a_worker_that_was_overtaken_writes_nothing(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    old = opened(ledger)
    clock.jump(timedelta(seconds=LEASE_S + 1))
    new = ledger.claim_next("w-2", LEASE_S)
    assert new is not None

    _nothing_written(ledger, old, lambda: ledger.append(batch(old)))
    assert new.fence == old.fence + 1
    assert ledger.append(batch(new)).seq == 2


def test_an_old_number_writes_nothing(ledger: SqliteLedger) -> None:
    before = opened(ledger)
    ledger.append(batch(before))

    _nothing_written(ledger, before, lambda: ledger.append(batch(before)))


def test_a_released_claim_writes_nothing(ledger: SqliteLedger) -> None:
    claim = opened(ledger)
    ledger.release(claim)

    _nothing_written(ledger, claim, lambda: ledger.append(batch(claim)))


@pytest.mark.parametrize("offset", [0, 2])
def test_a_gap_or_an_overlap_in_the_numbers_writes_nothing(
    ledger: SqliteLedger, offset: int
) -> None:
    claim = opened(ledger)
    wrong = batch(claim, records=[record(claim, offset)])

    _nothing_written(ledger, claim, lambda: ledger.append(wrong))


def test_a_value_that_is_no_json_is_refused_before_anything_is_written(
    ledger: SqliteLedger,
) -> None:
    claim = opened(ledger)
    with pytest.raises(ValueError, match="not JSON compliant"):
        ledger.append(batch(claim, records=[record(claim, value=float("nan"))]))

    assert ledger.append(batch(claim)).seq == 2


def test_an_append_after_the_lease_ran_out_counts_while_nobody_has_claimed_it(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    claim = opened(ledger)
    clock.jump(timedelta(seconds=LEASE_S * 2))

    after = ledger.append(batch(claim))
    assert ledger.lease_left_s(after) == LEASE_S


def test_sixteen_writers_of_sixteen_incidents_share_one_commit(ledger: SqliteLedger) -> None:
    claims = [opened(ledger) for _ in range(16)]
    commits = count_commits(ledger)
    with writer_stopped(ledger) as stopped, ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(ledger.append, batch(claim)) for claim in claims]
        stopped.wait_for(16)
        stopped.go()
        after = [future.result() for future in futures]

    assert [claim.seq for claim in after] == [2] * 16
    assert len(commits) == 2, "one for what stopped the writer, one for all sixteen"
    assert all(ledger.verify(claim.incident_id).ok for claim in claims)


def test_one_piece_that_fails_takes_nothing_else_of_its_group_with_it(ledger: SqliteLedger) -> None:
    claims = [opened(ledger) for _ in range(3)]
    ledger.append(batch(claims[1]))
    with writer_stopped(ledger) as stopped, ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(ledger.append, batch(claim)) for claim in claims]
        stopped.wait_for(3)
        stopped.go()

    assert futures[0].result().seq == 2
    assert isinstance(futures[1].exception(), StaleFenceError)
    assert futures[2].result().seq == 2


def test_sixteen_threads_lose_no_record_and_break_no_chain(ledger: SqliteLedger) -> None:
    def write(_: int) -> Claim:
        claim = ledger.open_incident("w-1", LEASE_S)
        for _ in range(10):
            claim = ledger.append(batch(claim))
        return claim

    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(write, range(16)))

    assert len({claim.incident_id for claim in claims}) == 16
    for claim in claims:
        verdict = ledger.verify(claim.incident_id)
        assert (verdict.ok, verdict.records, verdict.head) == (True, 10, claim.head)


def test_two_writers_of_one_claim_never_both_succeed(ledger: SqliteLedger) -> None:
    claim = opened(ledger)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(ledger.append, batch(claim)) for _ in range(8)]
        errors = [future.exception() for future in futures]

    assert errors.count(None) == 1
    assert seqs(ledger.records(claim.incident_id)) == [1, 2]


def test_a_chain_verifies_while_it_grows(ledger: SqliteLedger) -> None:
    claim = opened(ledger)
    stop = threading.Event()

    def grow() -> None:
        held = claim
        while not stop.is_set():
            held = ledger.append(batch(held))

    grower = threading.Thread(target=grow)
    grower.start()
    try:
        verdicts = [ledger.verify(claim.incident_id) for _ in range(100)]
    finally:
        stop.set()
        grower.join()

    assert [verdict.problem for verdict in verdicts if not verdict.ok] == []


def test_the_system_chain_counts_and_verifies_without_a_lease(ledger: SqliteLedger) -> None:
    for number in (1, 2, 3):
        written = ledger.append_system("freeze", {"n": number}, SYSTEM, START)
        assert written == ledger.system_seq() == number

    assert [one.data["n"] for one in ledger.records(SYSTEM_CHAIN)] == [1, 2, 3]
    assert ledger.verify(SYSTEM_CHAIN).ok
    assert ledger.incident_ids() == []


def test_what_is_written_is_there_after_a_restart(ledger: SqliteLedger, path: Path) -> None:
    claim = opened(ledger)
    ledger.close()
    again = SqliteLedger(path)
    try:
        assert again.verify(claim.incident_id).head == claim.head
        assert again.open_incident("w-2", LEASE_S).incident_id == "INC-2"
    finally:
        again.close()


def test_a_closed_ledger_answers_instead_of_waiting_for_ever(path: Path) -> None:
    closed = SqliteLedger(path)
    claim = opened(closed)
    closed.close()

    with pytest.raises(LedgerUnavailableError, match="was closed"):
        closed.append(batch(claim))
