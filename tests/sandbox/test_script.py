"""A script is read whole before anything runs, and a line that is none is named."""

from pathlib import Path

import pytest

from holdfast.kernel import BadInputError
from holdfast.sandbox.attempts import EFFECT_OF
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.faults import FAULTS
from holdfast.sandbox.guided import GUIDED, SCRIPTS, by_script, script_of
from holdfast.sandbox.scenario import OUTCOMES, Scenario
from holdfast.sandbox.scenarios import BY_NAME, choose
from holdfast.sandbox.script import (
    Ask,
    Bad,
    Doing,
    Succeed,
    Wait,
    breaks_itself,
    filled,
    read_script,
)

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reference" / "gameday.md"
TEXT = r"""
# a comment
as {dba}: refused boundary: holdfast direct {incident} failover_db {database} \
  --because "the host is gone"
wait step_blocked saying database-platform
sandbox restart-by-hand {worker}@{region_1}
bad two words
successor accept not disable_flag:{api}
"""


def test_each_line_is_read_as_what_it_is_with_its_number() -> None:
    ask, wait, doing, bad, succeed = read_script(TEXT, "s")
    assert isinstance(ask, Ask)
    assert (ask.number, ask.who, ask.refused) == (3, "{dba}", "boundary")
    assert ask.words[:2] == ("direct", "{incident}")
    assert ask.words[-1] == "the host is gone"
    assert isinstance(wait, Wait)
    assert (wait.kind, wait.saying) == ("step_blocked", "database-platform")
    assert isinstance(doing, Doing)
    assert (doing.number, doing.words) == (6, ("{worker}@{region_1}",))
    assert isinstance(bad, Bad)
    assert bad.state == "two words"
    assert isinstance(succeed, Succeed)
    assert (succeed.kind, succeed.done) == ("accept", ("disable_flag:{api}",))


@pytest.mark.parametrize(
    "line",
    [
        "rm -rf /",
        "holdfast",
        "as dana: wait held",
        "sandbox flood",
        "sandbox restart-by-hand",
        "wait",
        "successor accept not",
        'holdfast note "no end',
    ],
)
def test_a_line_that_is_none_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(BadInputError, match=r"mine, line 2: .* is no line of a script"):
        read_script(f"wait held\n{line}\n", "mine")


def test_only_a_name_in_braces_is_filled_and_an_unknown_one_is_named() -> None:
    criterion = 'up{service="{api}"} == 1'
    assert filled(criterion, {"api": "front"}, 1) == 'up{service="front"} == 1'
    with pytest.raises(BadInputError, match=r"line 4: nothing is called \{flood\}"):
        filled("{flood}", {"api": "front"}, 4)


@pytest.mark.parametrize("row", GUIDED, ids=lambda row: row.name)
def test_a_guided_row_uses_known_words_and_stands_in_the_documentation(row: Scenario) -> None:
    assert row.name not in BY_NAME
    assert choose(row.name)[0].scenario is row
    assert row.fault in FAULTS
    assert row.ends.keys() <= set(OUTCOMES)
    assert row.needed <= row.allowed.keys() <= EFFECT_OF.keys()
    assert f"| `{row.name}` |" in DOCUMENT.read_text(encoding="utf-8")
    lines = script_of(row)
    assert any(isinstance(line, Succeed) for line in lines), "a successor is asked in each"
    assert breaks_itself(lines) is (row.mode != "guided")


def test_every_script_of_the_sandbox_belongs_to_a_row_and_names_nobody() -> None:
    assert {file.name for file in SCRIPTS.glob("*.txt")} == {row.script for row in GUIDED}
    shape = Blueprint.vary(0)
    texts = "".join(file.read_text(encoding="utf-8") for file in SCRIPTS.glob("*.txt"))
    names = shape.names() - set(shape.metrics.values())  # signals are called as they please
    assert not [name for name in names if name in texts]


def test_the_example_is_the_script_of_the_checkout() -> None:
    example = ROOT / "examples" / "checkout.txt"
    assert example.read_bytes() == (SCRIPTS / "checkout.txt").read_bytes()


def test_a_script_of_ones_own_is_read_before_a_platform_starts(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    with pytest.raises(BadInputError, match="can't be read"):
        by_script(BY_NAME["stale-flag"], file)
    file.write_text("wait held\n", encoding="utf-8")
    chosen = by_script(BY_NAME["stale-flag"], file)
    assert (chosen.free, chosen.moves, chosen.mode) == (True, (), "guided")
