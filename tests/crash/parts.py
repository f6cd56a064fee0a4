"""A small installation for the crash matrix: a shop of services, one runbook, one action.

A service reads bad until its target has had an effect, and good from then on. Time runs a hundred
times as fast as the machine's, or stands still until it is jumped.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from holdfast.app.tokens import SystemView
from holdfast.checks import CheckRunner
from holdfast.engine import Carrier, Hands, Journal
from holdfast.engine.case import Case
from holdfast.engine.opening import OpeningFacts
from holdfast.engine.ports import Floats
from holdfast.incident import Draft, Kind, Record, State, fold
from holdfast.kernel import (
    SYSTEM,
    Catalogue,
    Clock,
    Contact,
    ManualClock,
    Service,
    SignalKey,
    SystemClock,
    format_at,
)
from holdfast.policy import Grant, Limits
from holdfast.response import ActionFacts, Timing, World, decide
from holdfast.response.commands import Write
from holdfast.response.events import Asked, Event, Woke
from holdfast.response.ports import (
    Action,
    ActionRequest,
    CheckContext,
    CheckResult,
    Health,
    LostReplyError,
    Repeatability,
)
from holdfast.response.store import Claim, Ledger, Request
from holdfast.runbooks import parse
from tests.crash.target import Asking, Target, TargetAction

ORIGIN = datetime(2030, 1, 1, tzinfo=UTC)
SPEED = 100.0
INTERVAL_S = 1.0
LEASE_S = 600.0
_MOVES_MOST = 5000
BAD, GOOD = 0.31, 0.004
SERVICES = ("shop", "stock", "cart", "post")
RUNBOOK = """---
name: mark-it
title: Mark it
match:
  incident_type: [high_error_rate]
owner: team
---

# Mark it

## Mitigation

### Mark the service

