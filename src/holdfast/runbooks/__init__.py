"""Runbooks: Markdown that a person can follow and Holdfast can read.

Text in, nouns out; files are the shell's. What is marked as a step is read strictly, what does not
fit is said with its line, and two runbooks that fit equally well are never chosen between.
"""

from holdfast.runbooks.anchors import anchors
from holdfast.runbooks.coverage import (
    Ground,
    Need,
    could_fit,
    equal_fits,
    never_fits,
    never_holds,
    unanswered,
)
from holdfast.runbooks.durations import format_duration, parse_duration
from holdfast.runbooks.errors import RunbookError
from holdfast.runbooks.lint import Finding, Habits, Severity, lint, lint_names
from holdfast.runbooks.match import Match, NearMiss, match
from holdfast.runbooks.model import Link, Runbook, RunbookMatch, RunbookStep
from holdfast.runbooks.parse import parse
from holdfast.runbooks.preconditions import compile_error
from holdfast.runbooks.preconditions import evaluate as evaluate_precondition
from holdfast.runbooks.render import render

__all__ = [
    "Finding",
    "Ground",
    "Habits",
    "Link",
    "Match",
    "NearMiss",
    "Need",
    "Runbook",
    "RunbookError",
    "RunbookMatch",
    "RunbookStep",
    "Severity",
    "anchors",
    "compile_error",
    "could_fit",
    "equal_fits",
    "evaluate_precondition",
    "format_duration",
    "lint",
    "lint_names",
    "match",
    "never_fits",
    "never_holds",
    "parse",
    "parse_duration",
    "render",
    "unanswered",
]
