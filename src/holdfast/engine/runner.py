"""The loop: claim, decide, carry out, append; then wait for whatever comes next.

Each incident is driven by one thread at a time and written under its own fence.
A person's request is looked at between any two steps.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from holdfast.engine.carry import Carrier
from holdfast.engine.case import Case
from holdfast.engine.opening import OpeningFacts
from holdfast.engine.ports import Watcher
from holdfast.incident import Draft, Kind, State, fold
from holdfast.incident.grouping import place
from holdfast.kernel.actor import SYSTEM
from holdfast.kernel.errors import LedgerUnavailableError, StaleFenceError
from holdfast.kernel.redact import bounded
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
from holdfast.response.holding import hold_and_escalate
from holdfast.response.store import SYSTEM_CHAIN, Answer, Claim, Request

_POLL_S = 0.2
_BACK_OFF_S = 2.0
_THREADS = 8
_CHAIN_OF_EVENTS_MOST = 200
_FAILURES_MOST = 3
_NOT_TO_BE_READ_AGAIN = (ActionReturned, PageSent, Observed, SignalsSeen)


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
    _early: dict[str, SignalsSeen] = field(default_factory=dict)
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
                except Exception as error:  # noqa: BLE001 - whatever it was, the others go on
                    self.watcher.on_trouble(f"engine: {type(error).__name__}: {error}")
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
        if self._waits_for_a_lease(facts):
            return
        case = self._open(facts)
        with self._lock:
            self.cases[case.claim.incident_id] = case
        self.wake.set()

    def _waits_for_a_lease(self, facts: OpeningFacts) -> bool:
        """Look for an incident on these services whose worker died: it is claimed when its lease
        ends, and one fault is one incident until then too.
        """
        ledger = self.carrier.ledger
        with self._lock:
            known = set(self.cases)
        names = [name for name in ledger.incident_ids(live_only=True) if name not in known]
        found = place(facts.group, [s for name in names if (s := self._read(name)) is not None])
        if found is not None:
            event = SignalsSeen(signals=facts.signals, baselines=facts.baselines)
            with self._lock:
                self._early[found] = event
        return found is not None

    def _read(self, incident_id: str) -> State | None:
        try:
            return fold(self.carrier.ledger.records(incident_id), incident_id)
        except Exception as error:  # noqa: BLE001 - one chain that can't be read stops no other
            self.watcher.on_trouble(f"{incident_id}: {type(error).__name__}: {error}")
            return None

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
        data = facts.as_data(mode=self.carrier.world.mode)
        self.carrier.journal.write(case, [Draft(kind=Kind.INCIDENT_OPENED, data=data)])
        case.post(Woke())
        return case

    # --- one round --------------------------------------------------------

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._renew()
        self._claim_requested()
        self._claim_expired()
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
            if not known and incident_id != SYSTEM_CHAIN:
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
        try:
            records = list(self.carrier.ledger.records(claim.incident_id))
            state = fold(records, claim.incident_id)
        except Exception as error:  # noqa: BLE001 - one chain that can't be read stops no other
            text = f"{claim.incident_id} can't be taken over: {type(error).__name__}: {error}"
            self.watcher.on_trouble(text)
            return
        case = Case(claim=claim, state=state, records=records)
        case.post(Woke())
        with self._lock:
            self.cases[claim.incident_id] = case
            early = self._early.pop(claim.incident_id, None)
        if early is not None:
            case.post(early)

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
            while (event := case.take()) is not None:
                self._handle(case, event)
            # Every drive ends with a look at what is due, so that no event swallows a timer.
            self._handle(case, Woke())
            case.failures = 0
        except StaleFenceError as error:
            self._lose(case, error)
        except LedgerUnavailableError as error:
            self._rest(case)
            self._trouble(error)
        except Exception as error:  # noqa: BLE001 - the loop must outlive one incident's trouble
            self._fail(case, error)
        finally:
            case.busy = False
            self.wake.set()

    def _handle(self, case: Case, first: Event) -> None:
        """Handle one event and everything that follows from it at once.

        What the world said is handled before anything new is begun, and requests before both.
        """
        queue: deque[Event] = deque([first])
        wrote = False
        for _ in range(_CHAIN_OF_EVENTS_MOST):
            if not queue and not wrote:
                return
            if queue:
                event = queue.popleft()
            else:
                event, wrote = Woke(), False
            if self.stopping.is_set() and not isinstance(event, _NOT_TO_BE_READ_AGAIN):
                continue
            if isinstance(event, Woke):
                self._answer_requests(case)
            try:
                wrote |= self._decide_and_carry(case, event, queue)
            except Exception as error:
                self._keep(case, [event, *queue], error)
                raise
        self._rest(case)
        self.watcher.on_trouble(f"{case.claim.incident_id} made too many steps at once; it rests")

    def _decide_and_carry(self, case: Case, event: Event, queue: "deque[Event]") -> bool:
        """Put what follows into `queue`; say whether anything was written."""
        commands = decide(case.state, event, self.carrier.clock.now(), self.carrier.world)
        for command in commands:
            answer = self.carrier.carry_out(case, command)
            if answer is not None:
                queue.append(answer)
        return any(isinstance(command, Write) for command in commands)

    def _answer_requests(self, case: Case) -> None:
        for request in self.carrier.ledger.requests(case.claim.incident_id):
            try:
                self._answer(case, request)
            except (LedgerUnavailableError, StaleFenceError):
                raise
            except Exception as error:  # noqa: BLE001 - unanswered it would stop the incident for good
                text = f"Holdfast could not do it: {type(error).__name__}: {error}"
                self.carrier.ledger.answer(request.id, Answer(ok=False, message=text))
                self.watcher.on_trouble(f"{case.claim.incident_id}, request {request.kind}: {text}")

    def _answer(self, case: Case, request: Request) -> None:
        refusal = self.carrier.system.refusal(
            request.kind, request.actor.token_id, request.actor.kind.value
        )
        queue: deque[Event] = deque([Asked(request=request, refusal=refusal)])
        while queue:
            self._decide_and_carry(case, queue.popleft(), queue)

    # --- trouble ----------------------------------------------------------

    def _rest(self, case: Case) -> None:
        case.failed = True
        case.wake_at = self.carrier.clock.now() + timedelta(seconds=_BACK_OFF_S)

    def _keep(self, case: Case, events: Sequence[Event], error: Exception) -> None:
        """Keep what the world said and the ledger does not hold yet; all else is read anew."""
        kept = [event for event in events if isinstance(event, _NOT_TO_BE_READ_AGAIN)]
        # What fails again and again is our own fault: the step it tells of is found in doubt.
        if isinstance(error, LedgerUnavailableError | StaleFenceError) or case.failures == 0:
            case.put_back(kept)

    def _fail(self, case: Case, error: Exception) -> None:
        """An error of our own. If it stays, the incident is held and a person is called."""
        case.failures += 1
        self._rest(case)
        case.post(Woke())
        text = f"{type(error).__name__}: {error}"
        self.watcher.on_trouble(f"{case.claim.incident_id}: {text}")
        if case.failures < _FAILURES_MOST or case.state.held or case.state.ended:
            return
        why = bounded(
            f"Holdfast itself failed {case.failures} times on this incident ({text}); nothing "
            "more is done here until a person resumes it"
        )
        drafts = hold_and_escalate(case.state, why, self.carrier.clock.now())
        try:
            self.carrier.journal.write(case, drafts)
        except Exception as again:  # noqa: BLE001 - tried again after the next failure
            self.watcher.on_trouble(f"{case.claim.incident_id} can't be held: {again}")

    def _lose(self, case: Case, error: StaleFenceError) -> None:
        """Reports that come after the fence was lost are evidence, never an outcome."""
        case.lost = True
        self.watcher.on_trouble(error.message)
        while (event := case.take()) is not None:
            if isinstance(event, ActionReturned):
                self._keep_late_report(case, event)

    def _keep_late_report(self, case: Case, event: ActionReturned) -> None:
        summary = event.outcome.summary if event.outcome else (event.lost or event.unreachable)
        report = Request(
            id=f"late/{case.claim.incident_id}/{event.step_id}/{case.claim.fence}",
            n=0,
            incident_id=case.claim.incident_id,
            kind="late_report",
            actor=SYSTEM,
            data={"step_id": event.step_id, "summary": summary, "fence": case.claim.fence},
            at=self.carrier.clock.now(),
        )
        try:
            self.carrier.ledger.submit(report)
        except LedgerUnavailableError as error:
            self._trouble(error)

    def _trouble(self, error: LedgerUnavailableError) -> None:
        self.watcher.on_trouble(error.message)
        broken = getattr(self.carrier.ledger, "broken", None)
        if broken:
            self.failed = broken
            self.stop()

    def _release_all(self) -> None:
        for case in self._in_hand():
            if not case.lost and self.failed is None:
                try:
                    self.carrier.ledger.release(case.claim)
                except LedgerUnavailableError as error:
                    # The lease ends by itself.
                    self._trouble(error)
