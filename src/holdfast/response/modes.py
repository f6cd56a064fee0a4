"""Which mode applies to a runbook on a service, from the installation's settings."""

from holdfast.policy import ModeInput
from holdfast.response.world import World


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
