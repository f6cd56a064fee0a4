"""The nouns that every room shares: ids, clock, labels, errors, the catalogue.

Rule: no I/O, no policy. What is here must make sense to every other room; a
noun that only one room needs lives in that room.
"""

from holdfast.kernel.actor import SYSTEM, Actor, ActorKind
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.catalogue import (
    Catalogue,
    Contact,
    Limit,
    Service,
    SignalKey,
    SignalSpec,
    instance_name,
)
from holdfast.kernel.clock import Clock, ManualClock, SystemClock, format_at, parse_at
from holdfast.kernel.errors import (
    BadInputError,
    HoldfastError,
    IllegalTransitionError,
    LedgerUnavailableError,
    NotFoundError,
    RefusedError,
    StaleFenceError,
)
from holdfast.kernel.reason import Reason
from holdfast.kernel.redact import redact

__all__ = [
    "SYSTEM",
    "Actor",
    "ActorKind",
    "BadInputError",
    "Catalogue",
    "Clock",
    "Contact",
    "HoldfastError",
    "IllegalTransitionError",
    "LedgerUnavailableError",
    "Limit",
    "ManualClock",
    "NotFoundError",
    "Reason",
    "RefusedError",
    "Service",
    "SignalKey",
    "SignalSpec",
    "StaleFenceError",
    "SystemClock",
    "canonical_json",
    "format_at",
    "instance_name",
    "parse_at",
    "redact",
]