```yaml step
action: write_mark
target: ${entity}
expect:
  - errors{service="${entity}"} <= baseline * 1.2 + 0.02 for 3s in each region
retries: 1
cooldown: 1s
timeout: 10s
impact: low
```
"""


class QuickClock(SystemClock):
    """Runs `SPEED` times as fast as the machine's clock. Forked processes share its origin."""

    def __init__(self, ahead_s: float = 0.0, began: float | None = None) -> None:
        self.ahead_s = ahead_s
        self.began = time.monotonic() if began is None else began

    def now(self) -> datetime:
        return self.at(time.monotonic())

    def at(self, stamp: float) -> datetime:
        """Say what this clock showed at a moment of the machine's monotonic clock."""
        return ORIGIN + timedelta(seconds=(stamp - self.began) * SPEED + self.ahead_s)

    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    def wait(self, event: Any, timeout_s: float) -> bool:  # noqa: ANN401 - threading.Event
        return bool(event.wait(max(timeout_s / SPEED, 0.001)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReadings:
    """What the services read, computed from what the target says of itself."""

    target: Asking
    clock: Clock
    quick: QuickClock | None = None

    def _good_since(self, service: str) -> datetime | None:
        stamp = self.target.ask(what="observe", target=service)["good_since"]
        if stamp is None:
            return None
        return self.quick.at(stamp) if self.quick else ORIGIN + timedelta(seconds=stamp)

    def recent(self, key: SignalKey, count: int) -> Sequence[tuple[datetime, float]]:
        now, good = self.clock.now(), self._good_since(key.service)
        times = [now - timedelta(seconds=INTERVAL_S * n) for n in reversed(range(count))]
        return [(at, GOOD if good is not None and at > good else BAD) for at in times]

    def since(self, key: SignalKey, since: datetime) -> Sequence[tuple[datetime, float]]:
        return [(at, value) for at, value in self.recent(key, 100) if at >= since]

    def column(self, key: SignalKey) -> tuple[Floats, Floats]:
        pairs = self.recent(key, 100)
        return np.array([at.timestamp() for at, _ in pairs]), np.array([v for _, v in pairs])


@dataclass(slots=True, kw_only=True)
class Look:
    """A check that finds nothing."""

    name: str = "http_health"

    def run(self, context: CheckContext) -> CheckResult:
        return CheckResult(
            name=self.name, status=Health.HEALTHY, summary="fine", at=context.now, data={}
        )


@dataclass(frozen=True, slots=True)
class SameThread:
    """Runs the checks where it is called, so that a simulated history has one order only."""

    checks: Sequence[Look] = (Look(),)

    @property
    def names(self) -> Sequence[str]:
        return [check.name for check in self.checks]

    def run(
        self, context: CheckContext, names: Sequence[str] | None = None
    ) -> Mapping[str, CheckResult]:
        return {c.name: c.run(context) for c in self.checks if names is None or c.name in names}


class Anybody(SystemView):
    """Lets everybody ask for everything: who may is another test's subject."""

    def refusal(self, _kind: str, _token_id: str | None, _actor_kind: str) -> str | None:
        return None


@dataclass(slots=True, kw_only=True)
class Watch:
    """Keeps what the engine tells."""

    records: list[Record] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def on_record(self, record: Record) -> None:
        self.records.append(record)

    def on_trouble(self, text: str) -> None:
        self.troubles.append(text)


class Pager:
    """Reaches whomever it pages."""

    def send(
        self,
        _state: State,
        to: Contact,
        *,
        level: int,
        why: str,
        packet: Mapping[str, Any],  # noqa: ARG002 - the protocol's name
        markdown: str,  # noqa: ARG002 - the protocol's name
    ) -> Mapping[str, Any]:
        delivery = {"channel": "test", "delivered": True, "detail": "-"}
        to_data = {"id": to.id, "name": to.name}
        return {"to": to_data, "level": level, "why": why, "deliveries": [delivery]}


def make_world(kind: Repeatability, lease_s: float) -> World:
    services = {name: Service(name=name, regions=("east",), on_call="dana") for name in SERVICES}
    return World(
        catalogue=Catalogue(services=services, contacts={"dana": Contact(id="dana", name="Dana")}),
        runbooks=(parse(RUNBOOK, "mark-it.md"),),
        actions={"write_mark": ActionFacts(repeatability=kind, least_impact="low")},
        mode="autonomous",
        grants=tuple(Grant(runbook="mark-it", service=n, granted_by="dana") for n in SERVICES),
        limits=Limits(),
        timing=Timing(
            sampling_interval_s=INTERVAL_S,
            sustain_s=3.0,
            cooldown_s=1.0,
            lease_s=lease_s,
            probe_pause_s=1.0,
        ),
    )


def make_carrier(
    ledger: Ledger,
    action: Action,
    readings: TargetReadings,
    watch: Watch,
    *,
    threads: bool,
    lease_s: float = LEASE_S,
) -> Carrier:
    """Put the engine's means together; without `threads` everything happens in the caller's."""
    clock = readings.clock
    checks = CheckRunner([Look()], timeout_s=5.0, clock=SystemClock()) if threads else SameThread()
    return Carrier(
        ledger=ledger,
        journal=Journal(ledger=ledger, clock=clock, watcher=watch, lease_s=lease_s),
        hands=Hands(actions={action.name: action}, clock=clock),
        checks=checks,
        readings=readings,
        pager=Pager(),
        system=Anybody(ledger, clock),
        world=make_world(action.repeatability, lease_s),
        clock=clock,
    )


def facts(service: str, at: datetime) -> OpeningFacts:
    """What detection would say when this service's errors go up."""
    key = SignalKey(service, "east", "errors")
    signal = {
        "series": str(key), "service": service, "region": "east", "signal": "errors", "state": "bad",
        "severity": "critical", "at": format_at(at), "value": BAD, "expected": GOOD, "low": 0.0,
        "high": 0.02, "score": 40.0, "reason": f"{key} is far above normal",
    }  # fmt: skip
    normal = {
        "service": service, "region": "east", "signal": "errors", "expected": GOOD, "low": 0.0,
        "high": 0.02,
    }  # fmt: skip
    return OpeningFacts(
        title=f"errors of {service}", severity="critical", services=(service,), group=(service,),
        regions=("east",), signals=(signal,), baselines={str(key): normal}, started_at=format_at(at),
        opened_by="detection", why="2 critical readings",
    )  # fmt: skip


# --- one incident at a time, in one thread: for simulated power, disks and clocks ----------


def opened(carrier: Carrier, service: str, worker: str) -> Case:
    """Open an incident as the engine does."""
    claim = carrier.ledger.open_incident(worker, LEASE_S)
    case = Case(claim=claim, state=State(incident_id=claim.incident_id))
    data = facts(service, carrier.clock.now()).as_data(mode="autonomous")
    carrier.journal.write(case, [Draft(kind=Kind.INCIDENT_OPENED, data=data)])
    return case


def taken_over(carrier: Carrier, claim: Claim) -> Case:
    """Read an incident anew under a claim."""
    records = carrier.ledger.records(claim.incident_id)
    return Case(claim=claim, state=fold(records, claim.incident_id))


def moves(carrier: Carrier, case: Case) -> Iterator[None]:
    """Do what there is to do on one incident, a command between two yields; time is the caller's.

    Ends when there is nothing to do but wait for `case.wake_at`, if that is set.
    """
    queue: deque[Event] = deque([Woke()])
    case.wake_at, wrote = None, False
    while queue or wrote:
        if queue:
            event = queue.popleft()
        else:
            event, wrote = Woke(), False
        if isinstance(event, Woke):
            yield from _answers(carrier, case)
        for command in decide(case.state, event, carrier.clock.now(), carrier.world):
            answer = carrier.carry_out(case, command)
            wrote = wrote or isinstance(command, Write)
            if answer is not None:
                queue.append(answer)
            yield


def _answers(carrier: Carrier, case: Case) -> Iterator[None]:
    for request in carrier.ledger.requests(case.claim.incident_id):
        asked = Asked(request=request, refusal=None)
        for command in decide(case.state, asked, carrier.clock.now(), carrier.world):
            carrier.carry_out(case, command)
            yield


def at_rest(state: State) -> bool:
    """Say whether an incident has come to where only a person can move it, or to its end."""
    return state.ended or state.held is not None


def interleaved(
    carrier: Carrier, cases: Sequence[Case], clock: ManualClock, rng: random.Random
) -> Iterator[Case]:
    """Move several incidents on, in an order that `rng` chooses, until all are at rest.

    Gives the incident that moved after each move; time is jumped when all of them wait.
    """
    under_way = {case.claim.incident_id: moves(carrier, case) for case in cases}
    by_id = {case.claim.incident_id: case for case in cases}
    for _ in range(_MOVES_MOST):
        if not under_way:
            waiting = [case for case in by_id.values() if case.wake_at and not case.state.ended]
            live = [case for case in waiting if not at_rest(case.state)]
            if not live:
                return
            due = min(case.wake_at for case in live if case.wake_at)
            clock.jump(max(due - clock.now(), timedelta(milliseconds=10)))
            ready = [c for c in live if c.wake_at and c.wake_at <= clock.now()]
            under_way = {c.claim.incident_id: moves(carrier, c) for c in ready}
        name = rng.choice(sorted(under_way))
        try:
            next(under_way[name])
        except StopIteration:
            del under_way[name]
            continue
        yield by_id[name]
    raise AssertionError("the incidents never come to rest")


def go_on_alone(
    ledger: Ledger,
    target: Target,
    clock: ManualClock,
    rng: random.Random,
    worker: str = "w-2",
    action: TargetAction | None = None,
) -> None:
    """Let one worker claim everything whose lease has run out, and work until all is at rest."""
    readings = TargetReadings(target=target, clock=clock)
    action = action or TargetAction(target=target, repeatability=target.kind)
    carrier = make_carrier(ledger, action, readings, Watch(), threads=False)
    claims = ledger.claim_many(worker, LEASE_S, 100)
    asked = [name for name in ledger.waiting() if name not in {c.incident_id for c in claims}]
    found = [claim for name in asked if (claim := ledger.claim_one(name, worker, LEASE_S))]
    cases = [taken_over(carrier, claim) for claim in (*claims, *found)]
    for _ in interleaved(carrier, cases, clock, rng):
        pass


def a_note(incident_id: str, number: int, at: datetime) -> Request:
    """Make a request that leads to one note, whose text is found again."""
    name = f"note-{incident_id}-{number}"
    return Request(
        id=name, n=0, incident_id=incident_id, kind="note", actor=SYSTEM, data={"text": name}, at=at
    )


def losing(rng: random.Random, share: float = 0.15) -> Callable[[ActionRequest], None]:
    """Lose this share of the target's replies: before an effect, or after, as it is put in."""

    def maybe(_: ActionRequest) -> None:
        if rng.random() < share:
            raise LostReplyError("the line went dead")

    return maybe


@contextmanager
def in_memory() -> Iterator[Path]:
    """Give an empty directory that costs no disk, where the machine has one."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="holdfast-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)
