"""Claims and leases: by the ledger's own clock, expired ones first, the oldest first."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from holdfast.kernel import StaleFenceError
from holdfast.response.store import Ledger
from tests.ledger.ledger_parts import (
    LEASE_S,
    LONG_AGO,
    Passing,
    batch,
    claim_next,
    intent,
    opened,
    request,
    seen,
)


def about(seconds: float) -> object:
    """A server's clock goes on while the test runs."""
    return pytest.approx(seconds, abs=3)


def test_a_live_lease_is_not_claimed_by_anybody(ledger: Ledger, pass_s: Passing) -> None:
    claim = opened(ledger)
    pass_s(LEASE_S - 5)

    assert claim_next(ledger, "w-2") is None
    assert ledger.claim_one(claim.incident_id, "w-2", LEASE_S) is None


def test_an_expired_lease_is_claimed_with_a_higher_fence_and_the_same_head(
    ledger: Ledger, pass_s: Passing
) -> None:
    old = opened(ledger)
    pass_s(LEASE_S)
    new = claim_next(ledger, "w-2")

    assert new is not None
    assert (new.fence, new.seq, new.head, new.owner) == (old.fence + 1, old.seq, old.head, "w-2")


@pytest.mark.promise("L14")
def test_expired_leases_come_first_and_the_oldest_of_them_before_all(
    ledger: Ledger, pass_s: Passing
) -> None:
    released = opened(ledger)
    later = opened(ledger, lease_s=20)
    earlier = opened(ledger, lease_s=10)
    ledger.release(released)
    pass_s(21)
    order = [*ledger.claim_many("w-2", LEASE_S, 2), *ledger.claim_many("w-2", LEASE_S, 2)]

    assert [claim.incident_id for claim in order] == [
        earlier.incident_id,
        later.incident_id,
        released.incident_id,
    ]


def test_a_worker_that_claims_and_gives_back_at_once_does_not_starve_an_expired_lease(
    ledger: Ledger, pass_s: Passing
) -> None:
    for _ in range(3):
        ledger.release(opened(ledger))
    dead = opened(ledger, lease_s=5)
    pass_s(6)
    claim = claim_next(ledger, "w-2")

    assert claim is not None
    assert claim.incident_id == dead.incident_id


@pytest.mark.promise("L9")
def test_fences_never_go_back(ledger: Ledger, pass_s: Passing) -> None:
    fences = [opened(ledger).fence]
    for number in range(5):
        pass_s(LEASE_S + 1)
        claim = claim_next(ledger, f"w-{number}")
        assert claim is not None
        fences.append(claim.fence)
        ledger.release(claim)
        again = claim_next(ledger, "w-x")
        assert again is not None
        fences.append(again.fence)

    assert fences == sorted(set(fences))


def test_a_released_incident_is_free_at_once(ledger: Ledger) -> None:
    claim = opened(ledger)
    ledger.release(claim)

    assert ledger.claim_one(claim.incident_id, "w-2", LEASE_S) is not None


def test_a_late_release_takes_nothing_from_the_one_who_took_over(
    ledger: Ledger, pass_s: Passing
) -> None:
    old = opened(ledger)
    pass_s(LEASE_S + 1)
    new = claim_next(ledger, "w-2")
    assert new is not None
    ledger.release(old)

    assert ledger.lease_left_s(new) == about(LEASE_S)
    assert ledger.append(batch(new)).seq == 2


def test_an_ended_incident_is_claimed_only_by_its_name(ledger: Ledger, pass_s: Passing) -> None:
    claim = ledger.append(batch(opened(ledger), ended=True))
    pass_s(LEASE_S + 1)

    assert claim_next(ledger, "w-2") is None
    assert ledger.incident_ids(live_only=True) == []
    assert ledger.claim_one(claim.incident_id, "w-2", LEASE_S) is not None


def test_an_incident_without_a_record_is_never_claimed(ledger: Ledger, pass_s: Passing) -> None:
    claim = ledger.open_incident("w-1", LEASE_S)
    pass_s(LEASE_S + 1)

    assert claim_next(ledger, "w-2") is None
    assert ledger.claim_one(claim.incident_id, "w-2", LEASE_S) is None


def test_a_renewed_lease_runs_from_now(ledger: Ledger, pass_s: Passing) -> None:
    claim = opened(ledger)
    pass_s(20)
    assert ledger.lease_left_s(claim) == about(LEASE_S - 20)

    assert ledger.renew_many([claim], LEASE_S) == []
    assert ledger.lease_left_s(claim) == about(LEASE_S)


def test_a_renewal_makes_no_lease_shorter(ledger: Ledger) -> None:
    claim = ledger.append(replace(batch(opened(ledger)), lease_s=5 * LEASE_S))

    assert ledger.renew_many([claim], LEASE_S) == []
    assert ledger.lease_left_s(claim) > 4 * LEASE_S


def test_a_lost_lease_has_nothing_left_and_is_not_renewed(ledger: Ledger, pass_s: Passing) -> None:
    old = opened(ledger)
    pass_s(LEASE_S + 1)
    assert ledger.lease_left_s(old) == 0.0
    assert claim_next(ledger, "w-2") is not None

    assert ledger.lease_left_s(old) == 0.0
    assert ledger.renew_many([old], LEASE_S) == [old]


