"""What the response needs from the world, and what it may rely on.

Protocols state promises; the I/O rooms keep them. A check never changes
anything. An action says how it can be repeated, and that is tested at its target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from holdfast.kernel.errors import HoldfastError


class Health(StrEnum):
    """What a check found. `unknown` means that it could not look."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """What a check may look at: the services in question, and when the trouble began."""

    services: tuple[str, ...]
    started_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One reading of one check. `data` is plain JSON data for preconditions and evidence."""

    name: str
    status: Health
    summary: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    took_s: float = 0.0

    def as_data(self) -> dict[str, Any]:
        return {
            "status": self.status.value,
            "summary": self.summary,
            "at": self.at.isoformat(),
            "took_s": round(self.took_s, 3),
            **{k: v for k, v in self.data.items() if k not in {"status", "summary", "at"}},
        }


class Check(Protocol):
    """A read-only diagnostic."""

    @property
    def name(self) -> str: ...

    def run(self, context: CheckContext) -> CheckResult:
        """Look, and say what is there. May raise or hang: the runner turns both into `down`."""
        ...


class Repeatability(StrEnum):
    """How an action can be repeated safely; see the ledger design.

    idempotent: the target remembers the key, or compares before it sets.
    refuses_stale_token: the target refuses a token older than one it has seen.
    probeable: only an effect that is there can be proven.
    none: nothing can be said afterwards.
    """

    IDEMPOTENT = "idempotent"
    REFUSES_STALE_TOKEN = "refuses_stale_token"  # noqa: S105 - a kind of action, not a secret
    PROBEABLE = "probeable"
    NONE = "none"

    @property
    def may_be_redone(self) -> bool:
        """Say whether an attempt in doubt may be performed again with its own key."""
        return self in {Repeatability.IDEMPOTENT, Repeatability.REFUSES_STALE_TOKEN}


class Effect(StrEnum):
    """What is known about an action's effect at its target."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequest:
    """One attempt of one step. `pre_image` is what `observe` saw before the intent."""

    action: str
    target: str
    params: Mapping[str, Any]
    idempotency_key: str
    fence: int
    timeout_s: float
    pre_image: Mapping[str, Any] = field(default_factory=dict)
    intended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOutput:
    """Where the whole output of an action lies; `problem` says why it lies nowhere."""

    size_bytes: int
    digest: str | None = None
    problem: str | None = None

    def as_data(self) -> dict[str, Any]:
        data = {
            "output_bytes": self.size_bytes,
            "output_digest": self.digest,
            "output_link": f"audit:{self.digest}" if self.digest else None,
        }
        return {**data, "output_problem": self.problem} if self.problem else data


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionOutcome:
    """What an action answered. A failure with effect UNKNOWN leaves the step in doubt.

    An action leaves `kept` out: the engine fills it in once the whole output is in the
    restricted audit store.
    """

    ok: bool
    effect: Effect
    summary: str
    return_code: int | None = None
    error_category: str | None = None
    output: str = ""
    kept: KeptOutput | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a look at the target says about an attempt in doubt."""

    effect: Effect
    evidence: str
    data: Mapping[str, Any] = field(default_factory=dict)


class LostReplyError(HoldfastError):
    """The request went out and no usable answer came back: the effect is unknown."""


class TargetUnreachableError(HoldfastError):
    """The request certainly did not reach the target: there was no effect."""


class Action(Protocol):
    """An actuator. Only the engine calls it, and only between an intent and an outcome."""

    @property
    def name(self) -> str: ...

    @property
    def repeatability(self) -> Repeatability: ...

    @property
    def least_impact(self) -> str:
        """`low` or `high`: a runbook can raise it, never lower it."""
        ...

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read the target as it is now (the pre-image). Changes nothing.

        Holds at least `reachable` (bool) and `reversible` (text: how to undo, or "no: why"), and
        `repeatability` where this target can give less than the action's best.
        Raises BadInputError for a target or parameter that this action can't act on.
        """
        ...

    def perform(self, request: ActionRequest) -> ActionOutcome:
        """Act once.

        Raises LostReplyError when the effect is unknown, TargetUnreachableError when there
        certainly was none.
        """
        ...

    def probe(self, request: ActionRequest) -> ProbeResult:
        """Look whether the effect of this attempt is there. Changes nothing."""
        ...

    def undo(self, request: ActionRequest) -> ActionOutcome:
        """Put the target back to the attempt's pre-image, or say why that can't be done."""
        ...
