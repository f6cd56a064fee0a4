"""A question that the guard allows, for tests to change one fact of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.kernel import Reason, format_at
from holdfast.policy import Approval, Grant, GuardInput, Mode, ModeInput, PastAction, TokenKind

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HASH = "ab" * 32
GRANT = Grant(runbook="restart", service="shop", granted_by="dana", because="12 good runs")
AUTONOMOUS = ModeInput(
    installation=Mode.AUTONOMOUS, service_name="shop", runbook_name="restart", grant=GRANT
)
QUESTION = GuardInput(
    now=NOW,
    action="restart_service",
    target="shop@east",
    service="shop",
    region="east",
    step_hash=HASH,
    modes=AUTONOMOUS,
    criteria=('up{service="shop"} == 1 for 60s',),
    service_regions=("east", "west"),
)
APPROVAL = Approval(
    by="dana",
    kind=TokenKind.PERSON,
    step_hash=HASH,
    granted_at=NOW - timedelta(minutes=1),
    expires_at=NOW + timedelta(minutes=5),
)


def ask(**changes: Any) -> GuardInput:  # noqa: ANN401 - any field of the question
    return replace(QUESTION, **changes)


def in_mode(mode: str, **changes: Any) -> GuardInput:  # noqa: ANN401 - any field of the question
    return ask(modes=replace(AUTONOMOUS, installation=mode), **changes)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def acted(count: int, *, own: bool = True, age_s: float = 60.0) -> tuple[PastAction, ...]:
    """Let so many actions have been intended anywhere, all of them so long ago."""
    return tuple(PastAction(action="clear_cache", at=ago(age_s), own=own) for _ in range(count))


def reading(*, ok: bool = True, age_s: float | None = 5.0) -> Reason:
    at = None if age_s is None else format_at(ago(age_s))
    return Reason(rule="precondition", ok=ok, text="checked", source="check disk", at=at)
