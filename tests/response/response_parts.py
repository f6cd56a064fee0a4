"""A pure incident for the tests of `response`: decide() and the fold, and a world that answers.

Play carries commands out as the engine does, without a process, a file or a clock: every answer
of the world is an attribute that a test sets.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from holdfast.diagnosis import SymptomReading
from holdfast.incident import Draft, Kind, Phase, Record, State, evolve, stamp
from holdfast.kernel import Actor, SignalKey, format_at
from holdfast.policy import Freeze, Mode, Override, SetMode, Window
from holdfast.response import World, decide
from holdfast.response.commands import (
    AnswerRequest,
    Command,
    Intend,
    Prepare,
    Redo,
    WakeAt,
    Write,
)
from holdfast.response.events import (
    ActionReturned,
    Asked,
    Event,
    Prepared,
    Woke,
)
from holdfast.response.ports import (
    ActionOutcome,
    Effect,
    Health,
)
from holdfast.response.store import Answer, LoggedAction, Request
from tests.response.response_answers import answered, prepared, returned
from tests.response.response_world import (
    BAD,
    CRITERION,
    GAP,
    INTERVAL_S,
    NORMAL_CHECKS,
    world,
)
from tests.scene import DANA, START, Scene, opened


@dataclass(slots=True)
class Play:
    """One incident and the world around it. `stop_at` names a command that is not answered."""

    world: World = field(default_factory=world)
    now: datetime = START
    state: State = field(default_factory=lambda: State(incident_id="INC-1"))
    records: list[Record] = field(default_factory=list)
    told: list[Command] = field(default_factory=list)
    levels: list[tuple[datetime, float]] = field(default_factory=lambda: [(START, BAD)])
    silent: frozenset[str] = frozenset()
    elsewhere: dict[str, float] = field(default_factory=dict)
    sampler_stopped_at: datetime | None = None
    checks: Mapping[str, Health] = field(default_factory=lambda: dict(NORMAL_CHECKS))
    failing: frozenset[str] = frozenset()
    outcomes: deque[ActionOutcome | str] = field(default_factory=deque)
    probe: Effect = Effect.PRESENT
    freeze: Freeze | None = None
    window: Window | None = None
    modes: tuple[SetMode, ...] = ()
    overrides: tuple[Override, ...] = ()
    problem: str | None = None
    delivered: bool = True
    stop_at: tuple[type, ...] = ()
    log: dict[str, LoggedAction] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    observed: Mapping[str, Any] = field(default_factory=dict)
    planes: tuple[Mapping[str, Any], ...] = ()
    looks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    wake_at: datetime | None = None
    requests: int = 0
    system_seq: int = 0
    newer_token: bool = True
    dies_after_intent: bool = False

    def open(self, **more: object) -> "Play":
        scene = Scene(now=self.now)
        opened(scene, **more)
        self._fold(scene.records[0])
        self.now = scene.now
        return self

    # --- time and readings

    def level(self, value: float) -> None:
        """From now on every series reads this."""
        self.levels.append((self.now, value))

    def _value(self, key: SignalKey, at: datetime) -> float:
        if key.region in self.silent:
            return GAP
        if key.region in self.elsewhere:
            return self.elsewhere[key.region]
        return [value for since, value in self.levels if since <= at][-1]

    def samples(self, key: SignalKey, count: int = 30) -> list[tuple[datetime, float]]:
        newest = min(self.sampler_stopped_at or self.now, self.now)
        times = [newest - timedelta(seconds=INTERVAL_S * n) for n in range(count)]
        return [(at, self._value(key, at)) for at in reversed(times) if at >= START]

    def symptom(self, series: tuple[SignalKey, ...]) -> list[SymptomReading]:
        return [
            SymptomReading(series=str(key), signal=key.signal, samples=self.samples(key))
            for key in series
        ]

    # --- going on

    def wait(self, seconds: float) -> "Play":
        """Let time pass, waking whenever that was asked for."""
        until = self.now + timedelta(seconds=seconds)
        while self.now < until and not self.state.ended:
            due = self.wake_at or until
            self.now = max(min(due, until), self.now + timedelta(milliseconds=500))
            self.run()
        self.now = max(self.now, until)
        return self

    def run(self, first: Event | None = None) -> "Play":
        """Handle one event and all that follows, as the engine does."""
        queue: deque[Event] = deque([first or Woke()])
        self.wake_at, wrote = None, False
        for _ in range(100):
            if not queue and not wrote:
                return self
            event: Event
            if queue:
                event = queue.popleft()
            else:
                event, wrote = Woke(), False
            for command in self.decide(event):
                wrote = wrote or isinstance(command, Write)
                if not isinstance(command, self.stop_at) and (answer := answered(self, command)):
                    queue.append(answer)
        raise AssertionError("it never comes to rest")

    def decide(self, event: Event) -> tuple[Command, ...]:
        """Decide, and carry out what only concerns the incident itself."""
        commands = decide(self.state, event, self.now, self.world)
        for command in commands:
            self.told.append(command)
            match command:
                case Write():
                    self._write(command.drafts)
                    self.answers.update(command.answers)
                    for key in command.settles:
                        if key in self.log:
                            self.log[key] = replace(self.log[key], settled=True)
                case AnswerRequest():
                    self.answers[command.request_id] = command.answer
                case WakeAt():
                    self.wake_at = min(command.at, self.wake_at or command.at)
                case Intend() if Intend not in self.stop_at:
                    self.intend(command)
                case Redo() if Redo not in self.stop_at and self.same_as(command):
                    self._write((replace(command.draft, data={**command.draft.data, "fence": 2}),))
                case _:
                    pass
        return commands

    def intend(self, command: Intend) -> None:
        if not self.same_as(command):
            return
        kept = command.reservation
        self.check_intent(command)
        assert kept.key not in self.log, "the same attempt is intended twice"
        self._write((replace(command.draft, data={**command.draft.data, "fence": 1}),))
        self.log[kept.key] = LoggedAction(
            key=kept.key,
            incident_id=self.state.incident_id,
            step_id=kept.step_id,
            action=kept.action,
            target=kept.target,
            at=self.now,
            settled=False,
        )

    def same_as(self, command: Intend | Redo) -> bool:
        """The second look of the transaction."""
        return command.seen.system_seq == self.system_seq

    def check_intent(self, command: Intend) -> None:
        """What must be true of every intent, whatever led to it."""
        assert self.state.held is None, "an intent while held"
        assert not self.state.unsettled, "an intent beside an unsettled step"
        assert self.freeze is None, "an intent in a freeze"
        assert self.window is None, "an intent in maintenance"
        everywhere = [each.mode for each in self.modes if each.scope == "all"]
        assert Mode.OBSERVE not in everywhere, "an intent where a person set observe"
        assert not self.state.ended, "an intent after the end"
        assert command.draft.data["criteria"], "an intent without a criterion"

    def _write(self, drafts: tuple[Draft, ...]) -> None:
        for draft in drafts:
            seq = self.state.seq + 1
            self._fold(stamp(draft, incident_id=self.state.incident_id, seq=seq, at=self.now))

    def _fold(self, record: Record) -> None:
        self.state = evolve(self.state, record)
        self.records.append(record)

    def prepared(self, command: Prepare, **more: Any) -> Prepared:  # noqa: ANN401 - any field
        return prepared(self, command, **more)

    def returned(self, step_id: str, *, redone: bool = False) -> ActionReturned:
        return returned(self, step_id, redone=redone)

    # --- people ask

    def ask(
        self,
        kind: str,
        *,
        actor: Actor = DANA,
        refusal: str | None = None,
        **data: Any,  # noqa: ANN401
    ) -> Answer:
        """Ask for something, let everything that follows happen, and give the answer."""
        self.requests += 1
        name = f"r-{self.requests}"
        request = Request(
            id=name,
            n=self.requests,
            incident_id="INC-1",
            kind=kind,
            actor=actor,
            data=data,
            at=self.now,
        )
        self.run(Asked(request=request, refusal=refusal))
        return self.answers[name]

    def charter(self, *allowed: str, **more: Any) -> Answer:  # noqa: ANN401
        """Put dana in command; `allowed` are written ACTION:TARGET[,TARGET]."""
        pairs = [each.partition(":") for each in allowed or ("rollback_deploy:shop-api",)]
        data: dict[str, Any] = {
            "commander": "dana",
            "objective": "errors of the shop are normal again",
            "allowed": [{"action": a, "targets": t.split(",")} for a, _, t in pairs],
            "boundaries": [],
            "expires_at": format_at(self.now + timedelta(hours=2)),
            "because": "I take this one",
        }
        return self.ask("charter", **data | more)

    def direct(self, **more: Any) -> Answer:  # noqa: ANN401
        data: dict[str, Any] = {
            "action": "rollback_deploy",
            "target": "shop-api",
            "because": "the release is at fault",
            "expect": [CRITERION],
        }
        return self.ask("direct", **data | more)

    # --- looking

    def phase(self) -> Phase:
        return self.state.phase

    def held(self) -> str:
        """Say why it is held; nothing when it is not."""
        return str(self.state.held["why"]) if self.state.held else ""

    def kinds(self) -> list[str]:
        return [record.kind for record in self.records]

    def last(self, kind: Kind) -> Mapping[str, Any]:
        return next(record.data for record in reversed(self.records) if record.kind == kind)

    def count(self, what: type | Kind) -> int:
        if isinstance(what, Kind):
            return self.kinds().count(what.value)
        return sum(isinstance(command, what) for command in self.told)
