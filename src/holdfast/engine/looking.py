"""Reads how things are right now: for a directive that is to be judged, or because somebody asked.

Nothing in here changes anything or writes anything down.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from holdfast.engine.hands import Hands
from holdfast.engine.ports import Readings
from holdfast.kernel.catalogue import SignalKey
from holdfast.response.commands import Look
from holdfast.response.events import ChecksDone, Looked

_NEWEST = 3

Live = Mapping[SignalKey, Sequence[tuple[datetime, float]]]


def newest_samples(readings: Readings, series: Sequence[SignalKey]) -> Live:
    """Read the newest samples of each series; none where it was never sampled."""
    return {key: readings.recent(key, _NEWEST) for key in dict.fromkeys(series)}


def looked(hands: Hands, readings: Readings, command: Look, checks: ChecksDone) -> Looked:
    """Look at every target of the command, beside what the checks found."""
    return Looked(
        request=command.request,
        results=checks.results,
        symptom=checks.symptom,
        live=newest_samples(readings, command.live),
        targets={
            target: hands.observe(action, target, params)
            for target, (action, params) in command.targets.items()
        },
    )
