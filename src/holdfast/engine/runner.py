"""The loop: claim, decide, carry out, append; then wait for whatever comes next.

Each incident is driven by one thread at a time and written under its own fence.
Any number of these loops share one store: what one of them does not hold, or
drops, another one takes. A person's request is looked at between any two steps.
"""

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from holdfast.engine.agenda import Agenda
from holdfast.engine.carry import Carrier
from holdfast.engine.case import Case
from holdfast.engine.crash_points import CrashPoint, reach
from holdfast.engine.drive import Driver
from holdfast.engine.earlier import Earlier, follows
from holdfast.engine.elsewhere import Elsewhere
from holdfast.engine.late import LateReports
from holdfast.engine.leases import Leases
from holdfast.engine.maintenance import Gate, Suppressed
from holdfast.engine.opening import OpeningFacts
from holdfast.engine.ports import Watcher
from holdfast.engine.takeover import Takeover, uncollected
from holdfast.engine.told import Became, Told, take_in
from holdfast.engine.troubles import Troubles
from holdfast.incident import Draft, Kind, State
from holdfast.incident.grouping import place
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.response.events import SignalsSeen, Woke
from holdfast.response.store import SYSTEM_CHAIN

_POLL_S = 0.2
_THREADS = 32
_PARKED_AT_ONCE = 200
_PARK_LOOKS_PER_LEASE = 4


