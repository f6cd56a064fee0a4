"""What a person did by hand: written down, with the target as it was found right after.

It counts from then on like any other action on that target: nobody restarts by machine what was
restarted by hand a moment ago.
"""

from datetime import datetime

from holdfast.incident import Draft, Kind, State
from holdfast.kernel.clock import format_at, parse_at
from holdfast.response.asking import Asking, not_ended, on_it, refusal, written
from holdfast.response.commands import Command, Observe
from holdfast.response.events import Observed
from holdfast.response.live_state import short
from holdfast.response.store import Answer


def did(case: Asking) -> tuple[Command, ...]:
    """Look at the target before anything is written down."""
    not_ended(case)
    _done_at(case)
    data = case.data
    return (
        Observe(
            request=case.request,
            action=data["action"],
            target=data["target"],
            params=data.get("params", {}),
        ),
    )


def _done_at(case: Asking) -> datetime | None:
    """Read when it was done. Raises BadInputError for a time that can't be."""
    text = case.data.get("at")
    if text is None:
        return None
    try:
        at = parse_at(text)
    except ValueError:
        raise refusal(
            f"--at {text!r} is no time; write it like {format_at(case.now)} (RFC 3339)"
        ) from None
    if at > case.now:
        raise refusal(f"--at {text} is in the future; it is {format_at(case.now)} now")
    began = case.state.started_at or case.state.opened_at
    if began is not None and at < began:
        raise refusal(
            f"--at {text} is before {case.state.incident_id} began ({format_at(began)}); write "
            "down what was done before it with `holdfast note`"
        )
    return at


def on_observed(state: State, event: Observed) -> tuple[Command, ...]:
    """Record what a person did by hand, with the target as it was seen right after."""
    request = event.request
    data = {**request.data, "observed": dict(event.observed)}
    if (at := data.pop("at", None)) is not None:
        data["done_at"] = format_at(parse_at(at))
    draft = Draft(kind=Kind.MANUAL_ACTION_REPORTED, actor=request.actor, data=data)
    target, problem = request.data["target"], event.observed.get("problem")
    seen = (
        f"{target} could not be looked at: {problem}"
        if problem
        else f"{target} was observed: {short(event.observed)}"
    )
    drafts = (*on_it(state, request), draft)
    return (written(request, drafts, Answer(ok=True, message=f"recorded; {seen}")),)
