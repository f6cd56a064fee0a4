"""Who is called, when, and what they are handed.

Rule: one page for each level of an incident, never one more; and whoever is called finds what an
engineer would have gathered, with facts and inferences kept apart.
"""

from holdfast.escalation.markdown import packet_markdown
from holdfast.escalation.packet import packet
from holdfast.escalation.paging import Page, PageDecision, PageReason, decide_page
from holdfast.escalation.whom import Whom, whom

__all__ = [
    "Page",
    "PageDecision",
    "PageReason",
    "Whom",
    "decide_page",
    "packet",
    "packet_markdown",
    "whom",
]
