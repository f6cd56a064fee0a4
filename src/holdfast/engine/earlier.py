"""The incidents that ended a short while ago: what is back on their services is theirs.

Found in the ledger and not in memory, so that neither a restart nor another
worker's end makes a second incident of one fault.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.engine.opening import OpeningFacts
from holdfast.engine.ports import Watcher
from holdfast.engine.told import Became
from holdfast.incident import Phase, State, evolve, fold
from holdfast.incident.grouping import last_ended_on
from holdfast.kernel.actor import SYSTEM
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.catalogue import ALERT
from holdfast.kernel.clock import Clock, format_at
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.response.store import Ledger, Request


def follows(earlier: State | None) -> Mapping[str, Any] | None:
    """Say in a new incident's first record which one it comes after; None where there is none."""
    if earlier is None or earlier.ended_at is None:
        return None
    return {
        "incident_id": earlier.incident_id,
        "phase": earlier.phase.value,
        "ended_at": format_at(earlier.ended_at),
    }


def _says_nothing_new(earlier: State, facts: OpeningFacts) -> bool:
    """Say whether this is only the same occurrence of alerts that the incident has ended on.

    An alert that looks back over minutes goes on firing after recovery is proven, and is repeated.
    """
    return all(
        signal["signal"] == ALERT
        and signal["series"] in earlier.signals
        and _began(signal) <= _began(earlier.signals[signal["series"]])
        for signal in facts.signals
    )


def _began(signal: Mapping[str, Any]) -> str:
    return str(signal.get("starts_at", ""))


@dataclass(slots=True, kw_only=True)
class Earlier:
    """Folds of what ended lately. For one thread at a time: asked where incidents are opened."""

    ledger: Ledger
    watcher: Watcher
    clock: Clock
    window_s: float
    _states: dict[str, State] = field(default_factory=dict)
    _unreadable: set[str] = field(default_factory=set)

    def on(self, services: Sequence[str]) -> State | None:
        """Find the incident on one of these services that ended last, within the window.

        Raises LedgerUnavailableError where the store is away.
        """
        if self.window_s <= 0:
            return None
        now = self.clock.now()
        names = [n for n in self.ledger.lately_ended(now) if n not in self._unreadable]
        for gone in self._states.keys() - set(names):
            del self._states[gone]
        wanted = set(services)
        for name in names:
            known = self._states.get(name)
            if known is None or wanted & set(known.services):
                self._read(name, known)
        return last_ended_on(services, self._states.values(), now=now, window_s=self.window_s)

    def bring_back(self, state: State, facts: OpeningFacts) -> Became | None:
        """Tell a resolved incident that its trouble is there again; None where it is not resolved.

        Through its inbox: whoever holds it, and whoever dies meanwhile, it is told once. The name
        says what was seen and after which record, so that a sight on every tick is one request.
        Raises LedgerUnavailableError.
        """
        if _says_nothing_new(state, facts):
            return Became.KNOWN
        if state.phase is not Phase.RESOLVED:
            return None
        data = facts.as_data(mode="")
        seen = sorted([s["series"], s["state"], s["severity"]] for s in facts.signals)
        digest = hashlib.sha256(canonical_json({"seen": seen})).hexdigest()[:16]
        self.ledger.submit(
            Request(
                id=f"back/{state.incident_id}/{state.seq}/{digest}",
                n=0,
                incident_id=state.incident_id,
                kind="trouble_is_back",
                actor=SYSTEM,
                data=data,
                at=self.clock.now(),
            )
        )
        return Became.REOPENED

    def _read(self, name: str, known: State | None) -> None:
        try:
            if known is None:
                self._states[name] = fold(self.ledger.records(name), name)
                return
            for record in self.ledger.records(name, after=known.seq):
                known = evolve(known, record)
            self._states[name] = known
        except LedgerUnavailableError as error:
            self.ledger.system_seq()  # raises where the whole store is away
            self._give_up(name, error)
        except Exception as error:  # noqa: BLE001 - one chain that can't be read stops no opening
            self._give_up(name, error)

    def _give_up(self, name: str, error: Exception) -> None:
        self._unreadable.add(name)
        self._states.pop(name, None)
        self.watcher.on_trouble(f"{name} can't be read: {type(error).__name__}: {error}")
