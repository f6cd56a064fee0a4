"""Actuators: the only code that changes anything in production.

Rule: only the engine calls them, between an intent and an outcome. An action says
what it saw before, acts once, and is honest about what it doesn't know: no effect,
an effect, or an unknown one are three different answers.
"""

from holdfast.actions.registry import action_named, build_actions
from holdfast.actions.restart_service import RestartService
from holdfast.actions.rollback_deploy import PreviousRelease, RollbackDeploy

__all__ = [
    "PreviousRelease",
    "RestartService",
    "RollbackDeploy",
    "action_named",
    "build_actions",
]
