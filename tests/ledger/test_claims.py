"""Claims and leases: by the ledger's own clock, expired ones first, the oldest first."""

from datetime import timedelta

import pytest

from holdfast.kernel import ManualClock, StaleFenceError
from holdfast.ledger import SqliteLedger
from tests.ledger.ledger_parts import LEASE_S, batch, opened


def pass_s(clock: ManualClock, seconds: float) -> None:
    clock.jump(timedelta(seconds=seconds))


def test_a_live_lease_is_not_claimed_by_anybody(ledger: SqliteLedger, clock: ManualClock) -> None:
    claim = opened(ledger)
    pass_s(clock, LEASE_S - 0.001)

    assert ledger.claim_next("w-2", LEASE_S) is None
    assert ledger.claim_one(claim.incident_id, "w-2", LEASE_S) is None


def test_an_expired_lease_is_claimed_with_a_higher_fence_and_the_same_head(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    old = opened(ledger)
    pass_s(clock, LEASE_S)
    new = ledger.claim_next("w-2", LEASE_S)

    assert new is not None
    assert (new.fence, new.seq, new.head, new.owner) == (old.fence + 1, old.seq, old.head, "w-2")


def test_expired_leases_come_first_and_the_oldest_of_them_before_all(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    released = opened(ledger)
    later = opened(ledger, lease_s=20)
    earlier = opened(ledger, lease_s=10)
    ledger.release(released)
    pass_s(clock, 21)
    order = [ledger.claim_next("w-2", LEASE_S) for _ in range(4)]

    assert [claim.incident_id if claim else None for claim in order] == [
        earlier.incident_id,
        later.incident_id,
        released.incident_id,
        None,
    ]


def test_a_worker_that_claims_and_gives_back_at_once_does_not_starve_an_expired_lease(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    for _ in range(3):
        ledger.release(opened(ledger))
    dead = opened(ledger, lease_s=5)
    pass_s(clock, 6)
    claim = ledger.claim_next("w-2", LEASE_S)

    assert claim is not None
    assert claim.incident_id == dead.incident_id


def test_fences_never_go_back(ledger: SqliteLedger, clock: ManualClock) -> None:
    fences = [opened(ledger).fence]
    for number in range(5):
        pass_s(clock, LEASE_S + 1)
        claim = ledger.claim_next(f"w-{number}", LEASE_S)
        assert claim is not None
        fences.append(claim.fence)
        ledger.release(claim)
        again = ledger.claim_next("w-x", LEASE_S)
        assert again is not None
        fences.append(again.fence)

    assert fences == sorted(set(fences))


def test_a_released_incident_is_free_at_once(ledger: SqliteLedger) -> None:
    claim = opened(ledger)
    ledger.release(claim)

    assert ledger.claim_one(claim.incident_id, "w-2", LEASE_S) is not None


def test_a_late_release_takes_nothing_from_the_one_who_took_over(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    old = opened(ledger)
    pass_s(clock, LEASE_S + 1)
    new = ledger.claim_next("w-2", LEASE_S)
    assert new is not None
    ledger.release(old)

    assert ledger.lease_left_s(new) == LEASE_S
    assert ledger.append(batch(new)).seq == 2


def test_an_ended_incident_is_claimed_only_by_its_name(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    claim = ledger.append(batch(opened(ledger), ended=True))
    pass_s(clock, LEASE_S + 1)

    assert ledger.claim_next("w-2", LEASE_S) is None
    assert ledger.incident_ids(live_only=True) == []
    assert ledger.claim_one(claim.incident_id, "w-2", LEASE_S) is not None


def test_an_incident_without_a_record_is_never_claimed(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    claim = ledger.open_incident("w-1", LEASE_S)
    pass_s(clock, LEASE_S + 1)

    assert ledger.claim_next("w-2", LEASE_S) is None
    assert ledger.claim_one(claim.incident_id, "w-2", LEASE_S) is None


def test_a_renewed_lease_runs_from_now(ledger: SqliteLedger, clock: ManualClock) -> None:
    claim = opened(ledger)
    pass_s(clock, 20)
    assert ledger.lease_left_s(claim) == LEASE_S - 20

    ledger.renew(claim, LEASE_S)
    assert ledger.lease_left_s(claim) == LEASE_S


def test_a_lost_lease_has_nothing_left_and_is_not_renewed(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    old = opened(ledger)
    pass_s(clock, LEASE_S + 1)
    assert ledger.lease_left_s(old) == 0.0
    assert ledger.claim_next("w-2", LEASE_S) is not None

    assert ledger.lease_left_s(old) == 0.0
    with pytest.raises(StaleFenceError, match="of worker w-1 is not current"):
        ledger.renew(old, LEASE_S)


def test_a_clock_that_jumps_an_hour_hands_the_incident_to_one_worker_only(
    ledger: SqliteLedger, clock: ManualClock
) -> None:
    old = opened(ledger)
    pass_s(clock, 3600)
    claims = [ledger.claim_next(f"w-{n}", LEASE_S) for n in (2, 3)]

    assert [claim is not None for claim in claims] == [True, False]
    with pytest.raises(StaleFenceError):
        ledger.append(batch(old))
