"""One incident in this process's hands: its state, its claim, its mail.

It holds the fold and no records: an incident of a hundred thousand records
takes as much memory as one of ten.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.incident import Projector, State
from holdfast.response.events import Event
from holdfast.response.store import Claim


@dataclass(slots=True, kw_only=True)
class Case:
    """Mutable on purpose: the only place in the engine that is. `lock` guards the mail.

    `lease_until` is on this machine's monotonic clock, counted from before the store was asked:
    never later than the end that the store has noted. `idle_since` is on the same clock.
    """

    claim: Claim
    state: State
    lease_until: float = 0.0
    idle_since: float = 0.0
    wake_at: datetime | None = None
    busy: bool = False
    lost: bool = False
    failed: bool = False
    failures: int = 0
    mail: deque[Event] = field(default_factory=deque)
    projector: Projector = field(default_factory=Projector)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def incident_id(self) -> str:
        return self.claim.incident_id

    def post(self, event: Event) -> None:
        """Leave an event to be handled at the next boundary."""
        with self.lock:
            self.mail.append(event)

    def put_back(self, events: Sequence[Event]) -> None:
        """Leave events to be handled before all others, in this order."""
        with self.lock:
            self.mail.extendleft(reversed(events))

    def take(self) -> Event | None:
        """Take the next event, or None."""
        with self.lock:
            return self.mail.popleft() if self.mail else None
