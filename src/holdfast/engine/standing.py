"""What people decided for the whole installation, put into the guard's own terms.

It is read together with the number of the `_system` chain that it is of: the intent's transaction
compares that number, so what is decided after this look stops the step.
"""

from holdfast.incident.system import SystemState
from holdfast.policy import Mode, Override, SetMode


def set_modes(system: SystemState) -> tuple[SetMode, ...]:
    """List the modes that people set, for whatever scope."""
    return tuple(
        SetMode(scope=fact.scope, mode=_mode(fact.mode), by=fact.by, why=fact.why, since=fact.since)
        for fact in system.modes.values()
    )


def overrides_for(system: SystemState, incident_id: str) -> tuple[Override, ...]:
    """List the overrides of one incident, used and expired ones too."""
    return tuple(
        Override(
            override_id=fact.override_id,
            limit=fact.limit,
            by=fact.by,
            why=fact.why,
            expires_at=fact.expires_at,
            target=fact.target,
        )
        for fact in system.overrides.values()
        if fact.incident_id == incident_id
    )


def _mode(word: str) -> Mode:
    try:
        return Mode(word)
    except ValueError:
        # A newer version's word lowered the mode; how far can't be told here, so all the way.
        return Mode.OBSERVE
