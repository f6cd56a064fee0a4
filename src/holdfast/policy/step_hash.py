"""What an approval is bound to: the rendered step, the runbook's version, the evidence.

If any of them changes, so does the hash, and the approval is for another step.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.kernel import canonical_json


def step_hash(
    *,
    action: str,
    target: str,
    params: Mapping[str, Any],
    runbook_version: str | None,
    evidence_ids: Iterable[str],
) -> str:
    """Hash a rendered step (SHA-256, hex). The order of the evidence makes no difference."""
    body = {
        "action": action,
        "target": target,
        "params": dict(params),
        "runbook_version": runbook_version,
        "evidence_ids": sorted(set(evidence_ids)),
    }
    return hashlib.sha256(canonical_json(body)).hexdigest()
