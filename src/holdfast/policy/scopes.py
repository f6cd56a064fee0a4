"""Who may do what: the kind of a token sets the outer bound, its scopes what it uses of that.

The kind is a fact of the token. An agent can hold reading, diagnosing and proposing and nothing
else, whatever its token claims; `admin` implies no other scope. Whoever may direct or approve may
also stop, note and look: nobody who may start a step lacks the means to hold.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from holdfast.kernel import ActorKind, Reason

RULE = "authority"


class Scope(StrEnum):
    """What a token may be used for."""

    READ = "read"
    DIAGNOSE = "diagnose"
    PROPOSE = "propose"
    DIRECT = "direct"
    APPROVE = "approve"
    AUDIT = "audit"
    ADMIN = "admin"


class TokenKind(StrEnum):
    """Who holds the token."""

    PERSON = "person"
    AGENT = "agent"
    SERVICE = "service"

    @property
    def actor_kind(self) -> ActorKind:
        """Give the kind under which the ledger records what this token did."""
        return _ACTOR_KINDS[self]


_ACTOR_KINDS = {
    TokenKind.PERSON: ActorKind.HUMAN,
    TokenKind.AGENT: ActorKind.AGENT,
    TokenKind.SERVICE: ActorKind.SYSTEM,
}

_WITHOUT_DECIDING = frozenset({Scope.READ, Scope.DIAGNOSE, Scope.PROPOSE})
_GRANTABLE: Mapping[TokenKind, frozenset[Scope]] = {
    TokenKind.PERSON: frozenset(Scope),
    TokenKind.AGENT: _WITHOUT_DECIDING,
    TokenKind.SERVICE: _WITHOUT_DECIDING,
}


# What else gives a scope that a person asks for.
_ALSO_BY: Mapping[Scope, frozenset[Scope]] = {
    Scope.PROPOSE: frozenset({Scope.DIRECT, Scope.APPROVE}),
    Scope.DIAGNOSE: frozenset({Scope.DIRECT, Scope.APPROVE}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whoever asks for something, as the token says."""

    id: str
    kind: TokenKind
    scopes: frozenset[Scope] = frozenset()


def grantable(kind: TokenKind) -> frozenset[Scope]:
    """List the scopes that a token of this kind can hold at all."""
    return _GRANTABLE[kind]


def authorize(kind: TokenKind, scopes: Collection[Scope], needed: Scope) -> Reason:
    """Say whether a token may be used for `needed`; a refusal names the missing scope."""
    if needed not in grantable(kind):
        text = (
            f"{_A[kind]} token can never {_VERBS[needed]}; a person has to, with a token of theirs"
        )
    elif not {needed, *_ALSO_BY.get(needed, ())} & set(scopes):
        text = f"the token lacks the scope {needed.value!r}; ask an admin for one that has it"
    else:
        return Reason(rule=RULE, ok=True, text=f"the token may {_VERBS[needed]}")
    held = ", ".join(sorted(scope.value for scope in scopes)) or "no scope"
    return Reason(rule=RULE, ok=False, text=text, reading=held, threshold=needed.value)


_A = {
    TokenKind.PERSON: "a person's",
    TokenKind.AGENT: "an agent's",
    TokenKind.SERVICE: "a service's",
}
_VERBS = {
    Scope.READ: "read",
    Scope.DIAGNOSE: "diagnose",
    Scope.PROPOSE: "propose",
    Scope.DIRECT: "direct a step",
    Scope.APPROVE: "approve a step",
    Scope.AUDIT: "read the audit store",
    Scope.ADMIN: "administer",
}
