"""The second look: what changed since the guard looked stops the intent, and nothing is written."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from holdfast.kernel import SYSTEM, StaleFenceError
from holdfast.ledger import verify
from holdfast.response.store import (
    Answer,
    Batch,
    ChangedMeanwhileError,
    Claim,
    Ledger,
    LimitCheck,
)
from tests.ledger.ledger_parts import (
    FAR_OFF,
    LEASE_S,
    LONG_AGO,
    START,
    Passing,
    batch,
    bodies,
    claim_next,
    intent,
    opened,
    request,
    seen,
    seqs,
)

TWO_RESTARTS = (LimitCheck(action="restart_service", target="shop@east", window_s=600, most=2),)


def refused(ledger: Ledger, claim: Claim, wanted: Batch, why: str) -> None:
    before = bodies(ledger, claim.incident_id)
    log = ledger.actions_on("shop@east", LONG_AGO)
    with pytest.raises(ChangedMeanwhileError, match=why):
        ledger.append(wanted)

    assert bodies(ledger, claim.incident_id) == before
    assert ledger.actions_on("shop@east", LONG_AGO) == log


def performed(ledger: Ledger, *, settled: bool = True) -> Claim:
    """Let another incident act on the target, and settle it."""
    claim = opened(ledger)
    wanted = intent(claim, seen(ledger, claim))
    claim = ledger.append(wanted)
    if settled and wanted.reserve is not None:
        claim = ledger.append(batch(claim, settles=(wanted.reserve.key,)))
    return claim


def test_an_intent_with_nothing_changed_is_written_with_its_reservation(
    ledger: Ledger, pass_s: Passing
) -> None:
    claim = opened(ledger)
    after = ledger.append(intent(claim, seen(ledger, claim, limits=TWO_RESTARTS, cooldown_s=30)))
    (entry,) = ledger.actions_on("shop@east", LONG_AGO)

    assert after.seq == 2
    assert (entry.key, entry.settled) == ("INC-1/S1/1", False)


def _freeze(ledger: Ledger, _: Claim) -> None:
    ledger.append_system("freeze", {"scope": "all"}, SYSTEM, START)


def _ask(ledger: Ledger, claim: Claim) -> None:
    ledger.submit(request(claim.incident_id))


def _act_elsewhere(ledger: Ledger, _: Claim) -> None:
    performed(ledger, settled=False)


@pytest.mark.promise("L13")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_freeze, "the installation's state"),
        (_ask, "a person's request arrived"),
        (_act_elsewhere, r"step S1 of INC-2 on shop@east has no outcome yet"),
    ],
)
def test_what_changed_since_the_guard_looked_stops_the_intent(
    ledger: Ledger, change: Callable[[Ledger, Claim], None], why: str
) -> None:
    claim = opened(ledger)
    looked = seen(ledger, claim)
    change(ledger, claim)

    refused(ledger, claim, intent(claim, looked), why)


def test_a_request_for_another_incident_stops_nothing(ledger: Ledger) -> None:
    claim, other = opened(ledger), opened(ledger)
    looked = seen(ledger, claim)
    ledger.submit(request(other.incident_id))

    assert ledger.append(intent(claim, looked)).seq == 2


def test_a_request_that_was_answered_meanwhile_stops_nothing(ledger: Ledger) -> None:
    claim = opened(ledger)
    looked = seen(ledger, claim)
    ledger.submit(request(claim.incident_id))
    ledger.answer("r-1", Answer(ok=True, message="noted"))

    assert ledger.append(intent(claim, looked)).seq == 2


@pytest.mark.promise("L11")
def test_the_limit_of_restarts_is_counted_in_the_transaction_across_incidents(
    ledger: Ledger, pass_s: Passing
) -> None:
    performed(ledger)
    performed(ledger)
    claim = opened(ledger)
    third = intent(claim, seen(ledger, claim, limits=TWO_RESTARTS))

    refused(ledger, claim, third, r"restart_service on shop@east was done 2 times in 600 s")
    pass_s(601)
    assert ledger.append(third).seq == 2


@pytest.mark.promise("L11")
def test_two_workers_cannot_both_take_the_last_restart(ledger: Ledger) -> None:
    performed(ledger)
    first, second = opened(ledger), opened(ledger)
    looks = [seen(ledger, claim, limits=TWO_RESTARTS) for claim in (first, second)]
    taken = intent(first, looks[0])
    ledger.append(taken)
    assert taken.reserve is not None

    refused(ledger, second, intent(second, looks[1]), "has no outcome yet|was done 2 times")


def test_another_action_or_target_does_not_count_for_the_limit(ledger: Ledger) -> None:
    for target in ("shop@west", "other@east"):
        claim = opened(ledger)
        ledger.append(intent(claim, seen(ledger, claim), target=target))
    claim = opened(ledger)
    one = (LimitCheck(action="restart_service", target="shop@east", window_s=600, most=1),)

    assert ledger.append(intent(claim, seen(ledger, claim, limits=one))).seq == 2


@pytest.mark.promise("L11")
def test_a_target_that_was_just_acted_on_rests_for_the_cooldown(
    ledger: Ledger, pass_s: Passing
) -> None:
    performed(ledger)
    pass_s(20)
    claim = opened(ledger)
    wanted = intent(claim, seen(ledger, claim, cooldown_s=30))

    refused(ledger, claim, wanted, r"shop@east was acted on 2\d\.\d s ago")
    pass_s(10)
    assert ledger.append(wanted).seq == 2


@pytest.mark.promise("L6")
def test_the_same_attempt_is_never_intended_twice(ledger: Ledger, pass_s: Passing) -> None:
    claim = performed(ledger)
    pass_s(LEASE_S * 100)

    again = intent(claim, seen(ledger, claim))
    refused(ledger, claim, again, "attempt INC-1/S1/1 was intended before")
    assert ledger.append(intent(claim, seen(ledger, claim), attempt=2)).seq == 4


@pytest.mark.promise("L12")
def test_an_unsettled_step_keeps_its_target_for_ever_and_gives_it_back_settled(
    ledger: Ledger, pass_s: Passing
) -> None:
    holder = performed(ledger, settled=False)
    pass_s(86_400 * 30)
    claim = opened(ledger)
    wanted = intent(claim, seen(ledger, claim))
    refused(ledger, claim, wanted, "has no outcome yet")
    assert [e.settled for e in ledger.actions_on("shop@east", FAR_OFF)] == [False]

    ledger.append(batch(holder, settles=("INC-1/S1/1",)))
    assert ledger.append(wanted).seq == 2


def test_the_rate_of_all_actions_is_counted_over_every_target_and_incident(
    ledger: Ledger, pass_s: Passing
) -> None:
    for number, target in enumerate(("shop@east", "stock@west", "shop@east")):
        claim = opened(ledger)
        wanted = intent(claim, seen(ledger, claim), target=target)
        claim = ledger.append(wanted)
        if number != 1 and wanted.reserve is not None:
            ledger.append(batch(claim, settles=(wanted.reserve.key,)))
        pass_s(600)
    found = ledger.actions_since(LONG_AGO)

    assert [entry.incident_id for entry in found] == ["INC-1", "INC-2", "INC-3"]
    assert [entry.target for entry in found] == ["shop@east", "stock@west", "shop@east"]
    assert [entry.settled for entry in found] == [True, False, True]
    # The moment itself counts, and what is older does not, settled or not.
    assert ledger.actions_since(found[1].at) == found[1:]
    assert ledger.actions_since(found[1].at + timedelta(seconds=1)) == found[2:]
    assert ledger.actions_since(FAR_OFF) == []


def test_an_intent_of_a_worker_that_was_overtaken_reserves_nothing(
    ledger: Ledger, pass_s: Passing
) -> None:
    claim = opened(ledger)
    wanted = intent(claim, seen(ledger, claim))
    pass_s(LEASE_S + 1)
    assert claim_next(ledger, "w-2") is not None
    with pytest.raises(StaleFenceError):
        ledger.append(wanted)

    assert ledger.actions_on("shop@east", LONG_AGO) == []
    assert seqs(ledger.records(claim.incident_id)) == [1]


def test_an_intent_refused_among_other_batches_leaves_nothing_of_itself(ledger: Ledger) -> None:
    claim, other = opened(ledger), opened(ledger)
    looked = seen(ledger, claim)
    _freeze(ledger, claim)
    refusal, written = ledger.append_many([intent(claim, looked), batch(other)])

    assert isinstance(refusal, ChangedMeanwhileError)
    assert isinstance(written, Claim)
    assert ledger.actions_on("shop@east", LONG_AGO) == []
    assert verify(ledger, claim.incident_id).ok
    assert ledger.append(batch(claim)).seq == 2, "the claim is good as it was"
