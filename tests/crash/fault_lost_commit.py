"""The server ends the session in the middle of a commit: no reply comes, and nothing was written.

A trigger inside of the database ends the session of whoever writes a record, now and then. What the
worker makes of the missing reply must be what the store holds. (That the commit happened and only the
reply is lost is what the partitions try.)
"""

import itertools
import random
from collections.abc import Callable
from datetime import timedelta

from holdfast.kernel import LedgerUnavailableError, ManualClock, StaleFenceError
from holdfast.response.ports import Repeatability
from holdfast.response.store import Ledger
from tests.crash.checker import check, counted, read_history
from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.parts import (
    LEASE_S,
    ORIGIN,
    SERVICES,
    TargetReadings,
    Watch,
    a_note,
    go_on_alone,
    losing,
    make_carrier,
    moves,
    opened,
)
from tests.crash.stores import execute, place_of
from tests.crash.target import Target, TargetAction
from tests.crash.witness import Noted, sorted_out, witnessed

_ROUNDS = 40
# A sequence does not roll back, so that the same append is not ended for ever.
_TRAP = """
drop function if exists crash_now() cascade;
drop sequence if exists crash_count;
create sequence crash_count;
create function crash_now() returns trigger language plpgsql as $$
begin
  if nextval('crash_count') % {every} = {at} then
    perform pg_terminate_backend(pg_backend_pid());
  end if;
  return new;
end $$;
create trigger crash_now before insert on record for each row execute function crash_now();
"""


def run(case: Case) -> Outcome:
    """Work while sessions end, then undisturbed, then ask the checker."""
    rng = random.Random(case.seed)
    clock, notes = ManualClock(ORIGIN), list[Noted]()
    kind = list(Repeatability)[case.seed % len(Repeatability)]
    target = Target(kind=kind, clock=clock.monotonic, stamp=_counting())
    every = rng.randint(2, 12)
    with place_of(case) as place:
        ledger = place.open_at(clock, 0.0)
        execute(place.url, _TRAP.format(every=every, at=rng.randrange(every)))
        _worked(witnessed(ledger, notes.append, target.stamp), target, clock, rng)
        ledger.close()
        execute(place.url, "drop trigger crash_now on record")
        clock.jump(timedelta(seconds=2 * LEASE_S))
        ledger = place.open_at(clock, 2 * LEASE_S)
        try:
            go_on_alone(witnessed(ledger, notes.append, target.stamp), target, clock, rng)
            noted = sorted_out(notes)
            history = read_history(
                ledger,
                acknowledged=noted.acknowledged,
                accepted=noted.accepted,
                claimed=noted.claimed,
                arrivals=target.arrivals,
                repeatability={"write_mark": kind},
                quiet=True,
            )
        finally:
            ledger.close()
    return Outcome(violations=check(history), counts=counted(history))


def _counting() -> Callable[[], float]:
    numbers = itertools.count(1)
    return lambda: float(next(numbers))


def _worked(ledger: Ledger, target: Target, clock: ManualClock, rng: random.Random) -> None:
    """Work as the engine does, which goes on with the others after an error of one incident."""
    readings = TargetReadings(target=target, clock=clock)
    action = TargetAction(target=target, repeatability=target.kind, after=losing(rng))
    carrier = make_carrier(ledger, action, readings, Watch(), threads=False)
    cases = []
    for service in SERVICES[: rng.randint(1, 3)]:
        try:
            cases.append(opened(carrier, service, "w-1"))
        except (LedgerUnavailableError, StaleFenceError):
            continue
    for number in range(_ROUNDS):
        clock.jump(timedelta(seconds=0.5))
        for case in list(cases):
            try:
                if rng.random() < 0.05:
                    ledger.submit(a_note(case.claim.incident_id, number, clock.now()))
                for _ in moves(carrier, case):
                    pass
            except LedgerUnavailableError:
                continue
            except StaleFenceError:
                cases.remove(case)


FAULT = Fault(
    name="lost_commit",
    how="a trigger ends the session of whoever commits a record, so that no reply comes",
    stores=("postgres",),
    default=6,
    full=300,
    run=run,
)
