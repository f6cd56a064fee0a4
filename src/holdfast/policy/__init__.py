"""May this step run now? One guard for the loop, people and agents, with every reason.

Rule: what can't be known is refused, one refusing fact is enough, and nothing a runbook, a
directive or an agent says widens what it may do. Limits can be changed but never switched off.
"""

from holdfast.policy.change_freeze import open_freeze, open_freezes
from holdfast.policy.charter import (
    boundary_covers,
    covers_target,
    read_boundary,
    read_charter,
    read_handoff,
    speaks_for,
)
from holdfast.policy.guard import RULES, Verdict, evaluate
from holdfast.policy.limits import Limits
from holdfast.policy.maintenance import (
    DAYS,
    MAINTENANCE_RULE,
    Weekly,
    check_span,
    covering,
    covers,
    is_open,
)
from holdfast.policy.modes import (
    Grant,
    Mode,
    ModeInput,
    ModeVerdict,
    SetMode,
    effective_mode,
    mode_applies,
    read_mode,
)
from holdfast.policy.overrides import RAISABLE, VALID_S, Override
from holdfast.policy.question import (
    Approval,
    Boundary,
    Charter,
    Freeze,
    Granted,
    GuardInput,
    Handoff,
    Hold,
    Impact,
    Origin,
    PastAction,
    Window,
    freeze_applies,
)
from holdfast.policy.rules import Decision, Ground
from holdfast.policy.scopes import Principal, Scope, TokenKind, authorize, grantable
from holdfast.policy.step_hash import names_hash, step_hash

__all__ = [
    "DAYS",
    "MAINTENANCE_RULE",
    "RAISABLE",
    "RULES",
    "VALID_S",
    "Approval",
    "Boundary",
    "Charter",
    "Decision",
    "Freeze",
    "Grant",
    "Granted",
    "Ground",
    "GuardInput",
    "Handoff",
    "Hold",
    "Impact",
    "Limits",
    "Mode",
    "ModeInput",
    "ModeVerdict",
    "Origin",
    "Override",
    "PastAction",
    "Principal",
    "Scope",
    "SetMode",
    "TokenKind",
    "Verdict",
    "Weekly",
    "Window",
    "authorize",
    "boundary_covers",
    "check_span",
    "covering",
    "covers",
    "covers_target",
    "effective_mode",
    "evaluate",
    "freeze_applies",
    "grantable",
    "is_open",
    "mode_applies",
    "names_hash",
    "open_freeze",
    "open_freezes",
    "read_boundary",
    "read_charter",
    "read_handoff",
    "read_mode",
    "speaks_for",
    "step_hash",
]
