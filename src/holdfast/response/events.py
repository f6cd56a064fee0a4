"""What can happen to an incident: a closed list.

An event carries what the world said; whatever of it matters later is written to
the ledger by the commands that follow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.diagnosis import SymptomReading
from holdfast.kernel.catalogue import SignalKey
from holdfast.policy import Freeze, Override, SetMode, Window
from holdfast.response.ports import ActionOutcome, CheckResult, ProbeResult
from holdfast.response.store import LoggedAction, Request
from holdfast.verification import Sample, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Woke:
    """Time has passed, and nothing is under way: an attempt without an outcome has nobody left
    who could report one.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalsSeen:
    """Detection saw something on a service of this incident."""

    signals: tuple[Mapping[str, Any], ...]
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksDone:
    """The checks have answered, or were given up."""

    results: Mapping[str, CheckResult]
    symptom: Sequence[SymptomReading]


@dataclass(frozen=True, slots=True, kw_only=True)
class SymptomRead:
    """The series that opened the incident were read afresh, with the modes that people set and the
    maintenance windows that are open.
    """

    symptom: Sequence[SymptomReading]
    modes: Sequence[SetMode] = ()
    windows: Sequence[Window] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the guard is to judge a proposed step on, all read just now.

    `overrides` are those of this incident, used ones too: its own records tell them apart. `rate`
    is the action log of all targets, as far back as the limits on all actions count. `live` are the
    newest samples of each series that a directive rests on, `assumed` the earlier look at its
    target, where it is still at hand.
    """

    step_id: str
    pre_image: Mapping[str, Any]
    problem: str | None
    checks: Mapping[str, CheckResult]
    symptom: Sequence[SymptomReading]
    log: Sequence[LoggedAction]
    acting: tuple[str, ...]
    freeze: Freeze | None
    system_seq: int
    siblings_acting: Sequence[LoggedAction] = ()
    modes: Sequence[SetMode] = ()
    overrides: Sequence[Override] = ()
    maintenance: Window | None = None
    rate: Sequence[LoggedAction] = ()
    live: Mapping[SignalKey, Sequence[tuple[datetime, float]]] = field(default_factory=dict)
    assumed: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What a directive would be judged on was read; nothing of it is written anywhere."""

    request: Request
    prepared: Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionReturned:
    """An attempt came to an end. Exactly one of `outcome`, `lost`, `unreachable` is set.

    `planes`: how each control plane was found where the effect is there only in part.
    """

    step_id: str
    started_at: datetime
    ended_at: datetime
    outcome: ActionOutcome | None = None
    lost: str | None = None
    unreachable: str | None = None
    redone: bool = False
    planes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The target was looked at for an attempt in doubt.

    `newer_token`: under a higher fence than every request of this attempt was sent with.
    """

    step_id: str
    result: ProbeResult
    freeze: Freeze | None = None
    system_seq: int = 0
    newer_token: bool = True
    modes: Sequence[SetMode] = ()
    maintenance: Window | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A target that a person acted on by hand, as it is now."""

    request: Request
    observed: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A person asked how things are now: the checks, the series, each target that was touched."""

    request: Request
    results: Mapping[str, CheckResult]
    symptom: Sequence[SymptomReading]
    live: Mapping[SignalKey, Sequence[tuple[datetime, float]]]
    targets: Mapping[str, tuple[Mapping[str, Any], str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesRead:
    """Samples for the recovery criteria of a step."""

    step_id: str
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The control planes of a step were looked at before its good verdict is written."""

    step_id: str
    verdict: Verdict
    result: ProbeResult


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSent:
    """The contacts of a level were paged, or it failed; one entry of `sent` for each."""

    level: int
    sent: tuple[Mapping[str, Any], ...]
    packet_digest: str
    packet_markdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketMade:
    """The takeover packet of a handoff, as JSON data and as Markdown."""

    request: Request
    handoff: Mapping[str, Any]
    packet: Mapping[str, Any]
    digest: str
    markdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAgain:
    """What was touched, as it is now: by target {text, reachable, planes, partly, seen}."""

    request: Request
    targets: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A person or an agent asks for something. `refusal`: the token does not allow it."""

    request: Request
    refusal: str | None = None


Event = (
    Woke
    | SignalsSeen
    | ChecksDone
    | SymptomRead
    | Prepared
    | Rehearsed
    | ActionReturned
    | Probed
    | Observed
    | Looked
    | SamplesRead
    | Confirmed
    | PageSent
    | PacketMade
    | SeenAgain
    | Asked
)
