"""One limit, once: what an override answers, what it leaves as it is, and how it is told."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.policy import RAISABLE, Decision, Freeze, GuardInput, Hold, Override, evaluate
from tests.policy.questions import NOW, QUESTION, acted, ago, ask
from tests.policy.test_guard import restarted, rollback, scale

OVERRIDE = Override(
    override_id="3fa9",
    limit="restarts_per_target",
    by="ravi",
    why="a full disk",
    expires_at=NOW + timedelta(hours=1),
)
TOO_MUCH: dict[str, GuardInput] = {
    "restarts_per_target": ask(recent=restarted(40, 60)),
    "cooldown": ask(last_action_at=ago(1)),
    "instances_added_max": scale(3, added=1),
    "rollback_age_max_s": rollback(7200),
    "region_share_max": ask(regions_in_flight=("west",)),
    "pool_share_max": ask(pool_share=0.51),
    "actions_per_incident": ask(rate=acted(20)),
    "actions_per_installation": ask(rate=acted(60, own=False)),
}


def test_every_limit_that_can_be_raised_is_tried_here() -> None:
    assert TOO_MUCH.keys() == RAISABLE.keys()


@pytest.mark.parametrize("limit", TOO_MUCH)
def test_an_override_raises_its_limit_and_says_who_and_why(limit: str) -> None:
    question, override = TOO_MUCH[limit], replace(OVERRIDE, limit=limit)
    refused = evaluate(question)
    raised = evaluate(replace(question, overrides=(override,)))

    assert refused.decision is Decision.REFUSE
    assert refused.overrides == ()
    assert raised.allowed
    assert raised.overrides == (override,)
    told = [reason.text for reason in raised.reasons if reason.rule == "override"]
    assert told == [f"ravi raised {limit} once (override 3fa9): a full disk"]
    assert any(reason.text.endswith("(raised once)") for reason in raised.reasons)


@pytest.mark.parametrize(
    "override",
    [
        replace(OVERRIDE, limit="cooldown"),
        replace(OVERRIDE, target="shop@west"),
        replace(OVERRIDE, expires_at=NOW),
    ],
    ids=["of another limit", "of another target", "that has ended"],
)
def test_an_override_leaves_a_limit_as_it_is(override: Override) -> None:
    question = replace(TOO_MUCH["restarts_per_target"], overrides=(override,))
    assert evaluate(question).decision is Decision.REFUSE


def test_one_for_the_target_counts_and_the_one_that_ends_first_is_used_up_first() -> None:
    soon = replace(OVERRIDE, override_id="b", target="shop@east", expires_at=NOW + timedelta(1e-3))
    question = replace(TOO_MUCH["restarts_per_target"], overrides=(OVERRIDE, soon))

    assert evaluate(question).overrides == (soon,)


def test_what_needs_no_override_uses_none_up() -> None:
    assert evaluate(replace(QUESTION, overrides=(OVERRIDE,))).overrides == ()


@pytest.mark.parametrize(
    "question",
    [
        rollback(None),
        rollback(-7200),
        scale("many"),
        ask(pool_share=math.nan),
        replace(QUESTION, freeze=Freeze(scope="all", by="r", why="w", since=NOW)),
        replace(QUESTION, hold=Hold(why="w", since=NOW)),
        replace(QUESTION, unsettled=("INC-7",)),
    ],
    ids=[
        "unknown age",
        "age of the future",
        "unknown number",
        "unknown share",
        "freeze",
        "hold",
        "in doubt",
    ],
)
def test_what_is_unknown_or_stopped_is_no_limit(question: GuardInput) -> None:
    all_of_them = tuple(replace(OVERRIDE, limit=limit) for limit in RAISABLE)
    assert evaluate(replace(question, overrides=all_of_them)).decision is Decision.REFUSE
