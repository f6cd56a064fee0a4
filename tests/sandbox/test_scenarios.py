"""The table of scenarios is complete, and the documentation shows every row of it."""

import re
from pathlib import Path

import pytest

from holdfast.sandbox.attempts import EFFECT_OF
from holdfast.sandbox.faults import FAULTS
from holdfast.sandbox.scenario import CRASH_POINTS, OUTCOMES, Scenario
from holdfast.sandbox.scenarios import SCENARIOS, choose

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "gameday.md"


@pytest.mark.parametrize("row", SCENARIOS, ids=lambda row: row.name)
def test_a_row_uses_known_words_only_and_stands_in_the_documentation(row: Scenario) -> None:
    assert row.fault in FAULTS
    assert row.ends.keys() <= set(OUTCOMES)
    assert row.allowed.keys() <= EFFECT_OF.keys()
    assert row.needed <= row.allowed.keys()
    written = re.search(
        rf"^\| `{row.name}` \|.*$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert written is not None
    assert all(action in written[0] for action in row.allowed)
    assert all(outcome in written[0] for outcome in row.ends)


def test_a_crash_scenario_is_chosen_at_each_point_or_at_one() -> None:
    assert [plan.crash_point for plan in choose("engine-crash")] == list(CRASH_POINTS)
    assert [plan.name for plan in choose("engine-crash:after_effect")] == [
        "engine-crash:after_effect"
    ]
    assert [plan.crash_point for plan in choose("novel")] == [None]


def test_every_crash_point_is_explained_in_the_documentation() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"`{point}`" in text for point in CRASH_POINTS)
