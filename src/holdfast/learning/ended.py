"""How an incident ended, as far as its records say: since when its trouble is gone, or was none.

Of readings and of what people said. An alert that calls itself resolved ends nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from holdfast.incident import Kind, Phase, Record
from holdfast.kernel.actor import ActorKind
from holdfast.learning.account import Account


def gone_at(account: Account) -> datetime | None:
    """Say since when every series of an incident is back, or when it was found to be over.

    What an alert says is no reading: one that is "resolved" is not gone by that.
    """
    state: dict[str, str] = {}
    gone: datetime | None = None
    for record in account.records:
        if record.kind == Kind.REOPENED:
            gone = None
        for signal in _signals(record):
            if signal.get("signal") != "alert":
                state[signal["series"]] = signal["state"]
                bad = any(each == "bad" for each in state.values())
                gone = None if bad else gone or record.at
        by_itself = record.kind == Kind.DISMISSED and record.actor.kind is ActorKind.SYSTEM
        if record.kind == Kind.RESOLVED or by_itself:
            gone = gone or record.at
    return gone


def _signals(record: Record) -> Sequence[Mapping[str, Any]]:
    if record.kind in {Kind.INCIDENT_OPENED, Kind.REOPENED}:
        return tuple(record.data.get("signals", ()))
    return (record.data["signal"],) if record.kind == Kind.SIGNAL_ATTACHED else ()


def false_alarm(account: Account) -> str | None:
    """Say who called it a false alarm, and why; None where nobody did."""
    label = account.last(Kind.LABELLED)
    if label is not None and label.data["label"] == "false_alarm":
        return f"{label.actor.id} labelled it a false alarm: {label.data.get('because') or '-'}"
    dismissed = account.last(Kind.DISMISSED)
    over = account.state.phase in {Phase.DISMISSED, Phase.CLOSED}
    if dismissed is not None and over and dismissed.actor.kind is ActorKind.HUMAN:
        return f"{dismissed.actor.id} dismissed it as a false alarm: {dismissed.data['why']}"
    return None
