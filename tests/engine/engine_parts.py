"""A whole small installation for the engine's tests: real ledger, real checks, files as targets.

What an action did is counted in a file that only the action writes: each effect is one line. A
service reads bad until there is an effect on it, and good from then on.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.app.tokens import SystemView, all_scopes, create_token
from holdfast.checks import CheckRunner
from holdfast.engine import Carrier, Engine, Hands, Journal, OpeningFacts
from holdfast.engine.ports import Floats
from holdfast.incident import Record, State, fold, line
from holdfast.kernel import (
    SYSTEM,
    Actor,
    ActorKind,
    Catalogue,
    Clock,
    Contact,
    Service,
    SignalKey,
    SystemClock,
    format_at,
)
from holdfast.ledger import SqliteLedger
from holdfast.policy import Grant, Limits
from holdfast.response import ActionFacts, Timing, World
from holdfast.response.ports import (
    CheckContext,
    CheckResult,
    Health,
    Repeatability,
)
from holdfast.response.store import Answer, Ledger, Request
from holdfast.runbooks import parse
from tests.engine.marks import WriteMark, effects

INTERVAL_S = 0.02
BAD, GOOD = 0.31, 0.004
SERVICES = ("shop", "stock")
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
  - errors{service="${entity}"} <= baseline * 1.2 + 0.02 for 500ms in each region
retries: 1
cooldown: 10ms
timeout: 200ms
impact: low
```
"""


