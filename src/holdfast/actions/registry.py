"""Every action by name.

A name that isn't here is an error that lists the ones that are: a runbook with a
misspelt action must fail when it is read, not in an incident.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.actions.by_section import BySection
from holdfast.actions.clear_cache import ClearCache
from holdfast.actions.command import RunCommand
from holdfast.actions.disable_flag import DisableFlag
from holdfast.actions.drain_pool import DRAIN, READY, TurnPool
from holdfast.actions.drain_queue import DrainQueue
from holdfast.actions.failover_db import FailoverDb
from holdfast.actions.http_call import HttpCall
from holdfast.actions.kubernetes_cordon import CordonNode
from holdfast.actions.kubernetes_drain import DrainNode
from holdfast.actions.kubernetes_restart import RestartDeployment
from holdfast.actions.kubernetes_rollback import RollbackDeployment
from holdfast.actions.kubernetes_scale import ScaleDeployment
from holdfast.actions.plugins import load_actions
from holdfast.actions.restart_service import RestartService
from holdfast.actions.rollback_deploy import PreviousRelease, RollbackDeploy
from holdfast.actions.scale_up import ScaleUp
from holdfast.actions.set_weight import SetWeight
from holdfast.actions.systemd_restart import RestartUnit
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import NotFoundError
from holdfast.response.ports import Action


def build_actions(
    catalogue: Catalogue,
    *,
    previous_release: PreviousRelease | None = None,
    clock: Clock | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Action]:
    """Build every action of this version for the services of `catalogue`.

    `settings` is the section `actions` of holdfast.yaml: calls, commands and the plug-ins to load.
    Raises BadInputError for a plug-in that can't be used.
    """
    given = settings or {}
    command = RunCommand(catalogue, given.get("commands", {}), clock=clock)
    actions: tuple[Action, ...] = (
        ClearCache(catalogue, clock=clock),
        command,
        CordonNode(catalogue, clock=clock),
        DisableFlag(catalogue, clock=clock),
        DrainNode(catalogue, clock=clock),
        TurnPool(catalogue, DRAIN, clock=clock),
        DrainQueue(catalogue, clock=clock),
        FailoverDb(catalogue, fencing=command, clock=clock),
        HttpCall(catalogue, given.get("http", {}), clock=clock),
        *_by_section(catalogue, previous_release, clock),
        SetWeight(catalogue, clock=clock),
        TurnPool(catalogue, READY, clock=clock),
    )
    known = [action.name for action in actions]
    actions += load_actions(catalogue, given.get("plugins", {}), known)
    return {action.name: action for action in actions}


def _by_section(
    catalogue: Catalogue, previous_release: PreviousRelease | None, clock: Clock | None
) -> Iterator[Action]:
    """Build the actions that several control planes can carry out, each with its section."""
    rollback = RollbackDeploy(catalogue, previous_release=previous_release, clock=clock)
    ways: tuple[Mapping[str, Action], ...] = (
        {
            "supervisord": RestartService(catalogue, clock=clock),
            "systemd": RestartUnit(catalogue, clock=clock),
            "kubernetes": RestartDeployment(catalogue, clock=clock),
        },
        {"release": rollback, "kubernetes": RollbackDeployment(catalogue, clock=clock)},
        {
            "scale": ScaleUp(catalogue, clock=clock),
            "kubernetes": ScaleDeployment(catalogue, clock=clock),
        },
    )
    return (BySection(catalogue, each) for each in ways)


def action_named(actions: Mapping[str, Action], name: str) -> Action:
    """Find an action. Raises NotFoundError that lists the known ones."""
    try:
        return actions[name]
    except KeyError:
        raise NotFoundError(
            f"there is no action {name!r}; known actions: {', '.join(sorted(actions))}"
        ) from None
