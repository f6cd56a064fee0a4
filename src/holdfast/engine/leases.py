"""Keeps the leases of what is in hand, acting or not: a wait is not a death.

Where each lease ends is kept on this machine's monotonic clock, so that a round
asks the store nothing; what must be renewed is renewed in one commit, and an
append has done it already for whatever is being worked on.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.engine.case import Case
from holdfast.kernel.clock import Clock
from holdfast.response.store import Ledger

_RENEW_BELOW = 0.75
_LOOKS_PER_LEASE = 8


@dataclass(slots=True, kw_only=True)
class Leases:
    """Renews in time: at the latest when five eighths of a lease are left."""

    ledger: Ledger
    clock: Clock
    lease_s: float
    _next_look: float = 0.0

    def renew(self, cases: Iterable[Case]) -> list[Case]:
        """Extend what runs low, in one commit. Returns the cases that are not held any more."""
        now = self.clock.monotonic()
        if now < self._next_look:
            return []
        low = now + _RENEW_BELOW * self.lease_s
        asked = {c.incident_id: c for c in cases if c.lease_until < low and not c.lost}
        if not asked:
            self._next_look = now + self.lease_s / _LOOKS_PER_LEASE
            return []
        claims = [case.claim for case in asked.values()]
        refused = self.ledger.renew_many(claims, self.lease_s)
        gone = {claim.incident_id: claim.fence for claim in refused}
        for name, case in asked.items():
            if name not in gone:
                # An append on another thread may have extended it further meanwhile.
                case.lease_until = max(case.lease_until, now + self.lease_s)
        self._next_look = now + self.lease_s / _LOOKS_PER_LEASE
        # The thread that works on a case may have claimed it anew meanwhile.
        return [asked[name] for name, fence in gone.items() if asked[name].claim.fence == fence]
