"""The loop: claim, decide, carry out, append; then wait for whatever comes next.

Each incident is driven by one thread at a time and written under its own fence.
A person's request is looked at between any two steps.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from holdfast.engine.carry import Carrier
from holdfast.engine.case import Case
from holdfast.engine.ports import Watcher
from holdfast.incident import Draft, Kind, State, fold
from holdfast.incident.grouping import place
from holdfast.kernel.actor import SYSTEM
from holdfast.kernel.errors import LedgerUnavailableError, StaleFenceError
from holdfast.response import decide
from holdfast.response.commands import Write
from holdfast.response.events import (
    ActionReturned,
    Asked,
    Event,
    Observed,
    PageSent,
    SignalsSeen,
    Woke,
)
from holdfast.response.store import Claim, Request

_POLL_S = 0.2
_BACK_OFF_S = 2.0
_THREADS = 8
_CHAIN_OF_EVENTS_MOST = 200
_NOT_TO_BE_READ_AGAIN = (ActionReturned, PageSent, Observed, SignalsSeen)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningFacts:
    """What opens an incident, as plain data."""

    title: str
    severity: str
    services: tuple[str, ...]
    group: tuple[str, ...]
    regions: tuple[str, ...]
    signals: tuple[Mapping[str, Any], ...]
    baselines: Mapping[str, Mapping[str, Any]]
    started_at: str
    opened_by: str
    why: str
    reasons: tuple[Mapping[str, Any], ...] = ()


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
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Work until stopped. Finishes the steps in hand, then gives the incidents back."""
        clock = self.carrier.clock
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="case") as pool:
            while not self.stopping.is_set():
                self.wake.clear()
                try:
                    self._round(pool)
                except LedgerUnavailableError as error:
                    self._trouble(error)
                clock.wait(self.wake, _POLL_S)
        self._release_all()

    def stop(self) -> None:
        """Ask `run` to end."""
        self.stopping.set()
        self.wake.set()

    # --- what comes in ----------------------------------------------------

    def live(self) -> list[State]:
        """List the states of the incidents in hand that have not ended."""
        with self._lock:
            return [case.state for case in self.cases.values() if not case.state.ended]

    def opening(self, facts: OpeningFacts) -> None:
        """Open an incident, or attach to the one that is open on these services."""
        with self._lock:
            states = [case.state for case in self.cases.values()]
            found = place(facts.group, states)
        if found is not None:
            self.seen(found, facts.signals, facts.baselines)
            return
        case = self._open(facts)
        with self._lock:
            self.cases[case.claim.incident_id] = case
        self.wake.set()

    def seen(
        self,
        incident_id: str,
        signals: tuple[Mapping[str, Any], ...],
        baselines: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Tell an incident what detection sees on its services."""
        with self._lock:
            case = self.cases.get(incident_id)
        if case is not None and signals:
            case.post(SignalsSeen(signals=signals, baselines=baselines))
            self.wake.set()

    def _open(self, facts: OpeningFacts) -> Case:
        ledger, timing = self.carrier.ledger, self.carrier.world.timing
        claim = ledger.open_incident(self.worker, timing.lease_s)
        case = Case(claim=claim, state=State(incident_id=claim.incident_id), records=[])
        data = {
            "title": facts.title,
            "severity": facts.severity,
            "mode": self.carrier.world.mode,
            "services": list(facts.services),
            "group": list(facts.group),
            "regions": list(facts.regions),
            "signals": [dict(signal) for signal in facts.signals],
            "baselines": {name: dict(value) for name, value in facts.baselines.items()},
            "started_at": facts.started_at,
            "opened_by": facts.opened_by,
            "why": facts.why,
            "reasons": [dict(reason) for reason in facts.reasons],
        }
        self.carrier.journal.write(case, [Draft(kind=Kind.INCIDENT_OPENED, data=data)])
        case.post(Woke())
        return case

    # --- one round --------------------------------------------------------

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._claim_requested()
        self._claim_expired()
        self._renew()
        now = self.carrier.clock.now()
        waiting = set(self.carrier.ledger.waiting())
        for case in self._in_hand():
            due = case.wake_at is not None and case.wake_at <= now
            resting = case.wake_at is not None and case.wake_at > now and case.failed
            if case.busy or case.lost or resting:
                continue
            if case.mail or due or case.claim.incident_id in waiting:
                case.busy = True
                pool.submit(self._drive, case)
        self._drop_ended()

    def _in_hand(self) -> list[Case]:
        with self._lock:
            return list(self.cases.values())

    def _claim_requested(self) -> None:
        """An incident that has ended can still be labelled, closed or noted on."""
        for incident_id in self.carrier.ledger.waiting():
            with self._lock:
                known = incident_id in self.cases
            if not known:
                claim = self.carrier.ledger.claim_one(
                    incident_id, self.worker, self.carrier.world.timing.lease_s
                )
                if claim is not None:
                    self._take_over(claim)

    def _claim_expired(self) -> None:
        timing = self.carrier.world.timing
        while (claim := self.carrier.ledger.claim_next(self.worker, timing.lease_s)) is not None:
            self._take_over(claim)

    def _take_over(self, claim: Claim) -> None:
        records = list(self.carrier.ledger.records(claim.incident_id))
        case = Case(claim=claim, state=fold(records, claim.incident_id), records=records)
        case.post(Woke(claimed_from_dead=True))
        with self._lock:
            self.cases[claim.incident_id] = case

    def _renew(self) -> None:
        """Keep the leases of what is in hand, acting or not: a wait is not a death."""
        timing = self.carrier.world.timing
        for case in self._in_hand():
            left = self.carrier.ledger.lease_left_s(case.claim)
            if left < timing.lease_s / 2 and not case.lost:
                try:
                    self.carrier.ledger.renew(case.claim, timing.lease_s)
                except StaleFenceError as error:
                    self._lose(case, error)

    def _drop_ended(self) -> None:
        for case in self._in_hand():
            over = case.state.ended and not case.busy and not case.mail
            if over or case.lost:
                with self._lock:
                    self.cases.pop(case.claim.incident_id, None)
                if not case.lost:
                    self.carrier.ledger.release(case.claim)

    # --- one incident -----------------------------------------------------

    def _drive(self, case: Case) -> None:
        try:
            case.wake_at, case.failed = None, False
            self._answer_requests(case)
            while (event := case.take()) is not None and not self.stopping.is_set():
                self._handle(case, event)
            # Every drive ends with a look at what is due, so that no event swallows a timer.
            self._handle(case, Woke())
        except StaleFenceError as error:
            self._lose(case, error)
        except LedgerUnavailableError as error:
            case.failed = True
            case.wake_at = self.carrier.clock.now() + timedelta(seconds=_BACK_OFF_S)
            self._trouble(error)
        except Exception as error:  # noqa: BLE001 - the loop must outlive one incident's trouble
            case.wake_at = self.carrier.clock.now() + timedelta(seconds=_BACK_OFF_S)
            case.failed = True
            case.post(Woke(claimed_from_dead=True))
            self.watcher.on_trouble(f"{case.claim.incident_id}: {type(error).__name__}: {error}")
        finally:
            case.busy = False
            self.wake.set()

    def _handle(self, case: Case, first: Event) -> None:
        """Handle one event and everything that follows from it at once."""
        following: list[Event] = [first]
        for _ in range(_CHAIN_OF_EVENTS_MOST):
            if not following:
                return
            event = following.pop(0)
            try:
                following += self._decide_and_carry(case, event)
            except Exception as error:
                self._keep(case, event, error)
                raise
            if following and isinstance(following[0], Woke):
                self._answer_requests(case)
        case.wake_at = self.carrier.clock.now() + timedelta(seconds=_BACK_OFF_S)
        self.watcher.on_trouble(f"{case.claim.incident_id} made too many steps at once; it rests")

    def _decide_and_carry(self, case: Case, event: Event) -> list[Event]:
        commands = decide(case.state, event, self.carrier.clock.now(), self.carrier.world)
        following: list[Event] = []
        for command in commands:
            answer = self.carrier.carry_out(case, command)
            if answer is not None:
                following.append(answer)
        wrote = any(isinstance(command, Write) for command in commands)
        return following or ([Woke()] if wrote else [])

    def _answer_requests(self, case: Case) -> None:
        for request in self.carrier.ledger.requests(case.claim.incident_id):
            refusal = self.carrier.system.refusal(
                request.kind, request.actor.token_id, request.actor.kind.value
            )
            following = self._decide_and_carry(case, Asked(request=request, refusal=refusal))
            for event in following:
                if not isinstance(event, Woke):
                    self._decide_and_carry(case, event)
            case.post(Woke())

    # --- trouble ----------------------------------------------------------

    def _keep(self, case: Case, event: Event, error: Exception) -> None:
        """Keep what the world said and the ledger does not hold yet; all else is read anew."""
        if isinstance(error, StaleFenceError):
            self._keep_late_report(case, event)
        elif isinstance(event, _NOT_TO_BE_READ_AGAIN):
            with case.lock:
                case.mail.appendleft(event)

    def _keep_late_report(self, case: Case, event: Event) -> None:
        """A report that comes after the fence was lost is evidence, never an outcome."""
        if not isinstance(event, ActionReturned):
            return
        summary = event.outcome.summary if event.outcome else (event.lost or event.unreachable)
        self.carrier.ledger.submit(
            Request(
                id=f"late/{case.claim.incident_id}/{event.step_id}/{case.claim.fence}",
                n=0,
                incident_id=case.claim.incident_id,
                kind="late_report",
                actor=SYSTEM,
                data={"step_id": event.step_id, "summary": summary, "fence": case.claim.fence},
                at=self.carrier.clock.now(),
            )
        )

    def _lose(self, case: Case, error: StaleFenceError) -> None:
        case.lost = True
        self.watcher.on_trouble(error.message)

    def _trouble(self, error: LedgerUnavailableError) -> None:
        self.watcher.on_trouble(error.message)
        broken = getattr(self.carrier.ledger, "broken", None)
        if broken:
            self.failed = broken
            self.stop()

    def _release_all(self) -> None:
        for case in self._in_hand():
            if not case.lost and self.failed is None:
                self.carrier.ledger.release(case.claim)
