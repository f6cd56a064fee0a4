"""Why a decision went the way it did.

Decisions return reasons; the timeline shows the same words. A reason is kept as
data (reading, threshold, source, time) so that nobody has to parse a sentence.
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One ground for a decision. `ok` says whether it speaks for going on."""

    rule: str
    ok: bool
    text: str
    reading: str | None = None
    threshold: str | None = None
    source: str | None = None
    at: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Give the reason as plain data; absent parts are left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def sentence(self) -> str:
        """Say it in one line, with what was read, the limit, the source and the time."""
        parts = [
            f"{name} {value}"
            for name, value in (
                ("reading", self.reading),
                ("threshold", self.threshold),
                ("source", self.source),
                ("at", self.at),
            )
            if value is not None
        ]
        return f"{self.text} ({', '.join(parts)})" if parts else self.text
