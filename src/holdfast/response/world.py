"""What decide() may know beside the incident itself: the installation as configured.

Nothing in here changes while an incident runs, except what a person changes in
the configuration. What changes by the second comes with an event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.kernel.catalogue import Catalogue
from holdfast.policy import Boundary, Grant, Limits, Weekly, Window
from holdfast.response.ports import Repeatability
from holdfast.runbooks import Runbook


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFacts:
    """What an action says about itself."""

    repeatability: Repeatability
    least_impact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Durations in seconds; see the configuration reference for each."""

    sampling_interval_s: float = 60.0
    sustain_s: float = 60.0
    cooldown_s: float = 30.0
    lease_s: float = 30.0
    ack_timeout_s: float = 300.0
    approval_ttl_s: float = 900.0
    probe_pause_s: float = 1.0
    reopen_window_s: float = 600.0
    handoff_timeout_s: float = 300.0
    commander_silent_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything static that a decision needs. `holders`: the people of each contact."""

    catalogue: Catalogue
    runbooks: tuple[Runbook, ...] = ()
    actions: Mapping[str, ActionFacts] = field(default_factory=dict)
    mode: str = "observe"
    maintenance: tuple[Weekly, ...] = ()
    change_freezes: tuple[Window | Weekly, ...] = ()
    grants: tuple[Grant, ...] = ()
    limits: Limits = field(default_factory=Limits)
    reopenings_per_hour: int = 3
    timing: Timing = field(default_factory=Timing)
    check_entities: Mapping[str, str] = field(default_factory=dict)
    boundaries: tuple[Boundary, ...] = ()
    holders: Mapping[str, frozenset[str]] = field(default_factory=dict)
