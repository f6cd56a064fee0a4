"""What verification answers: one of seven words, and the reasons.

Only `met` lets an incident go on to resolved. Everything else that is final means: hold, and show
a person why.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from holdfast.kernel import Reason


class Status(StrEnum):
    """How far recovery is proven."""

    MET = "met"
    PENDING = "pending"
    NOT_MET = "not_met"
    NO_DATA = "no_data"
    STALE = "stale"
    CONTRADICTION = "contradiction"
    MIXED = "mixed"


_HEADLINES = {
    Status.MET: "recovery is proven",
    Status.PENDING: "recovery is not proven yet",
    Status.NOT_MET: "not recovered by the deadline",
    Status.NO_DATA: "nobody can tell whether it recovered: no data",
    Status.STALE: "nobody can tell whether it recovered: the readings are old",
    Status.CONTRADICTION: "the regions contradict each other",
    Status.MIXED: "the control planes are in a mixed state",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer, with one reason for each criterion and region."""

    status: Status
    reasons: tuple[Reason, ...]
    window_s: float

    @property
    def met(self) -> bool:
        return self.status is Status.MET

    @property
    def final(self) -> bool:
        """Say whether waiting longer changes nothing."""
        return self.status is not Status.PENDING

    def sentence(self) -> str:
        """Say it in one line: the answer, and what speaks against it (or for it, when met)."""
        shown = [reason.sentence() for reason in self.reasons if reason.ok is self.met]
        return ": ".join(filter(None, (_HEADLINES[self.status], "; ".join(shown))))

    def as_data(self) -> dict[str, Any]:
        return {
            "status": self.status.value,
            "window_s": self.window_s,
            "sentence": self.sentence(),
            "reasons": [reason.as_data() for reason in self.reasons],
        }
