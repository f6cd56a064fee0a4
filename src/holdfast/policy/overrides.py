"""A person raises one named limit, once, for one incident and for a short while.

An override speaks to a limit alone: nothing else of the guard asks for one, so it can't pass a
hold, a freeze, an authority boundary or a step in doubt. Whichever intent needed it has used it up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

VALID_S = 3600.0

RAISABLE: Mapping[str, str] = {
    "restarts_per_target": "one more restart of the target",
    "cooldown": "no wait since the last step on the target",
    "instances_added_max": "as many more instances as the step asks for",
    "rollback_age_max_s": "a release that is older than may be rolled back",
    "region_share_max": "more regions of a service at once",
    "pool_share_max": "more of a pool taken out at once",
    "actions_per_incident": "one more action of the incident",
    "actions_per_installation": "one more action of the installation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One limit raised once. `target` None: whichever target of the incident needs it first."""

    override_id: str
    limit: str
    by: str
    why: str
    expires_at: datetime
    target: str | None = None

    def sentence(self) -> str:
        """Say who raised what, and why."""
        return f"{self.by} raised {self.limit} once (override {self.override_id}): {self.why}"


def override_for(
    limit: str, overrides: Iterable[Override], *, target: str, now: datetime
) -> Override | None:
    """Find the override that raises this limit here and now; the one that ends first."""
    fitting = [
        each
        for each in overrides
        if each.limit == limit and each.target in {None, target} and now < each.expires_at
    ]
    return min(fitting, key=lambda each: (each.expires_at, each.override_id), default=None)
