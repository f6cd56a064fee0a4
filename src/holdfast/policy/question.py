"""Everything the guard may look at, gathered before it is asked.

Plain facts with their times. Nothing in here is a decision, and the guard looks at nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from holdfast.kernel import Reason
from holdfast.policy.limits import Limits
from holdfast.policy.modes import ModeInput
from holdfast.policy.overrides import Override
from holdfast.policy.scopes import Principal, TokenKind

FREEZE_ALL = "all"


class Impact(StrEnum):
    """How much a step can hurt. A runbook can raise it, never lower it."""

    LOW = "low"
    HIGH = "high"


class Origin(StrEnum):
    """Who chose the step."""

    RUNBOOK = "runbook"
    DIRECTIVE = "directive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A stop on every mutating action within a scope: `all`, `service:NAME` or `region:NAME`."""

    scope: str
    by: str
    why: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stated time in which people are at work on what the scope names; see `maintenance`."""

    window_id: str
    scope: str
    starts_at: datetime
    ends_at: datetime
    by: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A stop on this incident."""

    why: str
    since: datetime
    by: str = "holdfast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's yes to one step, for a while, once."""

    by: str
    kind: TokenKind
    step_hash: str
    granted_at: datetime
    expires_at: datetime
    used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """One action that a charter allows, and its targets: services, or `service@region`."""

    action: str
    targets: tuple[str, ...]

    def words(self) -> str:
        return f"{self.action} on {', '.join(self.targets)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What belongs to somebody: `action` on `target` (`*` is any) needs the word of `authority`.

    The authority is a person's id or a contact whose members are known.
    """

    action: str
    target: str
    authority: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """What a directed run may do: who commands it, to what end, what it may touch, until when."""

    commander: str
    objective: str
    allowed: tuple[Granted, ...]
    expires_at: datetime
    boundaries: tuple[Boundary, ...] = ()
    four_eyes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """An incident on its way to somebody else, not accepted yet."""

    to: str
    by: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAction:
    """One entry of the action log. `added` counts the instances it added.

    `own`: the incident that asks now intended it too.
    """

    action: str
    at: datetime
    added: int = 0
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardInput:
    """One question: may this step run now, and all that is known about it.

    `unsettled` and `acting` name other incidents with a step in doubt on this target, or acting on
    it. `regions_in_flight` are regions of the same service where another step isn't verified yet.
    `holders`: the people of each authority. `live`: what a directive's live state was read as.
    `pool_share`: the part of a pool that would be out (0..1). `rate`: every intent of the
    installation within the window, `change_freeze` the one that covers the target. `undoes`: the
    step that this one puts back, `under_charter` that it was done under the charter in force.
    """

    now: datetime
    action: str
    target: str
    service: str
    step_hash: str
    modes: ModeInput
    region: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = Origin.RUNBOOK
    impact: Impact | str = Impact.LOW
    least_impact: Impact | str = Impact.LOW
    criteria: tuple[str, ...] = ()
    freeze: Freeze | None = None
    maintenance: Window | None = None
    hold: Hold | None = None
    unsettled: tuple[str, ...] = ()
    acting: tuple[str, ...] = ()
    principal: Principal | None = None
    approval: Approval | None = None
    preconditions: tuple[Reason, ...] = ()
    readings_max_age_s: float | None = None
    attempts_used: int = 0
    retries: int = 0
    last_action_at: datetime | None = None
    cooldown_s: float = 30.0
    recent: tuple[PastAction, ...] = ()
    deployed_at: datetime | None = None
    regions_touched: tuple[str, ...] = ()
    regions_in_flight: tuple[str, ...] = ()
    service_regions: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    overrides: tuple[Override, ...] = ()
    charter: Charter | None = None
    boundaries: tuple[Boundary, ...] = ()
    holders: Mapping[str, frozenset[str]] = field(default_factory=dict)
    handoff: Handoff | None = None
    live: tuple[Reason, ...] = ()
    pool_share: float | None = None
    rate: tuple[PastAction, ...] = ()
    change_freeze: Window | None = None
    undoes: str | None = None
    under_charter: bool = False

    @property
    def is_high_impact(self) -> bool:
        """Say whether the step counts as high: by its runbook or by its action.

        A word that nobody knows counts as high.
        """
        return {self.impact, self.least_impact} != {Impact.LOW}


def freeze_applies(scope: str, *, service: str, region: str | None) -> bool:
    """Say whether a freeze covers a step; a scope that nobody can read covers everything."""
    kind, _, name = scope.partition(":")
    if kind == "service" and name:
        return name == service
    if kind == "region" and name:
        return region is None or name == region
    return True
