"""Which incidents ended a short while ago: the ledger knows, whoever ended them."""

from datetime import timedelta

from holdfast.response.store import Claim, Ledger
from tests.ledger.ledger_parts import LEASE_S, START, batch, opened
from tests.ledger.twins import Twin

SOON = START + timedelta(seconds=600)


def end(ledger: Ledger, claim: Claim) -> Claim:
    after = ledger.append(batch(claim, ended=True, due_at=SOON))
    ledger.release(after)
    return after


def test_what_has_ended_is_listed_until_its_time(ledger: Ledger) -> None:
    live, first, second = (opened(ledger) for _ in range(3))
    for claim in (second, first):
        end(ledger, claim)
    ledger.append(batch(live, due_at=SOON))

    assert ledger.lately_ended(START) == [first.incident_id, second.incident_id]
    assert ledger.lately_ended(SOON) == []


def test_what_ended_without_a_time_is_not_listed(ledger: Ledger) -> None:
    ledger.append(batch(opened(ledger), ended=True))

    assert ledger.lately_ended(START) == []


def test_one_that_is_open_again_is_live_and_can_be_taken_over(twin: Twin) -> None:
    ledger = twin.ledger
    ended = end(ledger, opened(ledger))
    assert ledger.claim_many("w-2", LEASE_S, 5) == []

    again = ledger.claim_one(ended.incident_id, "w-2", LEASE_S)
    assert again is not None
    ledger.append(batch(again))

    assert again.fence > ended.fence
    assert ledger.lately_ended(START) == []
    assert list(ledger.incident_ids(live_only=True)) == [ended.incident_id]
    twin.pass_s(LEASE_S + 1)
    assert [claim.incident_id for claim in ledger.claim_many("w-3", LEASE_S, 5)] == [
        ended.incident_id
    ]
