"""Which mode applies to a runbook on a service: the settings', and what people set since."""

from collections.abc import Sequence

from holdfast.incident import State, Step, StepStatus
from holdfast.kernel.catalogue import split_instance
from holdfast.policy import Mode, ModeInput, SetMode, effective_mode, mode_applies
from holdfast.response.world import World


def only_shown(step: Step) -> bool:
    """Say whether a step would have been performed but for the mode observe."""
    return step.status is StepStatus.BLOCKED and bool(step.verdict.get("would_have"))


def observes(state: State, world: World, people: Sequence[SetMode]) -> bool:
    """Say whether the plan's mode is still observe: a person may have changed it since."""
    service = state.root["entity"] if state.root else state.services[0]
    plan = state.plan
    question = mode_input(
        world,
        runbook=plan.runbook if plan else None,
        runbook_mode=None,
        service=service,
        people=people,
        incident_id=state.incident_id,
    )
    return effective_mode(question).mode is Mode.OBSERVE


def only_observes(state: State, step: Step, world: World, people: Sequence[SetMode]) -> bool:
    """Say whether nothing may be performed on the target of this step, as things are set up now."""
    planned = step.plan_index is not None and state.plan is not None
    question = mode_input(
        world,
        runbook=state.plan.runbook if state.plan and planned else None,
        runbook_mode=None,
        service=split_instance(step.target)[0],
        people=people,
        incident_id=state.incident_id,
    )
    return effective_mode(question).mode is Mode.OBSERVE


def mode_input(
    world: World,
    *,
    runbook: str | None,
    runbook_mode: str | None,
    service: str,
    people: Sequence[SetMode] = (),
    incident_id: str = "",
) -> ModeInput:
    """Gather what `effective_mode` weighs. `people`: all modes that are set, for any scope."""
    entry = world.catalogue.services.get(service)
    grant = next((g for g in world.grants if g.runbook == runbook and g.service == service), None)
    return ModeInput(
        installation=world.mode,
        service=entry.mode if entry else None,
        runbook=runbook_mode,
        runbook_name=runbook,
        service_name=service,
        grant=grant,
        people=tuple(
            each
            for each in people
            if mode_applies(each.scope, service=service, incident_id=incident_id, runbook=runbook)
        ),
    )
