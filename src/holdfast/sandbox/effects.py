"""What can happen to a target, as those who watch the targets call it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

RELEASE_SWITCHED = "release_switched"
PROCESS_STARTED = "process_started"
INSTANCE_STARTED = "instance_started"  # a further instance, beside the one that always runs
TEMP_CLEARED = "temp_cleared"
CACHE_CLEARED = "cache_cleared"
QUEUE_PARKED = "queue_parked"
FLAG_CHANGED = "flag_changed"
DB_PROMOTED = "db_promoted"
POOL_DRAINED = "pool_drained"  # a server was ordered out of the load balancer's pool
POOL_READY = "pool_ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing that happened to a target. `target` is a service, or `service@region`."""

    at: datetime
    kind: str
    target: str
    detail: str
    by_sandbox: bool = False

    @property
    def service(self) -> str:
        return self.target.partition("@")[0]


def duplicates(effects: Iterable[Effect], performed: Mapping[tuple[str, str], int]) -> int:
    """Count effects beyond those that were performed on purpose, by (kind, target).

    `performed` is how many steps the ledger says were carried out on that target.
    """
    seen = Counter((effect.kind, effect.target) for effect in effects if not effect.by_sandbox)
    return sum(max(0, count - performed.get(key, 0)) for key, count in seen.items())
