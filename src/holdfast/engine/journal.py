"""Writes the records of a case: stamped, folded, projected, appended in one commit.

The fold runs before the append, so a record that can't follow what came before
is never written.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from holdfast.engine.case import Case
from holdfast.engine.crash_points import CrashPoint, reach
from holdfast.engine.ports import Watcher
from holdfast.incident import Draft, Kind, Record, State, evolve, projections, stamp
from holdfast.kernel.clock import Clock
from holdfast.response.store import Answer, Batch, Ledger, Reservation, Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The one way by which the engine writes to an incident's chain."""

    ledger: Ledger
    clock: Clock
    watcher: Watcher
    lease_s: float

    def write(
        self,
        case: Case,
        drafts: Sequence[Draft],
        *,
        settles: Sequence[str] = (),
        answers: Mapping[str, Answer] | None = None,
        reserve: Reservation | None = None,
        seen: Seen | None = None,
        lease_s: float | None = None,
    ) -> None:
        """Append these drafts to the case's chain and move the case on.

        Raises what `Ledger.append` raises; the case is then as it was.
        """
        now = self.clock.now()
        state, records = case.state, []
        for offset, draft in enumerate(drafts, start=1):
            record = stamp(
                draft,
                incident_id=case.claim.incident_id,
                seq=case.claim.seq + offset,
                at=now,
            )
            state = evolve(state, record)
            records.append(record)
        batch = Batch(
            claim=case.claim,
            records=records,
            project=partial(projections, state),
            at=now,
            lease_s=lease_s or self.lease_s,
            ended=state.ended,
            due_at=case.wake_at,
            reserve=reserve,
            seen=seen,
            settles=tuple(key for key in settles if key),
            answers=answers or {},
        )
        self._append(case, batch, state, records)

    def _append(self, case: Case, batch: Batch, state: State, records: list[Record]) -> None:
        case.claim = self.ledger.append(batch)
        case.state = state
        case.records.extend(records)
        for record in records:
            # It is durable by now: whoever watches can't make it look as if it were not.
            with suppress(Exception):
                self.watcher.on_record(record)
        if any(record.kind == Kind.STEP_FINISHED for record in records):
            reach(CrashPoint.AFTER_OUTCOME)
