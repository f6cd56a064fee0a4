"""The `_system` chain as a fold: freezes, modes, overrides, maintenance, tokens, refusals.

What concerns no single incident. A token is known by its digest only; the
secret was shown once and is nowhere.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from holdfast.incident.records import Record
from holdfast.kernel.clock import parse_at

FROZEN = "frozen"
THAWED = "thawed"
MODE_SET = "mode_set"
MODE_CLEARED = "mode_cleared"
OVERRIDE_GRANTED = "override_granted"
MAINTENANCE_ADDED = "maintenance_added"
MAINTENANCE_ENDED = "maintenance_ended"
OPENING_SUPPRESSED = "opening_suppressed"
OPENING_LET_GO = "opening_let_go"
TOKEN_CREATED = "token_created"  # noqa: S105 - a kind of record, not a secret
TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a kind of record, not a secret
REFUSED = "request_refused"
AUDIT_READ = "audit_read"

Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeFact:
    """A freeze: nothing in its scope is acted on."""

    scope: str
    by: str
    why: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeFact:
    """A mode that a person set for a scope: it is that mode at most."""

    scope: str
    mode: str
    by: str
    why: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideFact:
    """One named limit raised for one incident. Whether it was used, the incident's chain says."""

    override_id: str
    incident_id: str
    limit: str
    target: str | None
    by: str
    why: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceFact:
    """A maintenance window. Its id follows from its place among all of them: `MW-1`, `MW-2`."""

    window_id: str
    seq: int
    scope: str
    starts_at: datetime
    ends_at: datetime
    by: str
    why: str
    ended_by: str | None = None


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
    """Everything that the `_system` chain says.

    `suppressed`: by window, recurring ones too, the series that would have opened an incident.
    `kept_quiet`: of these, the ones that nobody was told of yet, each with the number of the record
    that first told of it and what that says.
    """

    seq: int = 0
    freezes: Mapping[str, FreezeFact] = field(default_factory=dict)
    modes: Mapping[str, ModeFact] = field(default_factory=dict)
    overrides: Mapping[str, OverrideFact] = field(default_factory=dict)
    tokens: Mapping[str, TokenFact] = field(default_factory=dict)
    maintenance: Mapping[str, MaintenanceFact] = field(default_factory=dict)
    suppressed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept_quiet: Mapping[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)


def fold_system(records: Iterable[Record], state: SystemState | None = None) -> SystemState:
    """Fold records of the `_system` chain onto a state. Unknown kinds only count."""
    state = state or SystemState()
    for record in records:
        state = replace(_step(state, record), seq=record.seq)
    return state


def _step(state: SystemState, record: Record) -> SystemState:
    handler = _HANDLERS.get(record.kind)
    return handler(state, record) if handler else state


def _frozen(state: SystemState, record: Record) -> SystemState:
    data = record.data
    fact = FreezeFact(scope=data["scope"], by=record.actor.id, why=data["because"], since=record.at)
    return replace(state, freezes={**state.freezes, fact.scope: fact})


def _thawed(state: SystemState, record: Record) -> SystemState:
    return replace(state, freezes=_without(state.freezes, record.data["scope"]))


def _mode_set(state: SystemState, record: Record) -> SystemState:
    data = record.data
    fact = ModeFact(
        scope=data["scope"],
        mode=data["mode"],
        by=record.actor.id,
        why=data["because"],
        since=record.at,
    )
    return replace(state, modes={**state.modes, fact.scope: fact})


def _mode_cleared(state: SystemState, record: Record) -> SystemState:
    return replace(state, modes=_without(state.modes, record.data["scope"]))


def _override_granted(state: SystemState, record: Record) -> SystemState:
    data = record.data
    fact = OverrideFact(
        override_id=data["override_id"],
        incident_id=data["incident_id"],
        limit=data["limit"],
        target=data["target"],
        by=record.actor.id,
        why=data["because"],
        expires_at=parse_at(data["expires_at"]),
    )
    return replace(state, overrides={**state.overrides, fact.override_id: fact})


def _maintenance_added(state: SystemState, record: Record) -> SystemState:
    data = record.data
    fact = MaintenanceFact(
        window_id=f"MW-{len(state.maintenance) + 1}",
        seq=record.seq,
        scope=data["scope"],
        starts_at=parse_at(data["starts_at"]),
        ends_at=parse_at(data["ends_at"]),
        by=record.actor.id,
        why=data["because"],
    )
    return replace(state, maintenance={**state.maintenance, fact.window_id: fact})


def _maintenance_ended(state: SystemState, record: Record) -> SystemState:
    fact = state.maintenance.get(record.data["window_id"])
    if fact is None or fact.ends_at <= record.at:
        return state
    ended = replace(fact, ends_at=record.at, ended_by=record.actor.id)
    return replace(state, maintenance={**state.maintenance, fact.window_id: ended})


def _opening_suppressed(state: SystemState, record: Record) -> SystemState:
    suppressed = dict(state.suppressed)
    for window_id in record.data["windows"]:
        known = suppressed.get(window_id, ())
        suppressed[window_id] = tuple(dict.fromkeys((*known, *record.data["series"])))
    facts = record.data.get("facts")  # a record of an older version has none
    kept = dict(state.kept_quiet)
    if facts is not None:
        for name in record.data["series"]:
            kept.setdefault(name, (record.seq, facts))
    return replace(state, suppressed=suppressed, kept_quiet=kept)


def _opening_let_go(state: SystemState, record: Record) -> SystemState:
    gone = set(record.data["series"])
    kept = {name: each for name, each in state.kept_quiet.items() if name not in gone}
    return replace(state, kept_quiet=kept)


def _token_created(state: SystemState, record: Record) -> SystemState:
    return _with_token(state, _token(record.data))


def _token_revoked(state: SystemState, record: Record) -> SystemState:
    token = state.tokens.get(record.data["token_id"])
    return _with_token(state, replace(token, revoked=True)) if token else state


def _without(facts: Mapping[str, Fact], scope: str) -> Mapping[str, Fact]:
    return {name: fact for name, fact in facts.items() if name != scope}


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


_HANDLERS: Mapping[str, Callable[[SystemState, Record], SystemState]] = {
    FROZEN: _frozen,
    THAWED: _thawed,
    MODE_SET: _mode_set,
    MODE_CLEARED: _mode_cleared,
    OVERRIDE_GRANTED: _override_granted,
    MAINTENANCE_ADDED: _maintenance_added,
    MAINTENANCE_ENDED: _maintenance_ended,
    OPENING_SUPPRESSED: _opening_suppressed,
    OPENING_LET_GO: _opening_let_go,
    TOKEN_CREATED: _token_created,
    TOKEN_REVOKED: _token_revoked,
}
