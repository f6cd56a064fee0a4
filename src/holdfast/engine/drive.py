"""Drives one incident: its mail, its requests, one piece of work after the other.

What the world said is handled before anything new is begun, and requests
before both. A worker that has lost the incident stops at the next boundary.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Event as Flag

from holdfast.engine.carry import Carrier
from holdfast.engine.case import Case
from holdfast.engine.late import LateReports
from holdfast.engine.ports import Watcher
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
from holdfast.response.store import Answer, Request

_BACK_OFF_S = 2.0
_CHAIN_OF_EVENTS_MOST = 200
_FAILURES_MOST = 3
_NOT_TO_BE_READ_AGAIN = (ActionReturned, PageSent, Observed, SignalsSeen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Works on one case at a time per thread; never raises for what goes wrong in one."""

    carrier: Carrier
    watcher: Watcher
    late: LateReports
    stopping: Flag
    unavailable: Callable[[LedgerUnavailableError], None]

    def drive(self, case: Case) -> None:
        """Handle everything that there is to handle now."""
        try:
            case.wake_at, case.failed = None, False
            while not case.lost and (event := case.take()) is not None:
                self._handle(case, event)
            # Every drive ends with a look at what is due, so that no event swallows a timer.
            self._handle(case, Woke())
            case.failures = 0
        except StaleFenceError as error:
            self.lose(case, error.message)
        except LedgerUnavailableError as error:
            self._rest(case)
            self.unavailable(error)
        except Exception as error:  # noqa: BLE001 - the loop must outlive one incident's trouble
            self._fail(case, error)
        if case.lost:
            self._report_late(case)

    def lose(self, case: Case, why: str) -> None:
        """Note that somebody else has this incident, or that its chain moved on without us."""
        if not case.lost:
            case.lost = True
            self.watcher.on_trouble(why)

    def _report_late(self, case: Case) -> None:
        """Reports that come after the fence was lost are evidence, never an outcome."""
        while (event := case.take()) is not None:
            if isinstance(event, ActionReturned):
                self.late.overtaken(case, event)

    def _handle(self, case: Case, first: Event) -> None:
        """Handle one event and everything that follows from it at once."""
        queue: deque[Event] = deque([first])
        wrote = False
        for _ in range(_CHAIN_OF_EVENTS_MOST):
            if not queue and not wrote:
                return
            if case.lost:
                case.put_back(_kept(queue))
                return
            if queue:
                event = queue.popleft()
            else:
                event, wrote = Woke(), False
            if self.stopping.is_set() and not isinstance(event, _NOT_TO_BE_READ_AGAIN):
                continue
            try:
                if isinstance(event, Woke):
                    self._answer_requests(case)
                wrote |= self._decide_and_carry(case, event, queue)
            except Exception as error:
                self._keep(case, [event, *queue], error)
                raise
        self._rest(case)
        self.watcher.on_trouble(f"{case.incident_id} made too many steps at once; it rests")

    def _decide_and_carry(self, case: Case, event: Event, queue: "deque[Event]") -> bool:
        """Put what follows into `queue`; say whether anything was written."""
        commands = decide(case.state, event, self.carrier.clock.now(), self.carrier.world)
        for command in commands:
            answer = self.carrier.carry_out(case, command)
            if answer is not None:
                queue.append(answer)
        return any(isinstance(command, Write) for command in commands)

    def _answer_requests(self, case: Case) -> None:
        for request in self.carrier.ledger.requests(case.incident_id):
            try:
                self._answer(case, request)
            except (LedgerUnavailableError, StaleFenceError):
                raise
            except Exception as error:  # noqa: BLE001 - unanswered it would stop the incident for good
                text = f"Holdfast could not do it: {type(error).__name__}: {error}"
                self.carrier.ledger.answer(request.id, Answer(ok=False, message=text))
                self.watcher.on_trouble(f"{case.incident_id}, request {request.kind}: {text}")

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
        # What fails again and again is our own fault: the step it tells of is found in doubt.
        if isinstance(error, LedgerUnavailableError | StaleFenceError) or case.failures == 0:
            case.put_back(_kept(events))

    def _fail(self, case: Case, error: Exception) -> None:
        """An error of our own. If it stays, the incident is held and a person is called."""
        case.failures += 1
        self._rest(case)
        case.post(Woke())
        text = f"{type(error).__name__}: {error}"
        self.watcher.on_trouble(f"{case.incident_id}: {text}")
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
            self.watcher.on_trouble(f"{case.incident_id} can't be held: {again}")


def _kept(events: "Sequence[Event] | deque[Event]") -> list[Event]:
    return [event for event in events if isinstance(event, _NOT_TO_BE_READ_AGAIN)]
