"""Whatever happens in whatever order: no rule of the protocol is ever broken.

Hypothesis plays people, targets, time and dying workers against decide() and the fold. Play
checks every intent as it is made; here is what must be true after each move.
"""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.incident import Kind, Phase, StepStatus, fold
from holdfast.kernel import SYSTEM, format_at
from holdfast.policy import RAISABLE, Freeze, Mode, Override, SetMode, Window
from holdfast.response.asked import NEEDED_SCOPE
from holdfast.response.commands import Command, Intend, Prepare, Probe, ReadSamples, Redo
from holdfast.response.events import (
    ActionReturned,
    ChecksDone,
    Probed,
    SamplesRead,
    SignalsSeen,
    SymptomRead,
)
from holdfast.response.ports import Effect, ProbeResult, Repeatability
from tests.response.response_parts import Play
from tests.response.response_world import (
    BAD,
    CRITERION,
    GAP,
    GOOD,
    NO_EFFECT,
    NOBODY_KNOWS,
    SUCCEEDED,
    runbook,
    world,
)
from tests.scene import START, signal

OUTCOMES = (SUCCEEDED, NO_EFFECT, NOBODY_KNOWS, "the reply was lost")
STEP_IDS = st.sampled_from(["S1", "S2", "S3"])
PLANS = (("${entity}",), ("${entity}", "${entity}"), ("shop-api@east", "shop-api@west"), ())


