"""What no mixture of facts may do. Hypothesis prints the failing mixture; the seed is fixed."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.policy import (
    RAISABLE,
    Decision,
    Freeze,
    GuardInput,
    Hold,
    Mode,
    Origin,
    Override,
    PastAction,
    Principal,
    Scope,
    SetMode,
    TokenKind,
    Window,
    evaluate,
)
from tests.policy.questions import (
    APPROVAL,
    AUTONOMOUS,
    GRANT,
    NOW,
    QUESTION,
    acted,
    ago,
    reading,
)

REFUSING: tuple[dict[str, Any], ...] = (
    {"freeze": Freeze(scope="all", by="r", why="w", since=NOW)},
    {"hold": Hold(why="w", since=NOW)},
    {"unsettled": ("i-7",)},
    {"acting": ("i-8",)},
    {"criteria": ()},
    {"preconditions": (reading(ok=False),)},
    {"preconditions": (reading(age_s=None),)},
    {"attempts_used": 9},
    {"last_action_at": ago(1)},
    {"recent": (PastAction(action="restart_service", at=ago(1)),) * 2},
    {"regions_in_flight": ("west",)},
    {"pool_share": 0.75},
    {"rate": acted(20)},
    {"rate": acted(60, own=False)},
    {"modes": replace(AUTONOMOUS, service=Mode.OBSERVE)},
)


def _set(mode: Mode) -> SetMode:
    return SetMode(scope="all", mode=mode, by="ravi", why="w", since=NOW)


def _override(limit: str) -> Override:
    return Override(
        override_id=limit, limit=limit, by="ravi", why="w", expires_at=NOW + timedelta(minutes=9)
    )


ALL_OVERRIDES = tuple(map(_override, RAISABLE))
LIMITS = tuple(
    fact
    for fact in REFUSING
    if {"last_action_at", "recent", "regions_in_flight", "pool_share", "rate"} & fact.keys()
)
FROZEN = Window(
    window_id="freeze-1",
    scope="all",
    starts_at=ago(60),
    ends_at=NOW + timedelta(hours=1),
    by="dana",
    why="w",
)
modes = st.builds(
    lambda installation, service, runbook, people, grant: replace(
        AUTONOMOUS,
        installation=installation,
        service=service,
        runbook=runbook,
        people=people,
        grant=grant,
    ),
    st.sampled_from(Mode),
    st.none() | st.sampled_from(Mode),
    st.none() | st.sampled_from(Mode),
    st.lists(st.sampled_from(Mode), max_size=2).map(lambda set_: tuple(map(_set, set_))),
    st.sampled_from([None, GRANT, GRANT, replace(GRANT, service="other")]),
)
principals = st.none() | st.builds(
    Principal,
    id=st.sampled_from(["dana", "helper"]),
    kind=st.sampled_from(TokenKind),
    scopes=st.frozensets(st.sampled_from(Scope)),
)
approvals = st.none() | st.builds(
    lambda kind, used, own, left_s: replace(
        APPROVAL,
        kind=kind,
        used=used,
        step_hash=APPROVAL.step_hash if own else "00",
        expires_at=NOW + timedelta(seconds=left_s),
    ),
    st.sampled_from([TokenKind.PERSON, TokenKind.PERSON, TokenKind.AGENT, TokenKind.SERVICE]),
    st.booleans(),
    st.booleans(),
    st.integers(-1, 9),
)
questions = st.builds(
    lambda modes, origin, principal, approval, impact, extra: replace(
        QUESTION,
        modes=modes,
        origin=origin,
        principal=principal,
        approval=approval,
        impact=impact,
        **extra,
    ),
    modes,
    st.sampled_from(Origin),
    principals,
    approvals,
    st.sampled_from(["low", "low", "high"]),
    st.sampled_from([{}, {}, {}, *REFUSING[:-1]]),
)
checked = settings(derandomize=True, max_examples=400, deadline=None)


@checked
@given(questions, st.sampled_from(REFUSING))
def test_adding_a_refusing_fact_refuses(question: GuardInput, fact: dict[str, Any]) -> None:
    assert evaluate(replace(question, **fact)).decision is Decision.REFUSE


@checked
@given(questions, st.sampled_from([fact for fact in REFUSING if fact not in LIMITS]))
def test_no_override_passes_anything_but_a_limit(
    question: GuardInput, fact: dict[str, Any]
) -> None:
    asked = replace(question, **fact, overrides=ALL_OVERRIDES)
    assert evaluate(asked).decision is Decision.REFUSE


@checked
@given(questions)
def test_an_override_gives_no_step_what_it_lacks_beside_a_limit(question: GuardInput) -> None:
    well = replace(
        question, last_action_at=None, recent=(), regions_in_flight=(), pool_share=None, rate=()
    )
    without_limits = evaluate(well).decision
    overridden = evaluate(replace(question, overrides=ALL_OVERRIDES)).decision
    assert overridden is without_limits


@checked
@given(questions)
def test_without_a_grant_no_runbook_acts_without_a_person_s_approval(question: GuardInput) -> None:
    ungranted = replace(
        question,
        origin=Origin.RUNBOOK,
        approval=None,
        modes=replace(question.modes, grant=None),
    )
    assert evaluate(ungranted).decision is not Decision.ALLOW


@checked
@given(questions)
def test_nothing_is_allowed_without_a_person_or_a_person_s_grant(question: GuardInput) -> None:
    if not evaluate(question).allowed:
        return
    who, approval = question.principal, question.approval
    by_grant = question.modes.grant == GRANT and question.origin is Origin.RUNBOOK
    by_directive = who is not None and who.kind is TokenKind.PERSON and Scope.DIRECT in who.scopes
    by_approval = approval is not None and approval.kind is TokenKind.PERSON
    assert by_grant or by_approval or (by_directive and question.origin is Origin.DIRECTIVE)


@checked
@given(questions)
def test_an_agent_never_gets_a_step_allowed(question: GuardInput) -> None:
    agent = Principal(id="a", kind=TokenKind.AGENT, scopes=frozenset(Scope))
    asked = replace(question, origin=Origin.DIRECTIVE, principal=agent)
    assert evaluate(asked).decision is Decision.REFUSE


@checked
@given(questions)
def test_high_impact_is_never_allowed_without_an_approval(question: GuardInput) -> None:
    assert not evaluate(replace(question, impact="high", approval=None)).allowed


@checked
@given(questions)
def test_a_change_freeze_only_ever_asks_for_a_person(question: GuardInput) -> None:
    free, frozen = evaluate(question), evaluate(replace(question, change_freeze=FROZEN))
    unapproved = evaluate(replace(question, change_freeze=FROZEN, approval=None))

    assert not unapproved.allowed
    assert (frozen.decision is Decision.REFUSE) == (free.decision is Decision.REFUSE)
    assert free.allowed or not frozen.allowed


@checked
@given(questions)
def test_the_verdict_agrees_with_its_reasons(question: GuardInput) -> None:
    verdict = evaluate(question)

    assert verdict.allowed == all(reason.ok for reason in verdict.reasons)
    assert bool(verdict.refusals) == (verdict.decision is Decision.REFUSE)
    assert all(reason in verdict.reasons for reason in (*verdict.refusals, *verdict.needs))
    assert verdict.sentence()


def test_the_questions_do_reach_allow() -> None:
    assert evaluate(QUESTION).allowed