def test_a_clock_that_jumps_an_hour_hands_the_incident_to_one_worker_only(
    ledger: Ledger, pass_s: Passing
) -> None:
    old = opened(ledger)
    pass_s(3600)
    claims = [claim_next(ledger, f"w-{n}") for n in (2, 3)]

    assert [claim is not None for claim in claims] == [True, False]
    with pytest.raises(StaleFenceError):
        ledger.append(batch(old))


def test_many_are_claimed_in_one_go_and_not_more_than_asked_for(
    ledger: Ledger, pass_s: Passing
) -> None:
    made = [opened(ledger) for _ in range(5)]
    pass_s(LEASE_S + 1)
    first, rest = ledger.claim_many("w-2", LEASE_S, 3), ledger.claim_many("w-3", LEASE_S, 9)

    assert [claim.incident_id for claim in [*first, *rest]] == [one.incident_id for one in made]
    assert (len(first), len(rest)) == (3, 2)
    assert all(claim.fence == 2 for claim in [*first, *rest])
    assert ledger.append(batch(first[0])).seq == 2


def test_workers_that_claim_at_once_share_what_there_is_and_nothing_twice(
    ledger: Ledger, pass_s: Passing
) -> None:
    for _ in range(40):
        opened(ledger)
    pass_s(LEASE_S + 1)
    with ThreadPoolExecutor(4) as pool:
        taken = pool.map(lambda n: ledger.claim_many(f"w-{n}", LEASE_S, 10), range(8))
    ids = [claim.incident_id for claims in taken for claim in claims]

    assert len(ids) == len(set(ids)) == 40


def test_leases_are_renewed_together_and_the_lost_ones_are_named(
    ledger: Ledger, pass_s: Passing
) -> None:
    lost, kept, released = opened(ledger, lease_s=5), opened(ledger), opened(ledger)
    ledger.release(released)
    pass_s(6)
    assert [claim.incident_id for claim in ledger.claim_many("w-2", LEASE_S, 1)] == [
        lost.incident_id
    ]

    assert ledger.renew_many([lost, kept, released], LEASE_S) == [lost, released]
    assert ledger.lease_left_s(kept) == about(LEASE_S)


@pytest.mark.promise("L14")
def test_a_parked_incident_is_left_alone_until_it_is_due(ledger: Ledger, pass_s: Passing) -> None:
    claim = opened(ledger)
    now = _store_now(ledger)
    assert ledger.park(claim, now + timedelta(seconds=3600))
    pass_s(LEASE_S * 2)
    assert ledger.claim_many("w-2", LEASE_S, 9) == []

    pass_s(3600)
    (again,) = ledger.claim_many("w-2", LEASE_S, 9)
    assert (again.fence, again.seq) == (claim.fence + 1, claim.seq)


def _store_now(ledger: Ledger) -> datetime:
    """Learn what time it is by the store's clock, from an action that it dates."""
    claim = opened(ledger)
    ledger.append(intent(claim, seen(ledger, claim), target="clock@here"))
    ledger.append(
        batch(
            replace(claim, seq=2, head=ledger.chain(claim.incident_id)[0][-1].hash),
            settles=(f"{claim.incident_id}/S1/1",),
            ended=True,
        )
    )
    return ledger.actions_on("clock@here", LONG_AGO)[-1].at


def test_a_parked_incident_without_a_time_waits_until_it_is_asked(
    ledger: Ledger, pass_s: Passing
) -> None:
    claim = opened(ledger)
    assert ledger.park(claim, None)
    pass_s(86_400 * 30)
    assert ledger.claim_many("w-2", LEASE_S, 9) == []

    ledger.submit(request(claim.incident_id))
    assert [c.incident_id for c in ledger.claim_many("w-2", LEASE_S, 9)] == [claim.incident_id]


def test_a_parked_incident_can_be_claimed_by_its_name_and_is_not_parked_then(
    ledger: Ledger,
) -> None:
    claim = opened(ledger)
    assert ledger.park(claim, None)
    named = ledger.claim_one(claim.incident_id, "w-2", LEASE_S)
    assert named is not None
    ledger.release(named)

    assert len(ledger.claim_many("w-3", LEASE_S, 9)) == 1


def test_an_incident_with_an_open_request_is_not_parked(ledger: Ledger) -> None:
    claim = opened(ledger)
    ledger.submit(request(claim.incident_id))

    assert not ledger.park(claim, None)
    assert ledger.append(batch(claim)).seq == 2, "the claim was kept"


def test_who_was_overtaken_parks_nothing(ledger: Ledger, pass_s: Passing) -> None:
    old = opened(ledger)
    pass_s(LEASE_S + 1)
    new = claim_next(ledger)
    assert new is not None

    assert not ledger.park(old, None)
    assert ledger.lease_left_s(new) == about(LEASE_S)


@pytest.mark.promise("L14")
def test_what_waits_parked_never_goes_before_an_expired_lease(
    ledger: Ledger, pass_s: Passing
) -> None:
    parked = opened(ledger)
    ledger.park(parked, LONG_AGO)
    dead = opened(ledger, lease_s=5)
    pass_s(6)

    assert [claim.incident_id for claim in ledger.claim_many("w-2", LEASE_S, 9)] == [
        dead.incident_id,
        parked.incident_id,
    ]
