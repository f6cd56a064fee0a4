"""Writes answers: JSON for machines, plain text for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from holdfast.cli.fitting import fitted_line, fitted_table, room


def document(value: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def failure(text: str, code: int, field: str | None) -> None:
    """Print an error as one JSON document on one line, which fits a stream too."""
    data = {"ok": False, "error": _clean(text), "field": field, "exit_code": code}
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")


def error(text: str) -> None:
    """Print an error as one line on stderr."""
    sys.stderr.write(f"holdfast: {_clean(text)}\n")


def _clean(text: str) -> str:
    from holdfast.kernel.redact import redact

    return redact(" ".join(text.split()))


def line(text: str = "") -> None:
    """Print text; what somebody wrote into it can't steer the terminal."""
    sys.stdout.write(_steady(text) + "\n")


def _steady(text: str) -> str:
    shown = (c if c.isprintable() or c in "\n\t" else " " for c in text)
    return text if text.isprintable() else "".join(shown)


def note(text: str) -> None:
    """Print one line that is no answer: to stderr."""
    sys.stderr.write(text + "\n")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Print rows under headings, as wide as they need to be but for a terminal that is narrower.

    `empty` is printed where there is no row.
    """
    if not rows:
        line(empty)
        return
    shown = [[_cell(row.get(column)) for column in columns] for row in rows]
    headings = [column.upper().replace("_", " ") for column in columns]
    lines(fitted_table([headings, *shown], room()))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def fitted(texts: Iterable[str]) -> None:
    """Print many lines, each broken by words where a terminal is narrower.

    A line is one line: a line break in somebody's words must not make it look like another's.
    """
    columns = room()
    for text in (text.replace("\n", " ") for text in texts):
        lines([text] if columns is None else fitted_line(text, columns))


def lines(texts: Iterable[str]) -> None:
    """Print many lines."""
    for text in texts:
        line(text)
