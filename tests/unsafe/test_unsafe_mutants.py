"""The table can fail: without any one rule of the guard a situation is no longer stopped.

And the oracle notices, which was written without it. What another part stops first is asked of the
guard alone: it is the last line behind that part.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from holdfast.policy import RULES, Decision, Handoff, Hold, evaluate, guard
from holdfast.policy.rules import Rule
from tests.policy.questions import NOW, QUESTION
from tests.unsafe.situation import Situation
from tests.unsafe.stage import ObjectionError
from tests.unsafe.table import meet, situations

# Rules behind something that stops the same situation before the guard is asked.
LAST_LINES: Mapping[str, Mapping[str, Any]] = {
    "hold": {"hold": Hold(why="nobody touches it", since=NOW)},
    "handoff": {"handoff": Handoff(to="ravi", by="dana", since=NOW)},
    "retries": {"attempts_used": 2, "retries": 1},
}


def without(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tuple(each for each in RULES if each is not rule)
    assert len(left) == len(RULES) - 1
    monkeypatch.setattr(guard, "RULES", left)


def noticed(situation: Situation) -> bool:
    """Say whether the oracle objects to what is done in a situation now."""
    try:
        met = meet(situation).met
    except ObjectionError:
        return True
    except StopIteration:
        return False  # it was stopped by something else, so what was looked for was not said
    return met.done > 0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_without_a_rule_something_unsafe_is_done_and_the_oracle_notices(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rule.__name__ in LAST_LINES:
        refused = replace(QUESTION, **LAST_LINES[rule.__name__])
        assert evaluate(refused).decision is Decision.REFUSE
        without(rule, monkeypatch)
        assert evaluate(refused).allowed
        return
    rows = [each for each in situations() if each.rule == rule.__name__]
    without(rule, monkeypatch)

    assert any(noticed(each) for each in rows), f"{len(rows)} situations name {rule.__name__}"
