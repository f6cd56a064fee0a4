"""One incident in this process's hands: its state, its claim, its mail.

It holds the fold and no records: an incident of a hundred thousand records
takes as much memory as one of ten.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.incident import Projector, State
from holdfast.response.events import Event
from holdfast.response.store import Claim

_LOOKS_MOST = 20


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
    looks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def incident_id(self) -> str:
        return self.claim.incident_id

    def remember(self, digest: str, pre_image: Mapping[str, Any]) -> None:
        """Keep what a dry run saw, to say later what has changed since; only the newest few."""
        self.looks[digest] = pre_image
        while len(self.looks) > _LOOKS_MOST:
            del self.looks[next(iter(self.looks))]

    def remembered(self, digest: str | None) -> Mapping[str, Any] | None:
        """Give what a dry run saw; None where that was another process's, or too long ago."""
        found = (self.looks[known] for known in self.looks if digest and known.startswith(digest))
        return next(found, None)

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
