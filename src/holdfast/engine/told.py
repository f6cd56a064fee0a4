"""What somebody outside tells: whose incident it is, and how much of it is news there.

Pure. An alert belongs to the incident that knows it already, else to the one that
is open on its services. Nothing is written for what is known.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from holdfast.engine.opening import OpeningFacts
from holdfast.incident import State
from holdfast.incident.grouping import place
from holdfast.kernel.catalogue import ALERT
from holdfast.response.signals import is_news

# An incident of more alerts than this is no clearer for one more, and every record of it longer.
ALERTS_MOST = 200

Signals = tuple[Mapping[str, Any], ...]


class Became(StrEnum):
    """What became of what was told."""

    OPENED = "opened"
    REOPENED = "reopened"
    ATTACHED = "attached"
    KNOWN = "known"
    NOBODYS = "nobodys"


Open = Callable[[OpeningFacts], tuple[Became, str]]
Tell = Callable[[str, Signals, Mapping[str, Mapping[str, Any]]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The answer to whoever told it.

    `news` are the series that the incident did not know as they are; `too_many` those that it
    does not take in any more. `request_id`: the incident answers this request when it has taken
    them in; it is durable before.
    """

    became: Became
    incident_id: str | None = None
    news: frozenset[str] = frozenset()
    too_many: frozenset[str] = frozenset()
    request_id: str | None = None


def take_in(facts: OpeningFacts, live: Iterable[State], opens: Open, tells: Tell) -> Told:
    """Open an incident of these facts, or tell the live one what it does not know yet."""
    state = _whose(facts, live)
    fresh, too_many = _sorted_out(facts, state)
    news = frozenset(signal["series"] for signal in fresh)
    if state is None and not fresh:
        return Told(became=Became.NOBODYS)
    if state is None:
        became, incident_id = opens(replace(facts, signals=fresh))
        return Told(became=became, incident_id=incident_id, news=news, too_many=too_many)
    request_id = tells(state.incident_id, fresh, facts.baselines) if fresh else None
    return Told(
        became=Became.ATTACHED if fresh else Became.KNOWN,
        incident_id=state.incident_id,
        news=news,
        too_many=too_many,
        request_id=request_id,
    )


def _whose(facts: OpeningFacts, live: Iterable[State]) -> State | None:
    """Find the live incident that this belongs to; None where there is none."""
    states = [state for state in live if not state.ended]
    series = {signal["series"] for signal in facts.signals}
    for state in states:
        if series & state.signals.keys():
            return state
    found = place(facts.group, states)
    return next((state for state in states if state.incident_id == found), None)


def _sorted_out(facts: OpeningFacts, state: State | None) -> tuple[Signals, frozenset[str]]:
    """Give the signals that are news to this incident (None: to a new one), and those too many."""
    if state is None:
        fresh = [signal for signal in facts.signals if signal["state"] == "bad"]
        room = ALERTS_MOST
    else:
        fresh = [signal for signal in facts.signals if is_news(state, signal)]
        room = ALERTS_MOST - sum(s["signal"] == ALERT for s in state.signals.values())
    known = state.signals if state is not None else {}
    taken, too_many = [], set[str]()
    for signal in fresh:
        if signal["series"] not in known:
            if room <= 0:
                too_many.add(signal["series"])
                continue
            room -= 1
        taken.append(signal)
    return tuple(taken), frozenset(too_many)