class Incident(RuleBasedStateMachine):
    play: Play

    @initialize(
        plan=st.sampled_from(PLANS),
        mode=st.sampled_from(["observe", "guided", "supervised", "autonomous"]),
        kind=st.sampled_from(list(Repeatability)),
        impact=st.sampled_from(["low", "high"]),
    )
    def begin(self, plan: tuple[str, ...], mode: str, kind: Repeatability, impact: str) -> None:
        book = runbook(*plan, impact=impact)
        self.play = Play(world=world(book, mode=mode, kind=kind)).open()

    @rule(seconds=st.sampled_from([0.5, 3, 8, 30, 200]))
    def time_passes(self, seconds: float) -> None:
        self.play.wait(seconds)

    @rule(level=st.sampled_from([BAD, GOOD, GAP]), silent=st.sampled_from(["", "west"]))
    def the_service_changes(self, level: float, silent: str) -> None:
        self.play.level(level)
        self.play.silent = frozenset({silent})

    @rule(outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=3))
    def the_target_will_answer(self, outcomes: list[object]) -> None:
        self.play.outcomes.clear()
        self.play.outcomes.extend(outcomes)  # type: ignore[arg-type]

    @rule(effect=st.sampled_from(list(Effect)))
    def a_probe_will_see(self, effect: Effect) -> None:
        self.play.probe = effect

    @rule(frozen=st.booleans())
    def somebody_freezes_or_thaws(self, frozen: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        found = Freeze(scope="all", by="dana", why="stop", since=START)
        self.play.freeze = found if frozen else None
        self.play.system_seq += 1

    @rule(works=st.booleans())
    def people_begin_or_end_maintenance(self, works: bool) -> None:  # noqa: FBT001
        ends = self.play.now + timedelta(hours=1)
        found = Window(
            window_id="MW-1", scope="all", starts_at=START, ends_at=ends, by="dana", why="disks"
        )
        self.play.window = found if works else None
        self.play.system_seq += 1

    @rule(region=st.sampled_from(["east", "west"]), level=st.sampled_from([BAD, GOOD]))
    def detection_says_that_the_trouble_is_back(self, region: str, level: float) -> None:
        self.play.level(level)
        data: dict[str, Any] = {
            "severity": "critical",
            "services": ["shop-api"],
            "regions": [region],
            "signals": [signal(region, high=0.4)],
            "baselines": {},
            "changes": [],
            "reasons": [],
            "started_at": format_at(self.play.now),
            "opened_by": "composite",
            "why": "2 critical readings",
        }
        self.play.ask("trouble_is_back", actor=SYSTEM, **data)

    @rule(state=st.sampled_from(["bad", "returned"]))
    def an_alert_says(self, state: str) -> None:
        now = format_at(self.play.now)
        about: dict[str, Any] = {
            "series": "alert Slow of shop-api in east",
            "labels": {},
            "value": None,
        }
        said = signal("east", name="alert", state=state, at=now, starts_at=now, **about)
        self.play.ask("signals_seen", actor=SYSTEM, signals=[said], baselines={})

    @rule(mode=st.none() | st.sampled_from(Mode))
    def somebody_sets_a_mode_or_takes_it_back(self, mode: Mode | None) -> None:
        found = SetMode(scope="all", mode=mode or Mode.OBSERVE, by="dana", why="x", since=START)
        self.play.modes = (found,) if mode else ()
        self.play.system_seq += 1

    @rule(limit=st.sampled_from(sorted(RAISABLE)))
    def somebody_overrides_a_limit(self, limit: str) -> None:
        name, ends = f"o-{self.play.system_seq}", self.play.now + timedelta(hours=1)
        found = Override(override_id=name, limit=limit, by="dana", why="x", expires_at=ends)
        self.play.overrides = (*self.play.overrides, found)
        self.play.system_seq += 1

    @rule(kind=st.sampled_from([Prepare, Intend, Redo, Probe, ReadSamples]))
    def the_worker_dies_at(self, kind: type[Command]) -> None:
        self.play.stop_at = (kind,)
        self.play.run()
        self.play.stop_at = ()
        self.play.run()

    @rule()
    def the_worker_dies_after_an_intent(self) -> None:
        self.play.dies_after_intent = True
        self.play.run(SignalsSeen(signals=()))
        self.play.dies_after_intent = False
        self.play.run()

    @rule(kind=st.sampled_from(sorted(NEEDED_SCOPE)), step_id=STEP_IDS, yes=st.booleans())
    def a_person_asks(self, kind: str, step_id: str, yes: bool) -> None:  # noqa: FBT001
        step = self.play.state.step(step_id)
        data: dict[str, Any] = {
            "step_id": step_id,
            "hash": step.hash if step else "0" * 64,
            "because": "I say so",
            "evidence": "I looked",
            "happened": yes,
            "into": "INC-2",
            "label": "true_alarm",
            "text": "a note",
            "action": "rollback_deploy",
            "target": "shop-api",
            "expect": [CRITERION] if yes else [],
        }
        self.play.ask(kind, **data)

    @rule(step_id=STEP_IDS, effect=st.sampled_from(list(Effect)), redone=st.booleans())
    def something_stale_arrives(self, step_id: str, effect: Effect, redone: bool) -> None:  # noqa: FBT001
        now = self.play.now
        series = self.play.symptom(())
        result = ProbeResult(effect=effect, evidence="stale")
        for event in (
            Probed(step_id=step_id, result=result, system_seq=-1),
            SamplesRead(step_id=step_id, samples=()),
            SymptomRead(symptom=series),
            ChecksDone(results={}, symptom=series),
            SignalsSeen(signals=(signal("east", name="latency"),)),
            ActionReturned(
                step_id=step_id, started_at=now, ended_at=now, lost="late", redone=redone
            ),
        ):
            self.play.decide(event)

    @invariant()
    def the_record_says_it_all(self) -> None:
        if hasattr(self, "play"):
            assert fold(self.play.records, "INC-1") == self.play.state

    @invariant()
    def nothing_resolves_in_doubt_or_without_grounds(self) -> None:
        if not hasattr(self, "play") or self.play.phase() is not Phase.RESOLVED:
            return
        assert not self.play.state.unsettled
        assert self.play.last(Kind.RESOLVED)["why"]
        assert all(s.status is not StepStatus.AWAITING_APPROVAL for s in self.play.state.steps)

    @invariant()
    def no_override_is_used_twice(self) -> None:
        if hasattr(self, "play"):
            used = self.play.state.overrides_used
            assert len(used) == len(set(used))

    @invariant()
    def a_repeat_is_only_made_where_it_is_safe(self) -> None:
        if hasattr(self, "play") and self.play.count(Kind.STEP_REPEATED):
            assert self.play.world.actions["rollback_deploy"].repeatability.may_be_redone

    def teardown(self) -> None:
        """Once the faults stop, it reaches resolved, held or a person."""
        if not hasattr(self, "play"):
            return
        play = self.play
        play.window, play.freeze, play.silent, play.probe = None, None, frozenset(), Effect.PRESENT
        play.modes = ()
        play.outcomes.clear()
        play.level(GOOD)
        play.now += timedelta(seconds=1)
        play.run().wait(400)
        state = play.state
        assert state.ended or state.held or state.escalated


Incident.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestIncident = Incident.TestCase
