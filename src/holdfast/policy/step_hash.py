"""What an approval is bound to: the rendered step, the runbook's version, the evidence.

If any of them changes, so does the hash, and the approval is for another step. Everything counts
that changes what happens or how it is judged.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.kernel import canonical_json

# What somebody who gives a part of a hash has to give of it, from its beginning or its end.
PART_CHARACTERS = 12


def step_hash(
    *,
    key: str,
    action: str,
    target: str,
    params: Mapping[str, Any],
    criteria: Iterable[str],
    when: Iterable[str],
    timeout_s: float,
    impact: str,
    runbook_version: str | None,
    evidence_ids: Iterable[str],
    undo_of: str | None = None,
    seen: str | None = None,
) -> str:
    """Hash a rendered step (SHA-256, hex). The order of the evidence makes no difference.

    `key` is INCIDENT/STEP/ATTEMPT: evidence is numbered within its incident, and the same step of
    another one looks the same.
    """
    body = {
        "key": key,
        "action": action,
        "target": target,
        "params": dict(params),
        "criteria": list(criteria),
        "when": list(when),
        "timeout_s": float(timeout_s),
        "impact": impact,
        "undo_of": undo_of,
        "seen": seen,
        "runbook_version": runbook_version,
        "evidence_ids": sorted(set(evidence_ids)),
    }
    return hashlib.sha256(canonical_json(body)).hexdigest()


def names_hash(given: str, digest: str) -> bool:
    """Say whether what a person gave is this hash: whole, or at least 12 characters of an end."""
    word = str(given).strip().lower()
    if len(word) < PART_CHARACTERS:
        return False
    return digest.startswith(word) or digest.endswith(word)
