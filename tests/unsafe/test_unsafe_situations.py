"""Every unsafe situation is met, nothing is performed in it, and the docs say what was said."""

import ast
from pathlib import Path

import pytest

from holdfast.policy import RULES
from tests.unsafe.situation import WORDS_MOST, Situation, Stop, shortened
from tests.unsafe.table import GROUPS, meet, row, situations, table

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "unsafe-situations.md"
AT_LEAST = 45


@pytest.mark.parametrize("situation", situations(), ids=lambda each: each.name)
def test_nothing_is_performed_and_holdfast_says_why(situation: Situation) -> None:
    met = row(situation.name).met

    assert met.done == 0
    assert met.said.strip(), "a refusal without a word helps nobody"
    assert "Traceback" not in met.said


def test_the_page_says_what_holdfast_says() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), "run `make docs`"


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    names = [each.name for each in situations()]

    assert len(names) >= AT_LEAST
    assert len(set(names)) == len(names)
    assert len({each.what for each in situations()}) == len(names)


def test_every_place_that_stops_something_is_among_them() -> None:
    assert {each.stops for each in situations()} == set(Stop)


def test_every_rule_that_they_name_is_one_of_the_guard() -> None:
    named = {each.rule for each in situations() if each.rule}

    assert named <= {rule.__name__ for rule in RULES}


def test_every_file_with_rows_is_in_the_table() -> None:
    """A file that nobody imports would be rows that nobody meets."""
    files = sorted(Path(__file__).parent.glob("rows_*.py"))
    groups = [
        node
        for file in files
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "Group"
    ]

    assert len(groups) == len(GROUPS)


def test_a_situation_gives_the_same_words_each_time() -> None:
    for name in ("agent_directs", "undo_after_a_change", "approval_by_a_guess", "third_restart"):
        situation = next(each for each in situations() if each.name == name)
        assert meet(situation).said == row(name).said


def test_a_sentence_is_shortened_by_rule(tmp_path: Path) -> None:
    whole = f"token 0123abcd at {tmp_path}/x since 2030-01-01T12:00:00.000000Z is revoked"

    assert shortened(whole, tmp_path) == "token ID at DIR/x since TIME is revoked"
    long = shortened("word " * 100, tmp_path)
    assert len(long) <= WORDS_MOST + len(" ...")
    assert long.endswith("word ...")