@dataclass(slots=True, kw_only=True)
class Engine:
    """One worker. `run` blocks until stopped; the other methods may be called from any thread."""

    carrier: Carrier
    watcher: Watcher
    worker: str
    cases: dict[str, Case] = field(default_factory=dict)
    wake: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    failed: str | None = None
    # Why the store can't be used just now; None while it can.
    away: str | None = None
    # By the monotonic clock: the last whole round, and the last time that the store was of no use.
    rounded_at: float | None = None
    unavailable_at: float | None = None
    gate: Gate = field(init=False)
    _agenda: Agenda = field(default_factory=Agenda)
    _leaving: set[str] = field(default_factory=set)
    _next_park: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opening: threading.Lock = field(default_factory=threading.Lock)
    _troubles: Troubles = field(init=False)
    _late: LateReports = field(init=False)
    _leases: Leases = field(init=False)
    _takeover: Takeover = field(init=False)
    _driver: Driver = field(init=False)
    _elsewhere: Elsewhere = field(init=False)
    _earlier: Earlier = field(init=False)

    def __post_init__(self) -> None:
        self._troubles = Troubles(watcher=self.watcher, clock=self.carrier.clock)
        self.use(self.carrier)

    def use(self, carrier: Carrier) -> None:
        """Work with these means from now on. Before `run`."""
        ledger, clock, timing = carrier.ledger, carrier.clock, carrier.world.timing
        lease_s, window_s = timing.lease_s, timing.reopen_window_s
        self._late = LateReports(ledger=ledger, clock=clock)
        self.carrier = replace(carrier, late=self._late)
        self.gate = Gate(
            ledger=ledger, system=carrier.system, clock=clock, weekly=carrier.world.maintenance
        )
        self._leases = Leases(ledger=ledger, clock=clock, lease_s=lease_s)
        self._takeover = Takeover(
            ledger=ledger, journal=carrier.journal, clock=clock, worker=self.worker, lease_s=lease_s
        )
        self._elsewhere = Elsewhere(ledger=ledger, watcher=self._troubles, clock=clock)
        self._earlier = Earlier(
            ledger=ledger, watcher=self._troubles, clock=clock, window_s=window_s
        )
        self._driver = Driver(
            carrier=self.carrier,
            watcher=self._troubles,
            late=self._late,
            stopping=self.stopping,
            unavailable=self._unavailable,
        )

    def run(self) -> None:
        """Work until stopped. Finishes the steps in hand, then gives the incidents back."""
        clock = self.carrier.clock
        unlisten = self.carrier.ledger.listen(self.wake.set)
        try:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="case") as pool:
                while not self.stopping.is_set():
                    self.wake.clear()
                    self._try_round(pool)
                    clock.wait(self.wake, self._agenda.wait_s(clock.now(), _POLL_S))
                self._release_idle(pool)
        finally:
            unlisten()
        self._release_all()

    def stop(self) -> None:
        """Ask `run` to end."""
        self.stopping.set()
        self.wake.set()

    # --- what comes in ----------------------------------------------------

    def known(self) -> list[State]:
        """List the live incidents as they were last seen; asks the store nothing."""
        in_hand = {state.incident_id: state for state in self._states()}
        others = [s for s in self._elsewhere.known() if s.incident_id not in in_hand]
        return [state for state in (*in_hand.values(), *others) if not state.ended]

    def live(self) -> list[State]:
        """List the live incidents, in hand or not, with a fresh look at the store.

        While the store is away: as they were last seen.
        """
        try:
            self._elsewhere.look(self._names())
        except LedgerUnavailableError as error:
            self._troubles.on_trouble(error.message)
        return self.known()

    def opening(self, facts: OpeningFacts) -> Suppressed | None:
        """Open an incident, or attach to the one that is open on these services, whoever has it.

        What is back right after it was resolved reopens its incident. One at a time: two at once
        could open two. What lies in a maintenance window is kept quiet, and returned.
        """
        admitted, kept = self.gate.admit(facts)
        if admitted is not None:
            self._admit(admitted)
            self.gate.forget(*(signal["series"] for signal in admitted.signals))
        return kept

    def _admit(self, facts: OpeningFacts) -> None:
        with self._opening:
            live = (*self._states(), *self._elsewhere.look(self._names(), facts.group))
            if (found := place(facts.group, live)) is None:
                self._open_or_reopen(facts)
                return
        self.seen(found, facts.signals, facts.baselines)

    def told(self, facts: OpeningFacts) -> Told:
        """The same for what somebody outside tells: it is durable when this returns."""
        with self._opening:
            live = (*self._states(), *self._elsewhere.look(self._names(), facts.group))
            told = take_in(facts, live, self._open_or_reopen, self._elsewhere.tell)
        self.wake.set()
        return told

    def seen(
        self,
        incident_id: str,
        signals: tuple[Mapping[str, Any], ...],
        baselines: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Tell an incident what detection sees on its services."""
        if not signals:
            return
        with self._lock:
            case = self.cases.get(incident_id)
            if case is not None and not case.lost:
                case.post(SignalsSeen(signals=signals, baselines=baselines))
                self._agenda.now(incident_id)
        if case is None or case.lost:
            self._elsewhere.tell(incident_id, signals, baselines)
        self.wake.set()

    def _open_or_reopen(self, facts: OpeningFacts) -> tuple[Became, str]:
        earlier = self._earlier.on(facts.services)
        if earlier is not None and (became := self._earlier.bring_back(earlier, facts)):
            self.wake.set()
            return became, earlier.incident_id
        self._take(case := self._open(facts, earlier))
        return Became.OPENED, case.incident_id

    def _open(self, facts: OpeningFacts, earlier: State | None) -> Case:
        ledger, clock = self.carrier.ledger, self.carrier.clock
        lease_s = self.carrier.world.timing.lease_s
        before = clock.monotonic()
        claim = ledger.open_incident(self.worker, lease_s)
        state = State(incident_id=claim.incident_id)
        case = Case(claim=claim, state=state, lease_until=before + lease_s, idle_since=before)
        data = facts.as_data(mode=self.carrier.world.mode, follows=follows(earlier))
        self.carrier.journal.write(case, [Draft(kind=Kind.INCIDENT_OPENED, data=data)])
        case.post(Woke())
        return case

    def _take(self, *cases: Case) -> None:
        if not cases:
            return
        with self._lock:
            self.cases.update({case.incident_id: case for case in cases})
        for case in cases:
            self._agenda.now(case.incident_id)
        self.wake.set()

    def _names(self) -> set[str]:
        with self._lock:
            return set(self.cases)

    def _in_hand(self) -> list[Case]:
        with self._lock:
            return list(self.cases.values())

    def _states(self) -> list[State]:
        return [case.state for case in self._in_hand()]

    # --- one round --------------------------------------------------------

    def _try_round(self, pool: ThreadPoolExecutor) -> None:
        if broken := self.carrier.ledger.broken:
            # Whoever met it first, another thread perhaps: nothing can be written any more.
            self._unavailable(LedgerUnavailableError(broken))
            return
        try:
            self._round(pool)
            self.away, self.rounded_at = None, self.carrier.clock.monotonic()
        except LedgerUnavailableError as error:
            self.away = error.message
            self._unavailable(error)
        except Exception as error:  # noqa: BLE001 - whatever it was, the others go on
            self._troubles.on_trouble(f"engine: {type(error).__name__}: {error}")

    def _round(self, pool: ThreadPoolExecutor) -> None:
        """Whatever is due. Nothing in here is done for an incident that waits."""
        self._drop_leaving()
        self._renew()
        self._late.flush()
        self._claim()
        asked = {name for name in self.carrier.ledger.waiting() if name != SYSTEM_CHAIN}
        self._claim_ended(asked - self._names())
        for name in dict.fromkeys((*self._agenda.due(self.carrier.clock.now()), *asked)):
            self._start(pool, name)
        self._park(asked)
        for facts in self.gate.left_over(self.carrier.readings):
            self.opening(facts)

    def _renew(self) -> None:
        for case in self._leases.renew(self._in_hand()):
            self._driver.lose(
                case,
                f"{case.incident_id}: the lease of fence {case.claim.fence} has ended and another "
                "worker may have it; nothing more is done here",
            )
            self._leaving.add(case.incident_id)

    def _claim(self) -> None:
        more = self._claim_some()
        with uncollected() if more else nullcontext():
            while more and not self.stopping.is_set():
                self._renew()
                more = self._claim_some()

    def _claim_some(self) -> bool:
        cases, troubles, more = self._takeover.next()
        self._tell(troubles)
        self._take(*cases)
        return more

    def _claim_ended(self, asked: Iterable[str]) -> None:
        """An incident that has ended can still be labelled, closed or noted on."""
        names = set(asked)
        if not names:
            return
        for name in sorted(names - set(self.carrier.ledger.incident_ids(live_only=True))):
            cases, troubles = self._takeover.one(name)
            self._tell(troubles)
            self._take(*cases)

    def _tell(self, troubles: Iterable[str]) -> None:
        for text in troubles:
            self._troubles.on_trouble(text)

    def _start(self, pool: ThreadPoolExecutor, name: str) -> None:
        with self._lock:
            case = self.cases.get(name)
        if case is None or case.busy or case.lost:
            return
        if case.failed and case.wake_at is not None and case.wake_at > self.carrier.clock.now():
            self._agenda.at(case.wake_at, name)
            return
        case.busy = True
        pool.submit(self._drive, case)

    def _drive(self, case: Case) -> None:
        try:
            self._driver.drive(case)
        finally:
            case.idle_since = self.carrier.clock.monotonic()
            case.busy = False
            if case.lost or (case.state.ended and not case.mail):
                self._leaving.add(case.incident_id)
                self.wake.set()
            elif case.mail and not case.failed:
                self._agenda.now(case.incident_id)
                self.wake.set()
            elif case.wake_at is not None:
                self._agenda.at(case.wake_at, case.incident_id)

    # --- letting go -------------------------------------------------------

    def _drop_leaving(self) -> None:
        for name in tuple(self._leaving):
            with self._lock:
                case = self.cases.get(name)
                if case is not None and (case.busy or (case.mail and not case.lost)):
                    continue
                if case is not None and not case.lost and not case.state.ended:
                    self._leaving.discard(name)  # it was reopened before it could be given back
                    continue
                self.cases.pop(name, None)
                self._leaving.discard(name)
            if case is not None:
                # Also one that was lost: where only a reply was lost, the fence is still ours.
                self.carrier.ledger.release(case.claim)

    def _park(self, asked: Iterable[str]) -> None:
        """Give back what has waited for a whole lease and will go on waiting."""
        now, lease_s = self.carrier.clock.monotonic(), self.carrier.world.timing.lease_s
        if now < self._next_park:
            return
        horizon = self.carrier.clock.now() + timedelta(seconds=lease_s)
        idle = [
            case
            for case in self._in_hand()
            if now - case.idle_since >= lease_s
            and not (case.busy or case.lost or case.failed or case.mail)
            and (case.wake_at is None or case.wake_at > horizon)
        ]
        waiting = set(asked)
        for case in idle[:_PARKED_AT_ONCE]:
            if case.incident_id not in waiting:
                self._park_one(case)
        if len(idle) <= _PARKED_AT_ONCE:
            self._next_park = now + lease_s / _PARK_LOOKS_PER_LEASE

    def _park_one(self, case: Case) -> None:
        case.idle_since = self.carrier.clock.monotonic()
        if not self.carrier.ledger.park(case.claim, case.wake_at):
            return
        reach(CrashPoint.AFTER_PARK)
        with self._lock:
            self.cases.pop(case.incident_id, None)
        while (event := case.take()) is not None:
            # It came while the incident was being parked: the inbox wakes whoever is next.
            if isinstance(event, SignalsSeen):
                self._elsewhere.tell(case.incident_id, event.signals, event.baselines)

    def _release_idle(self, pool: ThreadPoolExecutor) -> None:
        """Give back at once what is not being worked on, before the steps in hand are awaited."""
        with self._lock:
            idle = [case for case in self.cases.values() if not case.busy]
            for case in idle:
                del self.cases[case.incident_id]
        list(pool.map(self._release, idle))

    def _release_all(self) -> None:
        for case in self._in_hand():
            self._release(case)

    def _release(self, case: Case) -> None:
        """Give it back; while the store is away the lease ends by itself."""
        if case.mail and self.failed is None and self.away is None:
            # What the world said and could not be written yet gets one more try.
            self._driver.drive(case)
        if self.failed is not None or self.away is not None:
            return
        try:
            self.carrier.ledger.release(case.claim)
        except LedgerUnavailableError as error:
            self.away = error.message
            self._unavailable(error)

    def _unavailable(self, error: LedgerUnavailableError) -> None:
        self.unavailable_at = self.carrier.clock.monotonic()
        self._troubles.on_trouble(error.message)
        broken = self.carrier.ledger.broken
        if broken:
            self.failed = broken
            self.stop()
