"""How much of a pool and how many actions: what the guard lets pass, and how it says no."""

import math
from dataclasses import replace

import pytest

from holdfast.policy import Decision, GuardInput, Limits, evaluate
from tests.policy.questions import QUESTION, acted, ask


@pytest.mark.parametrize(
    ("share", "most", "passes"),
    [
        (None, 0.5, True),
        (0.0, 0.5, True),
        (0.5, 0.5, True),
        (1 - 0.7, 0.3, True),
        (0.5001, 0.5, False),
        (1.0, 0.5, False),
        (1.0, 1.0, True),
        (0.26, 0.25, False),
    ],
)
def test_as_much_of_a_pool_as_the_limit_allows_may_be_out(
    *, share: float | None, most: float, passes: bool
) -> None:
    verdict = evaluate(ask(pool_share=share, limits=Limits(pool_share_max=most)))

    assert verdict.allowed is passes


def test_too_much_of_a_pool_is_refused_with_what_would_be_out() -> None:
    (reason,) = evaluate(ask(pool_share=0.75)).refusals

    assert reason.rule == "pool share"
    assert reason.text.startswith("too much of the pool of shop@east would be out")
    assert (reason.reading, reason.threshold) == ("75% of the pool out", "at most 50%")
    assert reason.source == "limits.pool_share_max"


@pytest.mark.parametrize("share", [math.nan, math.inf, -0.1, 1.1])
def test_a_share_that_is_none_can_not_be_told_and_is_refused(share: float) -> None:
    verdict = evaluate(ask(pool_share=share, limits=Limits(pool_share_max=1)))

    assert verdict.decision is Decision.REFUSE
    assert "can't be told" in verdict.sentence()


RATES = {
    "nothing before": (ask(rate=()), True),
    "one less than the incident's limit": (ask(rate=acted(19)), True),
    "the incident's limit": (ask(rate=acted(20)), False),
    "what others did is not the incident's": (ask(rate=acted(59, own=False)), True),
    "the installation's limit": (ask(rate=acted(60, own=False)), False),
    "both together reach the installation's": (ask(rate=acted(19) + acted(41, own=False)), False),
    "what is a window ago": (ask(rate=acted(99, age_s=3600)), True),
    "just within the window": (ask(rate=acted(99, age_s=3599.9)), False),
    "ahead of our clock": (ask(rate=acted(20, age_s=-30)), False),
    "a narrower limit": (ask(rate=acted(3), limits=Limits(actions_per_incident=3)), False),
    "a wider window": (
        ask(rate=acted(20, age_s=7000), limits=Limits(actions_window_s=7200)),
        False,
    ),
}


@pytest.mark.parametrize("name", RATES)
def test_so_many_actions_within_the_window_and_no_more(name: str) -> None:
    question, passes = RATES[name]

    assert evaluate(question).allowed is passes


def test_each_rate_says_whose_it_is_how_many_there_were_and_which_limit_it_is() -> None:
    verdict = evaluate(ask(rate=acted(20) + acted(40, own=False)))

    assert [reason.rule for reason in verdict.refusals] == ["rate", "rate"]
    mine, everyone = verdict.refusals
    assert mine.text == "this incident has acted often enough; a person looks before it goes on"
    assert everyone.text.startswith("the installation has acted often enough")
    assert (mine.reading, mine.threshold) == ("20 actions in 1 h", "at most 20")
    assert (everyone.reading, everyone.threshold) == ("60 actions in 1 h", "at most 60")
    assert [each.source for each in verdict.refusals] == [
        "limits.actions_per_incident",
        "limits.actions_per_installation",
    ]


def test_a_step_that_touches_no_pool_is_not_asked_how_much_of_one() -> None:
    def rules(question: GuardInput) -> set[str]:
        return {reason.rule for reason in evaluate(question).reasons}

    assert "pool share" not in rules(QUESTION)
    assert "pool share" in rules(replace(QUESTION, pool_share=0.1))
