"""Ranks what may be the cause: one hypothesis for each mechanism that the evidence offers.

A score adds up what supports it and takes off what contradicts it; the upstream
service comes before the one that only shows the symptom. The score is an order,
not a probability: confidence says `likely` only where the first is well ahead.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.diagnosis.evidence import Evidence, EvidenceClass
from holdfast.kernel.catalogue import Catalogue

_CAUSE = 3.0
_SYMPTOM_HERE = 1.0
_SYMPTOM_DOWNSTREAM = 0.5
_SYMPTOMS_MOST = 2.0
_CONTRADICTION = 1.0
_LIKELY, _LIKELY_MARGIN, _POSSIBLE = 4.0, 1.0, 2.0

_MECHANISMS: Mapping[str, tuple[str, str]] = {
    # kind of evidence -> mechanism, next check
    "deploy": ("release", "compare the symptom's start with the deployment; see rollback_ready"),
    "target_down": ("process_down", "service_status and the last lines of its log"),
    "service_status": ("process_down", "the last lines of its log"),
    "database_connections": (
        "database_contention",
        "the blocking session: who, since when, its query",
    ),
    "redis_health": ("cache_pressure", "memory by key prefix, eviction policy"),
    "disk_usage": ("disk_full", "the largest directories"),
    "disk": ("disk_full", "the largest directories"),
    "connections": ("connection_leak", "who holds connections open, and since when"),
    "memory": ("memory_growth", "process_resources, and what it was asked for since the start"),
    "process_resources": ("process_in_trouble", "the process by hand: state, memory, open files"),
    "replication_status": ("process_down", "which server takes writes, and how far behind"),
    "flag": ("flag_change", "compare the symptom's start with the change; the flag's rule"),
    "config": ("config_change", "compare the symptom's start with the change"),
    "schema": ("schema_change", "compare the symptom's start with the change"),
    "infra": ("infra_change", "compare the symptom's start with the change"),
}
_CHANGES = frozenset({"release", "flag_change", "config_change", "schema_change", "infra_change"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One possible cause. Evidence is cited by id."""

    rank: int
    entity: str
    region: str | None
    mechanism: str
    text: str
    confidence: str
    score: float
    margin: float
    change_id: str | None
    supports: tuple[str, ...]
    contradicts: tuple[str, ...]
    expected_but_missing: tuple[str, ...]
    next_check: str

    def as_data(self) -> dict[str, Any]:
        return {
            "id": f"H{self.rank}",
            "rank": self.rank,
            "entity": self.entity,
            "region": self.region,
            "mechanism": self.mechanism,
            "text": self.text,
            "confidence": self.confidence,
            "score": round(self.score, 2),
            "margin": round(self.margin, 2),
            "change_id": self.change_id,
            "supports": list(self.supports),
            "contradicts": list(self.contradicts),
            "expected_but_missing": list(self.expected_but_missing),
            "next_check": self.next_check,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The ranked hypotheses and what could not be read."""

    hypotheses: tuple[Hypothesis, ...]
    missing_context: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    entity: str
    region: str | None
    mechanism: str
    text: str
    score: float
    change_id: str | None
    supports: tuple[str, ...]
    contradicts: tuple[str, ...]
    missing: tuple[str, ...]
    next_check: str


def rank(
    evidence: Sequence[Evidence],
    catalogue: Catalogue,
    checks: Mapping[str, Mapping[str, Any]],
) -> Diagnosis:
    """Rank the hypotheses that the evidence offers, best first."""
    evidence = _seen_through(evidence, catalogue)
    causes = [e for e in evidence if e.cls in {EvidenceClass.LOCAL_CAUSE, EvidenceClass.CHANGE}]
    grouped: dict[tuple[str, str], list[Evidence]] = {}
    for piece in causes:
        mechanism = _MECHANISMS.get(piece.kind, (piece.kind, ""))[0]
        grouped.setdefault((piece.entity, mechanism), []).append(piece)
    candidates = [
        _candidate(entity, mechanism, pieces, evidence, catalogue)
        for (entity, mechanism), pieces in grouped.items()
    ]
    candidates += _unexplained(evidence, catalogue, explained={c.entity for c in candidates})
    ordered = sorted(candidates, key=lambda c: (-c.score, _depth(c.entity, catalogue), c.entity))
    return Diagnosis(hypotheses=_ranked(ordered), missing_context=_missing(checks))


def _seen_through(evidence: Sequence[Evidence], catalogue: Catalogue) -> tuple[Evidence, ...]:
    """Whoever holds connections open makes what they lead to look jammed: that is a symptom then.

    A pool and its database are the usual pair. The blame stays with the one that holds.
    """
    jammed = {
        name
        for piece in evidence
        if piece.kind == "connections" and piece.cls is EvidenceClass.LOCAL_CAUSE
        for name in catalogue.dependencies(piece.entity)
    }
    return tuple(
        replace(piece, cls=EvidenceClass.SYMPTOM)
        if piece.kind == "database_connections"
        and piece.cls is EvidenceClass.LOCAL_CAUSE
        and piece.entity in jammed
        else piece
        for piece in evidence
    )


def _candidate(
    entity: str,
    mechanism: str,
    causes: Sequence[Evidence],
    evidence: Sequence[Evidence],
    catalogue: Catalogue,
) -> _Candidate:
    here, below = _symptoms(entity, evidence, catalogue)
    against = [
        e for e in evidence if _speaks_against(e, mechanism, entity, {c.region for c in causes})
    ]
    support = min(_SYMPTOMS_MOST, _SYMPTOM_HERE * len(here) + _SYMPTOM_DOWNSTREAM * len(below))
    # A change that shows no symptom, neither here nor downstream, explains nothing.
    weight = _CAUSE if support or mechanism not in _CHANGES else 1.0
    return _Candidate(
        entity=entity,
        region=_only_region(causes),
        mechanism=mechanism,
        text="; ".join(dict.fromkeys(c.text for c in causes)),
        score=weight + support - _CONTRADICTION * len(against),
        change_id=next((c.change_id for c in causes if c.change_id), None),
        supports=tuple(e.id for e in (*causes, *here, *below)),
        contradicts=tuple(e.id for e in against),
        missing=() if here or below else ("a symptom on it or on what depends on it",),
        next_check=_next_check(causes),
    )


def _next_check(causes: Sequence[Evidence]) -> str:
    return _MECHANISMS.get(causes[0].kind, ("", f"look at {causes[0].source} in full"))[1]


def _symptoms(
    entity: str, evidence: Iterable[Evidence], catalogue: Catalogue
) -> tuple[list[Evidence], list[Evidence]]:
    downstream = set(catalogue.dependents(entity))
    symptoms = [e for e in evidence if e.cls is EvidenceClass.SYMPTOM]
    here = [e for e in symptoms if e.entity == entity]
    return here, [e for e in symptoms if e.entity in downstream]


def _speaks_against(piece: Evidence, mechanism: str, entity: str, regions: set[str | None]) -> bool:
    """A healthy reading of the very thing that is said to be broken."""
    if piece.cls is not EvidenceClass.ABSENCE or piece.entity != entity:
        return False
    claimed = _MECHANISMS.get(piece.kind, (piece.kind, ""))[0]
    same_place = piece.region is None or piece.region in regions
    return claimed == mechanism and same_place


def _unexplained(
    evidence: Sequence[Evidence], catalogue: Catalogue, *, explained: set[str]
) -> list[_Candidate]:
    """For a service with symptoms and no cause on it: something in it that nobody can see yet."""
    symptoms = [e for e in evidence if e.cls is EvidenceClass.SYMPTOM]
    return [
        _Candidate(
            entity=entity,
            region=_only_region(here),
            mechanism=_unseen(here)[0],
            text=_unseen(here)[1].format(entity=entity),
            score=min(_SYMPTOMS_MOST, _SYMPTOM_HERE * len(here)) * 0.75,
            change_id=None,
            supports=tuple(e.id for e in here),
            contradicts=(),
            missing=("a change or a failed check that explains it",),
            next_check=f"the logs of {entity} since the start",
        )
        for entity in dict.fromkeys(e.entity for e in symptoms)
        if entity not in explained and (here := _symptoms(entity, evidence, catalogue)[0])
    ]


def _unseen(here: Sequence[Evidence]) -> tuple[str, str]:
    """A queue that grows while nothing fails is more work than there are hands."""
    if all(e.kind in {"queue_age", "queue_health"} for e in here):
        return "overload", "more work comes to {entity} than it gets done"
    return "unknown", "something in {entity} that no check has seen"


def _only_region(pieces: Iterable[Evidence]) -> str | None:
    regions = {e.region for e in pieces if e.region}
    return regions.pop() if len(regions) == 1 else None


def _depth(entity: str, catalogue: Catalogue) -> int:
    """What has fewer dependencies lies further upstream."""
    return len(catalogue.dependencies(entity))


def _ranked(ordered: Sequence[_Candidate]) -> tuple[Hypothesis, ...]:
    result = []
    for index, candidate in enumerate(ordered):
        following = ordered[index + 1].score if index + 1 < len(ordered) else 0.0
        margin = candidate.score - following
        result.append(
            Hypothesis(
                rank=index + 1,
                entity=candidate.entity,
                region=candidate.region,
                mechanism=candidate.mechanism,
                text=candidate.text,
                confidence=_confidence(index, candidate.score, margin),
                score=candidate.score,
                margin=margin,
                change_id=candidate.change_id,
                supports=candidate.supports,
                contradicts=candidate.contradicts,
                expected_but_missing=candidate.missing,
                next_check=candidate.next_check,
            )
        )
    return tuple(result)


def _confidence(index: int, score: float, margin: float) -> str:
    if index == 0 and score >= _LIKELY and margin >= _LIKELY_MARGIN:
        return "likely"
    return "possible" if score >= _POSSIBLE else "unclear"


def _missing(checks: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    missing = [
        f"check {name} gave no reading: {result['summary']}"
        for name, result in checks.items()
        if result["status"] == "unknown" or result.get("error")
    ]
    return (*missing, "logs and traces are not read by this version")
