"""The incident as a fold over its records.

Rule: append-only. Phase, steps, timeline and checkpoint are derived from the
records and never kept beside them, so no two accounts can disagree.
"""

from holdfast.incident.fold import evolve, fold
from holdfast.incident.lifecycle import ENDED, Phase, StepStatus, Trigger
from holdfast.incident.projected import Projector
from holdfast.incident.records import Draft, Kind, Record, stamp
from holdfast.incident.state import Plan, State, Step
from holdfast.incident.timeline import line
from holdfast.incident.view import full, projections, summary, timeline

__all__ = [
    "ENDED",
    "Draft",
    "Kind",
    "Phase",
    "Plan",
    "Projector",
    "Record",
    "State",
    "Step",
    "StepStatus",
    "Trigger",
    "evolve",
    "fold",
    "full",
    "line",
    "projections",
    "stamp",
    "summary",
    "timeline",
]
