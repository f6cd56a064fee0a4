"""Takes in what other programs tell: alerts become signals of incidents, changes are kept.

Only a service's or a person's token opens anything: an agent could otherwise have
a runbook run by raising an alert. A refusal is on the record, once in ten minutes
for the same one, so that a sender with a wrong token doesn't fill the chain.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.api import Taken, UnavailableError, UnknownCallerError, read_alerts, read_changes
from holdfast.app.intake_alerts import Heard, by_group, facts_of, hear, strangers
from holdfast.app.intake_models import IntakeModel
from holdfast.app.tokens import Caller, authenticate
from holdfast.app.watch import Counts, StdoutWatcher
from holdfast.engine import Became, Engine, OpeningFacts, Told
from holdfast.engine.maintenance import Suppressed
from holdfast.incident.system import REFUSED
from holdfast.kernel.actor import Actor
from holdfast.kernel.errors import RefusedError
from holdfast.policy import Scope, TokenKind, authorize
from holdfast.response.store import Answer

_LOOK_EVERY_S = 0.01
_REFUSAL_AGAIN_S = 600.0
_MAKE_ONE = "`holdfast token create NAME --kind service --scope propose` makes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """What became of the alerts of one group of services."""

    told: Told
    kept: Suppressed | None = None

    def became(self, signal: Mapping[str, Any]) -> dict[str, Any]:
        """Say what became of one alert: a result, the incident, and why where it is ignored."""
        series, incident = signal["series"], {"incident": self.told.incident_id}
        if self.kept is not None and series in self.kept.series:
            return {"result": "ignored", "why": self.kept.sentence()}
        if series in self.told.too_many:
            why = "this incident has so many alerts that no more are taken in"
            return {"result": "ignored", **incident, "why": why}
        if signal["state"] == "bad":
            known = self.told.became is Became.KNOWN or series not in self.told.news
            became = Became.KNOWN if known else self.told.became
            return {"result": became.value, **incident}
        if series in self.told.news:
            return {"result": "resolved_noted", **incident}
        why = "no open incident has this alert as firing, or it has a later one"
        return {"result": "ignored", "why": why}


@dataclass(slots=True, kw_only=True)
class IntakeDesk:
    """Fulfils `api.Intake`. Blocking and thread-safe.

    `may_open`: on a shared store only one process opens incidents. `changes` are those that an
    incident is told of when it opens. An alert is durable before anybody waits for its incident to
    take it in, and then it is waited for so long.
    """

    engine: Engine
    rules: IntakeModel
    changes_known: Callable[[], Iterable[Mapping[str, Any]]]
    watcher: StdoutWatcher
    counts: Counts
    may_open: Callable[[], bool] = lambda: True
    taken_in_within_s: float = 1.0
    _refused: dict[tuple[str | None, str], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # --- who asks ---------------------------------------------------------

    def admit(self, token: str | None, what: str) -> None:
        """Let a caller in whose token may propose."""
        if not token:
            raise UnknownCallerError(
                f"no token was sent; send `Authorization: Bearer TOKEN`, {_MAKE_ONE}"
            )
        caller = self._caller(token, what)
        reason = authorize(caller.kind, caller.scopes, Scope.PROPOSE)
        why = None if reason.ok else reason.sentence()
        if why is None and caller.kind is TokenKind.AGENT:
            why = f"an agent's token opens no incident; send a service's or a person's: {_MAKE_ONE}"
        if why is not None:
            self._note_refusal(caller.actor, what, why)
            raise RefusedError(f"{what} are refused: {why}")

    def _caller(self, token: str, what: str) -> Caller:
        ended: list[tuple[Actor, str]] = []
        carrier = self.engine.carrier
        try:
            return authenticate(
                token,
                carrier.system.state(),
                carrier.clock.now(),
                lambda actor, why: ended.append((actor, why)),
            )
        except RefusedError:
            if not ended:
                raise UnknownCallerError(
                    f"the token that was sent is not known here; {_MAKE_ONE}"
                ) from None
        (actor, why) = ended[0]
        self._note_refusal(actor, what, why)
        raise UnknownCallerError(why)

    def _note_refusal(self, actor: Actor, what: str, why: str) -> None:
        clock = self.engine.carrier.clock
        key, now = (actor.token_id, what), clock.monotonic()
        with self._lock:
            before = self._refused.get(key)
            if before is not None and now - before < _REFUSAL_AGAIN_S:
                return
            self._refused[key] = now
        data = {
            "what": f"intake of {what}",
            "scope": Scope.PROPOSE.value,
            "token_id": actor.token_id,
            "why": why,
        }
        self.engine.carrier.ledger.append_system(REFUSED, data, actor, clock.now())

    def rejected(self, why: str, *, ours: bool) -> None:
        """Count a request that nothing was taken of."""
        self.counts.intake_rejected.inc()
        if ours:
            self.watcher.on_trouble(f"intake: {why}")

    # --- alerts -----------------------------------------------------------

    def alerts(self, document: object) -> Taken:
        """Take in a webhook of Alertmanager: every word of it is durable when this returns."""
        carrier = self.engine.carrier
        alerts = read_alerts(document)
        self._assert_open()
        catalogue = carrier.world.catalogue
        nobodys = strangers((state.services for state in self.engine.known()), catalogue)
        heard = hear(alerts, self.rules, catalogue, carrier.clock.now(), nobodys)
        became: dict[str, dict[str, Any]] = {}
        for group, signals in by_group(heard):
            outcome = self._take_in(group, signals)
            became |= {signal["series"]: outcome.became(signal) for signal in signals}
        return Taken(body={"alerts": [self._answer(each, became) for each in heard]})

    def _assert_open(self) -> None:
        if self.engine.stopping.is_set():
            raise UnavailableError("Holdfast is stopping; send it again")
        if not self.may_open():
            raise UnavailableError(
                "another process opens the incidents of this database now; send it there, or again"
            )

    def _take_in(self, group: tuple[str, ...], signals: Sequence[Mapping[str, Any]]) -> _Group:
        """Past the maintenance windows: what fires inside one is kept quiet, and said."""
        carrier, gate = self.engine.carrier, self.engine.gate
        firing = [signal for signal in signals if signal["state"] == "bad"]
        over = [signal for signal in signals if signal["state"] != "bad"]
        for signal in over:
            gate.forget(signal["series"])
        facts = facts_of(
            group, firing or over, carrier.world.catalogue, carrier.readings, self.changes_known
        )
        admitted, kept = gate.admit(facts) if firing else (None, None)
        counted = (*(admitted.signals if admitted is not None else ()), *over)
        if not counted:
            return _Group(told=Told(became=Became.NOBODYS), kept=kept)
        return _Group(told=self._tell(replace(admitted or facts, signals=counted)), kept=kept)

    def _tell(self, facts: OpeningFacts) -> Told:
        told = self.engine.told(facts)
        answer = self._answer_to(told)
        if answer is None or answer.ok:
            return told
        # The incident ended at this very moment and takes nothing in any more: told once more, it
        # is another incident's.
        return self.engine.told(facts)

    def _answer_to(self, told: Told) -> Answer | None:
        """Wait a little until the incident has taken it in. It is durable already, in its inbox."""
        if told.request_id is None:
            return None
        carrier, never = self.engine.carrier, threading.Event()
        until = carrier.clock.monotonic() + self.taken_in_within_s
        while (answer := carrier.ledger.answer_of(told.request_id)) is None:
            if carrier.clock.monotonic() >= until:
                return None
            carrier.clock.wait(never, _LOOK_EVERY_S)
        return answer

    def _answer(self, heard: Heard, became: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        if heard.signal is None:
            outcome: Mapping[str, Any] = {
                "result": "ignored",
                "why": "intake.alertmanager.ignore names this alert",
            }
        else:
            outcome = became[heard.signal["series"]]
        self.counts.intake_alerts.labels(outcome["result"]).inc()
        return {
            "alertname": heard.name,
            "fingerprint": heard.fingerprint,
            "status": "firing" if heard.firing else "resolved",
            "service": heard.place.service,
            **outcome,
        }

    # --- changes ----------------------------------------------------------

    def changes(self, document: object) -> Taken:
        """Keep what was changed; a change that is known already is not kept twice."""
        carrier = self.engine.carrier
        told = []
        for change in read_changes(document, carrier.clock.now()):
            new = carrier.ledger.put_change(change)
            if new:
                self.watcher.on_change(change)
            told.append({"id": change["id"], "result": "new" if new else "known"})
        return Taken(body={"changes": told}, created=any(each["result"] == "new" for each in told))
