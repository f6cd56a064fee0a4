"""Prints a page on a stream, framed, so that it stands out between log lines.

Control characters are taken out: a title comes from the world, and a terminal
obeys what it is sent.
"""

from collections.abc import Iterator
from textwrap import wrap
from typing import TextIO

from holdfast.notify.page import Delivery, Page

WIDTH = 78


class ConsoleChannel:
    """Writes to a stream that somebody watches, such as stderr of `serve`."""

    name = "console"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, page: Page) -> Delivery:
        try:
            self._stream.write(framed(page))
            self._stream.flush()
        except (OSError, ValueError) as error:  # a closed pipe, a closed stream
            return Delivery(channel=self.name, delivered=False, detail=f"can't be written: {error}")
        return Delivery(channel=self.name, delivered=True, detail="printed")


def framed(page: Page) -> str:
    """Draw the page as a box of 80 columns, followed by the packet."""
    data = page.as_data()
    head = f"PAGE {data['severity']}: {data['title']}"
    body = [
        head,
        f"incident {data['incident_id']}, level {data['level']}, to {data['to']['name']}",
        f"why: {data['why']}",
    ]
    rows = [row for text in body for row in _rows(text)]
    box = ["┌" + "─" * WIDTH + "┐", *(f"│ {row:<{WIDTH - 2}} │" for row in rows)]
    box.append("└" + "─" * WIDTH + "┘")
    packet = [_printable(line) for line in str(data["packet_markdown"]).splitlines()]
    return "\n".join([*box, *packet, ""])


def _rows(text: str) -> Iterator[str]:
    yield from wrap(_printable(" ".join(text.split())), WIDTH - 2) or [""]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
