"""Writes the records of a case: stamped, folded, projected, appended in one commit.

The fold runs before the append, so a record that can't follow what came before
is never written. An append renews the lease; how long it lasts is counted from
before the store was asked.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from holdfast.engine.case import Case
from holdfast.engine.crash_points import CrashPoint, reach
from holdfast.engine.ports import Watcher
from holdfast.incident import Draft, Kind, Record, State, evolve, stamp
from holdfast.kernel.clock import Clock
from holdfast.response.store import Answer, Batch, Claim, Ledger, Reservation, Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What one case is about to become."""

    case: Case
    batch: Batch
    state: State
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The one way by which the engine writes to an incident's chain."""

    ledger: Ledger
    clock: Clock
    watcher: Watcher
    lease_s: float
    reopen_window_s: float = 600.0

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
        entry = self._entry(
            case,
            drafts,
            settles=tuple(key for key in settles if key),
            answers=answers or {},
            reserve=reserve,
            seen=seen,
            lease_s=lease_s or self.lease_s,
        )
        if Kind.VERIFICATION_RECORDED in entry.kinds:
            reach(CrashPoint.BEFORE_VERDICT)
        before = self.clock.monotonic()
        self._moved(entry, self.ledger.append(entry.batch), before)

    def write_many(
        self, pairs: Sequence[tuple[Case, Sequence[Draft]]]
    ) -> Sequence[Exception | None]:
        """Append to several chains in one commit; say for each what went wrong, if anything."""
        entries = [self._entry(case, drafts, lease_s=self.lease_s) for case, drafts in pairs]
        before = self.clock.monotonic()
        results = self.ledger.append_many([entry.batch for entry in entries])
        problems: list[Exception | None] = []
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, Claim):
                self._moved(entry, result, before)
                problems.append(None)
            else:
                problems.append(result)
        return problems

    def _entry(
        self,
        case: Case,
        drafts: Sequence[Draft],
        *,
        lease_s: float,
        settles: tuple[str, ...] = (),
        answers: Mapping[str, Answer] | None = None,
        reserve: Reservation | None = None,
        seen: Seen | None = None,
    ) -> _Entry:
        now = self.clock.now()
        state, records = case.state, list[Record]()
        for seq, draft in enumerate(drafts, start=case.claim.seq + 1):
            record = stamp(draft, incident_id=case.incident_id, seq=seq, at=now)
            state = evolve(state, record)
            records.append(record)
        batch = Batch(
            claim=case.claim,
            records=records,
            project=partial(case.projector.keys, state),
            at=now,
            lease_s=lease_s,
            ended=state.ended,
            due_at=self._may_be_reopened_until(state) if state.ended else case.wake_at,
            reserve=reserve,
            seen=seen,
            settles=settles,
            answers=answers or {},
        )
        kinds = frozenset([record.kind for record in records])
        return _Entry(case=case, batch=batch, state=state, kinds=kinds)

    def _may_be_reopened_until(self, state: State) -> datetime | None:
        if state.ended_at is None or state.merged_into is not None:
            return None
        return state.ended_at + timedelta(seconds=self.reopen_window_s)

    def _moved(self, entry: _Entry, claim: Claim, before: float) -> None:
        case = entry.case
        case.claim = claim
        case.state = entry.state
        case.lease_until = before + entry.batch.lease_s
        on_record = self.watcher.on_record
        for record in entry.batch.records:
            # It is durable by now: whoever watches can't make it look as if it were not.
            with suppress(Exception):
                on_record(record)
        if Kind.STEP_FINISHED in entry.kinds:
            reach(CrashPoint.AFTER_OUTCOME)
        if Kind.STEP_IN_DOUBT in entry.kinds:
            reach(CrashPoint.AFTER_DOUBT)
        if Kind.VERIFICATION_RECORDED in entry.kinds:
            reach(CrashPoint.AFTER_VERDICT)
