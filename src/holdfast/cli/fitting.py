"""Fits lines and tables into a terminal, by words and never through a command.

Only what a person looks at is fitted: a file and a pipe get every line whole.
"""

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from textwrap import wrap

_GAP = 2
# What lies before the last wide gap near the beginning is a label: what follows stays beside it.
_LABEL = re.compile(r".{0,56}\S\s{2,}(?=\S)")
_INDENT = 4
_TEXT_LEAST = 20
_PIECES = re.compile(r"[^\s+,]+[+,]*\s*|[+,]+\s*")
_COMMAND = re.compile(r"(^\s*|: )(holdfast|export) ")


def room() -> int | None:
    """Give the columns of the terminal that is written to; None where there is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted_line(text: str, columns: int) -> Iterator[str]:
    """Give a line as many that fit; what goes on is put below where the text began."""
    if len(text) <= columns or _COMMAND.search(text):
        yield text
        return
    label = _LABEL.match(text)
    indent = len(text) - len(text.lstrip())
    hang = label.end() if label else indent + _INDENT
    if columns - hang < _TEXT_LEAST:
        hang = indent + _INDENT
    lead = text[:indent]
    yield from wrap(
        text[indent:],
        columns,
        initial_indent=lead,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def fitted_table(rows: Sequence[Sequence[str]], columns: int | None) -> Iterator[str]:
    """Lay cells out in columns. Where the last one finds no room it goes below its row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    least = [max(map(_longest, column)) for column in zip(*rows, strict=True)]
    if columns is None or _whole(widths) <= columns:
        yield from (_row(row, widths) for row in rows)
    elif _whole(least) <= columns:
        yield from _parted(rows, _narrowed(widths, least, columns))
    else:
        narrow = _narrowed(widths[:-1], least[:-1], columns)
        for *cells, last in rows:
            yield from _parted([cells], narrow)
            yield from fitted_line(" " * _INDENT + last, columns)


def _whole(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _narrowed(widths: Sequence[int], least: Sequence[int], columns: int) -> list[int]:
    """Narrow the widest columns until all fit, none below what its words need."""
    narrow = list(widths)
    while _whole(narrow) > columns:
        spare = [n for n, width in enumerate(narrow) if width > least[n]]
        if not spare:
            break
        narrow[max(spare, key=lambda n: narrow[n])] -= 1
    return narrow


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    gap = " " * _GAP
    return gap.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _parted(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for cells in rows:
        parts = [_cell(cell, width) for cell, width in zip(cells, widths, strict=True)]
        yield from (_row(line, widths) for line in zip_longest(*parts, fillvalue=""))


def _cell(text: str, width: int) -> list[str]:
    """Give a cell as lines of this width, parted at blanks, commas and plus signs."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _longest(text: str) -> int:
    return max((len(piece.rstrip()) for piece in _PIECES.findall(text)), default=0)
