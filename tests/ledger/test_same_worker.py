"""A worker that lost an incident and claimed it again has two claims, and only the newer one writes."""

from collections.abc import Callable

import pytest

from holdfast.kernel import StaleFenceError
from holdfast.response.store import Ledger
from tests.ledger.ledger_parts import LEASE_S, batch, intent, opened, seen, seqs


@pytest.mark.promise("L9")
def test_the_older_claim_of_the_same_worker_writes_nothing_once_it_has_claimed_again(
    ledger: Ledger, pass_s: Callable[[float], None]
) -> None:
    old = opened(ledger, "w-1")
    pass_s(LEASE_S + 1)
    (new,) = ledger.claim_many("w-1", LEASE_S, 5)
    for wanted in (batch(old), intent(old, seen(ledger, old))):
        with pytest.raises(StaleFenceError, match="fence 1, record 1"):
            ledger.append(wanted)

    assert seqs(ledger.records(old.incident_id)) == [1]
    assert ledger.append(batch(new)).fence == 2


def test_the_older_claim_of_the_same_worker_renews_and_gives_back_nothing(
    ledger: Ledger, pass_s: Callable[[float], None]
) -> None:
    old = opened(ledger, "w-1")
    pass_s(LEASE_S + 1)
    (new,) = ledger.claim_many("w-1", LEASE_S, 5)

    assert ledger.renew_many([old], LEASE_S) == [old]
    assert not ledger.park(old, None)
    ledger.release(old)
    assert ledger.lease_left_s(new) == LEASE_S
    assert ledger.lease_left_s(old) == 0.0
