"""A world that answers decide() from what was recorded or written down, and acts on nothing.

It plays the engine's part: carries the answers back, writes records to nowhere, and lets time pass
at once. What it does not know is missing in its answers, as a reading that failed would be.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, assert_never

from holdfast.diagnosis import SymptomReading
from holdfast.incident import Draft, Kind, Record, State, evolve, fold, stamp
from holdfast.kernel.actor import Actor, ActorKind
from holdfast.kernel.catalogue import SignalKey
from holdfast.policy import Freeze, SetMode, Verdict
from holdfast.response import World, decide
from holdfast.response.commands import (
    AnswerRequest,
    Command,
    Confirm,
    Intend,
    Look,
    LookAgain,
    MakePacket,
    Observe,
    Prepare,
    Probe,
    ReadSamples,
    ReadSymptom,
    Redo,
    Rehearse,
    RunChecks,
    SendPage,
    WakeAt,
    Write,
)
from holdfast.response.events import (
    ActionReturned,
    Asked,
    ChecksDone,
    Confirmed,
    Event,
    PageSent,
    Prepared,
    Probed,
    SamplesRead,
    SymptomRead,
    Woke,
)
from holdfast.response.ports import ActionOutcome, CheckResult, Effect, ProbeResult
from holdfast.response.store import LoggedAction, Request
from holdfast.verification import Sample

_TURNS_MOST = 2000
_SAMPLES_MOST = 200
PERSON = Actor(kind=ActorKind.HUMAN, id="rehearsal")


class Samples(Protocol):
    """The readings that are known."""

    def read(self, key: SignalKey, until: datetime) -> Sequence[tuple[datetime, float]]:
        """Give the samples of a series up to a moment, oldest first; NaN is a gap."""
        ...

    def acted(self, number: int, at: datetime) -> None:
        """Hear that the step of this number has ended, from which on other samples may count."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step of the rehearsal leads to. `effect` is what a probe would show."""

    said: str
    summary: str
    effect: Effect = Effect.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything that is known at the beginning. `outcome` gives None where nothing is."""

    source: str
    at: datetime
    records: tuple[Record, ...]
    samples: Callable[[], Samples]
    checks: Callable[[int, datetime], Mapping[str, CheckResult]]
    outcome: Callable[[int, str, str], Outcome | None]
    observed: Mapping[str, Any] = field(default_factory=dict)
    log: tuple[LoggedAction, ...] = ()
    freeze: Freeze | None = None
    modes: tuple[SetMode, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Stage:
    """One rehearsal. `judge` is asked beside decide() what the guard says, and its word is kept."""

    known: Known
    world: World
    judge: Callable[[State, str, Prepared, datetime], Verdict | None]
    approve: bool = False
    state: State = field(init=False)
    now: datetime = field(init=False)
    records: list[Record] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    pages: list[dict[str, Any]] = field(default_factory=list)
    stopped: str | None = None
    _samples: Samples = field(init=False)
    _log: list[LoggedAction] = field(default_factory=list)
    _acts: int = 0
    _wake: datetime | None = None

    def __post_init__(self) -> None:
        self.state = fold(self.known.records, self.known.records[0].incident_id)
        self.now = self.known.at
        self._samples = self.known.samples()
        self._log = list(self.known.log)

    def play(self) -> "Stage":
        """Go on until a person is needed, it has ended, or nothing more is known."""
        for _ in range(_TURNS_MOST):
            wake = self._handle(Woke())
            if self._over():
                return self
            if self.approve and "approval" in self.state.waiting_for:
                wake = self._say_yes()
            if wake is None:
                self.stopped = self.stopped or "nothing more would happen by itself"
                return self
            self.now = max(wake, self.now + timedelta(milliseconds=1))
        self.stopped = "it does not come to an end"
        return self

    def _over(self) -> bool:
        state = self.state
        waits = state.waiting_for and not (self.approve and "approval" in state.waiting_for)
        shown = state.last_step is not None and state.last_step.verdict.get("would_have")
        return bool(state.ended or state.held or waits or shown or self.stopped)

    def _say_yes(self) -> datetime | None:
        """Approve as a person would: whether that counts is still the guard's to say."""
        step = next(s for s in self.state.steps if s.approval_expires_at and not s.approval)
        request = Request(
            id=f"approve/{step.step_id}", n=1, incident_id=self.state.incident_id, kind="approve",
            actor=PERSON, at=self.now,
            data={"step_id": step.step_id, "hash": step.hash, "because": "rehearsal"},
        )  # fmt: skip
        return self._handle(Asked(request=request)) or self.now

    def _handle(self, first: Event) -> datetime | None:
        """Handle one event and all that follows at once; say when to come back."""
        queue: deque[Event] = deque([first])
        self._wake, wrote = None, False
        while (queue or wrote) and self.stopped is None:
            if not queue:
                queue.append(Woke())
                wrote = False
            for command in decide(self.state, queue.popleft(), self.now, self.world):
                wrote |= isinstance(command, Write)
                if (answer := self._carry_out(command)) is not None:
                    queue.append(answer)
        return self._wake

    # --- the engine's part ------------------------------------------------

    def _carry_out(  # noqa: C901, PLR0911 - one row per command
        self, command: Command
    ) -> Event | None:
        match command:
            case Write():
                self._write(command.drafts)
            case WakeAt():
                self._wake = min(command.at, self._wake) if self._wake else command.at
            case RunChecks():
                return ChecksDone(results=self._checks(), symptom=self._symptom(command.series))
            case ReadSymptom():
                return SymptomRead(symptom=self._symptom(command.series), modes=self.known.modes)
            case Prepare():
                return self._prepared(command)
            case Intend() | Redo():
                return self._act(command)
            case Probe():
                return self._probed(command)
            case ReadSamples():
                return SamplesRead(step_id=command.step_id, samples=self._fresh(command))
            case SendPage():
                return self._paged(command)
            case Confirm():
                return self._confirmed(command)
            case Observe() | Rehearse() | Look() | MakePacket() | LookAgain() | AnswerRequest():
                pass  # an answer to a person: nobody asked
            case _:
                assert_never(command)
        return None

    def _write(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            name, seq = self.state.incident_id, self.state.seq + 1
            record = stamp(draft, incident_id=name, seq=seq, at=self.now)
            self.state = evolve(self.state, record)
            self.records.append(record)
            if draft.kind in {Kind.STEP_FINISHED, Kind.STEP_RECONCILED}:
                self._samples.acted(self._acts, self.now)

    def _checks(self) -> Mapping[str, CheckResult]:
        return self.known.checks(self._acts, self.now)

    def _symptom(self, series: Sequence[SignalKey]) -> list[SymptomReading]:
        return [
            SymptomReading(
                series=str(key),
                signal=key.signal,
                samples=self._samples.read(key, self.now)[-_SAMPLES_MOST:],
            )
            for key in series
        ]

    def _prepared(self, command: Prepare) -> Prepared:
        checks = self._checks()
        event = Prepared(
            step_id=command.step_id,
            pre_image=dict(self.known.observed),
            problem=None,
            checks={name: checks[name] for name in command.checks if name in checks},
            symptom=self._symptom(command.series),
            log=[e for e in self._log if e.target in (command.target, *command.aliases)],
            acting=(),
            freeze=self.known.freeze,
            system_seq=0,
            siblings_acting=[
                entry
                for entry in self._log
                if entry.target in command.siblings and not entry.settled
            ],
            modes=self.known.modes,
            rate=list(self._log),
        )
        verdict = self.judge(self.state, command.step_id, event, self.now)
        if verdict is not None:
            self.verdicts[command.step_id] = verdict
        return event

    def _act(self, command: Intend | Redo) -> ActionReturned | None:
        self._write([_fenced(command.draft)])
        step = self.state.step(command.step_id)
        if step is None:
            raise AssertionError(command.step_id)
        if isinstance(command, Intend):
            self._acts += 1
            kept = command.reservation
            self._log.append(
                LoggedAction(
                    key=kept.key, incident_id=self.state.incident_id, step_id=kept.step_id,
                    action=kept.action, target=kept.target, at=self.now, settled=True,
                )
            )  # fmt: skip
        outcome = self.known.outcome(self._acts, step.action, step.target)
        if outcome is None:
            self.stopped = f"what {step.action} on {step.target} would lead to is not known"
            return None
        lost = outcome.summary if outcome.said == "lost" else None
        ok = outcome.said == "succeeded"
        effect = Effect.PRESENT if ok else Effect.ABSENT
        said = ActionOutcome(ok=ok, effect=effect, summary=outcome.summary)
        return ActionReturned(
            step_id=command.step_id, started_at=self.now, ended_at=self.now,
            outcome=None if lost else said, lost=lost, redone=isinstance(command, Redo),
        )  # fmt: skip

    def _confirmed(self, command: Confirm) -> Confirmed:
        """Control planes are not rehearsed: what was intended is taken to be there."""
        found = ProbeResult(effect=Effect.PRESENT, evidence="rehearsed")
        return Confirmed(step_id=command.step_id, verdict=command.verdict, result=found)

    def _probed(self, command: Probe) -> Probed:
        step = self.state.step(command.step_id)
        found = self.known.outcome(self._acts, step.action, step.target) if step else None
        effect = found.effect if found else Effect.UNKNOWN
        result = ProbeResult(effect=effect, evidence=f"the effect is {effect.value}")
        return Probed(step_id=command.step_id, result=result, freeze=self.known.freeze)

    def _fresh(self, command: ReadSamples) -> list[Sample]:
        return [
            Sample(at=at, service=key.service, region=key.region, signal=key.signal, value=value)
            for key in dict.fromkeys(command.series)
            for at, value in self._samples.read(key, self.now)
            if at >= command.since
        ]

    def _paged(self, command: SendPage) -> PageSent:
        delivery = {"channel": "rehearsal", "delivered": True, "detail": "nobody was called"}
        sent = tuple(
            {
                "to": {"id": contact.id, "name": contact.name},
                "level": command.level,
                "why": command.why,
                "deliveries": [delivery],
            }
            for contact in command.contacts
        )
        self.pages += [{"to": one["to"], "level": one["level"], "why": one["why"]} for one in sent]
        return PageSent(level=command.level, sent=sent, packet_digest="-" * 12, packet_markdown="")


def _fenced(draft: Draft) -> Draft:
    return Draft(
        kind=draft.kind, data={**draft.data, "fence": 0}, actor=draft.actor, cause=draft.cause
    )
