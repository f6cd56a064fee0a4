"""Tokens: made once, shown once, kept as a digest on the `_system` chain.

A token is `hf_KIND_ID_SECRET`. Its kind can't be changed and says what its scopes
may be: an agent's token never directs, approves or settles anything.
"""

import hashlib
import hmac
import math
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.incident.system import (
    REFUSED,
    TOKEN_CREATED,
    TOKEN_REVOKED,
    SystemState,
    TokenFact,
    fold_system,
)
from holdfast.kernel.actor import SYSTEM, Actor, ActorKind
from holdfast.kernel.clock import Clock, format_at
from holdfast.kernel.errors import BadInputError, NotFoundError, RefusedError
from holdfast.policy import Scope, TokenKind, authorize, grantable
from holdfast.response.asked import NEEDED_SCOPE
from holdfast.response.store import SYSTEM_CHAIN, Ledger

VARIABLE = "HOLDFAST_TOKEN"
_UNKNOWN = (
    f"the token in {VARIABLE} is not known here; check that it is whole and of this installation, "
    "or ask an admin for `holdfast token create`"
)
_NAME_MAX = 64
_KINDS = {
    TokenKind.PERSON: ActorKind.HUMAN,
    TokenKind.AGENT: ActorKind.AGENT,
    TokenKind.SERVICE: ActorKind.SYSTEM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who stands behind a token, and what it allows."""

    actor: Actor
    kind: TokenKind
    scopes: frozenset[Scope]


class SystemView:
    """The `_system` chain, folded as it grows. Fulfils `engine.ports.System`."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._state = SystemState()
        # Every incident's thread asks. Two folding at once could put an old record on a new state.
        self._lock = threading.Lock()

    def state(self) -> SystemState:
        """Give the state up to the last record."""
        with self._lock:
            news = self._ledger.records(SYSTEM_CHAIN, self._state.seq)
            if news:
                self._state = fold_system(news, self._state)
            return self._state

    def refusal(self, kind: str, token_id: str | None, actor_kind: str) -> str | None:
        """Say why this token may not ask for this now; None when it may."""
        needed = NEEDED_SCOPE.get(kind)
        if needed is None:
            return None if actor_kind == ActorKind.SYSTEM.value else f"nobody may ask for {kind!r}"
        token = self.state().tokens.get(token_id or "")
        problem = _problem(token, self._clock.now())
        if token is None or problem:
            return problem
        reason = authorize(TokenKind(token.kind), _scopes(token), needed)
        return None if reason.ok else reason.sentence()


def _scopes(token: TokenFact) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in token.scopes)


def _problem(token: TokenFact | None, now: datetime) -> str | None:
    if token is None:
        return _UNKNOWN
    if token.revoked:
        return f"token {token.token_id} of {token.name} is revoked; ask an admin for a new one"
    if token.expires_at <= now:
        return (
            f"token {token.token_id} of {token.name} expired at {format_at(token.expires_at)}; "
            "ask an admin for a new one"
        )
    return None


def authenticate(
    secret: str | None,
    system: SystemState,
    now: datetime,
    on_refusal: Callable[[Actor, str], None] = lambda _actor, _why: None,
) -> Caller:
    """Find who stands behind a token. Raises RefusedError, never with the token in it.

    `on_refusal` is told of a token that was good once; a made-up one is nobody's.
    """
    if not secret:
        raise RefusedError(
            f"{VARIABLE} is not set, so nobody knows who asks; export the one that `holdfast init` "
            "or `holdfast token create` showed"
        )
    digest = _digest(secret.strip())
    # Every digest is compared, so that the time taken does not tell which one was close.
    matches = [
        token for token in system.tokens.values() if hmac.compare_digest(token.digest, digest)
    ]
    token = matches[0] if matches else None
    if token is None:
        raise RefusedError(_UNKNOWN)
    kind = TokenKind(token.kind)
    actor = Actor(
        kind=_KINDS[kind], id=token.name, on_behalf_of=token.on_behalf_of, token_id=token.token_id
    )
    problem = _problem(token, now)
    if problem:
        on_refusal(actor, problem)
        raise RefusedError(problem)
    return Caller(actor=actor, kind=kind, scopes=_scopes(token))


def require(caller: Caller, needed: Scope, what: str, ledger: Ledger, now: datetime) -> None:
    """Refuse, on the record, what the token does not allow."""
    reason = authorize(caller.kind, caller.scopes, needed)
    if reason.ok:
        return
    data = {
        "what": what,
        "scope": needed.value,
        "token_id": caller.actor.token_id,
        "why": reason.sentence(),
    }
    ledger.append_system(REFUSED, data, caller.actor, now)
    raise RefusedError(f"{what} is refused: {reason.sentence()}")


