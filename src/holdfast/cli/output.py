"""Writes answers: JSON for machines, plain text for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def document(value: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def line(text: str = "") -> None:
    """Print one line."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print one line that is no answer: to stderr."""
    sys.stderr.write(text + "\n")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows under headings, as wide as they need to be."""
    shown = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(len(heading), *(len(cells[i]) for cells in shown)) if shown else len(heading)
        for i, heading in enumerate(columns)
    ]
    for cells in [[column.upper() for column in columns], *shown]:
        line(
            "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)


def lines(texts: Iterable[str]) -> None:
    """Print many lines."""
    for text in texts:
        line(text)
