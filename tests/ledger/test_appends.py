"""Appends: all or nothing, by the holder of the fence, in the order of the chain."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.kernel import SYSTEM, LedgerUnavailableError, StaleFenceError
from holdfast.ledger import verify
from holdfast.response.store import SYSTEM_CHAIN, Claim, HeadMark, Ledger
from tests.ledger.ledger_parts import (
    LEASE_S,
    START,
    Passing,
    batch,
    bodies,
    claim_next,
    opened,
    record,
    seqs,
)
from tests.ledger.twins import Twin


def test_a_record_reads_back_as_it_was_written(ledger: Ledger) -> None:
    claim = ledger.open_incident("w-1", LEASE_S)
    written = [record(claim, n, text=f"ü {n}", value=0.1 + n, nothing=None) for n in (1, 2, 3)]
    after = ledger.append(batch(claim, records=written))

    assert ledger.records(claim.incident_id) == written
    assert ledger.records(claim.incident_id, after=2) == written[2:]
    assert after.seq == 3
    assert bodies(ledger, claim.incident_id)[-1].hash == after.head


def test_an_incident_exists_once_its_first_record_does(ledger: Ledger) -> None:
    claim = ledger.open_incident("w-1", LEASE_S)
    assert ledger.incident_ids() == []

    ledger.append(batch(claim))
    assert ledger.incident_ids() == [claim.incident_id]


def test_ids_count_up_and_a_number_never_used_leaves_a_gap(ledger: Ledger) -> None:
    first = opened(ledger)
    ledger.open_incident("w-1", LEASE_S)
    third = opened(ledger)

    assert (first.incident_id, third.incident_id) == ("INC-1", "INC-3")
    assert ledger.incident_ids() == ["INC-1", "INC-3"]


def test_projections_are_written_with_their_records(ledger: Ledger) -> None:
    claim = opened(ledger)
    key = f"incident:{claim.incident_id}:status"

    assert ledger.kv(key) == b'{"head":"%b","seq":1}' % claim.head.hex()[:6].encode()
    after = ledger.append(batch(claim, 2))
    assert ledger.kv(key) == b'{"head":"%b","seq":3}' % after.head.hex()[:6].encode()
    assert ledger.kv("incident:INC-9:status") is None


def _nothing_written(ledger: Ledger, claim: Claim, attempt: Callable[[], object]) -> None:
    before = (bodies(ledger, claim.incident_id), ledger.kv(f"incident:{claim.incident_id}:status"))
    with pytest.raises(StaleFenceError, match=f"{claim.incident_id} moved on.*nothing was written"):
        attempt()

    after = (bodies(ledger, claim.incident_id), ledger.kv(f"incident:{claim.incident_id}:status"))
    assert before == after
    assert verify(ledger, claim.incident_id).ok


@pytest.mark.promise("L9")
def test_a_worker_that_was_overtaken_writes_nothing(ledger: Ledger, pass_s: Passing) -> None:
    old = opened(ledger)
    pass_s(LEASE_S + 1)
    new = claim_next(ledger, "w-2")
    assert new is not None

    _nothing_written(ledger, old, lambda: ledger.append(batch(old)))
    assert new.fence == old.fence + 1
    assert ledger.append(batch(new)).seq == 2


def test_an_old_number_writes_nothing(ledger: Ledger) -> None:
    before = opened(ledger)
    ledger.append(batch(before))

    _nothing_written(ledger, before, lambda: ledger.append(batch(before)))


def test_a_released_claim_writes_nothing(ledger: Ledger) -> None:
    claim = opened(ledger)
    ledger.release(claim)

    _nothing_written(ledger, claim, lambda: ledger.append(batch(claim)))


@pytest.mark.parametrize("offset", [0, 2])
def test_a_gap_or_an_overlap_in_the_numbers_writes_nothing(ledger: Ledger, offset: int) -> None:
    claim = opened(ledger)
    wrong = batch(claim, records=[record(claim, offset)])

    _nothing_written(ledger, claim, lambda: ledger.append(wrong))


def test_a_value_that_is_no_json_is_refused_before_anything_is_written(
    ledger: Ledger,
) -> None:
    claim = opened(ledger)
    with pytest.raises(ValueError, match="not JSON compliant"):
        ledger.append(batch(claim, records=[record(claim, value=float("nan"))]))

    assert ledger.append(batch(claim)).seq == 2


def test_an_append_after_the_lease_ran_out_counts_while_nobody_has_claimed_it(
    ledger: Ledger, pass_s: Passing
) -> None:
    claim = opened(ledger)
    pass_s(LEASE_S * 2)

    after = ledger.append(batch(claim))
    assert ledger.lease_left_s(after) == pytest.approx(LEASE_S, abs=3)


@pytest.mark.promise("L1")
def test_sixteen_threads_lose_no_record_and_break_no_chain(ledger: Ledger) -> None:
    def write(_: int) -> Claim:
        claim = ledger.open_incident("w-1", LEASE_S)
        for _ in range(10):
            claim = ledger.append(batch(claim))
        return claim

    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(write, range(16)))

    assert len({claim.incident_id for claim in claims}) == 16
    for claim in claims:
        verdict = verify(ledger, claim.incident_id)
        assert (verdict.ok, verdict.records, verdict.head) == (True, 10, claim.head)


@pytest.mark.promise("L9")
def test_two_writers_of_one_claim_never_both_succeed(ledger: Ledger) -> None:
    claim = opened(ledger)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(ledger.append, batch(claim)) for _ in range(8)]
        errors = [future.exception() for future in futures]

    assert errors.count(None) == 1
    assert seqs(ledger.records(claim.incident_id)) == [1, 2]


def test_a_chain_verifies_while_it_grows(ledger: Ledger) -> None:
    claim = opened(ledger)
    stop = threading.Event()

    def grow() -> None:
        held = claim
        while not stop.is_set() and held.seq < 2000:
            held = ledger.append(batch(held))

    grower = threading.Thread(target=grow)
    grower.start()
    try:
        verdicts = [verify(ledger, claim.incident_id) for _ in range(30)]
    finally:
        stop.set()
        grower.join()

    assert [verdict.problem for verdict in verdicts if not verdict.ok] == []


def test_the_system_chain_counts_and_verifies_without_a_lease(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        written = ledger.append_system("freeze", {"n": number}, SYSTEM, START)
        assert written == ledger.system_seq() == number

    assert [one.data["n"] for one in ledger.records(SYSTEM_CHAIN)] == [1, 2, 3]
    assert verify(ledger, SYSTEM_CHAIN).ok
    assert ledger.incident_ids() == []


@pytest.mark.promise("L1")
def test_what_is_written_is_there_after_a_restart(durable: Twin) -> None:
    claim = opened(durable.ledger)
    durable.ledger.close()
    again = durable.reopened()

    assert verify(again, claim.incident_id).head == claim.head
    assert again.open_incident("w-2", LEASE_S).incident_id == "INC-2"


def test_a_closed_ledger_answers_instead_of_waiting_for_ever(ledger: Ledger) -> None:
    claim = opened(ledger)
    ledger.close()

    with pytest.raises(LedgerUnavailableError, match="closed"):
        ledger.append(batch(claim))


def test_batches_written_together_each_stand_or_fall_alone(ledger: Ledger) -> None:
    claims = [opened(ledger) for _ in range(4)]
    ledger.append(batch(claims[1]))
    wrong = batch(claims[2], records=[record(claims[2], value=float("nan"))])
    outcomes = ledger.append_many([batch(claims[0]), batch(claims[1]), wrong, batch(claims[3], 2)])

    assert [type(one).__name__ for one in outcomes] == [
        "Claim",
        "StaleFenceError",
        "ValueError",
        "Claim",
    ]
    assert [len(bodies(ledger, claim.incident_id)) for claim in claims] == [2, 2, 1, 3]
    assert ledger.append_many([]) == []


def test_several_chains_are_read_whole_in_one_go(ledger: Ledger) -> None:
    claims = [ledger.append(batch(opened(ledger), 2)) for _ in range(3)]
    found = ledger.records_of([claims[2].incident_id, claims[0].incident_id, "INC-99"])

    assert sorted(found) == ["INC-1", "INC-3"]
    assert [seqs(records) for records in found.values()] == [[1, 2, 3], [1, 2, 3]]
    assert ledger.records_of([]) == {}


def test_a_chain_is_read_with_its_head_and_an_unknown_one_has_none(ledger: Ledger) -> None:
    claim = ledger.append(batch(opened(ledger), 2))
    links, mark = ledger.chain(claim.incident_id)

    assert (len(links), mark) == (
        3,
        HeadMark(incident_id=claim.incident_id, seq=3, head=claim.head),
    )
    assert ledger.chain("INC-99") == ([], None)


def test_a_long_chain_can_be_read_in_pages(ledger: Ledger) -> None:
    claim = ledger.append(batch(opened(ledger), count=5))
    read = [r.seq for r in ledger.records(claim.incident_id, after=2, most=2)]

    assert read == [3, 4]
    assert len(ledger.records(claim.incident_id, after=2)) == claim.seq - 2