def create_token(
    ledger: Ledger,
    *,
    name: str,
    kind: str,
    scopes: Sequence[str],
    days: float,
    by: Actor,
    now: datetime,
    on_behalf_of: str | None = None,
) -> tuple[str, TokenFact]:
    """Make a token; the secret is returned here and kept nowhere."""
    token_kind, wanted = _checked(kind, scopes)
    _check_words(name, token_kind, days, on_behalf_of)
    token_id = secrets.token_hex(4)
    secret = f"hf_{token_kind.value}_{token_id}_{secrets.token_urlsafe(32)}"
    fact = TokenFact(
        token_id=token_id,
        name=name,
        kind=token_kind.value,
        scopes=tuple(sorted(scope.value for scope in wanted)),
        digest=_digest(secret),
        expires_at=now + timedelta(days=days),
        on_behalf_of=on_behalf_of,
    )
    data = {
        "token_id": fact.token_id,
        "name": fact.name,
        "kind": fact.kind,
        "scopes": list(fact.scopes),
        "digest": fact.digest,
        "expires_at": format_at(fact.expires_at),
        "on_behalf_of": fact.on_behalf_of,
    }
    ledger.append_system(TOKEN_CREATED, data, by, now)
    return secret, fact


def _checked(kind: str, scopes: Sequence[str]) -> tuple[TokenKind, frozenset[Scope]]:
    kinds = ", ".join(each.value for each in TokenKind)
    if kind not in {each.value for each in TokenKind}:
        raise BadInputError(f"token kind {kind!r} is unknown; known are {kinds}", field="kind")
    token_kind = TokenKind(kind)
    allowed = grantable(token_kind)
    known = ", ".join(sorted(scope.value for scope in allowed))
    for scope in scopes:
        if scope not in {each.value for each in allowed}:
            raise BadInputError(
                f"a token of kind {kind} can't hold the scope {scope!r}; it can hold {known}",
                field="scopes",
            )
    return token_kind, frozenset(Scope(scope) for scope in scopes) or frozenset({Scope.READ})


def _check_words(name: str, kind: TokenKind, days: float, on_behalf_of: str | None) -> None:
    for field, word in (("name", name), ("on-behalf-of", on_behalf_of)):
        if word is not None and not (
            word.strip() and word.isprintable() and len(word) <= _NAME_MAX
        ):
            raise BadInputError(
                f"{field} {word!r:.80} can't be shown in a timeline; write 1 to {_NAME_MAX} "
                "printable characters",
                field=field,
            )
    if name.strip().casefold() == SYSTEM.id:
        raise BadInputError(
            f"{name!r} is Holdfast's own name; records of a person must not be taken for its own",
            field="name",
        )
    if on_behalf_of is not None and kind is not TokenKind.AGENT:
        raise BadInputError(
            f"a token of kind {kind.value} acts for itself; leave out --on-behalf-of",
            field="on-behalf-of",
        )
    if not (math.isfinite(days) and days > 0):
        raise BadInputError(f"--days is {days}; write how many days it is valid", field="days")


def all_scopes(kind: str) -> tuple[str, ...]:
    """List every scope that a token of this kind may hold."""
    return tuple(sorted(scope.value for scope in grantable(TokenKind(kind))))


def revoke_token(ledger: Ledger, token_id: str, *, by: Actor, now: datetime, because: str) -> None:
    """End a token for good. The last one that can make others stays."""
    tokens = fold_system(ledger.records(SYSTEM_CHAIN)).tokens
    token = tokens.get(token_id)
    if token is None:
        raise NotFoundError(f"token {token_id!r} is not known; see `holdfast token list`")
    if token.revoked:
        raise RefusedError(f"token {token_id} of {token.name} is revoked already")
    admins = [
        t.token_id for t in tokens.values() if Scope.ADMIN in t.scopes and not _problem(t, now)
    ]
    if admins == [token_id]:
        raise RefusedError(
            f"token {token_id} is the last one with the scope admin, and without one nobody can "
            "make tokens; make another with `holdfast token create NAME --scope admin` first"
        )
    ledger.append_system(TOKEN_REVOKED, {"token_id": token_id, "because": because}, by, now)


def first_token(ledger: Ledger, name: str, now: datetime) -> str:
    """Make the first person's token of a new installation, with every scope."""
    secret, _ = create_token(
        ledger,
        name=name,
        kind=TokenKind.PERSON.value,
        scopes=all_scopes(TokenKind.PERSON.value),
        days=365,
        by=SYSTEM,
        now=now,
    )
    return secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