class LaterClock(SystemClock):
    """The machine's clock, ahead by a while: for this one every old lease has run out."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead = timedelta(seconds=ahead_s)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class PassingClock(LaterClock):
    """The same, and time has really passed: the monotonic clock is ahead as far."""

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead.total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReadings:
    """What the services read: computed from the effects, at every interval of the past minutes."""

    directory: Path
    clock: Clock
    stopped: threading.Event = field(default_factory=threading.Event)
    broken: threading.Event = field(default_factory=threading.Event)

    def _at(self, key: SignalKey, at: datetime) -> float:
        file = self.directory / f"{key.service}.effects"
        done = file.exists() and at.timestamp() > file.stat().st_mtime
        return GOOD if done and effects(self.directory, key.service) else BAD

    def recent(self, key: SignalKey, count: int) -> Sequence[tuple[datetime, float]]:
        if self.broken.is_set():
            raise ZeroDivisionError("a bug of ours")
        if self.stopped.is_set():
            return []
        now = self.clock.now()
        times = [now - timedelta(seconds=INTERVAL_S * n) for n in range(count)]
        return [(at, self._at(key, at)) for at in reversed(times)]

    def since(self, key: SignalKey, since: datetime) -> Sequence[tuple[datetime, float]]:
        return [(at, value) for at, value in self.recent(key, 100) if at >= since]

    def column(self, key: SignalKey) -> tuple[Floats, Floats]:
        pairs = self.recent(key, 100)
        return np.array([at.timestamp() for at, _ in pairs]), np.array([v for _, v in pairs])


@dataclass(slots=True, kw_only=True)
class Look:
    """A check that finds nothing. `act` may hang or raise, as checks do."""

    name: str
    act: Callable[[CheckContext], Mapping[str, Any]] = lambda _: {}

    def run(self, context: CheckContext) -> CheckResult:
        data = self.act(context)
        return CheckResult(
            name=self.name, status=Health.HEALTHY, summary="fine", at=context.now, data=data
        )


@dataclass(slots=True, kw_only=True)
class Pages:
    """Counts pages."""

    sent: list[str] = field(default_factory=list)

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
        self.sent.append(f"{to.id}: {why}")
        delivery = {"channel": "test", "delivered": True, "detail": "-"}
        return {
            "to": {"id": to.id, "name": to.name},
            "level": level,
            "why": why,
            "deliveries": [delivery],
        }


@dataclass(slots=True, kw_only=True)
class Seen:
    """Watches, and lets a test wait for what it waits for."""

    records: list[Record] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def on_record(self, record: Record) -> None:
        line(record)
        with self.changed:
            self.records.append(record)
            self.changed.notify_all()

    def on_trouble(self, text: str) -> None:
        with self.changed:
            self.troubles.append(text)
            self.changed.notify_all()

    def until(self, reached: Callable[[], object], timeout_s: float = 10.0) -> None:
        """Wait until something is so; looked at after every record and trouble."""
        with self.changed:
            ok = self.changed.wait_for(reached, timeout_s)
        told = [
            f"{r.incident_id} {r.seq} {r.kind} {str(r.data.get('why', ''))[:90]}"
            for r in self.records
        ]
        assert ok, "\n".join([*told, *self.troubles])

    def kinds(self, incident_id: str = "INC-1") -> list[str]:
        return [record.kind for record in self.records if record.incident_id == incident_id]

    def has(self, kind: str, incident_id: str = "INC-1") -> Callable[[], bool]:
        return lambda: kind in self.kinds(incident_id)


@dataclass(slots=True, kw_only=True)
class Site:
    """An installation in a directory, with one engine that a test runs."""

    directory: Path
    action: WriteMark
    clock: Clock
    ledger: Ledger
    seen: Seen
    pages: Pages
    readings: FileReadings
    engine: Engine
    thread: threading.Thread | None = None
    person: Actor | None = None

    def start(self) -> "Site":
        self.thread = threading.Thread(target=self.engine.run, name=self.engine.worker)
        self.thread.start()
        return self

    def stop(self) -> None:
        self.engine.stop()
        if self.thread is not None:
            self.thread.join(15)
            assert not self.thread.is_alive(), "the engine does not stop"
            self.thread = None

    def close(self) -> None:
        self.stop()
        self.ledger.close()

    def open(self, service: str = "shop") -> None:
        self.engine.opening(facts(service, self.clock.now()))

    def state(self, incident_id: str = "INC-1") -> State:
        return fold(self.ledger.records(incident_id), incident_id)

    def effects(self, target: str = "shop") -> list[str]:
        return effects(self.directory, target)

    def dana(self) -> Actor:
        """Give a person who may do everything; the token is made once."""
        if self.person is None:
            _, fact = create_token(
                self.ledger, name="dana", kind="person", scopes=all_scopes("person"), days=1,
                by=SYSTEM, now=self.clock.now(),
            )  # fmt: skip
            self.person = Actor(kind=ActorKind.HUMAN, id="dana", token_id=fact.token_id)
        return self.person

    def submit(self, kind: str, incident_id: str = "INC-1", **data: object) -> str:
        """Put a request into the inbox, as the command line does."""
        name = f"{kind}-{len(self.seen.records)}-{len(data)}"
        self.ledger.submit(
            Request(
                id=name,
                n=0,
                incident_id=incident_id,
                kind=kind,
                actor=self.dana(),
                data=data,
                at=self.clock.now(),
            )
        )
        self.engine.wake.set()
        return name

    def answer(self, request_id: str) -> Answer:
        found: list[Answer] = []

        def answered() -> bool:
            answer = self.ledger.answer_of(request_id)
            found.extend([answer] if answer else [])
            return answer is not None

        pause = threading.Event()
        for _ in range(200):
            if answered():
                return found[0]
            pause.wait(0.02)
        raise AssertionError(f"{request_id} was not answered: {self.seen.troubles}")


def facts(service: str, at: datetime) -> OpeningFacts:
    """What detection would say when this service's errors go up."""
    key = SignalKey(service, "east", "errors")
    signal = {
        "series": str(key), "service": service, "region": "east", "signal": "errors", "state": "bad",
        "severity": "critical", "at": format_at(at), "value": BAD, "expected": GOOD, "low": 0.0,
        "high": 0.02, "score": 40.0, "reason": f"{key} is far above normal",
    }  # fmt: skip
    normal = {
        "service": service,
        "region": "east",
        "signal": "errors",
        "expected": GOOD,
        "low": 0.0,
        "high": 0.02,
    }
    return OpeningFacts(
        title=f"errors of {service}", severity="critical", services=(service,), group=(service,),
        regions=("east",), signals=(signal,), baselines={str(key): normal}, started_at=format_at(at),
        opened_by="detection", why="2 critical readings",
    )  # fmt: skip


