"""Rehearses a runbook: what the match, the guard and the verifier would say, step by step.

decide() itself is driven, so that a rehearsal can't drift from the engine. Twice: as the
installation is, and as if the mode let the steps run and a person approved them, so that an
installation in `observe` can be rehearsed too. The guard's verdict shown is always the real one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from holdfast.app.rehearsal_stage import Known, Stage
from holdfast.incident import Kind, Phase, Record, State, Step, StepStatus
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Grant, Verdict
from holdfast.response import World
from holdfast.response.events import Prepared
from holdfast.response.question import guard_verdict
from holdfast.runbooks import Runbook, RunbookMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What a rehearsal showed.

    `passed`: it would be chosen, and (where it has steps) its recovery would be proven.
    """

    passed: bool
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One runbook in one world. `recorded` verdicts are shown beside those of the verifier."""

    runbook: Runbook
    world: World
    known: Known
    recorded: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def run(self) -> Rehearsed:
        """Play it as things are, and as if it were allowed."""
        real = self._play(self.world)
        plan = _last(real.records, Kind.PLAN_CHOSEN)
        chosen = self._is_chosen(plan)
        world = self.world if chosen or not real.state.incident_type else self._alone(real.state)
        if not chosen and plan is not None:
            # Why it is not chosen was said; the rest is shown as if it were.
            real = self._play(world)
        allowed = self._play(_lifted(world), judged_in=world, lifted=True)
        proven = allowed.state.phase is Phase.RESOLVED and bool(allowed.state.steps)
        passed = chosen and (proven or not self.runbook.executable)
        data = {
            "runbook": self.runbook.name,
            "version": self.runbook.version,
            "source": self.known.source,
            "notes": list(self.known.notes),
            "match": self._match(plan, real.state, chosen=chosen),
            "mode": _mode(real.records),
            "steps": [self._step(n, allowed) for n in range(len(self.runbook.steps))],
            "pages": real.pages,
            "end": _end(real),
            "if_allowed": _end(allowed),
            "passed": passed,
        }
        return Rehearsed(passed=passed, data=data)

    def _is_chosen(self, plan: Mapping[str, Any] | None) -> bool:
        """One that a person follows is chosen too: it is found and shown."""
        name = plan["runbook"] if plan and self.runbook.executable else (plan or {}).get("read")
        return bool(name == self.runbook.name)

    def _play(self, world: World, *, judged_in: World | None = None, lifted: bool = False) -> Stage:
        real_world = judged_in or world

        def judge(state: State, step_id: str, event: Prepared, now: datetime) -> Verdict | None:
            step = state.step(step_id)
            if step is None or step.plan_index is None:
                return None
            try:
                as_is = replace(event, modes=self.known.modes)
                unapproved = replace(step, approval=None)
                asked_for = _with_mode(state, self.runbook)
                return guard_verdict(asked_for, unapproved, as_is, now, real_world)
            except BadInputError:
                return None  # decide() meets it too, and says so

        known = replace(self.known, modes=()) if lifted else self.known
        return Stage(known=known, world=world, judge=judge, approve=lifted).play()

    def _alone(self, state: State) -> World:
        """Put this runbook in the place of all, as if it fitted."""
        found = RunbookMatch(incident_types=(state.incident_type or "",))
        fitting = replace(self.runbook, match=found, services=())
        return replace(self.world, runbooks=(fitting,))

    # --- what is shown ----------------------------------------------------

    def _match(
        self, plan: Mapping[str, Any] | None, state: State, *, chosen: bool
    ) -> dict[str, Any]:
        found: dict[str, Any] = {
            "incident_type": state.incident_type,
            "entity": state.root["entity"] if state.root else None,
            "chosen": chosen,
            "best": plan["runbook"] or plan.get("read") if plan else None,
        }
        if plan is None:
            return {**found, "why": [f"it came to no choice: {_end_words(state)}"]}
        if chosen:
            also = [] if self.runbook.executable else [plan["why"]]
            return {**found, "why": [*(_sentence(r) for r in plan["reasons"]), *also]}
        return {**found, "why": self._why_not(plan)}

    def _why_not(self, plan: Mapping[str, Any]) -> list[str]:
        name = self.runbook.name
        for miss in plan["near_misses"]:
            if miss["runbook"] == name:
                return list(miss["why_not"])
        said = [_sentence(reason) for reason in plan["reasons"]]
        if plan.get("read") == name:
            return [plan["why"]]
        if name in plan["alternatives"]:
            best = plan["runbook"] or plan.get("read")
            return [f"it fits, but {best} comes first" if best else "; ".join(said)]
        return ["none of its criteria is met"]

    def _step(self, number: int, stage: Stage) -> dict[str, Any]:
        written = self.runbook.steps[number]
        tries = [step for step in stage.state.steps if step.plan_index == number]
        shown: dict[str, Any] = {"title": written.title, "action": written.action}
        if not tries:
            plan = stage.state.plan
            rendered = dict(plan.steps[number]) if plan and number < len(plan.steps) else None
            return {**shown, "reached": False, "rendered": rendered}
        step = tries[-1]
        verdict = stage.verdicts.get(step.step_id)
        reasons = verdict.as_data()["reasons"] if verdict else []
        return {
            **shown,
            "reached": True,
            "step_id": step.step_id,
            "rendered": {
                "action": step.action,
                "target": step.target,
                "params": dict(step.params),
                "impact": step.impact,
                "timeout_s": step.timeout_s,
                "cooldown_s": step.cooldown_s,
                "undo": step.undo,
            },
            "preconditions": [r for r in reasons if r["rule"] == "precondition"],
            "guard": verdict.as_data() if verdict else None,
            "status": step.status.value,
            "refused": _refusals(step),
            "criteria": list(step.criteria),
            "outcome": dict(step.outcome) or None,
            "verification": dict(step.verification) or None,
            "recorded": self._recorded(step.action, step.target),
        }

    def _recorded(self, action: str, target: str) -> dict[str, Any] | None:
        found = self.recorded.get((action, target))
        return {"status": found["status"], "sentence": found.get("sentence")} if found else None


def _refusals(step: Step) -> list[dict[str, Any]]:
    """Give what stops the step even where the mode would let it run and a person approved."""
    if step.status is not StepStatus.BLOCKED:
        return []
    return [dict(reason) for reason in step.verdict.get("reasons", ()) if not reason["ok"]]


def _with_mode(state: State, runbook: Runbook) -> State:
    """Let the guard see the mode that the runbook asks for, where the rehearsal has lifted it."""
    if state.plan is None:
        return state
    return replace(state, plan=replace(state.plan, mode=runbook.mode))


def _lifted(world: World) -> World:
    """Let every step run as far as modes go: limits, freezes and approvals stay as they are."""
    services = {
        name: replace(service, mode=None) for name, service in world.catalogue.services.items()
    }
    grants = tuple(
        Grant(runbook=runbook.name, service=name, granted_by="rehearsal")
        for runbook in world.runbooks
        for name in services
    )
    return replace(
        world,
        mode="autonomous",
        catalogue=replace(world.catalogue, services=services),
        runbooks=tuple(replace(runbook, mode=None) for runbook in world.runbooks),
        grants=grants,
    )


def _last(records: Sequence[Record], kind: Kind) -> Mapping[str, Any] | None:
    return next((record.data for record in reversed(records) if record.kind == kind), None)


def _mode(records: Sequence[Record]) -> dict[str, Any] | None:
    plan = _last(records, Kind.PLAN_CHOSEN)
    if plan is None or plan["runbook"] is None:
        return None
    return {"mode": plan["mode"], "reasons": [_sentence(r) for r in plan["mode_reasons"]]}


def _sentence(reason: Mapping[str, Any]) -> str:
    facts = [f"{name} {reason[name]}" for name in ("reading", "threshold") if reason.get(name)]
    return f"{reason['text']} ({', '.join(facts)})" if facts else str(reason["text"])


def _end(stage: Stage) -> dict[str, Any]:
    state = stage.state
    last = state.last_step
    shown = last is not None and bool(last.verdict.get("would_have"))
    return {
        "phase": state.phase.value,
        "held": state.held["why"] if state.held else None,
        "waiting_for": list(state.waiting_for),
        "only_shown": shown,
        "ending": state.ending,
        "stopped": stage.stopped,
        "took_s": round((stage.now - stage.known.at).total_seconds(), 3),
    }


def _end_words(state: State) -> str:
    return state.ending or (state.held or {}).get("why") or f"it stays {state.phase.value}"
