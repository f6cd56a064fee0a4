"""A worker stands still past its lease, anywhere, another one takes over, and then it goes on.

What SIGSTOP does to a process, done to one thread: the pause may fall between any two commands, or
while a request is on its way to the target, or while its answer is on the way back. Some requests
come late: given up by their worker, they reach the target when others have looked at it.
"""

import random
from dataclasses import dataclass, field
from datetime import timedelta

from holdfast.kernel import ManualClock, StaleFenceError
from holdfast.response.ports import ActionRequest, LostReplyError, Repeatability
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
    interleaved,
    make_carrier,
    opened,
)
from tests.crash.stores import Place, place_of
from tests.crash.target import Target, TargetAction
from tests.crash.witness import Noted, sorted_out, witnessed

_BETWEEN = 0.02
_ON_THE_WAY = 0.25
_LATE = 0.2
_ONLY_CLAIMS = 0.35
_WORKERS = 4


@dataclass(slots=True, kw_only=True)
class Scene:
    """One store and one target; each worker that overtakes may be overtaken itself."""

    place: Place
    target: Target
    clock: ManualClock
    rng: random.Random
    notes: list[Noted] = field(default_factory=list)
    workers: int = 0
    ledgers: list[Ledger] = field(default_factory=list)
    late: list[ActionRequest] = field(default_factory=list)
    ticks: int = 0

    def tick(self) -> float:
        """Order all that happens."""
        self.ticks += 1
        return float(self.ticks)

    def open(self) -> tuple[Ledger, str]:
        """Open the store for another worker, which is as far ahead as all leases are over."""
        self.workers += 1
        ahead_s = 2 * LEASE_S * self.workers
        ledger = self.place.open_at(self.clock, ahead_s)
        self.ledgers.append(ledger)
        return witnessed(ledger, self.notes.append, self.tick), f"w-{self.workers}"

    def action(self) -> TargetAction:
        return TargetAction(
            target=self.target,
            repeatability=self.target.kind,
            before=self.maybe_late,
            after=self.maybe_overtaken,
        )

    def maybe_late(self, request: ActionRequest) -> None:
        """Keep some requests on their way; what is asked meanwhile, the target answers at once."""
        self.maybe_overtaken(request)
        if self.rng.random() < _LATE:
            self.late.append(request)
            raise LostReplyError("no answer came in time")

    def deliver(self) -> None:
        """Let the oldest of the late requests reach the target now."""
        if self.late:
            self.action().send(self.late.pop(0))

    def maybe_overtaken(self, _: ActionRequest) -> None:
        if self.rng.random() < _ON_THE_WAY:
            self.overtake()

    def overtake(self) -> None:
        """Let another worker claim all there is, and mostly do it, while this one stands still."""
        if self.workers < _WORKERS:
            self.clock.jump(timedelta(seconds=2 * LEASE_S))
            ledger, worker = self.open()
            if self.rng.random() < _ONLY_CLAIMS:
                # It stands still itself, before it has written anything.
                ledger.claim_many(worker, LEASE_S, 100)
            else:
                go_on_alone(ledger, self.target, self.clock, self.rng, worker, self.action())


def run(case: Case) -> Outcome:
    """Let a worker be overtaken now and then, and go on after it."""
    rng = random.Random(case.seed)
    clock = ManualClock(ORIGIN)
    kind = list(Repeatability)[case.seed % len(Repeatability)]
    with place_of(case) as place:
        target = Target(kind=kind, clock=clock.monotonic)
        scene = Scene(place=place, target=target, clock=clock, rng=rng)
        target.stamp = scene.tick
        try:
            _first_worker(scene)
            scene.workers = max(scene.workers, _WORKERS)
            clock.jump(timedelta(seconds=2 * LEASE_S))
            ledger, worker = scene.open()
            go_on_alone(ledger, target, clock, rng, worker)
            while scene.late:
                scene.deliver()
            return _judged(scene, ledger)
        finally:
            for opened_ledger in scene.ledgers:
                opened_ledger.close()


def _first_worker(scene: Scene) -> None:
    ledger, worker = scene.open()
    readings = TargetReadings(target=scene.target, clock=scene.clock)
    carrier = make_carrier(ledger, scene.action(), readings, Watch(), threads=False)
    services = SERVICES[: scene.rng.randint(1, 3)]
    incidents = [opened(carrier, service, worker) for service in services]
    number = 0
    while incidents:
        try:
            for incident in interleaved(carrier, incidents, scene.clock, scene.rng):
                number += 1
                if scene.rng.random() < _BETWEEN:
                    scene.deliver()
                if scene.rng.random() < _BETWEEN:
                    name = incident.claim.incident_id
                    ledger.submit(a_note(name, number, scene.clock.now()))
                    scene.overtake()
            return
        except StaleFenceError as error:
            # It stops at this boundary with that incident, and goes on with the others.
            incidents = [i for i in incidents if i.claim.incident_id not in error.message.split()]


def _judged(scene: Scene, ledger: Ledger) -> Outcome:
    notes = sorted_out(scene.notes)
    history = read_history(
        ledger,
        acknowledged=notes.acknowledged,
        claimed=notes.claimed,
        arrivals=scene.target.arrivals,
        accepted=notes.accepted,
        repeatability={"write_mark": scene.target.kind},
        quiet=True,
    )
    counts = {**counted(history), "workers": len(scene.ledgers)}
    return Outcome(violations=check(history), counts=counts)


FAULT = Fault(
    name="overtaken",
    how="a worker stands still past its lease between any two commands, is overtaken, and goes on",
    stores=("sqlite", "postgres"),
    default=20,
    full=5_000,
    run=run,
)
