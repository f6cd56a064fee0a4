"""What an incident teaches: the postmortem and the durations, from the ledger alone.

Rule: never invent. A sentence cites the record that it follows from, an absent
fact says "not recorded", and text that came from outside is data, never markup.
"""

from holdfast.learning.postmortem import postmortem
from holdfast.learning.review import Finding, review
from holdfast.learning.statistics import Durations, durations, seconds
from holdfast.learning.timeline_text import timeline_text

__all__ = [
    "Durations",
    "Finding",
    "durations",
    "postmortem",
    "review",
    "seconds",
    "timeline_text",
]
