"""The whole response as one pure step: decide(state, event, now, world) -> commands.

It reads nothing, writes nothing and waits for nothing. The engine carries the
commands out and comes back with the next event. After its own records are
written it asks again with `Woke`, until there is nothing to do but wait.
"""

from datetime import datetime
from typing import assert_never

from holdfast.incident import Phase, State
from holdfast.response import (
    act,
    asked,
    commanding,
    diagnosing,
    handing,
    looking,
    manual,
    paging,
    planning,
    rehearsing,
    verifying,
)
from holdfast.response.commands import Command, WakeAt, Write
from holdfast.response.events import (
    ActionReturned,
    Asked,
    ChecksDone,
    Confirmed,
    Event,
    Looked,
    Observed,
    PacketMade,
    PageSent,
    Prepared,
    Probed,
    Rehearsed,
    SamplesRead,
    SeenAgain,
    SignalsSeen,
    SymptomRead,
    Woke,
)
from holdfast.response.world import World


def decide(  # noqa: C901, PLR0911, PLR0912 - one row per event; assert_never finds the forgotten one
    state: State, event: Event, now: datetime, world: World
) -> tuple[Command, ...]:
    """Say what to do next about one incident, given what just happened."""
    match event:
        case Woke():
            return _woke(state, now, world)
        case SignalsSeen():
            return diagnosing.on_signals(state, event)
        case ChecksDone():
            return diagnosing.on_checks(state, event, now, world)
        case SymptomRead():
            return planning.on_fresh_symptom(state, event, now, world)
        case Prepared():
            return planning.on_prepared(state, event, now, world)
        case ActionReturned():
            return act.on_returned(state, event, now)
        case Probed():
            return act.on_probed(state, event, now, world)
        case SamplesRead():
            return verifying.on_samples(state, event, now, world)
        case Confirmed():
            return verifying.on_confirmed(state, event, now, world)
        case PageSent():
            return paging.on_sent(event)
        case Asked():
            return asked.on_asked(state, event, now, world)
        case Observed():
            return manual.on_observed(state, event)
        case Rehearsed():
            return rehearsing.on_rehearsed(state, event, now, world)
        case Looked():
            return looking.on_looked(state, event, now, world)
        case PacketMade():
            return handing.on_packet(state, event, world)
        case SeenAgain():
            return handing.on_seen_again(state, event, now, world)
        case _:
            assert_never(event)


def _woke(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    if doubts := act.doubts_after_a_death(state):
        return doubts
    page = (*handing.next_page(state, world), *paging.next_page(state, now, world))
    work = () if state.ended else _work(state, now, world)
    return _merge_wakes((*page, *work))


def _work(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """One bounded piece of work. A step in doubt comes before everything else."""
    if state.handoff is not None:
        return handing.awaiting(state, now)
    if state.unsettled:
        look = act.settle_doubt(state, now, world)
        return look or commanding.while_held(state, now, world)
    if state.held:
        return commanding.while_held(state, now, world)
    match state.phase:
        case Phase.OPEN | Phase.REOPENED:
            return diagnosing.start(state, now)
        case Phase.DIAGNOSING:
            return diagnosing.go_on(state, now, world)
        case Phase.PLANNED:
            return _planned(state, now, world)
        case Phase.VERIFYING:
            return verifying.go_on(state, now, world)
        case Phase.RESPONDING | Phase.RESOLVED | Phase.CLOSED | Phase.DISMISSED | Phase.MERGED:
            return ()
        case _:
            assert_never(state.phase)


def _planned(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    if commanding.takes_over(state):
        return (Write(drafts=(commanding.directed_plan(state.commander or ""),)),)
    return planning.go_on(state, now, world)


def _merge_wakes(commands: tuple[Command, ...]) -> tuple[Command, ...]:
    wakes = [command for command in commands if isinstance(command, WakeAt)]
    others = tuple(command for command in commands if not isinstance(command, WakeAt))
    return (*others, min(wakes, key=lambda wake: wake.at)) if wakes else others
