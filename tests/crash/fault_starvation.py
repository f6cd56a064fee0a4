"""A dead worker's incident must not wait behind those that are given back again and again.

Workers come one after another, take one incident each, and give it back. Some incidents never end.
The one whose worker died must come to rest all the same: expired leases are claimed first.
"""

import random
from datetime import timedelta

from holdfast.engine import Carrier
from holdfast.kernel import ManualClock
from holdfast.response.ports import Repeatability
from holdfast.response.store import Claim, Ledger
from tests.crash.checker import check, read_history
from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.parts import (
    LEASE_S,
    ORIGIN,
    SERVICES,
    TargetReadings,
    Watch,
    interleaved,
    make_carrier,
    moves,
    opened,
    taken_over,
)
from tests.crash.stores import place_of
from tests.crash.target import Target, TargetAction
from tests.crash.witness import Noted, sorted_out, witnessed

_ROUNDS = 30


def run(case: Case) -> Outcome:
    """Let one worker die among others that only ever do a little and give back."""
    rng = random.Random(case.seed)
    clock, notes = ManualClock(ORIGIN), list[Noted]()
    kind = list(Repeatability)[case.seed % len(Repeatability)]
    target = Target(kind=kind, clock=clock.monotonic, stamp=clock.monotonic)
    with place_of(case) as place:
        ledger = place.open_at(clock, 0.0)
        busy = _given_back(ledger, target, clock, rng)
        dead = _left_by_a_dead_worker(ledger, target, clock, rng)
        ledger.close()
        clock.jump(timedelta(seconds=2 * LEASE_S))
        ledger = place.open_at(clock, 2 * LEASE_S)
        try:
            seen = witnessed(ledger, notes.append, clock.monotonic)
            for number in range(_ROUNDS):
                for claim in seen.claim_many(f"w-{number + 2}", LEASE_S, 1):
                    _a_little(seen, claim, target, clock, rng, whole=claim.incident_id == dead)
            noted = sorted_out(notes)
            history = read_history(
                ledger,
                acknowledged=noted.acknowledged,
                claimed=noted.claimed,
                arrivals=target.arrivals,
                repeatability={"write_mark": kind},
                quiet=True,
            )
        finally:
            ledger.close()
    # The others are under way for ever, and are not judged by whether they ended.
    found = [violation for violation in check(history) if violation.incident_id not in busy]
    return Outcome(violations=found, counts={"claims": len(noted.claimed)})


def _given_back(ledger: Ledger, target: Target, clock: ManualClock, rng: random.Random) -> set[str]:
    """Make incidents that older workers opened and gave back."""
    carrier = _carrier(ledger, target, clock)
    names = set()
    for service in SERVICES[: rng.randint(1, 3)]:
        incident = opened(carrier, service, "w-0")
        ledger.release(incident.claim)
        names.add(incident.claim.incident_id)
    return names


def _left_by_a_dead_worker(
    ledger: Ledger, target: Target, clock: ManualClock, rng: random.Random
) -> str:
    carrier = _carrier(ledger, target, clock)
    incident = opened(carrier, SERVICES[3], "w-1")
    for _ in zip(range(rng.randint(0, 40)), moves(carrier, incident), strict=False):
        pass
    return incident.claim.incident_id


def _a_little(
    ledger: Ledger,
    claim: Claim,
    target: Target,
    clock: ManualClock,
    rng: random.Random,
    *,
    whole: bool,
) -> None:
    """Do one incident to its rest, or nothing on it; then give it back."""
    carrier = _carrier(ledger, target, clock)
    incident = taken_over(carrier, claim)
    if whole:
        for _ in interleaved(carrier, [incident], clock, rng):
            pass
    ledger.release(incident.claim)


def _carrier(ledger: Ledger, target: Target, clock: ManualClock) -> Carrier:
    readings = TargetReadings(target=target, clock=clock)
    action = TargetAction(target=target, repeatability=target.kind)
    return make_carrier(ledger, action, readings, Watch(), threads=False)


FAULT = Fault(
    name="starvation",
    how="an incident whose worker died, among others that are given back again and again",
    stores=("sqlite", "postgres"),
    default=3,
    full=200,
    run=run,
)
