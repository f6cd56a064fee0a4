"""The table of unsafe situations, made from meeting every one of them.

`scripts/docs.py` writes it, and the tests compare. Each situation is met once in a process.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.unsafe import (
    rows_approvals,
    rows_charter,
    rows_directives,
    rows_doubt,
    rows_handoff,
    rows_limits,
    rows_runbooks,
    rows_settings,
    rows_targets,
    rows_tokens,
    rows_verification,
)
from tests.unsafe.situation import Group, Met, Situation, shortened

GROUPS: tuple[Group, ...] = (
    rows_tokens.ROWS,
    rows_approvals.ROWS,
    rows_charter.ROWS,
    rows_handoff.ROWS,
    rows_directives.ROWS,
    rows_runbooks.ROWS,
    rows_settings.ROWS,
    rows_limits.ROWS,
    rows_limits.OVERRIDES,
    rows_targets.ROWS,
    rows_doubt.ROWS,
    rows_verification.ROWS,
)
_HEAD = (
    "| situation | what Holdfast says | where it stops | what a person can do |\n|---|---|---|---|"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A situation and what became of it; `said` is the shortened sentence."""

    situation: Situation
    met: Met
    said: str


def situations() -> list[Situation]:
    """List them all, in the order of the table."""
    return [each for group in GROUPS for each in group.situations]


def meet(situation: Situation) -> Row:
    """Meet one, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="hf-") as name:
        directory = Path(name).resolve()
        met = situation.meet(directory)
        return Row(situation=situation, met=met, said=shortened(met.said, directory))


@cache
def row(name: str) -> Row:
    """Meet the situation of this name, once."""
    return meet(next(each for each in situations() if each.name == name))


def table() -> str:
    """Write the whole table, a part for each group."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    for group in GROUPS:
        yield f"## {group.title}\n\n{_HEAD}"
        for each in group.situations:
            said = row(each.name).said
            cells = (each.what, f"*{_cell(said)}*", each.stops.value, each.way_out)
            yield f"| {' | '.join(cells)} |"
        yield ""


def _cell(text: str) -> str:
    """Write a sentence so that it can't end its cell or become markup."""
    for sign in "\\`*_<>|[]":
        text = text.replace(sign, f"\\{sign}")
    return text
