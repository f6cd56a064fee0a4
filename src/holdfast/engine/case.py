"""One incident in this process's hands: its state, its claim, its mail."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.incident import Record, State
from holdfast.response.events import Event
from holdfast.response.store import Claim


@dataclass(slots=True, kw_only=True)
class Case:
    """Mutable on purpose: the only place in the engine that is. `lock` guards the mail."""

    claim: Claim
    state: State
    records: list[Record]
    wake_at: datetime | None = None
    busy: bool = False
    lost: bool = False
    failed: bool = False
    failures: int = 0
    mail: deque[Event] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)

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
