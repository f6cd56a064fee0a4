"""Which mode applies to a runbook on a service, from the installation's settings."""

from holdfast.incident import State, Step, StepStatus
from holdfast.policy import Mode, ModeInput, effective_mode
from holdfast.response.world import World


def only_shown(step: Step) -> bool:
    """Say whether a step would have been performed but for the mode observe."""
    return step.status is StepStatus.BLOCKED and bool(step.verdict.get("would_have"))


def observes(state: State, world: World) -> bool:
    """Say whether the plan's mode is still observe: a person may have changed it since."""
    service = state.root["entity"] if state.root else state.services[0]
    plan = state.plan
    question = mode_input(
        world, runbook=plan.runbook if plan else None, runbook_mode=None, service=service
    )
    return effective_mode(question).mode is Mode.OBSERVE


def mode_input(
    world: World, *, runbook: str | None, runbook_mode: str | None, service: str
) -> ModeInput:
    """Gather what `effective_mode` weighs."""
    entry = world.catalogue.services.get(service)
    grant = next((g for g in world.grants if g.runbook == runbook and g.service == service), None)
    return ModeInput(
        installation=world.mode,
        service=entry.mode if entry else None,
        runbook=runbook_mode,
        runbook_name=runbook,
        service_name=service,
        grant=grant,
    )
