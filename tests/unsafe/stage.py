"""The stage on which unsafe situations are played: decide(), the fold, and people who ask.

A Play of the tests of `response`, with what a commanded incident needs beside it. What was
performed is counted from the records: nothing is done that is not intended first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Draft, Kind
from holdfast.kernel import SYSTEM, Actor, ActorKind, Reason, SignalKey, format_at
from holdfast.policy import Verdict
from holdfast.response.commands import Intend, Prepare
from holdfast.response.events import Prepared
from holdfast.response.planning import prepare
from holdfast.response.ports import Repeatability
from holdfast.response.question import guard_verdict
from holdfast.response.store import Answer, LoggedAction
from holdfast.response.world import ActionFacts, World
from holdfast.runbooks import Runbook
from tests.response.response_parts import Play
from tests.response.response_world import runbook, world
from tests.scene import DANA, START, signal
from tests.unsafe.case import Around
from tests.unsafe.oracle import against_repeating, objections
from tests.unsafe.situation import Met

RAVI = Actor(kind=ActorKind.HUMAN, id="ravi", token_id="t-3")
KIM = Actor(kind=ActorKind.HUMAN, id="kim", token_id="t-4")
PLACE = "shop-api@east"
NO_FIT = runbook("${entity}", incident_type="service_down")
IMPACTS = {
    "rollback_deploy": "low",
    "restart_service": "low",
    "scale_up": "low",
    "drain_pool": "low",
    "disable_flag": "low",
    "clear_cache": "low",
    "failover_db": "high",
}
_PERFORMING = (Kind.STEP_INTENDED, Kind.STEP_REPEATED)


class ObjectionError(AssertionError):
    """The oracle says that something is about to be done that must not be."""


@dataclass(slots=True)
class Stage(Play):
    """A Play that the oracle watches.

    `found`: what checks find; `unsampled`: what is no signal; `meanwhile`: what happens once,
    between what the guard was told and its intent.
    """

    found: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unsampled: frozenset[str] = frozenset()
    meanwhile: Callable[[], None] | None = None

    def write(self, *drafts: Draft) -> None:
        """Write records as the engine would."""
        self._write(drafts)

    def acted_elsewhere(
        self,
        action: str,
        target: str,
        *ages_s: float,
        settled: bool = True,
        incident_id: str | None = None,
    ) -> "Stage":
        """Note what another incident intended on a target; each time another one, or a given one."""
        for age_s in ages_s:
            key = f"INC-{80 + len(self.log)}/S1/1"
            self.log[key] = LoggedAction(
                key=key,
                incident_id=incident_id or key.partition("/")[0],
                step_id="S1",
                action=action,
                target=target,
                at=self.now - timedelta(seconds=age_s),
                settled=settled,
            )
        return self

    def wait_for_a_person(self) -> "Stage":
        """Let the moment pass in which it calls one."""
        self.wait(3)
        return self

    def around(self) -> Around:
        """Give the world as it is now, for the oracle."""
        newest = min(self.sampler_stopped_at or self.now, self.now)
        share = self.observed.get("pool_share")
        return Around(
            now=self.now,
            world=self.world,
            freeze=self.freeze,
            window=self.window,
            modes=self.modes,
            overrides=self.overrides,
            log=tuple(self.log.values()),
            pool_share=float(share) if share is not None else None,
            deployed_at=START,
            newest_sample_at=newest,
        )

    def check_intent(self, command: Intend) -> None:
        """Ask the oracle first: whatever led to it, nothing may speak against an intent."""
        draft = command.draft
        if found := objections(self.records, draft.data, draft.cause, self.around()):
            raise ObjectionError("; ".join(found))
        Play.check_intent(self, command)

    def _write(self, drafts: tuple[Draft, ...]) -> None:
        for draft in drafts:
            if draft.kind is Kind.STEP_REPEATED:
                step_id = str(draft.data["step_id"])
                if found := against_repeating(self.records, step_id, self.around()):
                    raise ObjectionError("; ".join(found))
        Play._write(self, drafts)

    def trouble_is_back(self, region: str) -> None:
        """Let detection say so, as it does of an incident that was resolved a while ago."""
        self.ask(
            "trouble_is_back",
            actor=SYSTEM,
            severity="critical",
            services=["shop-api"],
            regions=[region],
            signals=[signal(region, high=0.4)],
            baselines={},
            changes=[],
            reasons=[],
            started_at=format_at(self.now),
            opened_by="composite",
            why="2 critical readings",
        )

    def performed(self) -> int:
        """Count what was performed, first tries and repeats."""
        return sum(self.count(kind) for kind in _PERFORMING)

    def samples(self, key: SignalKey, count: int = 30) -> list[tuple[datetime, float]]:
        return [] if key.signal in self.unsampled else Play.samples(self, key, count)

    def prepared(self, command: Prepare, **more: Any) -> Prepared:  # noqa: ANN401 - any field
        """Tell the guard also what all incidents intended, as the engine does."""
        log = tuple(self.log.values())
        near = [each for each in log if each.target in command.siblings and not each.settled]
        told = Play.prepared(self, command, **{"rate": log, "siblings_acting": near, **more})
        checks = {
            name: replace(result, data={**result.data, **self.found.get(name, {})})
            for name, result in told.checks.items()
        }
        told = replace(told, checks=checks)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return told

    def blocked(self, rule: str | None = None) -> str:
        """Say why the last step was refused; of many reasons, that of one rule."""
        return _why(self.last(Kind.STEP_BLOCKED), rule)

    def asked(self, rule: str | None = None) -> str:
        """Say why the last step waits for an approval; of many reasons, that of one rule."""
        return _why(self.last(Kind.APPROVAL_REQUESTED), rule)

    def verdict(self, **more: Any) -> Verdict:  # noqa: ANN401 - any field of Prepared
        """Ask the guard about the open step as things are now, and do nothing."""
        step = self.state.steps[-1]
        asked: Prepare = prepare(self.state, step, self.now, self.world)
        event = self.prepared(asked, **more)
        return guard_verdict(self.state, step, event, self.now, self.world)

    def judged(self, rule: str) -> str:
        """Say what one rule of the guard says against the last step as things are now."""
        return next(each.sentence() for each in self.verdict().refusals if each.rule == rule)

    def meets(self, act: Callable[[], object], said: Callable[[], str] | None = None) -> Met:
        """Do something unsafe; count what comes of it, and give what was said.

        Without `said` what `act` gives is what was said: a sentence, or an answer.
        """
        before = self.performed()
        gave = act()
        self.run()
        done = self.performed() - before
        if done:
            return Met(said="it was performed", done=done)
        if said is not None:
            return Met(said=said(), done=done)
        if isinstance(gave, Answer):
            assert not gave.ok, gave.message
            return Met(said=gave.message, done=done)
        return Met(said=str(gave), done=done)

    def directing(self, **more: Any) -> Callable[[], Answer]:  # noqa: ANN401 - any words
        """Give the deed of directing the step that the charter allows, or another one."""
        by = more.pop("by", DANA)
        return lambda: self.direct(actor=by, **more)

    def approving(
        self, step_id: str = "S1", given: str | None = None, *, by: Actor = RAVI
    ) -> Callable[[], Answer]:
        """Give the deed of approving a step by its hash, or by another one."""
        step = self.state.step(step_id)
        digest = given if given is not None else (step.hash if step else "")
        return lambda: self.ask(
            "approve", actor=by, step_id=step_id, hash=digest, because="I read it"
        )


def _why(data: Mapping[str, Any], rule: str | None) -> str:
    if rule is None:
        return str(data["why"])
    told = [Reason(**each) for each in data["verdict"]["reasons"]]
    return next(each.sentence() for each in told if each.rule == rule and not each.ok)


def everything(
    *runbooks: Runbook,
    mode: str = "autonomous",
    kind: Repeatability = Repeatability.IDEMPOTENT,
    **more: Any,  # noqa: ANN401 - any field of World
) -> World:
    """Give the world of the tests of `response`, in which any action may be directed."""
    made = world(*runbooks, mode=mode)
    facts = {
        name: ActionFacts(repeatability=kind, least_impact=impact)
        for name, impact in IMPACTS.items()
    }
    return replace(made, actions=facts, **more)


def without_a_runbook(mode: str = "autonomous", **more: Any) -> Stage:  # noqa: ANN401 - of World
    """Open an incident that no runbook fits, so that it waits for a directive."""
    return opened(Stage(world=everything(NO_FIT, mode=mode, **more))).wait_for_a_person()


def opened(stage: Stage, **more: object) -> Stage:
    """Open the incident on a stage and let everything happen that happens by itself."""
    stage.open(**more)
    stage.run()
    return stage
