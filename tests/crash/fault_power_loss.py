"""The power goes: of what was not synced, any part is on the disk, in any order, torn anywhere.

Several incidents run through the real protocol on the real SqliteLedger over a recording VFS. Each
case opens one image of the disk, checks what is there, and lets another worker go on from it.
"""

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from holdfast.kernel import HoldfastError, ManualClock
from holdfast.ledger import SqliteLedger
from holdfast.response.ports import Repeatability
from holdfast.response.store import Ledger
from tests.crash.checker import Accepted, Acknowledged, Arrival, check, read_history
from tests.crash.matrix import Case, Fault, Invariant, Outcome, Violation
from tests.crash.parts import (
    LEASE_S,
    ORIGIN,
    SERVICES,
    TargetReadings,
    Watch,
    a_note,
    go_on_alone,
    in_memory,
    interleaved,
    losing,
    make_carrier,
    opened,
)
from tests.crash.power import VFS, Disk, recording
from tests.crash.target import Target, TargetAction
from tests.crash.witness import Noted, noting, witnessed

FILE = "holdfast.db"
_IMAGES_PER_TRACE = 500
_RECOVERED = 0.05
_NOTES = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What happened once, with the moment of each thing on the disk's counter."""

    disk: Disk
    kind: Repeatability
    acknowledged: tuple[Acknowledged, ...]
    accepted: tuple[tuple[float, Accepted], ...]
    arrivals: tuple[Arrival, ...]
    ended: datetime


@lru_cache(maxsize=2)
def trace(seed: int) -> Trace:
    """Let several incidents run once, interleaved as the seed says, and note everything."""
    rng = random.Random(seed)
    kind = list(Repeatability)[seed % len(Repeatability)]
    disk, clock = Disk(), ManualClock(ORIGIN)
    target = Target(kind=kind, stamp=disk.moment, clock=clock.monotonic)
    notes: list[tuple[float, Noted]] = []
    with in_memory() as folder:
        SqliteLedger(folder / FILE, clock).close()
        disk.put(FILE, (folder / FILE).read_bytes())
        with recording(disk):
            ledger = SqliteLedger(folder / FILE, clock, vfs=VFS)
            seen = witnessed(ledger, lambda n: notes.append((disk.moment(), n)), disk.moment)
            _play(seen, target, clock, rng)
            ledger.close()
    return Trace(
        disk=disk,
        kind=kind,
        acknowledged=tuple(n for _, n in notes if isinstance(n, Acknowledged)),
        accepted=tuple((at, n) for at, n in notes if isinstance(n, Accepted)),
        arrivals=tuple(target.arrivals),
        ended=clock.now(),
    )


def _play(ledger: Ledger, target: Target, clock: ManualClock, rng: random.Random) -> None:
    """One to three incidents from their first record to their end; notes arrive in between."""
    readings = TargetReadings(target=target, clock=clock)
    action = TargetAction(target=target, repeatability=target.kind, after=losing(rng))
    carrier = make_carrier(ledger, action, readings, Watch(), threads=False)
    services = SERVICES[: rng.randint(1, 3)]
    incidents = [opened(carrier, service, "w-1") for service in services]
    for number, incident in enumerate(interleaved(carrier, incidents, clock, rng)):
        if rng.random() < _NOTES:
            ledger.submit(a_note(incident.claim.incident_id, number, clock.now()))


def run(case: Case) -> Outcome:
    """Cut the power of one trace at one moment, and look at what one disk may then hold."""
    rng = random.Random(case.seed)
    played = trace(case.seed // _IMAGES_PER_TRACE)
    counts = {"images": 1}
    moment = rng.randrange(1, played.disk.count + 1)
    files = played.disk.image(moment, rng, counts)
    with in_memory() as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        try:
            violations = _looked_at(folder / FILE, played, moment)
            if not violations and rng.random() < _RECOVERED:
                counts["recoveries"] = 1
                violations = _recovered(folder / FILE, played, moment, rng)
        except HoldfastError as error:
            violations = [_unreadable(error)]
    return Outcome(violations=violations, counts=counts)


def _unreadable(error: HoldfastError) -> Violation:
    return Violation(invariant=Invariant.I2, incident_id="-", what=f"can't be read: {error}")


def _looked_at(path: Path, played: Trace, moment: int) -> list[Violation]:
    """Open the image as Holdfast would, and check what is there."""
    ledger = SqliteLedger(path, ManualClock(played.ended))
    try:
        return check(
            read_history(
                ledger,
                acknowledged=[a for a in played.acknowledged if (a.at or 0) <= moment],
                arrivals=[a for a in played.arrivals if (a.at or 0) <= moment],
                accepted=[a for at, a in played.accepted if at <= moment],
                repeatability={"write_mark": played.kind},
            )
        )
    finally:
        ledger.close()


def _recovered(path: Path, played: Trace, moment: int, rng: random.Random) -> list[Violation]:
    """Let another worker take over what is on the disk, until everything is at rest."""
    clock = ManualClock(played.ended + timedelta(seconds=2 * LEASE_S))
    before = [a for a in played.arrivals if (a.at or 0) <= moment]
    target = Target.after(played.kind, before, clock.monotonic)
    acknowledged = [a for a in played.acknowledged if (a.at or 0) <= moment]
    ledger = SqliteLedger(path, clock)
    try:
        go_on_alone(witnessed(ledger, noting(acknowledged), lambda: math.inf), target, clock, rng)
        return check(
            read_history(
                ledger,
                acknowledged=acknowledged,
                arrivals=target.arrivals,
                accepted=[a for at, a in played.accepted if at <= moment],
                repeatability={"write_mark": played.kind},
                quiet=True,
            )
        )
    finally:
        ledger.close()


FAULT = Fault(
    name="power_loss",
    how="an apsw VFS notes writes and syncs; seeded images lose, tear and reorder the unsynced",
    stores=("sqlite",),
    default=2_000,
    full=500_000,
    run=run,
)
