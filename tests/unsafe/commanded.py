"""What people, workers, targets and clocks may do to a commanded incident, as moves.

What may be drawn for each argument is written once, for Hypothesis and for the runs by seeds alike.
Each move plays on a `Stage`, at which the oracle watches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from holdfast.incident import StepStatus, fold
from holdfast.kernel import Actor, format_at
from holdfast.policy import RAISABLE, Boundary, Freeze, Limits, Mode, Override, SetMode, Window
from holdfast.response.commands import (
    Confirm,
    Intend,
    LookAgain,
    MakePacket,
    Prepare,
    Probe,
    ReadSamples,
    Redo,
)
from holdfast.response.ports import Effect, Repeatability
from tests.response.response_world import (
    BAD,
    BOT,
    CRITERION,
    GAP,
    GOOD,
    NO_EFFECT,
    NOBODY_KNOWS,
    SUCCEEDED,
    runbook,
)
from tests.scene import DANA, START
from tests.unsafe.stage import KIM, PLACE, RAVI, Stage, everything
from tests.unsafe.tally import SEEN, count, whole

WEST = "shop-api@west"
PLANS = ((), ("${entity}",), ("${entity}", "${entity}"), (PLACE, WEST))
DEEDS = (
    ("rollback_deploy", "shop-api"),
    ("restart_service", PLACE),
    ("restart_service", WEST),
    ("restart_service", "shop-api"),
    ("scale_up", PLACE),
    ("drain_pool", WEST),
    ("failover_db", "shop-db"),
)
PEOPLE = (DANA, DANA, DANA, RAVI, KIM, BOT)
LOST = "the reply was lost"
ANSWERS: tuple[tuple[object, ...], ...] = (
    (), (), (SUCCEEDED,), (NO_EFFECT,), (NOBODY_KNOWS, NO_EFFECT), (LOST,), (LOST, LOST)
)  # fmt: skip
ALLOWED = (DEEDS, DEEDS[:1], DEEDS[1:3], DEEDS[3:6], DEEDS[6:])
LIMITS = (
    Limits(),
    Limits(four_eyes=True),
    Limits(actions_per_incident=2, actions_per_installation=4),
    Limits(always_approve=frozenset({"failover_db", "restart_service"})),
)
STANDING = Boundary(action="failover_db", target="*", authority="team")
HOLDERS = {"team": frozenset({"ravi"})}
DEATHS = (Prepare, Intend, Redo, Probe, ReadSamples, Confirm, MakePacket, LookAgain)
# What may be drawn for each argument of each move, for Hypothesis and for the seeded runs alike.
MOVES: dict[str, dict[str, Sequence[Any]]] = {}
Method = Callable[..., None]


def move(**options: Sequence[Any]) -> Callable[[Method], Method]:
    """Make a rule of a method whose arguments are drawn from these."""

    def told(method: Method) -> Method:
        MOVES[method.__name__] = options
        made: Method = rule(**_drawn(options))(method)  # type: ignore[no-untyped-call]
        return made

    return told


def first(**options: Sequence[Any]) -> Callable[[Method], Method]:
    """The same for how a run begins."""

    def told(method: Method) -> Method:
        FIRST.update(options)
        made: Method = initialize(**_drawn(options))(method)  # type: ignore[no-untyped-call]
        return made

    return told


FIRST: dict[str, Sequence[Any]] = {}


def _drawn(options: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {name: st.sampled_from(values) for name, values in options.items()}


class Commanded(RuleBasedStateMachine):
    stage: Stage

    @first(
        plan=PLANS,
        mode=("guided", "guided", "supervised", "autonomous", "autonomous"),
        kind=tuple(Repeatability),
        impact=("low", "low", "high"),
        limits=LIMITS,
        standing=(True, False),
        frozen=(False, False, True),
    )
    def begin(
        self,
        plan: tuple[str, ...],
        mode: str,
        kind: Repeatability,
        impact: str,
        limits: Limits,
        standing: bool,  # noqa: FBT001
        frozen: bool,  # noqa: FBT001
    ) -> None:
        days = Window(
            window_id="F", scope="all", starts_at=START, ends_at=START + timedelta(minutes=9),
            by="kim", why="the sale",
        )  # fmt: skip
        made = everything(
            runbook(*plan, impact=impact),
            mode=mode,
            kind=kind,
            limits=limits,
            boundaries=(STANDING,) if standing else (),
            holders=HOLDERS,
            change_freezes=(days,) if frozen else (),
        )
        self.asked = 0
        self.stage = Stage(world=made)
        self.stage.open()
        self.stage.run().wait(3)

    # --- time and the world

    @move(seconds=(0.5, 6, 12, 40))
    def time_passes(self, seconds: float) -> None:
        self.stage.wait(seconds)

    @move(minutes=(2, 11, 61, -5, -61))
    def the_clock_jumps(self, minutes: int) -> None:
        self.stage.now = max(self.stage.now + timedelta(minutes=minutes), START)
        self.stage.run()

    @move(level=(BAD, BAD, GOOD, GAP), stopped=(False, False, True))
    def the_service_changes(self, level: float, stopped: bool) -> None:  # noqa: FBT001
        self.stage.level(level)
        self.stage.sampler_stopped_at = self.stage.now if stopped else None

    @move(outcomes=ANSWERS, effect=tuple(Effect))
    def the_target_will_answer(self, outcomes: tuple[Any, ...], effect: Effect) -> None:
        self.stage.outcomes.clear()
        self.stage.outcomes.extend(outcomes)
        self.stage.probe = effect

    @move(share=(None, 0.5, 0.75))
    def a_pool_has_fewer_servers(self, share: float | None) -> None:
        self.stage.observed = {} if share is None else {"pool_share": share}

    @move(deed=DEEDS, age_s=(1, 100, 700), settled=(True, False))
    def another_incident_acts(
        self,
        deed: tuple[str, str],
        age_s: float,
        settled: bool,  # noqa: FBT001
    ) -> None:
        self.stage.acted_elsewhere(*deed, age_s, settled=settled)

    @move()
    def another_incident_is_settled(self) -> None:
        for key, entry in self.stage.log.items():
            if entry.incident_id != "INC-1":
                self.stage.log[key] = replace(entry, settled=True)

    @move(region=("east", "west"))
    def the_trouble_is_back(self, region: str) -> None:
        self.stage.level(BAD)
        self.stage.trouble_is_back(region)

    # --- workers

    @move(kind=DEATHS)
    def the_worker_dies_at(self, kind: type) -> None:
        self.stage.stop_at = (kind,)
        self.stage.run()
        self.stage.stop_at = ()
        self.another_one_takes_over()

    @move()
    def the_worker_dies_after_an_intent(self) -> None:
        self.stage.dies_after_intent = True
        self.stage.run()
        self.stage.dies_after_intent = False
        self.another_one_takes_over()

    def another_one_takes_over(self) -> None:
        self.stage.state = fold(self.stage.records, "INC-1")
        self.stage.run()

    # --- what people set for the installation

    def installation(self, now: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Let what was set come before the next judgement, or between it and the intent."""
        self.stage.system_seq += 1
        if now:
            self.stage.run()

    @move(frozen=(True, False), now=(True, False))
    def somebody_freezes_or_thaws(self, frozen: bool, now: bool) -> None:  # noqa: FBT001
        def happens() -> None:
            found = Freeze(scope="all", by="kim", why="stop", since=START)
            self.stage.freeze = found if frozen else None
            self.installation(now)

        self.happens(happens, now=now)

    @move(mode=(None, None, *Mode), now=(True, False))
    def somebody_sets_a_mode(self, mode: Mode | None, now: bool) -> None:  # noqa: FBT001
        def happens() -> None:
            told = SetMode(scope="all", mode=mode or Mode.OBSERVE, by="kim", why="x", since=START)
            self.stage.modes = (told,) if mode else ()
            self.installation(now)

        self.happens(happens, now=now)

    @move(works=(True, False), now=(True, False))
    def people_begin_or_end_maintenance(self, works: bool, now: bool) -> None:  # noqa: FBT001
        def happens() -> None:
            ends = self.stage.now + timedelta(hours=1)
            told = Window(
                window_id="MW-1", scope="all", starts_at=START, ends_at=ends, by="kim", why="disks"
            )
            self.stage.window = told if works else None
            self.installation(now)

        self.happens(happens, now=now)

    def happens(self, what: Any, *, now: bool) -> None:  # noqa: ANN401 - a deed without a result
        if now:
            what()
        else:
            self.stage.meanwhile = what

    @move(
        limit=tuple(sorted(RAISABLE)),
        place=(None, PLACE, "shop-api"),
        minutes=(1, 60),
    )
    def somebody_overrides_a_limit(self, limit: str, place: str | None, minutes: int) -> None:
        name, ends = f"o-{self.stage.system_seq}", self.stage.now + timedelta(minutes=minutes)
        found = Override(
            override_id=name, limit=limit, by="kim", why="x", expires_at=ends, target=place
        )
        self.stage.overrides = (*self.stage.overrides, found)
        self.installation(now=True)

    # --- what people ask of the incident

    def ask(self, kind: str, actor: Actor = DANA, **data: Any) -> None:  # noqa: ANN401 - any words
        """Ask in words of one's own. The door lets an agent direct and approve, by mistake."""
        self.asked += 1
        at_the_door = kind not in {"hold", "note", "propose", "look", "direct", "approve"}
        turned_away = actor is BOT and at_the_door
        words = {"because": f"I say so, for the {self.asked}. time", **data}
        refusal = "an agent can't" if turned_away else None
        if self.stage.ask(kind, actor=actor, refusal=refusal, **words).ok:
            SEEN[kind] += 1

    @move(deed=DEEDS, actor=PEOPLE, criteria=(1, 1, 1, 0))
    def a_person_directs(self, deed: tuple[str, str], actor: Actor, criteria: int) -> None:
        action, target = deed
        params = {"by": self.asked % 6} if action == "scale_up" else {}
        self.ask(
            "direct", actor, action=action, target=target, params=params,
            expect=[CRITERION] * criteria, when=["false"] if self.asked % 5 == 0 else [],
        )  # fmt: skip

    @move(
        deed=DEEDS[:3],
        outside=(True, False),
    )
    def a_person_takes_command_and_directs(
        self,
        deed: tuple[str, str],
        outside: bool,  # noqa: FBT001
    ) -> None:
        """The usual way, so that the unusual ones have something to disturb."""
        self.stage.freeze = self.stage.window = self.stage.sampler_stopped_at = None
        self.stage.modes, self.stage.observed = (), {}
        self.stage.level(BAD)
        self.stage.wait(20)
        self.ask("resume")
        self.ask("charter", **charter(self.stage, allowed=() if outside else (deed,)))
        self.ask("direct", action=deed[0], target=deed[1], expect=[CRITERION])

    @move(
        actor=PEOPLE,
        commander=("dana", "ravi", "team"),
        allowed=ALLOWED,
        minutes=(1, 120),
        protected=(None, "shop-api", WEST, "*"),
        four_eyes=(True, False),
    )
    def a_person_sets_a_charter(self, actor: Actor, minutes: int, **said: Any) -> None:  # noqa: ANN401
        self.ask("charter", actor, **charter(self.stage, minutes=minutes, **said))

    @move(actor=PEOPLE, right=(True, True, True, False))
    def a_person_approves(self, actor: Actor, right: bool) -> None:  # noqa: FBT001
        step = self.stage.state.last_step
        if step is not None and (step.status is StepStatus.AWAITING_APPROVAL or not right):
            self.ask("approve", actor, step_id=step.step_id, hash=step.hash if right else "0" * 64)

    @move(actor=PEOPLE, minutes=(1, 30))
    def a_person_approves_and_the_worker_comes_later(self, actor: Actor, minutes: int) -> None:
        self.stage.stop_at = (Prepare,)
        self.a_person_approves(actor=actor, right=True)
        self.stage.stop_at = ()
        self.stage.now += timedelta(minutes=minutes)
        self.another_one_takes_over()

    @move(
        kind=("deny", "skip", "undo", "settle", "resume", "resume", "hold", "look", "ack"),
        actor=PEOPLE,
        happened=(True, False),
    )
    def a_person_asks(self, kind: str, actor: Actor, happened: bool) -> None:  # noqa: FBT001
        step = self.stage.state.last_step
        name = step.step_id if step else "S1"
        self.ask(kind, actor, step_id=name, happened=happened, evidence="I looked")

    @move(happened=(True, False))
    def a_person_settles_and_resumes(self, happened: bool) -> None:  # noqa: FBT001
        for step in self.stage.state.unsettled:
            self.ask("settle", step_id=step.step_id, happened=happened, evidence="I looked")
        self.ask("resume")

    @move(seconds=(6, 40))
    def a_person_undoes_what_was_done(self, seconds: float) -> None:
        self.stage.wait(seconds)
        done = [step for step in self.stage.state.steps if step.ended_at is not None]
        if done:
            self.ask("undo", step_id=done[-1].step_id)

    @move(deed=(*DEEDS[:3], DEEDS[-1]), lost=(True, False))
    def an_action_s_reply_is_lost(self, deed: tuple[str, str], lost: bool) -> None:  # noqa: FBT001
        self.stage.outcomes.appendleft("the reply was lost" if lost else NOBODY_KNOWS)
        self.ask("direct", action=deed[0], target=deed[1], expect=[CRITERION])

    @move(deed=DEEDS, actor=PEOPLE)
    def a_person_acts_by_hand(self, deed: tuple[str, str], actor: Actor) -> None:
        self.ask("did", actor, action=deed[0], target=deed[1], params={"by": 1})

    @move(actor=PEOPLE, to=("ravi", "kim", "team", "holdfast", "dana"))
    def a_person_hands_over(self, actor: Actor, to: str) -> None:
        self.ask("handoff", actor, to=to)

    @move(actor=PEOPLE, kind=("accept", "accept", "recall", "refuse"))
    def a_person_answers_a_handoff(self, actor: Actor, kind: str) -> None:
        self.ask(kind, actor)

    @move(deed=DEEDS)
    def an_agent_suggests(self, deed: tuple[str, str]) -> None:
        self.ask("propose", BOT, action=deed[0], target=deed[1])

    def teardown(self) -> None:
        if hasattr(self, "stage"):
            count(self.stage)
            whole(self.stage)


def charter(
    stage: Stage,
    *,
    commander: str = "dana",
    allowed: Any = (),  # noqa: ANN401 - pairs of action and target
    minutes: int = 120,
    protected: str | None = None,
    four_eyes: bool = False,
) -> Mapping[str, Any]:
    """Write what a charter says."""
    owned = {"action": "*", "target": protected, "authority": "ravi", "why": "it is theirs"}
    return {
        "commander": commander,
        "objective": "the shop answers",
        "allowed": [{"action": a, "targets": [t]} for a, t in allowed or DEEDS],
        "boundaries": [owned] if protected else [],
        "expires_at": format_at(stage.now + timedelta(minutes=minutes)),
        "four_eyes": four_eyes,
    }
