"""Reports that come after their time: kept as evidence, never as an outcome.

A worker that lost its fence, or an action that answered after it was given up,
still knows something. It goes through the inbox, so that whoever writes the
chain by then records it; while the store is away it is kept in hand.
"""

import threading
from collections import deque
from dataclasses import dataclass, field

from holdfast.engine.case import Case
from holdfast.incident import Step
from holdfast.kernel.actor import SYSTEM
from holdfast.kernel.clock import Clock, format_at
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.response.events import ActionReturned
from holdfast.response.store import Ledger, Request


@dataclass(slots=True, kw_only=True)
class LateReports:
    """What is to be put into the inbox. Thread-safe."""

    ledger: Ledger
    clock: Clock
    _kept: deque[Request] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def overtaken(self, case: Case, event: ActionReturned) -> None:
        """Keep what an attempt came to whose worker has lost its fence."""
        step = case.state.step(event.step_id)
        self._keep(case.incident_id, step, case.claim.fence, event, "overtaken")

    def gave_up(self, incident_id: str, step: Step, fence: int, event: ActionReturned) -> None:
        """Keep what an action said after its step was given up and found in doubt."""
        self._keep(incident_id, step, fence, event, "answer")

    def flush(self) -> None:
        """Put into the inbox what waits. Raises LedgerUnavailableError and keeps the rest."""
        while True:
            with self._lock:
                if not self._kept:
                    return
                report = self._kept[0]
            self.ledger.submit(report)
            with self._lock:
                if self._kept and self._kept[0] is report:
                    self._kept.popleft()

    def _keep(
        self, incident_id: str, step: Step | None, fence: int, event: ActionReturned, why: str
    ) -> None:
        attempt = f"{step.attempt}.{step.repeats}" if step else "0"
        outcome = event.outcome
        summary = outcome.summary if outcome else (event.lost or event.unreachable)
        report = Request(
            # The same report handed in twice is one: the store keeps the first.
            id=f"late/{incident_id}/{event.step_id}/{attempt}/{fence}/{why}",
            n=0,
            incident_id=incident_id,
            kind="late_report",
            actor=SYSTEM,
            data={
                "step_id": event.step_id,
                "idempotency_key": step.idempotency_key if step else None,
                "fence": fence,
                "summary": summary,
                "ok": outcome.ok if outcome else None,
                "ended_at": format_at(event.ended_at),
            },
            at=self.clock.now(),
        )
        with self._lock:
            self._kept.append(report)
        try:
            self.flush()
        except LedgerUnavailableError:
            # The engine's next round hands it in.
            return
