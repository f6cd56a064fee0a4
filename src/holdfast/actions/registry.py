"""Every action by name.

A name that isn't here is an error that lists the ones that are: a runbook with a
misspelt action must fail when it is read, not in an incident.
"""

from collections.abc import Mapping

from holdfast.actions.clear_cache import ClearCache
from holdfast.actions.disable_flag import DisableFlag
from holdfast.actions.drain_queue import DrainQueue
from holdfast.actions.failover_db import FailoverDb
from holdfast.actions.restart_service import RestartService
from holdfast.actions.rollback_deploy import PreviousRelease, RollbackDeploy
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import NotFoundError
from holdfast.response.ports import Action


def build_actions(
    catalogue: Catalogue,
    *,
    previous_release: PreviousRelease | None = None,
    clock: Clock | None = None,
) -> dict[str, Action]:
    """Build every action of this version for the services of `catalogue`."""
    actions: tuple[Action, ...] = (
        ClearCache(catalogue, clock=clock),
        DisableFlag(catalogue, clock=clock),
        DrainQueue(catalogue, clock=clock),
        FailoverDb(catalogue, clock=clock),
        RestartService(catalogue, clock=clock),
        RollbackDeploy(catalogue, previous_release=previous_release, clock=clock),
    )
    return {action.name: action for action in actions}


def action_named(actions: Mapping[str, Action], name: str) -> Action:
    """Find an action. Raises NotFoundError that lists the known ones."""
    try:
        return actions[name]
    except KeyError:
        raise NotFoundError(
            f"there is no action {name!r}; known actions: {', '.join(sorted(actions))}"
        ) from None
