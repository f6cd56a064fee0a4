from datetime import UTC, datetime

import pytest

from holdfast.kernel import ActorKind
from holdfast.policy import Scope, TokenKind, authorize, freeze_applies, grantable, step_hash

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DECIDING = [Scope.DIRECT, Scope.APPROVE, Scope.AUDIT, Scope.ADMIN]


@pytest.mark.parametrize("kind", [TokenKind.AGENT, TokenKind.SERVICE])
@pytest.mark.parametrize("needed", DECIDING)
def test_only_a_person_decides_whatever_a_token_claims(kind: TokenKind, needed: Scope) -> None:
    reason = authorize(kind, frozenset(Scope), needed)

    assert not reason.ok
    assert "a person has to" in reason.text


def test_a_refusal_names_the_missing_scope_and_what_the_token_has() -> None:
    reason = authorize(TokenKind.PERSON, {Scope.READ, Scope.ADMIN}, Scope.APPROVE)

    assert not reason.ok
    assert "lacks the scope 'approve'" in reason.text
    assert (reason.reading, reason.threshold) == ("admin, read", "approve")


def test_a_token_may_be_used_for_what_it_holds() -> None:
    assert authorize(TokenKind.PERSON, {Scope.APPROVE}, Scope.APPROVE).ok
    assert authorize(TokenKind.AGENT, {Scope.PROPOSE}, Scope.PROPOSE).ok


@pytest.mark.parametrize("held", [Scope.DIRECT, Scope.APPROVE])
def test_whoever_may_start_a_step_may_also_stop_it_and_look(held: Scope) -> None:
    assert authorize(TokenKind.PERSON, {held}, Scope.PROPOSE).ok
    assert authorize(TokenKind.PERSON, {held}, Scope.DIAGNOSE).ok
    assert not authorize(TokenKind.PERSON, {Scope.ADMIN}, Scope.PROPOSE).ok


def test_an_agent_can_hold_reading_diagnosing_and_proposing_and_nothing_else() -> None:
    assert grantable(TokenKind.AGENT) == {Scope.READ, Scope.DIAGNOSE, Scope.PROPOSE}
    assert grantable(TokenKind.PERSON) == set(Scope)


def test_a_kind_of_token_is_a_kind_of_actor() -> None:
    assert [kind.actor_kind for kind in TokenKind] == [
        ActorKind.HUMAN,
        ActorKind.AGENT,
        ActorKind.SYSTEM,
    ]


def hash_of(**changes: object) -> str:
    fields: dict[str, object] = {
        "key": "INC-1/S1/1",
        "action": "restart_service",
        "target": "shop@east",
        "params": {"a": 1, "b": 2},
        "criteria": ["up == 1 for 6s"],
        "when": ["true"],
        "timeout_s": 10,
        "impact": "low",
        "runbook_version": "abc",
        "evidence_ids": ["e2", "e1"],
    }
    return step_hash(**{**fields, **changes})  # type: ignore[arg-type] # any field of the step


def test_the_hash_of_a_step_is_the_same_for_the_same_step() -> None:
    assert len(hash_of()) == 64
    assert hash_of() == hash_of(params={"b": 2, "a": 1}, evidence_ids=("e1", "e2", "e1"))


@pytest.mark.parametrize(
    "change",
    [
        {"key": "INC-2/S1/1"},
        {"action": "rollback_deploy"},
        {"target": "shop@west"},
        {"params": {"a": 2, "b": 2}},
        {"criteria": ["up == 1 for 5s"]},
        {"when": []},
        {"timeout_s": 11},
        {"impact": "high"},
        {"undo_of": "S1"},
        {"seen": "ab"},
        {"runbook_version": None},
        {"evidence_ids": ["e1"]},
    ],
)
def test_any_change_of_a_step_changes_its_hash(change: dict[str, object]) -> None:
    assert hash_of(**change) != hash_of()


@pytest.mark.parametrize(
    ("scope", "region", "covered"),
    [
        ("all", "east", True),
        ("service:shop", "east", True),
        ("service:other", "east", False),
        ("region:east", "east", True),
        ("region:west", "east", False),
        ("region:west", None, True),
        ("whatever", "east", True),
        ("service:", "east", True),
    ],
)
def test_a_freeze_covers_its_scope_and_one_that_nobody_can_read_covers_everything(
    scope: str, region: str | None, *, covered: bool
) -> None:
    assert freeze_applies(scope, service="shop", region=region) is covered
