"""Who stands outside of Holdfast in a scene: the detection that opens incidents, and a person.

Both do what they would do in earnest, through the store and the inbox. The person settles a step in
doubt by looking at the target and making sure that nothing can come late; so what they say is true.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from holdfast.app.tokens import all_scopes, create_token
from holdfast.incident import (
    Draft,
    Kind,
    Record,
    State,
    StepStatus,
    evolve,
    fold,
    projections,
    stamp,
)
from holdfast.kernel import SYSTEM, Actor, ActorKind, Clock
from holdfast.kernel.errors import LedgerUnavailableError, StaleFenceError
from holdfast.response.store import Batch, Ledger, Request
from tests.crash.scene_target import call
from tests.crash.scene_world import every_service, opening

_RESUMES_MOST = 1


def live_states(ledger: Ledger) -> list[State]:
    """Fold every incident that has not ended."""
    names = ledger.incident_ids(live_only=True)
    found = ledger.records_of(names) if names else {}
    return [fold(records, name) for name, records in found.items()]


@dataclass(slots=True, kw_only=True)
class Detection:
    """Breaks a service that is well, and opens the incident of it; one at a time for each."""

    ledger: Ledger
    clock: Clock
    target: Path
    per_action: int
    noise: random.Random
    most_live: int
    at_once: int = 3
    mode: str = "autonomous"
    opened: int = 0
    newer_kind: str | None = None

    def tick(self, live: Sequence[State]) -> None:
        """Open a few more incidents, on services that have none."""
        busy = {service for state in live for service in state.services}
        free = [name for name in every_service(self.per_action) if name not in busy]
        self.noise.shuffle(free)
        for service in free[: min(self.at_once, max(0, self.most_live - len(live)))]:
            self.open(service)

    def open(self, service: str) -> str:
        """Break this service and open its incident, for whichever worker claims it."""
        call(self.target, 5.0, op="spoil", service=service)
        claim = self.ledger.open_incident("detection", 5.0)
        now = self.clock.now()
        data = opening(service, now).as_data(mode=self.mode)
        draft = Draft(kind=Kind.INCIDENT_OPENED, data=data)
        record = stamp(draft, incident_id=claim.incident_id, seq=1, at=now)
        state = evolve(State(incident_id=claim.incident_id), record)
        records = [record]
        if self.newer_kind:
            newer = Record(
                incident_id=claim.incident_id, seq=2, kind=self.newer_kind, at=now, data={"sky": 1}
            )
            state = evolve(state, newer)
            records.append(newer)
        batch = Batch(
            claim=claim, records=records, at=now, lease_s=5.0, project=partial(projections, state)
        )
        self.ledger.release(self.ledger.append(batch))
        self.opened += 1
        return claim.incident_id


@dataclass(slots=True, kw_only=True)
class Person:
    """Dana: approves, settles, resumes, gives up, and writes notes and holds now and then."""

    ledger: Ledger
    clock: Clock
    target: Path
    noise: random.Random
    whim: float = 0.02
    actor: Actor | None = None
    waiting: dict[str, str] = field(default_factory=dict)
    resumed: dict[str, int] = field(default_factory=dict)

    def arrive(self) -> None:
        """Get a token that allows everything."""
        now = self.clock.now()
        _, fact = create_token(
            self.ledger, name="dana", kind="person", scopes=all_scopes("person"), days=30,
            by=SYSTEM, now=now,
        )  # fmt: skip
        self.actor = Actor(kind=ActorKind.HUMAN, id="dana", token_id=fact.token_id)

    def tick(self, live: Sequence[State], *, only_approve: bool = False) -> None:
        """Look at every incident, and ask for one thing where something is needed."""
        for state in live:
            if not self._still_waits(state.incident_id):
                self._attend(state, only_approve=only_approve)

    def _still_waits(self, incident_id: str) -> bool:
        """One request at a time for each incident, as a person does."""
        asked = self.waiting.get(incident_id)
        if asked is None:
            return False
        if self.ledger.answer_of(asked) is None:
            return True
        del self.waiting[incident_id]
        return False

    def _attend(self, state: State, *, only_approve: bool) -> None:
        awaited = [s for s in state.steps if s.status is StepStatus.AWAITING_APPROVAL]
        if awaited and awaited[-1].approval is None:
            step = awaited[-1]
            self.ask(state, "approve", step_id=step.step_id, hash=step.hash, because="I read it")
        elif only_approve:
            return
        elif state.held and state.unsettled:
            self._settle(state)
        elif state.held:
            self._after_a_hold(state)
        elif self.noise.random() < self.whim:
            text = f"note {state.incident_id}/{state.seq}"
            self.ask(state, "note", text=text)
        elif self.noise.random() < self.whim / 2:
            self.ask(state, "hold", because="wait a moment")

    def _settle(self, state: State) -> None:
        step = state.unsettled[0]
        if step.status is not StepStatus.IN_DOUBT:
            return
        there = call(self.target, 5.0, op="revoke", key=step.idempotency_key)["there"]
        evidence = "it is there" if there else "it is not there, and can't come any more"
        self.ask(state, "settle", step_id=step.step_id, happened=there, evidence=evidence)

    def _after_a_hold(self, state: State) -> None:
        times = self.resumed.get(state.incident_id, 0)
        if times < _RESUMES_MOST:
            self.ask(state, "resume", because="go on")
            self.resumed[state.incident_id] = times + 1
        else:
            self.ask(state, "dismiss", because="I take it from here")

    def ask(self, state: State, kind: str, **data: object) -> str:
        """Put a request into the inbox."""
        assert self.actor, "arrive first"
        name = f"{kind}/{state.incident_id}/{state.seq}"
        request = Request(
            id=name, n=0, incident_id=state.incident_id, kind=kind, actor=self.actor,
            data=data, at=self.clock.now(),
        )  # fmt: skip
        self.ledger.submit(request)
        self.waiting[state.incident_id] = name
        return name


def tolerant(act: Callable[[], object]) -> bool:
    """Do something for which the store may be away just now; say whether it was done."""
    try:
        act()
    except (LedgerUnavailableError, StaleFenceError):
        return False
    return True


def tally(states: Mapping[str, State]) -> dict[str, int]:
    """Count how incidents stand."""
    counts = {
        "resolved": sum(s.phase.value == "resolved" for s in states.values()),
        "dismissed": sum(s.phase.value == "dismissed" for s in states.values()),
        "held": sum(bool(s.held) for s in states.values()),
        "escalated": sum(bool(s.escalated) for s in states.values()),
    }
    counts["in_doubt_steps"] = sum(step.doubts > 0 for s in states.values() for step in s.steps)
    counts["repeats"] = sum(step.repeats for s in states.values() for step in s.steps)
    return counts
