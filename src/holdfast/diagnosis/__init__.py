"""From evidence to ranked hypotheses: what is wrong, where, and what speaks against it.

Rule: facts and inferences are kept apart. Evidence is what was read, with its
source and time; a hypothesis only cites it. Rivals stay in the list, and what
nobody could read is named as missing context.
"""

from holdfast.diagnosis.classify import TYPE_TABLE, UNKNOWN, Classification, classify
from holdfast.diagnosis.evidence import TOLD, Evidence, EvidenceClass, gather, unhealthy
from holdfast.diagnosis.hypotheses import Diagnosis, Hypothesis, rank
from holdfast.diagnosis.symptom import (
    Symptom,
    SymptomReading,
    SymptomStatus,
    is_out,
    read_symptom,
)

__all__ = [
    "TOLD",
    "TYPE_TABLE",
    "UNKNOWN",
    "Classification",
    "Diagnosis",
    "Evidence",
    "EvidenceClass",
    "Hypothesis",
    "Symptom",
    "SymptomReading",
    "SymptomStatus",
    "classify",
    "gather",
    "is_out",
    "rank",
    "read_symptom",
    "unhealthy",
]
