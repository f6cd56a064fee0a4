"""Change freezes: in these times a change is an emergency, so a person approves every step.

They are announced in the configuration, with an end, for the days on which a mistake costs most. A
freeze by `holdfast freeze` stops everything; this one asks for a person on top of the mode.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from holdfast.kernel import format_at
from holdfast.policy.maintenance import Weekly, covering, is_open
from holdfast.policy.question import GuardInput, Window
from holdfast.policy.rules import Decision, Ground, ground

RULE = "change freeze"


def open_freeze(
    configured: Iterable[Window | Weekly], now: datetime, *, service: str, region: str | None
) -> Window | None:
    """Find the change freeze over a target now; of several, the one that ends last."""
    return covering(open_freezes(configured, now), service=service, region=region)


def open_freezes(configured: Iterable[Window | Weekly], now: datetime) -> tuple[Window, ...]:
    """List the change freezes that are open now, dated ones and recurring ones."""
    found = (each.open_at(now) if isinstance(each, Weekly) else each for each in configured)
    return tuple(window for window in found if window is not None and is_open(window, now))


def change_freeze(question: GuardInput) -> Iterator[Ground]:
    """Within a change freeze a person approves each step, in every mode."""
    found = question.change_freeze
    if found is None:
        yield ground(Decision.ALLOW, RULE, "no change freeze covers the target")
        return
    text = (
        f"change freeze {found.window_id} ({found.scope}) is on until {format_at(found.ends_at)}, "
        f"which {found.by} announced: {found.why}; a change now is an emergency, and a person "
        "approves it"
    )
    yield ground(
        Decision.NEEDS_APPROVAL,
        RULE,
        text,
        source=f"change_freezes {found.window_id}",
        at=found.starts_at,
    )
