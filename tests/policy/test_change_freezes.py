"""Change freezes: when one is open, what it covers, and that a person can pass it."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from holdfast.policy import (
    Decision,
    Freeze,
    GuardInput,
    Origin,
    Principal,
    Scope,
    TokenKind,
    Weekly,
    Window,
    evaluate,
    open_freeze,
    open_freezes,
)
from tests.policy.questions import APPROVAL, NOW, ask, in_mode

DATED = Window(
    window_id="freeze-1",
    scope="all",
    starts_at=NOW - timedelta(days=10),
    ends_at=NOW + timedelta(days=10),
    by="dana",
    why="end of the year",
)
# NOW is a Tuesday, 12:00 UTC.
WEEKLY = Weekly(
    name="freeze-2",
    scope="shop",
    days=frozenset({"tue"}),
    since=time(11),
    until=time(13),
    zone=UTC,
    why="nobody is in",
    by="ravi",
)
PERSON = Principal(id="dana", kind=TokenKind.PERSON, scopes=frozenset({Scope.DIRECT}))
FROZEN = {
    "autonomous": ask(change_freeze=DATED),
    "supervised": in_mode("supervised", change_freeze=DATED),
    "a person's directive": ask(change_freeze=DATED, origin=Origin.DIRECTIVE, principal=PERSON),
}


@pytest.mark.parametrize("name", FROZEN)
def test_within_a_change_freeze_a_step_waits_for_a_person_in_every_mode(name: str) -> None:
    question: GuardInput = FROZEN[name]
    waiting = evaluate(question)
    approved = evaluate(replace(question, approval=APPROVAL))

    assert waiting.decision is Decision.NEEDS_APPROVAL
    assert approved.allowed, approved.sentence()
    assert any("emergency" in r.text and r.text.endswith("(one did)") for r in approved.reasons)


def test_the_reason_names_the_change_freeze_its_end_and_who_decided_it() -> None:
    reason = next(r for r in evaluate(ask(change_freeze=DATED)).needs if r.rule == "change freeze")

    for fact in ("freeze-1", "(all)", "2030-01-11T12:00", "dana", "end of the year"):
        assert fact in reason.text
    assert (reason.source, reason.at) == (
        "change_freezes freeze-1",
        "2029-12-22T12:00:00.000000Z",
    )


def test_a_freeze_by_hand_refuses_even_what_was_approved_as_an_emergency() -> None:
    stopped = Freeze(scope="all", by="ravi", why="w", since=NOW)
    question = ask(change_freeze=DATED, freeze=stopped, approval=APPROVAL)

    assert evaluate(question).decision is Decision.REFUSE


def test_observe_says_that_the_step_would_have_waited() -> None:
    verdict = evaluate(in_mode("observe", change_freeze=DATED))

    assert verdict.would_have
    assert "after an approval: change freeze freeze-1" in verdict.sentence()


@pytest.mark.parametrize(
    ("hours", "names"),
    [
        (-1.01, ["freeze-1"]),
        (-1, ["freeze-1", "freeze-2/2030-01-01"]),
        (0.99, ["freeze-1", "freeze-2/2030-01-01"]),
        (1, ["freeze-1"]),
        (7 * 24, ["freeze-1", "freeze-2/2030-01-08"]),
        (240, []),
        (-241, []),
    ],
)
def test_a_change_freeze_is_open_from_its_start_until_its_end(
    hours: float, names: list[str]
) -> None:
    found = open_freezes([DATED, WEEKLY], NOW + timedelta(hours=hours))

    assert [window.window_id for window in found] == names
    assert {window.by for window in found} <= {"dana", "ravi"}


def over(service: str, region: str | None, now: datetime = NOW) -> str | None:
    east = replace(DATED, window_id="freeze-3", scope="shop@east", ends_at=NOW + timedelta(days=1))
    found = open_freeze([WEEKLY, east], now, service=service, region=region)
    return found.window_id if found else None


def test_the_one_that_covers_the_target_and_ends_last_counts() -> None:
    assert over("shop", "east") == "freeze-3"
    assert over("shop", "west") == "freeze-2/2030-01-01"
    assert over("shop", "west", NOW + timedelta(hours=2)) is None
    assert over("stock", "east") is None
    assert over("shop", None) == "freeze-3"
