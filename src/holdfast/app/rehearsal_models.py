"""What a state file of `holdfast runbook test` may hold, field by field.

Only what is written is known: a check, a sample or an outcome that is not there is as unknown as it
would be if nobody could look.
"""

from typing import Any, Literal

from pydantic import Field

from holdfast.app.strict import Strict

# A number reads so from then on; a list is one sample each interval (null: a gap), then nothing.
Samples = float | list[float | None]


class RangeModel(Strict):
    """What is normal for a series."""

    expected: float | None = None
    low: float | None = None
    high: float | None = None


class SeenModel(RangeModel):
    """A series that is out of its range."""

    value: float | None = None
    severity: Literal["warning", "critical"] = "critical"


class AfterModel(Strict):
    """What a step leads to. `probe`: what a look shows where its answer is lost."""

    outcome: Literal["succeeded", "failed", "lost"] = "succeeded"
    summary: str = "as the state file says"
    probe: Literal["present", "absent", "unknown"] = "unknown"
    samples: dict[str, Samples] = {}
    checks: dict[str, dict[str, Any]] = {}


class DoneModel(Strict):
    """What was done on a target a while ago."""

    action: str
    target: str
    ago_s: float = Field(ge=0)
    settled: bool = True


class StateModel(Strict):
    """One state file."""

    service: str | None = None
    region: str | None = None
    incident_type: str | None = None
    signals: dict[str, SeenModel] = {}
    normal: dict[str, RangeModel] = {}
    checks: dict[str, dict[str, Any]] = {}
    samples: dict[str, Samples] = {}
    observed: dict[str, Any] = {}
    actions: list[DoneModel] = []
    freeze: str | None = None
    after: list[AfterModel] = []
