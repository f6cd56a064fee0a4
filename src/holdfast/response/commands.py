"""What decide() can ask of the engine: a closed list.

Commands are carried out in order. Only `Intend` leads to an action, and the
engine performs it between the intent and the outcome and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.incident.records import Draft
from holdfast.kernel.catalogue import Contact, SignalKey
from holdfast.response.store import Answer, Request, Reservation, Seen
from holdfast.verification import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Append these records. `settles` frees the targets of these attempts.

    `answers` (request id -> answer) are given in the same transaction as the records.
    """

    drafts: tuple[Draft, ...]
    settles: tuple[str, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChecks:
    """Run all checks in parallel and read the symptom; answer with ChecksDone."""

    services: tuple[str, ...]
    started_at: datetime
    series: tuple[SignalKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSymptom:
    """Read the series that opened the incident afresh; answer with SymptomRead."""

    series: tuple[SignalKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Read everything that the guard needs for this step; answer with Prepared.

    A directive's live state: the series in `live`, and every check there is. `seen` is the digest
    of an earlier look at the target.
    """

    step_id: str
    action: str
    target: str
    params: Mapping[str, object]
    services: tuple[str, ...]
    started_at: datetime
    series: tuple[SignalKey, ...]
    checks: tuple[str, ...]
    siblings: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    live: tuple[SignalKey, ...] = ()
    every_check: bool = False
    seen: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearse:
    """Read for a directive what a real one is judged on, and do nothing; answer with Rehearsed."""

    request: Request
    prepare: Prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """Look at a target that a person acted on by hand; answer with Observed."""

    request: Request
    action: str
    target: str
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Run all checks, read the series and look at these targets; answer with Looked.

    Each target comes with the action that touched it and that action's parameters.
    """

    request: Request
    checks: RunChecks
    live: tuple[SignalKey, ...]
    targets: Mapping[str, tuple[str, Mapping[str, object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intend:
    """Write the intent with its second look, then perform; answer with ActionReturned."""

    step_id: str
    draft: Draft
    reservation: Reservation
    seen: Seen
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """Perform an attempt in doubt again with its own key, where the target makes that safe.

    Written down first, with the same second look as an intent.
    """

    step_id: str
    draft: Draft
    seen: Seen
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Look whether the effect of this attempt is there; answer with Probed."""

    step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSamples:
    """Read the series that the recovery criteria of this step name; answer with SamplesRead."""

    step_id: str
    series: tuple[SignalKey, ...]
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Look whether every control plane is as the step meant it; answer with Confirmed.

    `verdict` is what the readings say; it is written only together with what is found there.
    """

    step_id: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPage:
    """Page these contacts with the takeover packet; answer with PageSent."""

    level: int
    contacts: tuple[Contact, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePacket:
    """Make the takeover packet of a handoff that a person asks for; answer with PacketMade.

    `handoff` is what the packet says of it: {to, by, because, at, expires_at}.
    """

    request: Request
    handoff: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A target to look at again: what was done to it last, by a step or by hand.

    `step_id` names the step whose attempt is looked for; None where only the target is read.
    """

    target: str
    action: str
    params: Mapping[str, Any]
    step_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAgain:
    """Look at what was touched before a request goes on; answer with SeenAgain."""

    request: Request
    touched: tuple[Touched, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """Answer a person's request that leaves no record: a refusal."""

    request_id: str
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeAt:
    """Come back then at the latest."""

    at: datetime


Command = (
    Write
    | RunChecks
    | ReadSymptom
    | Prepare
    | Rehearse
    | Observe
    | Look
    | Intend
    | Redo
    | Probe
    | ReadSamples
    | Confirm
    | SendPage
    | MakePacket
    | LookAgain
    | AnswerRequest
    | WakeAt
)
