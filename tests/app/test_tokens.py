"""Who may do what: kinds bound scopes, refusals name the missing one and are on the record."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.app.desk import Desk
from holdfast.app.tokens import SystemView, authenticate, create_token, require, revoke_token
from holdfast.incident.system import REFUSED
from holdfast.kernel.actor import SYSTEM, ActorKind
from holdfast.kernel.clock import ManualClock
from holdfast.kernel.errors import BadInputError, NotFoundError, RefusedError
from holdfast.ledger import SqliteLedger
from holdfast.policy import Scope
from holdfast.response.store import SYSTEM_CHAIN

NOW = datetime(2026, 11, 20, 2, 14, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(tmp_path / "holdfast.db", ManualClock(NOW))
    yield opened
    opened.close()


def make(
    ledger: SqliteLedger, *scopes: str, name: str = "dana", kind: str = "person", days: float = 1
) -> tuple[str, str]:
    secret, fact = create_token(
        ledger, name=name, kind=kind, scopes=scopes, days=days, by=SYSTEM, now=NOW
    )
    return secret, fact.token_id


def view(ledger: SqliteLedger, now: datetime = NOW) -> SystemView:
    return SystemView(ledger, ManualClock(now))


def refusals(ledger: SqliteLedger) -> list[dict[str, object]]:
    return [dict(r.data) for r in ledger.records(SYSTEM_CHAIN) if r.kind == REFUSED]


def test_a_token_says_who_asks_and_what_they_may(ledger: SqliteLedger) -> None:
    secret, token_id = make(ledger, "read", "direct")
    caller = authenticate(secret, view(ledger).state(), NOW)

    assert caller.actor.id == "dana"
    assert caller.actor.kind is ActorKind.HUMAN
    assert caller.actor.token_id == token_id
    assert caller.scopes == {Scope.READ, Scope.DIRECT}


def test_a_token_pasted_with_a_line_break_still_works(ledger: SqliteLedger) -> None:
    secret, _ = make(ledger, "read")

    assert authenticate(f" {secret}\n", view(ledger).state(), NOW).actor.id == "dana"


def test_no_secret_is_in_the_ledger(ledger: SqliteLedger, tmp_path: Path) -> None:
    secret, _ = make(ledger, "read")
    ledger.close()

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in stored
    assert secret.split("_", 3)[3].encode() not in stored
    assert b"token_created" in stored


@pytest.mark.parametrize("kind", ["agent", "service"])
@pytest.mark.parametrize("scope", ["direct", "approve", "admin", "audit"])
def test_no_agent_and_no_service_can_hold_a_scope_that_decides(
    kind: str, scope: str, ledger: SqliteLedger
) -> None:
    with pytest.raises(BadInputError, match=f"kind {kind} can't hold the scope '{scope}'.*propose"):
        make(ledger, scope, kind=kind)
    assert ledger.system_seq() == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "robot"}, "'robot' is unknown; known are person, agent, service"),
        ({"scopes": ["fly"]}, "can't hold the scope 'fly'"),
        ({"name": ""}, "printable"),
        ({"name": "a\nb"}, "printable"),
        ({"name": "x" * 65}, "printable"),
        ({"days": float("nan")}, "--days"),
        ({"on_behalf_of": "dana"}, "acts for itself"),
    ],
    ids=str,
)
def test_a_token_that_makes_no_sense_is_refused(
    wrong: dict[str, object], words: str, ledger: SqliteLedger
) -> None:
    good = {"name": "dana", "kind": "person", "scopes": ["read"], "days": 1.0}
    with pytest.raises(BadInputError, match=words):
        create_token(ledger, by=SYSTEM, now=NOW, **(good | wrong))  # type: ignore[arg-type]
    assert ledger.system_seq() == 0


@pytest.mark.parametrize("name", ["holdfast", " Holdfast "])
def test_nobody_is_called_what_the_system_is_called(ledger: SqliteLedger, name: str) -> None:
    with pytest.raises(BadInputError, match="own name"):
        make(ledger, "direct", name=name)


def test_an_agent_is_recorded_with_the_person_it_works_for(ledger: SqliteLedger) -> None:
    secret, _ = create_token(
        ledger, name="bot", kind="agent", scopes=["propose"], days=1, by=SYSTEM, now=NOW,
        on_behalf_of="dana",
    )  # fmt: skip
    caller = authenticate(secret, view(ledger).state(), NOW)

    assert caller.actor.kind is ActorKind.AGENT
    assert caller.actor.on_behalf_of == "dana"


@pytest.mark.parametrize(
    "secret", [None, "", "garbage", "hf_person_1234_x", "\udce4\x00", "x" * 9999]
)
def test_a_made_up_token_is_nobodys_and_never_shown(
    secret: str | None, ledger: SqliteLedger
) -> None:
    make(ledger, "read")
    with pytest.raises(RefusedError, match="HOLDFAST_TOKEN") as found:
        authenticate(secret, view(ledger).state(), NOW)
    assert not secret or len(secret) < 5 or secret not in found.value.message


def test_a_token_ends_at_its_time(ledger: SqliteLedger) -> None:
    secret, token_id = make(ledger, "read", days=1)
    state = view(ledger).state()

    authenticate(secret, state, NOW + timedelta(hours=23))
    with pytest.raises(RefusedError, match=f"{token_id} of dana expired at 2026-11-21"):
        authenticate(secret, state, NOW + timedelta(days=1))


def test_a_revoked_token_is_refused_and_so_is_what_it_asked_before(ledger: SqliteLedger) -> None:
    """A request waits in the inbox: what counts is what its token may do when it is answered."""
    _, admin = make(ledger, "admin", name="root")
    secret, token_id = make(ledger, "read", "direct")
    system = view(ledger)
    assert system.refusal("direct", token_id, "human") is None

    revoke_token(ledger, token_id, by=SYSTEM, now=NOW, because="laptop lost")

    with pytest.raises(RefusedError, match="revoked"):
        authenticate(secret, system.state(), NOW)
    assert "is revoked" in (system.refusal("direct", token_id, "human") or "")
    assert admin in system.state().tokens


def test_the_last_token_that_can_make_tokens_stays(ledger: SqliteLedger) -> None:
    _, first = make(ledger, "admin")
    with pytest.raises(RefusedError, match="last one with the scope admin"):
        revoke_token(ledger, first, by=SYSTEM, now=NOW, because="x")

    make(ledger, "admin", name="omar")
    revoke_token(ledger, first, by=SYSTEM, now=NOW, because="x")

    with pytest.raises(RefusedError, match="revoked already"):
        revoke_token(ledger, first, by=SYSTEM, now=NOW, because="x")
    with pytest.raises(NotFoundError, match="token list"):
        revoke_token(ledger, "nope", by=SYSTEM, now=NOW, because="x")


@pytest.mark.parametrize("scope", [s for s in Scope if s is not Scope.READ])
def test_a_refusal_names_the_missing_scope_and_is_recorded(
    scope: Scope, ledger: SqliteLedger
) -> None:
    secret, token_id = make(ledger, "read")
    caller = authenticate(secret, view(ledger).state(), NOW)

    with pytest.raises(RefusedError, match=f"`hold` on INC-1 is refused: .*'{scope.value}'"):
        require(caller, scope, "`hold` on INC-1", ledger, NOW)

    [fact] = refusals(ledger)
    assert fact["scope"] == scope.value
    assert fact["token_id"] == token_id
    assert fact["what"] == "`hold` on INC-1"


@pytest.mark.parametrize("kind", ["direct", "approve", "deny", "settle", "resume", "hold", "did"])
def test_an_agent_can_ask_for_nothing_that_decides(kind: str, ledger: SqliteLedger) -> None:
    _, token_id = make(ledger, "read", "diagnose", "propose", name="bot", kind="agent")
    reason = view(ledger).refusal(kind, token_id, "agent")

    if kind in {"direct", "approve", "settle", "resume"}:
        assert "an agent's token can never" in (reason or "")


def test_the_use_of_a_dead_token_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "holdfast.db"
    ledger = SqliteLedger(path, ManualClock(NOW))
    secret, token_id = make(ledger, "read")
    ledger.close()
    monkeypatch.setenv("HOLDFAST_TOKEN", secret)
    monkeypatch.delenv("HOLDFAST_DATABASE_URL", raising=False)

    with Desk(tmp_path, ManualClock(NOW + timedelta(days=2))) as desk:
        with pytest.raises(RefusedError, match="expired"):
            desk.allow(Scope.READ, "`note` on INC-1")
        [fact] = [r for r in desk.ledger.records(SYSTEM_CHAIN) if r.kind == REFUSED]

    assert fact.actor.id == "dana"
    assert fact.data["token_id"] == token_id
    assert "expired" in fact.data["why"]
