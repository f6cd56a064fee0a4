"""What another process saw of this incident's trouble: more of it, or that it is back.

A trouble that is back right after it was resolved is the same incident, not a second one.

What is seen now is held against what was normal before the first trouble: the range just before
this one may have the first one in it. What is not seen again counts as returned, until it is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from holdfast.incident import Draft, Kind, Phase, State
from holdfast.kernel.catalogue import ALERT
from holdfast.kernel.clock import format_at
from holdfast.response.commands import AnswerRequest, Command, Write
from holdfast.response.signals import in_first_range, news
from holdfast.response.store import Answer, Request
from holdfast.runbooks import format_duration


def on_return(state: State, request: Request, now: datetime) -> tuple[Command, ...]:
    """Reopen the incident that is told of its trouble's return.

    One that is live again takes the signals in; one that a person closed meanwhile stays closed.
    """
    if state.phase is not Phase.RESOLVED:
        return on_sight(state, request)
    answer = Answer(ok=True, message="reopened")
    draft = _reopened(state, request.data, now)
    return (Write(drafts=(draft,), answers={request.id: answer}),)


def on_sight(state: State, request: Request) -> tuple[Command, ...]:
    """Attach what was seen by a process that does not hold this incident."""
    if state.ended:
        # Whoever told it may have to tell another incident: this one takes nothing in any more.
        answer = Answer(ok=False, message=f"it is {state.phase.value}")
        return (AnswerRequest(request_id=request.id, answer=answer),)
    drafts = news(state, request.data["signals"], request.data["baselines"])
    if not drafts:
        answer = Answer(ok=True, message="nothing new to this incident")
        return (AnswerRequest(request_id=request.id, answer=answer),)
    attached = Answer(ok=True, message="attached")
    return (Write(drafts=drafts, answers={request.id: attached}),)


def _reopened(state: State, data: Mapping[str, Any], now: datetime) -> Draft:
    ended_at = state.ended_at or now
    ago = format_duration(max(0, round((now - ended_at).total_seconds())))
    names = ", ".join(data["services"])
    why = f"the trouble of {names} is back {ago} after it was resolved: {data['why']}"
    worst = "critical" if "critical" in {state.severity, data["severity"]} else data["severity"]
    return Draft(
        kind=Kind.REOPENED,
        data={
            "why": why,
            "count": len(state.reopenings) + 1,
            "resolved_at": format_at(ended_at),
            "started_at": data["started_at"],
            "opened_by": data["opened_by"],
            "severity": worst,
            "services": list(data["services"]),
            "regions": list(data["regions"]),
            "signals": _signals(state, data["signals"], now),
            "baselines": {n: b for n, b in data["baselines"].items() if n not in state.baselines},
            "changes": list(data["changes"]),
            "reasons": list(data["reasons"]),
        },
    )


def _signals(
    state: State, seen: Sequence[Mapping[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    names = {signal["series"] for signal in seen}
    over = [
        {
            **known,
            "state": "returned",
            "at": format_at(now),
            "reason": f"{name} is not part of what came back",
        }
        for name, known in state.signals.items()
        if known["state"] == "bad" and known["signal"] != ALERT and name not in names
    ]
    return [*(in_first_range(state, signal) for signal in seen), *over]
