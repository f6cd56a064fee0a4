"""Takes incidents over, many at a time: claimed, read and marked in a few commits.

Ten thousand incidents of a dead worker must not cost ten thousand waits for the
disk. What a dead worker left without an outcome is found in doubt before
anything else is done with it.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from holdfast.engine.case import Case
from holdfast.engine.crash_points import CrashPoint, reach
from holdfast.engine.journal import Journal
from holdfast.incident import Draft, Record, State, evolve, fold
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.response.act import doubts_after_a_death
from holdfast.response.commands import Write
from holdfast.response.events import Woke
from holdfast.response.store import Claim, Ledger

AT_ONCE = 500
# A longer chain is read in pages, so that it takes no more memory than a short one.
_READ_TOGETHER_MOST = 200
_PAGE = 500


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile.

    Reading ten thousand incidents makes only what stays, and to look through all of that again and
    again takes as long as the reading.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """Claims for one worker. `told` hears of chains that can't be read."""

    ledger: Ledger
    journal: Journal
    clock: Clock
    worker: str
    lease_s: float

    def next(self) -> tuple[list[Case], list[str], bool]:
        """Take over what is free. Returns cases, troubles, and whether there may be more."""
        before = self.clock.monotonic()
        claims = self.ledger.claim_many(self.worker, self.lease_s, AT_ONCE)
        if not claims:
            return [], [], False
        reach(CrashPoint.AFTER_CLAIM)
        cases, troubles = self._read(claims, before)
        troubles += self._mark(cases)
        return cases, troubles, len(claims) == AT_ONCE

    def one(self, incident_id: str) -> tuple[list[Case], list[str]]:
        """Take over this one, ended or not, if nobody has it."""
        before = self.clock.monotonic()
        claim = self.ledger.claim_one(incident_id, self.worker, self.lease_s)
        return self._read([claim], before) if claim is not None else ([], [])

    # --- reading ----------------------------------------------------------

    def _read(self, claims: Sequence[Claim], before: float) -> tuple[list[Case], list[str]]:
        short = [c.incident_id for c in claims if c.seq <= _READ_TOGETHER_MOST]
        together = self._together(short)
        cases, troubles = [], []
        for claim in claims:
            try:
                state = self._state(claim, together)
            except Exception as error:  # noqa: BLE001 - one chain that can't be read stops no other
                name = claim.incident_id
                troubles.append(f"{name} can't be taken over: {type(error).__name__}: {error}")
                continue
            case = Case(claim=claim, state=state, lease_until=before + self.lease_s)
            case.idle_since = before
            case.post(Woke())
            cases.append(case)
        return cases, troubles

    def _together(self, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Record]]:
        if not incident_ids:
            return {}
        try:
            return self.ledger.records_of(incident_ids)
        except LedgerUnavailableError:
            # One chain in it may be unreadable; read one by one it stops no other.
            return {}

    def _state(self, claim: Claim, together: Mapping[str, Sequence[Record]]) -> State:
        records = together.get(claim.incident_id)
        if records is not None:
            return fold(records, claim.incident_id)
        state = State(incident_id=claim.incident_id)
        while page := self.ledger.records(claim.incident_id, state.seq, _PAGE):
            for record in page:
                state = evolve(state, record)
        return state

    # --- marking ----------------------------------------------------------

    def _mark(self, cases: Sequence[Case]) -> list[str]:
        """Write down in one commit which steps a dead worker left without an outcome.

        What can't be written now is found again when the case is driven.
        """
        pairs = [(case, drafts) for case in cases if (drafts := _doubts(case.state))]
        if not pairs:
            return []
        try:
            problems = self.journal.write_many(pairs)
        except LedgerUnavailableError as error:
            return [error.message]
        return [
            f"{case.incident_id}: {problem}"
            for (case, _), problem in zip(pairs, problems, strict=True)
            if problem is not None
        ]


def _doubts(state: State) -> tuple[Draft, ...]:
    commands = doubts_after_a_death(state)
    return tuple(d for command in commands if isinstance(command, Write) for d in command.drafts)
