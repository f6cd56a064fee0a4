"""Text into Markdown, so that no data becomes markup.

Whatever a log line, a check or a person wrote is shown as it is: a backtick, a
pipe or a tag in it stays a character. Only what this room writes itself is markup.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from holdfast.incident.timeline import one_line

ABSENT = "not recorded"

# An underscore inside a word is no markup, and names are full of them.
_MARKUP = re.compile(r"[\\`*\[\]<>|&~#$]|(?<![^\W_])_|_(?![^\W_])")
_AUTOLINK = re.compile(r"(?i)(:)(?=//)|(?<=www)(\.)")
_AT_START = re.compile(r"^(?:([-+=])|(\d+)([.)])(?=\s|$))")


def escape(value: object) -> str:
    """Give one line of Markdown that reads as plain `value`; None is "not recorded"."""
    if value is None:
        return ABSENT
    text = _MARKUP.sub(r"\\\g<0>", one_line(str(value)))
    text = _AUTOLINK.sub(r"\\\g<0>", text)
    return _AT_START.sub(_defuse_start, text)


def _defuse_start(found: "re.Match[str]") -> str:
    sign, number, mark = found.groups()
    return f"\\{sign}" if sign else f"{number}\\{mark}"


def cite(*seqs: int | None) -> str:
    """Name the records that a sentence follows from: ` (#3, #7)`."""
    known = [f"#{seq}" for seq in dict.fromkeys(seqs) if seq is not None]
    return f" ({', '.join(known)})" if known else ""


def moment(at: datetime | None) -> str:
    """Write a time as people read it, in UTC."""
    if at is None:
        return ABSENT
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; the cells are Markdown already."""
    lines = [_row(head), _row(["---"] * len(head))]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def bullets(items: Iterable[str], *, none: str) -> str:
    """Write a list, or `none` where there is nothing to list."""
    lines = [f"- {item}" for item in items]
    return "\n".join(lines) if lines else none


def figure(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write a number with four digits that count, anything else as escaped text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.4g}"
    return escape(value)