def make_world(kind: Repeatability, lease_s: float = 30.0) -> World:
    services = {name: Service(name=name, regions=("east",), on_call="dana") for name in SERVICES}
    return World(
        catalogue=Catalogue(services=services, contacts={"dana": Contact(id="dana", name="Dana")}),
        runbooks=(parse(RUNBOOK, "mark-it.md"),),
        actions={"write_mark": ActionFacts(repeatability=kind, least_impact="low")},
        mode="autonomous",
        grants=tuple(
            Grant(runbook="mark-it", service=name, granted_by="dana") for name in SERVICES
        ),
        limits=Limits(),
        timing=Timing(
            sampling_interval_s=INTERVAL_S,
            sustain_s=0.5,
            cooldown_s=0.01,
            probe_pause_s=0.05,
            lease_s=lease_s,
        ),
    )


def open_store(directory: Path, clock: Clock, url: str | None = None) -> Ledger:
    """Open a store whose leases run by this clock: a PostgreSQL at `url`, else SQLite."""
    if url is None:
        return SqliteLedger(directory / "holdfast.db", clock)
    from holdfast.ledger import PostgresLedger

    ahead = clock.ahead if isinstance(clock, LaterClock) else timedelta()
    return PostgresLedger(url, ahead_s=ahead.total_seconds())


def make_site(
    directory: Path,
    *,
    worker: str = "w-1",
    clock: Clock | None = None,
    kind: Repeatability = Repeatability.IDEMPOTENT,
    checks: Sequence[Look] = (Look(name="http_health"),),
    url: str | None = None,
    ledger: Ledger | None = None,
    lease_s: float = 30.0,
    **action: Any,  # noqa: ANN401 - any field of WriteMark
) -> Site:
    """Put the parts together, as `app` does with the real ones.

    The store is the file `holdfast.db` in the directory, or what `url` (postgresql://...) names,
    or `ledger` itself.
    """
    clock = clock or SystemClock()
    world = make_world(kind, lease_s)
    mark = WriteMark(directory=directory, repeatability=kind, **action)
    ledger = ledger or open_store(directory, clock, url)
    seen, pages = Seen(), Pages()
    readings = FileReadings(directory=directory, clock=clock)
    carrier = Carrier(
        ledger=ledger,
        journal=Journal(ledger=ledger, clock=clock, watcher=seen, lease_s=world.timing.lease_s),
        hands=Hands(actions={mark.name: mark}, clock=clock),
        checks=CheckRunner(checks, timeout_s=5.0, clock=SystemClock()),
        readings=readings,
        pager=pages,
        system=SystemView(ledger, clock),
        world=world,
        clock=clock,
    )
    engine = Engine(carrier=carrier, watcher=seen, worker=worker)
    return Site(
        directory=directory, action=mark, clock=clock, ledger=ledger, seen=seen, pages=pages,
        readings=readings, engine=engine,
    )  # fmt: skip


@contextmanager
def site(directory: Path, **more: Any) -> Iterator[Site]:  # noqa: ANN401 - what make_site takes
    made = make_site(directory, **more)
    try:
        yield made
    finally:
        made.close()


def with_world(made: Site, **changes: object) -> None:
    """Change what the engine knows of its installation. Before it starts."""
    carrier = made.engine.carrier
    made.engine.use(replace(carrier, world=replace(carrier.world, **changes)))  # type: ignore[arg-type]
