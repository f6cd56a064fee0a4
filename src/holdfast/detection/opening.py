"""What detection hands over when something is worth an incident.

It says why in full (reading, threshold, source, time) and names the series, so that the
incident room can group it with what is open without asking detection anything.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from holdfast.detection.anomaly import Anomaly, Severity
from holdfast.kernel.catalogue import SignalKey
from holdfast.kernel.reason import Reason

Cause = Literal["composite", "limit", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A health verdict against some services of a connected group.

    `services` has the one with the most evidence first; `started_at` is the first tick of the
    evidence, `at` the tick of the verdict. It is given again on every tick on which it holds.
    """

    cause: Cause
    group: tuple[str, ...]
    services: tuple[str, ...]
    regions: tuple[str, ...]
    keys: tuple[SignalKey, ...]
    anomalies: tuple[Anomaly, ...]
    severity: Severity
    reason: str
    reasons: tuple[Reason, ...]
    started_at: datetime
    at: datetime
