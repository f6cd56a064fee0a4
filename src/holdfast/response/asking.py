"""A request with the incident that it is about, and how it is answered.

Whatever a request leads to is written in one go with its answer, so that a crash can't part them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.incident import Draft, Kind, State
from holdfast.kernel.actor import ActorKind
from holdfast.kernel.errors import BadInputError
from holdfast.response.commands import AnswerRequest, Command, Write
from holdfast.response.store import Answer, Request
from holdfast.response.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One request on one incident, and all that may be known when it is answered."""

    state: State
    request: Request
    now: datetime
    world: World

    @property
    def data(self) -> Mapping[str, Any]:
        return self.request.data


def answered(request: Request, message: str, *, ok: bool) -> AnswerRequest:
    """Answer without a record: a refusal."""
    return AnswerRequest(request_id=request.id, answer=Answer(ok=ok, message=message))


def done(
    case: Asking, drafts: tuple[Draft, ...], message: str, settles: tuple[str, ...] = ()
) -> tuple[Command, ...]:
    """Write these records with a good answer."""
    return (written(case.request, drafts, Answer(ok=True, message=message), settles),)


def written(
    request: Request, drafts: tuple[Draft, ...], answer: Answer, settles: tuple[str, ...] = ()
) -> Write:
    """Write the answer with the records, so that a crash can't part them."""
    return Write(drafts=drafts, settles=settles, answers={request.id: answer})


def drafted(case: Asking, kind: Kind, data: Mapping[str, Any]) -> Draft:
    """Make a record in the name of whoever asked."""
    return Draft(kind=kind, actor=case.request.actor, data=data)


def refusal(message: str) -> BadInputError:
    """Make the error that refuses a request."""
    return BadInputError(message)


def not_ended(case: Asking) -> None:
    """Raise BadInputError where the incident has ended."""
    if case.state.ended:
        raise refusal(
            f"{case.state.incident_id} is {case.state.phase.value}; only `note`, `label` and "
            "`close` are possible now"
        )


def on_it(state: State, request: Request) -> tuple[Draft, ...]:
    """Whoever acts on an incident is at work on it, so nobody else is called."""
    by_person = request.actor.kind is ActorKind.HUMAN
    if not by_person or not state.escalated or state.acknowledged:
        return ()
    note = f"by asking for `{request.kind}`"
    return (Draft(kind=Kind.ACKNOWLEDGED, actor=request.actor, data={"note": note}),)
