"""Actuators: the only code that changes anything in production.

Rule: only the engine calls them, between an intent and an outcome. An action says
what it saw before, acts once, and is honest about what it doesn't know: no effect,
an effect, or an unknown one are three different answers.

Names are loaded when they are asked for: supervisord loads `orchestrator` from here
and has none of the product's dependencies.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.actions.registry import action_named, build_actions
    from holdfast.actions.restart_service import RestartService
    from holdfast.actions.rollback_deploy import PreviousRelease, RollbackDeploy

_HOME = {
    "PreviousRelease": "rollback_deploy",
    "RestartService": "restart_service",
    "RollbackDeploy": "rollback_deploy",
    "action_named": "registry",
    "build_actions": "registry",
}

__all__ = [
    "PreviousRelease",
    "RestartService",
    "RollbackDeploy",
    "action_named",
    "build_actions",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"holdfast.actions.{_HOME[name]}"), name)
