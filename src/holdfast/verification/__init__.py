"""Did it help? Criteria are written down before a step and judged on fresh samples after it.

Rule: no data, stale data, regions that contradict each other or no criterion at all is never
recovery. Every verdict names, for each series, what was read, the threshold and the time.
"""

from holdfast.verification.expectation import Expectation, parse_expectation
from holdfast.verification.samples import Sample, Span
from holdfast.verification.verdict import Status, Verdict
from holdfast.verification.verify import default_deadline, sustain_window_s, verify

__all__ = [
    "Expectation",
    "Sample",
    "Span",
    "Status",
    "Verdict",
    "default_deadline",
    "parse_expectation",
    "sustain_window_s",
    "verify",
]
