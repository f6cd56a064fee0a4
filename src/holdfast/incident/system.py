"""The `_system` chain as a fold: freezes, tokens, refusals.

What concerns no single incident. A token is known by its digest only; the
secret was shown once and is nowhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from holdfast.incident.records import Record
from holdfast.kernel.clock import parse_at

FROZEN = "frozen"
THAWED = "thawed"
TOKEN_CREATED = "token_created"  # noqa: S105 - a kind of record, not a secret
TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a kind of record, not a secret
REFUSED = "request_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeFact:
    """A freeze: nothing in its scope is acted on."""

    scope: str
    by: str
    why: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFact:
    """A token as it may be kept: without its secret."""

    token_id: str
    name: str
    kind: str
    scopes: tuple[str, ...]
    digest: str
    expires_at: datetime
    on_behalf_of: str | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemState:
    """Everything that the `_system` chain says."""

    seq: int = 0
    freezes: Mapping[str, FreezeFact] = field(default_factory=dict)
    tokens: Mapping[str, TokenFact] = field(default_factory=dict)


def fold_system(records: Iterable[Record], state: SystemState | None = None) -> SystemState:
    """Fold records of the `_system` chain onto a state. Unknown kinds only count."""
    state = state or SystemState()
    for record in records:
        state = replace(_step(state, record), seq=record.seq)
    return state


def _step(state: SystemState, record: Record) -> SystemState:
    data = record.data
    if record.kind == FROZEN:
        fact = FreezeFact(
            scope=data["scope"], by=record.actor.id, why=data["because"], since=record.at
        )
        return replace(state, freezes={**state.freezes, fact.scope: fact})
    if record.kind == THAWED:
        left = {scope: f for scope, f in state.freezes.items() if scope != data["scope"]}
        return replace(state, freezes=left)
    if record.kind == TOKEN_CREATED:
        return _with_token(state, _token(data))
    if record.kind == TOKEN_REVOKED and data["token_id"] in state.tokens:
        return _with_token(state, replace(state.tokens[data["token_id"]], revoked=True))
    return state


def _token(data: Mapping[str, Any]) -> TokenFact:
    return TokenFact(
        token_id=data["token_id"],
        name=data["name"],
        kind=data["kind"],
        scopes=tuple(data["scopes"]),
        digest=data["digest"],
        expires_at=parse_at(data["expires_at"]),
        on_behalf_of=data.get("on_behalf_of"),
    )


def _with_token(state: SystemState, token: TokenFact) -> SystemState:
    return replace(state, tokens={**state.tokens, token.token_id: token})
