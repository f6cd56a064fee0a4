"""What incidents teach: the postmortem, the durations, the would-have-done report.

Rule: never invent. A sentence cites the record that it follows from, an absent
fact says "not recorded", and text that came from outside is data, never markup.
"""

from holdfast.learning.postmortem import postmortem
from holdfast.learning.review import Finding, review
from holdfast.learning.statistics import Durations, durations, seconds
from holdfast.learning.timeline_text import timeline_text
from holdfast.learning.would_have import Report, would_have
from holdfast.learning.would_have_text import summary_line, would_have_text

__all__ = [
    "Durations",
    "Finding",
    "Report",
    "durations",
    "postmortem",
    "review",
    "seconds",
    "summary_line",
    "timeline_text",
    "would_have",
    "would_have_text",
]
