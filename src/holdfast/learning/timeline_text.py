"""The timeline for a terminal: number, time, line."""

from collections.abc import Sequence
from datetime import datetime

from holdfast.incident import Record, line


def timeline_text(records: Sequence[Record]) -> str:
    """Write every record as one line; times are UTC, to the millisecond."""
    width = len(str(records[-1].seq)) if records else 1
    return "\n".join(f"{r.seq:>{width}}  {_moment(r.at)}  {line(r)}" for r in records)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
