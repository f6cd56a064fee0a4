"""Workers that live and die: the real engine in a forked process, over a store that stays.

The process that forks has everything imported and no thread, so that a life costs milliseconds.
Each life opens the store anew, works until everything is at rest, and leaves; or it is killed.
"""

import os
import random
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.engine import Engine
from holdfast.engine.crash_points import VARIABLE
from holdfast.incident import fold
from holdfast.kernel import HoldfastError, LedgerUnavailableError
from holdfast.response.ports import Repeatability
from holdfast.response.store import Ledger
from tests.crash.checker import check, counted, read_history
from tests.crash.matrix import Case, Invariant, Outcome, Violation
from tests.crash.parts import (
    LEASE_S,
    QuickClock,
    TargetReadings,
    Watch,
    a_note,
    at_rest,
    facts,
    losing,
    make_carrier,
)
from tests.crash.stores import Place, place_of
from tests.crash.target import RemoteTarget, TargetAction, die_with_parent, target_process
from tests.crash.witness import note_in, read_notes, witnessed

QUIET_S = 20.0
_JUMP_S = 3600.0
_LOOK_S = 0.012
AT_REST, NOT_AT_REST, STOPPED, FAILED = 0, 3, 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one worker is to do. `opens`: services whose trouble it is told of at its start."""

    worker: str
    place: Place
    address: Path
    notes: Path
    kind: Repeatability
    clock: QuickClock
    seed: int
    opens: Sequence[str] = ()
    asks: int = 0
    loses_before: float = 0.0
    loses_after: float = 0.15
    lease_s: float = LEASE_S
    until_parked: bool = False
    crash_point: str | None = None
    file_size_most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A store, a target and the notes of a case; `first` is the first life on it."""

    first: Life
    target: RemoteTarget


@contextmanager
def staged(case: Case, kind: Repeatability) -> Iterator[Stage]:
    """Set up the store and the target of a case."""
    address = case.directory / "target"
    with place_of(case) as place, target_process(address, kind) as target:
        place.open(QuickClock()).close()
        life = Life(
            worker="w-1",
            place=place,
            address=address,
            notes=case.directory / "notes.jsonl",
            kind=kind,
            clock=QuickClock(),
            seed=case.seed,
        )
        yield Stage(first=life, target=target)


def later(life: Life, number: int) -> Life:
    """Give the life of another worker, for whom every older lease has run out."""
    clock = QuickClock(life.clock.ahead_s + _JUMP_S, life.clock.began)
    return Life(
        worker=f"w-{number}",
        place=life.place,
        address=life.address,
        notes=life.notes,
        kind=life.kind,
        clock=clock,
        seed=life.seed + number,
    )


def born(life: Life) -> int:
    """Fork a process that lives this life; return its pid."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = _live(life)
    except BaseException:  # noqa: BLE001 - a child must never come back into its parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Wait for the end of a life: its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(child: int, notes: Path, size: int, seconds: float) -> bool:
    """Kill a life `seconds` after its notes have grown to `size` bytes.

    False when it had ended before by itself. Bound to what it has done and not only to its age, so
    that a slow machine kills in the same places as a quick one.
    """
    descriptor = os.pidfd_open(child)
    try:
        while not _has_ended(descriptor, 0.0005) and _size(notes) < size:
            pass
        if not _has_ended(descriptor, seconds):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
    return ended(child) == -signal.SIGKILL


def _has_ended(descriptor: int, within_s: float) -> bool:
    return bool(select.select([descriptor], [], [], within_s)[0])


def _size(notes: Path) -> int:
    return notes.stat().st_size if notes.exists() else 0


def _live(life: Life) -> int:
    if life.crash_point:
        os.environ[VARIABLE] = life.crash_point
    note = note_in(life.notes)
    ledger = witnessed(life.place.open(life.clock), note)
    watch = Watch()
    engine = _engine(life, ledger, watch)
    if life.file_size_most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (life.file_size_most, life.file_size_most))
    thread = threading.Thread(target=engine.run, name=engine.worker, daemon=True)
    thread.start()
    try:
        return _go_on(life, ledger, engine, watch)
    except LedgerUnavailableError:
        return STOPPED
    finally:
        engine.stop()
        thread.join(QUIET_S)
        _closed(ledger)


def _closed(ledger: Ledger) -> None:
    try:
        ledger.close()
    except Exception as error:  # noqa: BLE001 - its disk is full: there is nothing more to save
        sys.stderr.write(f"it closes with {error}\n")


def _engine(life: Life, ledger: Ledger, watch: Watch) -> Engine:
    target, rng = RemoteTarget(address=life.address), random.Random(life.seed)
    action = TargetAction(
        target=target,
        repeatability=life.kind,
        before=losing(rng, life.loses_before),
        after=losing(rng, life.loses_after),
    )
    readings = TargetReadings(target=target, clock=life.clock, quick=life.clock)
    carrier = make_carrier(ledger, action, readings, watch, threads=True, lease_s=life.lease_s)
    return Engine(carrier=carrier, watcher=watch, worker=life.worker)


def _go_on(life: Life, ledger: Ledger, engine: Engine, watch: Watch) -> int:
    """Open, ask, and look until everything is at rest."""
    for service in life.opens:
        engine.opening(facts(service, life.clock.now()))
    rng, give_up = random.Random(life.seed), time.monotonic() + QUIET_S
    asked = 0
    while time.monotonic() < give_up:
        if engine.failed:
            return FAILED
        names = ledger.incident_ids()
        if asked < life.asks and names:
            name = rng.choice(list(names))
            ledger.submit(a_note(name, asked, life.clock.now()))
            engine.wake.set()
            asked += 1
        elif resting(ledger) and not (life.until_parked and engine.cases):
            return AT_REST
        threading.Event().wait(_LOOK_S)
    sys.stderr.write(f"{life.worker} found no rest: {watch.troubles}\n")
    return NOT_AT_REST


def resting(ledger: Ledger) -> bool:
    """Say whether only people can move what is left, and nobody waits for an answer."""
    if ledger.waiting():
        return False
    chains = ledger.records_of(ledger.incident_ids(live_only=True))
    return all(at_rest(fold(records, name)) for name, records in chains.items())


def settled(stage: Stage, last: Life) -> Outcome:
    """Let one more worker live undisturbed until everything is at rest, then ask the checker."""
    code = ended(born(last))
    found = surveyed(stage, last, quiet=True)
    if code != AT_REST and not found.violations:
        what = f"the last worker ended with {code} and found nothing at rest within {QUIET_S:.0f} s"
        violation = Violation(invariant=Invariant.I7, incident_id="-", what=what)
        return Outcome(violations=[violation], counts=found.counts)
    return found


def surveyed(stage: Stage, life: Life, *, quiet: bool) -> Outcome:
    """Read the store, the target's log and the notes, and check them against each other."""
    notes = read_notes(life.notes)
    try:
        ledger = life.place.open(life.clock)
    except HoldfastError as error:
        what = f"the store can't be opened any more: {error.message}"
        return Outcome(violations=[Violation(invariant=Invariant.I2, incident_id="-", what=what)])
    try:
        history = read_history(
            ledger,
            acknowledged=notes.acknowledged,
            arrivals=stage.target.log(),
            accepted=notes.accepted,
            claimed=notes.claimed,
            repeatability={"write_mark": life.kind},
            quiet=quiet,
        )
    finally:
        ledger.close()
    return Outcome(violations=check(history), counts=counted(history))
