from dataclasses import replace

import pytest

from holdfast.policy import (
    RULES,
    Charter,
    Decision,
    Freeze,
    Granted,
    GuardInput,
    Hold,
    Impact,
    Origin,
    PastAction,
    Principal,
    Scope,
    TokenKind,
    evaluate,
)
from tests.policy.questions import APPROVAL, NOW, QUESTION, ago, ask, in_mode, reading

PERSON = Principal(id="dana", kind=TokenKind.PERSON, scopes=frozenset({Scope.DIRECT}))
AGENT = Principal(id="helper", kind=TokenKind.AGENT, scopes=frozenset(Scope))


CHARTER = Charter(
    commander="dana",
    objective="the shop works",
    allowed=(Granted(action="restart_service", targets=("shop",)),),
    expires_at=ago(-3600),
)


def restarted(*ages_s: float) -> tuple[PastAction, ...]:
    return tuple(PastAction(action="restart_service", at=ago(age)) for age in ages_s)


def rollback(age_s: float | None) -> GuardInput:
    return ask(
        action="rollback_deploy",
        target="shop",
        region=None,
        deployed_at=None if age_s is None else ago(age_s),
    )


def scale(by: object, *, added: int = 0) -> GuardInput:
    past = (PastAction(action="scale_up", at=ago(60), added=added),)
    return ask(action="scale_up", params={"by": by}, recent=past)


def test_a_step_that_nothing_speaks_against_is_allowed_with_every_ground() -> None:
    verdict = evaluate(QUESTION)

    assert verdict.decision is Decision.ALLOW
    assert verdict.allowed
    assert all(reason.ok for reason in verdict.reasons)
    assert len(verdict.reasons) > len(RULES) / 2
    assert verdict.sentence().startswith("allowed in mode autonomous")


