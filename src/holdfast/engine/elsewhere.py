"""The live incidents that this process does not hold: parked, another worker's, or a dead one's.

One fault is one incident whoever works on it, so that whoever opens incidents
has to know all of them. What detection sees on such an incident goes through
the inbox; the same sight twice is one request.
"""

import hashlib
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.engine.ports import Watcher
from holdfast.incident import State, evolve, fold
from holdfast.kernel.actor import SYSTEM
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.catalogue import ALERT
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.response.store import Ledger, Request

_READ_TOGETHER = 500
_LOOKED_AT_AGAIN = 100


@dataclass(slots=True, kw_only=True)
class Elsewhere:
    """Folds of incidents in other hands, brought up to date a few at a time. Thread-safe."""

    ledger: Ledger
    watcher: Watcher
    clock: Clock
    _states: dict[str, State] = field(default_factory=dict)
    _unreadable: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self) -> list[State]:
        """List them as they were last seen; asks the store nothing."""
        with self._lock:
            return list(self._states.values())

    def look(self, in_hand: Collection[str], services: Collection[str] = ()) -> list[State]:
        """Read what is new: all incidents not seen yet, those on `services`, and the ones that
        were not looked at for longest. Raises LedgerUnavailableError.
        """
        live = self.ledger.incident_ids(live_only=True)
        names = [name for name in live if name not in in_hand]
        with self._lock:
            for gone in self._states.keys() - set(names):
                del self._states[gone]
            fresh = [n for n in names if n not in self._states and n not in self._unreadable]
            oldest = [name for name in self._states if name not in fresh][:_LOOKED_AT_AGAIN]
            wanted = set(services)
            on_services = [n for n, s in self._states.items() if wanted & set(s.services)]
        for start in range(0, len(fresh), _READ_TOGETHER):
            self._read(fresh[start : start + _READ_TOGETHER])
        for name in dict.fromkeys((*on_services, *oldest)):
            self._catch_up(name)
        return self.known()

    def tell(
        self,
        incident_id: str,
        signals: Sequence[Mapping[str, Any]],
        baselines: Mapping[str, Mapping[str, Any]],
    ) -> str:
        """Put what is seen of this incident into its inbox, and return the request's id.

        The name says what was seen and after which record, so that a flood of the same sight is
        one request; of an alert also when it was told. Raises LedgerUnavailableError.
        """
        with self._lock:
            state = self._states.get(incident_id)
        seq = state.seq if state else 0
        sight = [
            [s["series"], s["state"], s["severity"], *([s["at"]] if s["signal"] == ALERT else [])]
            for s in signals
        ]
        digest = hashlib.sha256(canonical_json({"sight": sight})).hexdigest()[:16]
        data = {
            "signals": [dict(signal) for signal in signals],
            "baselines": {name: dict(facts) for name, facts in baselines.items()},
        }
        request = Request(
            id=f"signals/{incident_id}/{seq}/{digest}",
            n=0,
            incident_id=incident_id,
            kind="signals_seen",
            actor=SYSTEM,
            data=data,
            at=self.clock.now(),
        )
        self.ledger.submit(request)
        return request.id

    # --- reading ----------------------------------------------------------

    def _read(self, names: Sequence[str]) -> None:
        try:
            chains = self.ledger.records_of(names)
        except LedgerUnavailableError as error:
            # Raises where the whole store is away; else one chain is unreadable: it stops no other.
            self.ledger.system_seq()
            if len(names) == 1:
                self._give_up(names[0], error)
                return
            for name in names:
                self._read([name])
            return
        for name, records in chains.items():
            try:
                self._put(fold(records, name))
            except Exception as error:  # noqa: BLE001 - one chain that can't be read stops no other
                self._give_up(name, error)

    def _catch_up(self, name: str) -> None:
        with self._lock:
            state = self._states.get(name)
        if state is None:
            return
        try:
            for record in self.ledger.records(name, after=state.seq):
                state = evolve(state, record)
        except LedgerUnavailableError as error:
            self.ledger.system_seq()
            self._give_up(name, error)
        except Exception as error:  # noqa: BLE001 - one chain that can't be read stops no other
            self._give_up(name, error)
        else:
            self._put(state)

    def _put(self, state: State) -> None:
        with self._lock:
            # Last in the order: the ones at the front were not looked at for longest.
            self._states.pop(state.incident_id, None)
            self._states[state.incident_id] = state

    def _give_up(self, name: str, error: Exception) -> None:
        with self._lock:
            self._unreadable.add(name)
            self._states.pop(name, None)
        self.watcher.on_trouble(f"{name} can't be read: {type(error).__name__}: {error}")
