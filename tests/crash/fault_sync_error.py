"""A sync returns an I/O error: what was not synced is gone, and asking again would be told a lie.

After the error the ledger writes nothing more and no action runs. The power then goes, so that only
what the disk really has is left, and another worker goes on from there.
"""

import random
from contextlib import suppress
from datetime import timedelta

import apsw

from holdfast.kernel import LedgerUnavailableError, ManualClock
from holdfast.ledger import SqliteLedger
from holdfast.response.ports import Repeatability
from holdfast.response.store import Ledger
from tests.crash.checker import Acknowledged, check, read_history
from tests.crash.fault_power_loss import FILE
from tests.crash.matrix import Case, Fault, Invariant, Outcome, Violation
from tests.crash.parts import (
    LEASE_S,
    ORIGIN,
    SERVICES,
    TargetReadings,
    Watch,
    go_on_alone,
    in_memory,
    losing,
    make_carrier,
    moves,
    opened,
)
from tests.crash.power import VFS, Disk, recording
from tests.crash.target import Target, TargetAction
from tests.crash.witness import noting, witnessed

# An undisturbed run of three incidents syncs about this often.
_SYNCS = 60
_ROUNDS_AFTER = 40


def run(case: Case) -> Outcome:
    """Fail one sync, go on asking for a while, cut the power, and look at what is left."""
    rng = random.Random(case.seed)
    kind = list(Repeatability)[case.seed % len(Repeatability)]
    disk, clock = Disk(), ManualClock(ORIGIN)
    target = Target(kind=kind, stamp=disk.moment, clock=clock.monotonic)
    acknowledged: list[Acknowledged] = []
    with in_memory() as folder:
        SqliteLedger(folder / FILE, clock).close()
        disk.put(FILE, (folder / FILE).read_bytes())
        disk.fail_at = rng.randrange(1, _SYNCS)
        with recording(disk):
            ledger = SqliteLedger(folder / FILE, clock, vfs=VFS)
            seen = witnessed(ledger, noting(acknowledged), disk.moment)
            _worked(seen, target, clock, rng)
            violations = [] if disk.failed_at is None else _stopped(ledger, target, disk)
            # The last checkpoint may be what fails; what is in the WAL is durable already.
            with suppress(apsw.IOError):
                ledger.close()
        files = disk.image(disk.count, rng, {})
    with in_memory() as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        clock.jump(timedelta(seconds=2 * LEASE_S))
        ledger = SqliteLedger(folder / FILE, clock)
        go_on_alone(witnessed(ledger, noting(acknowledged), disk.moment), target, clock, rng)
        history = read_history(
            ledger,
            acknowledged=acknowledged,
            arrivals=target.arrivals,
            repeatability={"write_mark": kind},
            quiet=True,
        )
        ledger.close()
    failed = int(disk.failed_at is not None)
    return Outcome(violations=[*violations, *check(history)], counts={"failed_syncs": failed})


def _worked(ledger: Ledger, target: Target, clock: ManualClock, rng: random.Random) -> None:
    """Work as the engine does, which goes on after an error of one incident; time passes."""
    readings = TargetReadings(target=target, clock=clock)
    action = TargetAction(target=target, repeatability=target.kind, after=losing(rng))
    carrier = make_carrier(ledger, action, readings, Watch(), threads=False)
    cases = []
    for service in SERVICES[:3]:
        try:
            cases.append(opened(carrier, service, "w-1"))
        except LedgerUnavailableError:
            continue
    for _ in range(_ROUNDS_AFTER):
        clock.jump(timedelta(seconds=0.5))
        for case in cases:
            try:
                for _ in moves(carrier, case):
                    pass
            except LedgerUnavailableError:
                continue


def _stopped(ledger: SqliteLedger, target: Target, disk: Disk) -> list[Violation]:
    """After the failed sync: nothing written, nothing acknowledged, nothing done."""
    found = []
    failed_at = disk.failed_at or 0
    late = [a.key for a in target.arrivals if (a.at or 0) > failed_at]
    if late:
        what = f"{', '.join(late)} was performed after a sync had failed"
        found.append(Violation(invariant=Invariant.I5, incident_id="-", what=what))
    if ledger.broken is None:
        what = "the ledger does not say that it is broken after a failed sync"
        found.append(Violation(invariant=Invariant.I2, incident_id="-", what=what))
    return found


FAULT = Fault(
    name="sync_error",
    how="the VFS answers one sync with EIO and forgets what was pending, as Linux does",
    stores=("sqlite",),
    default=20,
    full=1_000,
    run=run,
)