REFUSED = {
    "a freeze": (
        ask(freeze=Freeze(scope="all", by="ravi", why="release day", since=ago(60))),
        "ravi froze all: release day",
    ),
    "a hold": (ask(hold=Hold(why="criteria not met", since=ago(60))), "the incident is held"),
    "an unsettled step elsewhere": (ask(unsettled=("i-7",)), "kept by an unsettled step of i-7"),
    "another incident acting": (ask(acting=("i-8",)), "i-8 is acting on shop@east"),
    "no criterion": (ask(criteria=()), "no recovery criterion"),
    "an empty criterion": (ask(criteria=("  ",)), "no recovery criterion"),
    "a precondition that fails": (ask(preconditions=(reading(ok=False),)), "checked"),
    "an old reading": (ask(preconditions=(reading(age_s=121),)), "not fresh; read it again"),
    "a reading without a time": (ask(preconditions=(reading(age_s=None),)), "has no time"),
    "a reading from the future": (ask(preconditions=(reading(age_s=-61),)), "ahead of our clock"),
    "a stricter age than the limit": (
        ask(preconditions=(reading(age_s=11),), readings_max_age_s=10),
        "not fresh",
    ),
    "no attempt left": (ask(attempts_used=2, retries=1), "no attempt is left"),
    "the cooldown": (ask(last_action_at=ago(29)), "wait until 2030-01-01T12:00:01"),
    "a last step in the future": (ask(last_action_at=ago(-10)), "wait until"),
    "too many restarts": (ask(recent=restarted(60, 599)), "restarting does not mend it"),
    "too many instances": (scale(2, added=2), "too many instances"),
    "an unknown number of instances": (scale(None), "can't be told"),
    "a yes for a number of instances": (scale(by=True), "can't be told"),
    "an old release": (rollback(3601), "too old to roll back"),
    "a release of unknown age": (rollback(None), "can't be told, so it is not rolled back"),
    "a release from the future": (rollback(-61), "too old to roll back"),
    "two regions at once": (ask(regions_in_flight=("west",)), "too many regions of shop"),
    "a target that names no region": (ask(region=None), "too many regions of shop"),
    "a runbook in guided mode": (in_mode("guided"), "only a person's directive"),
    "observe": (in_mode("observe"), "observe: nothing is performed"),
    "a directive of nobody": (ask(origin=Origin.DIRECTIVE), "nobody is named"),
    "a directive of an agent": (
        ask(origin=Origin.DIRECTIVE, principal=AGENT),
        "an agent's token can never direct a step",
    ),
    "a directive without the scope": (
        ask(origin=Origin.DIRECTIVE, principal=replace(PERSON, scopes=frozenset())),
        "lacks the scope 'direct'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_refusing_fact_refuses_whatever_else_is_well(name: str) -> None:
    question, words = REFUSED[name]
    verdict = evaluate(question)

    assert verdict.decision is Decision.REFUSE
    assert any(words in reason.sentence() for reason in verdict.refusals)
    assert words in verdict.sentence() or verdict.would_have


ALLOWED = {
    "the second restart": ask(recent=restarted(60)),
    "restarts before the window": ask(recent=restarted(60, 600, 700)),
    "another action's log": ask(recent=(PastAction(action="clear_cache", at=ago(5)),) * 9),
    "the cooldown just over": ask(last_action_at=ago(30)),
    "a fresh reading": ask(preconditions=(reading(age_s=120),)),
    "a reading a little ahead": ask(preconditions=(reading(age_s=-30),)),
    "the last attempt": ask(attempts_used=1, retries=1),
    "a recent release, everywhere at once": rollback(3600),
    "three instances": scale(2, added=1),
    "one place only": ask(region=None, service_regions=("global",)),
    "a person's directive": ask(origin=Origin.DIRECTIVE, principal=PERSON),
    "a person's directive under their charter in guided mode": in_mode(
        "guided", origin=Origin.DIRECTIVE, principal=PERSON, charter=CHARTER
    ),
    "a person's directive in supervised mode": in_mode(
        "supervised", origin=Origin.DIRECTIVE, principal=PERSON
    ),
    "an approved step in supervised mode": in_mode("supervised", approval=APPROVAL),
    "an approved step of high impact": ask(impact=Impact.HIGH, approval=APPROVAL),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_stays_within_every_limit_is_allowed(name: str) -> None:
    verdict = evaluate(ALLOWED[name])

    assert verdict.decision is Decision.ALLOW, verdict.sentence()
    assert all(reason.ok for reason in verdict.reasons)


WAITS = {
    "supervised": in_mode("supervised"),
    "no grant": ask(modes=replace(QUESTION.modes, grant=None)),
    "high impact by the runbook": ask(impact="high"),
    "high impact by the action": ask(least_impact=Impact.HIGH),
    "an impact that nobody knows": ask(impact="medium"),
    "a failover": ask(action="failover_db", target="store", region=None),
    "a person's directive of high impact": ask(
        origin=Origin.DIRECTIVE, principal=PERSON, impact="high"
    ),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_needs_a_person_waits_and_an_approval_of_exactly_this_step_lets_it_go(
    name: str,
) -> None:
    question = WAITS[name]
    waiting = evaluate(question)
    approved = evaluate(replace(question, approval=APPROVAL))

    assert waiting.decision is Decision.NEEDS_APPROVAL
    assert "nobody has approved it yet" in waiting.sentence()
    assert waiting.needs
    assert approved.decision is Decision.ALLOW
    assert not approved.needs
    assert any("dana approved exactly this step" in reason.text for reason in approved.reasons)


BAD_APPROVALS = {
    "is for another step": replace(APPROVAL, step_hash="cd" * 32),
    "was used already": replace(APPROVAL, used=True),
    "expired at": replace(APPROVAL, expires_at=NOW),
    "is no person": replace(APPROVAL, kind=TokenKind.AGENT),
    "is from the future": replace(APPROVAL, granted_at=ago(-1)),
}


@pytest.mark.parametrize("words", BAD_APPROVALS)
def test_an_approval_that_does_not_cover_the_step_leaves_it_waiting_and_says_why(
    words: str,
) -> None:
    verdict = evaluate(in_mode("supervised", approval=BAD_APPROVALS[words]))

    assert verdict.decision is Decision.NEEDS_APPROVAL
    assert words in verdict.sentence()


def test_four_eyes_compares_people_where_it_is_asked_for() -> None:
    question = ask(origin=Origin.DIRECTIVE, principal=PERSON, impact="high", approval=APPROVAL)
    strict = replace(question, limits=replace(question.limits, four_eyes=True))

    assert evaluate(question).allowed
    assert evaluate(strict).decision is Decision.NEEDS_APPROVAL
    assert evaluate(replace(strict, approval=replace(APPROVAL, by="ravi"))).allowed
    for same in ("Dana", " dana "):
        again = evaluate(replace(strict, approval=replace(APPROVAL, by=same)))
        assert again.decision is Decision.NEEDS_APPROVAL, "another token of the same person"


def test_an_undo_is_within_the_charter_that_the_step_was_done_under_and_adds_nothing() -> None:
    back = replace(scale(None, added=3), undoes="S1", under_charter=True)
    directed = replace(back, origin=Origin.DIRECTIVE, principal=PERSON, charter=CHARTER)

    assert evaluate(back).allowed
    assert evaluate(directed).allowed
    before = evaluate(replace(directed, under_charter=False))
    assert "is outside the charter of dana" in before.sentence()
    over = replace(directed, charter=replace(CHARTER, expires_at=NOW))
    assert "expired" in evaluate(over).sentence()


def test_an_approval_never_passes_a_refusal() -> None:
    held = ask(hold=Hold(why="x", since=NOW), impact="high", approval=APPROVAL)
    assert evaluate(held).decision is Decision.REFUSE


def test_every_refusal_gives_all_reasons_with_reading_threshold_source_and_time() -> None:
    verdict = evaluate(
        ask(
            hold=Hold(why="x", since=ago(9)),
            last_action_at=ago(10),
            recent=restarted(10, 60),
            criteria=(),
        )
    )

    assert [reason.rule for reason in verdict.refusals] == ["hold", "criteria", "cooldown", "limit"]
    limit = verdict.refusals[-1]
    assert (limit.reading, limit.threshold) == ("2 restarts in 10 min", "at most 2")
    assert limit.source == "limits.restarts_per_target"
    assert limit.at == "2030-01-01T12:00:00.000000Z"
    assert verdict.sentence().count(";") >= 3


def test_observe_says_what_would_have_been() -> None:
    well = evaluate(in_mode("observe"))
    waiting = evaluate(in_mode("observe", impact="high"))
    refused = evaluate(in_mode("observe", unsettled=("i-1",)))

    assert well.sentence() == "observe: would have been performed"
    assert waiting.would_have
    assert "after an approval" in waiting.sentence()
    assert not refused.would_have
    assert well.decision is waiting.decision is refused.decision is Decision.REFUSE


def test_a_directive_is_not_performed_in_observe_either() -> None:
    question = in_mode("observe", origin=Origin.DIRECTIVE, principal=PERSON)
    assert evaluate(question).decision is Decision.REFUSE


def test_a_verdict_is_plain_data_for_the_ledger() -> None:
    data = evaluate(in_mode("supervised")).as_data()

    assert (data["decision"], data["mode"], data["would_have"]) == (
        "needs_approval",
        "supervised",
        False,
    )
    assert data["reasons"][0] == {
        "rule": "freeze",
        "ok": True,
        "text": "no freeze covers this step",
    }
