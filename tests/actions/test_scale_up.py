"""Adding instances under a real supervisord, counted by its own log of what it spawned."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from holdfast.actions.scale_up import ScaleUp
from holdfast.actions.supervisord import Deadline, FaultError, Supervisord
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.actions.cutting import cut_after_request
from tests.io_parts import catalogue, request
from tests.real_parts import until
from tests.supervisord_parts import Orchestrator, started_supervisord

NAMES = [f"worker-north-extra-{n}" for n in (1, 2, 3)]
FRESH = [f"worker-south-extra-{n}" for n in (1, 2, 3)]  # of one test, so never started before
BATCH = [f"batch-north-extra-{n}" for n in (1, 2, 3)]  # they end well by themselves
PROGRAM = (
    "[program:{name}]\ncommand={command}\nautostart=false\nautorestart=false\nstartsecs=0\n"
    # SIGTERM is lost on a process that supervisord has forked and that is not the program yet.
    "startretries=0\nstopsignal=KILL\n"
)


@pytest.fixture(scope="module")
def pool() -> Iterator[Orchestrator]:
    more = [PROGRAM.format(name=name, command="/bin/sleep 3600") for name in (*NAMES, *FRESH)]
    more += [PROGRAM.format(name=name, command="/bin/sleep 0.3") for name in BATCH]
    with started_supervisord(more="\n".join(more)) as pool:
        until(lambda: answers(pool), pool.keeper, pool.directory)  # its socket is there before it
        yield pool


def answers(pool: Orchestrator) -> bool:
    try:
        return supervisord(pool).pid(soon()) > 0
    except (TargetUnreachableError, LostReplyError):
        return False


@pytest.fixture
def scale(pool: Orchestrator) -> Iterator[ScaleUp]:
    yield ScaleUp(described(str(pool.socket)))
    for name in (*NAMES, *FRESH):
        with suppress(FaultError):  # it does not run
            supervisord(pool).stop(name, soon())


def described(socket: str) -> Catalogue:
    place = {"socket": socket, "process": "{service}-{region}-extra-{n}"}
    control = {"scale": {"supervisord": place, "extra": 3}}
    return catalogue(
        Service(name="worker", regions=("north", "south", "west"), control=control),
        Service(name="batch", regions=("north",), control=control),
        Service(name="store"),
    )


def supervisord(pool: Orchestrator) -> Supervisord:
    return Supervisord(socket_path=str(pool.socket))


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 10)


def spawned(pool: Orchestrator) -> list[str]:
    """List what was started, in order, by the target's own log."""
    return re.findall(r"spawned: '([^']+)'", (pool.directory / "log").read_text())


def attempt(action: ScaleUp, by: int, target: str = "worker@north") -> ActionRequest:
    params = {"by": by}
    return request("scale_up", target, pre_image=action.observe(target, params), params=params)


def test_exactly_the_next_ones_are_started_and_undo_stops_those(
    pool: Orchestrator, scale: ScaleUp
) -> None:
    before = len(spawned(pool))
    first, asked = scale.perform(attempt(scale, 1)), attempt(scale, 2)

    second = scale.perform(asked)
    probed = scale.probe(asked)
    undone = scale.undo(asked)

    assert (first.ok, second.ok, second.effect) == (True, True, Effect.PRESENT)
    assert spawned(pool)[before:] == NAMES
    assert asked.pre_image["starts"] == NAMES[1:]
    assert probed.effect is Effect.PRESENT
    assert [each["plane"] for each in asked.pre_image["planes"]] == [
        f"supervisord {name}" for name in NAMES[1:]
    ]
    assert [each["reached"] for each in probed.data["planes"]] == [True, True]
    assert undone.ok
    assert scale.observe("worker@north", {"by": 1})["running"] == 1


@pytest.mark.promise("L8")
def test_a_repeat_starts_the_same_ones_and_no_more(pool: Orchestrator, scale: ScaleUp) -> None:
    asked = attempt(scale, 2)
    before = len(spawned(pool))

    first, again = scale.perform(asked), scale.perform(replace(asked, fence=2))

    assert first.ok
    assert again.ok
    assert spawned(pool)[before:] == NAMES[:2]


def test_it_promises_no_more_than_supervisord_can_keep(pool: Orchestrator, scale: ScaleUp) -> None:
    """A worker that comes late starts again what was stopped meanwhile: so it is never redone."""
    late = attempt(scale, 1)
    scale.perform(late)
    scale.undo(late)
    before = len(spawned(pool))

    scale.perform(late)

    assert len(spawned(pool)) == before + 1
    assert scale.repeatability is Repeatability.PROBEABLE
    assert not scale.repeatability.may_be_redone


def test_the_probe_tells_none_some_and_all_apart(pool: Orchestrator, scale: ScaleUp) -> None:
    asked = attempt(scale, 2, "worker@south")
    none = scale.probe(asked)
    supervisord(pool).start(FRESH[0], soon())
    some = scale.probe(asked)
    supervisord(pool).start(FRESH[1], soon())

    assert (none.effect, some.effect) == (Effect.ABSENT, Effect.UNKNOWN)
    assert [each["reached"] for each in some.data["planes"]] == [True, False]
    assert scale.probe(asked).effect is Effect.PRESENT


def test_an_undo_stops_nothing_that_is_not_known_to_be_of_this_step(
    pool: Orchestrator, scale: ScaleUp
) -> None:
    asked = attempt(scale, 1)
    scale.perform(asked)
    other = replace(asked, pre_image={**asked.pre_image, "supervisor_pid": 1})

    since, running = scale.undo(other), scale.observe("worker@north", {"by": 1})["running"]
    supervisord(pool).stop(NAMES[0], soon())
    gone = scale.undo(asked)

    assert (since.effect, since.error_category, running) == (Effect.ABSENT, "changed_since", 1)
    assert (gone.effect, gone.error_category) == (Effect.ABSENT, "nothing_to_undo")
    with pytest.raises(TargetUnreachableError, match="nothing was stopped"):
        ScaleUp(described("/nonexistent/socket")).undo(asked)


def test_one_that_was_started_and_died_is_never_said_to_be_absent(
    pool: Orchestrator, scale: ScaleUp
) -> None:
    asked = attempt(scale, 1)
    scale.perform(asked)
    os.kill(supervisord(pool).process(NAMES[0], soon())["pid"], signal.SIGKILL)
    while supervisord(pool).process(NAMES[0], soon())["statename"] == "RUNNING":
        pass  # supervisord has yet to notice

    probed = scale.probe(asked)

    # supervisord counts whole seconds: within the second of an earlier start it can't be told.
    assert probed.effect in {Effect.PRESENT, Effect.UNKNOWN}
    assert "0 run now" in probed.evidence
    [plane] = probed.data["planes"]
    assert (plane["reached"], plane.get("lasting", True)) == (False, True), "it was killed"


def test_one_that_ended_well_by_itself_does_not_stand_in_the_way_of_recovery(
    pool: Orchestrator, scale: ScaleUp
) -> None:
    seen = scale.observe("batch@north", {"by": 1})
    asked = request("scale_up", "batch@north", pre_image=seen, params={"by": 1}, timeout_s=20.0)
    assert scale.perform(asked).ok
    while supervisord(pool).process(BATCH[0], soon())["statename"] == "RUNNING":
        pass  # until its work is done

    [plane] = scale.probe(asked).data["planes"]

    assert (plane["now"], plane["reached"], plane["lasting"]) == ("not running", False, False)


def test_a_lost_reply_is_in_doubt_and_the_probe_settles_it(
    pool: Orchestrator, scale: ScaleUp
) -> None:
    asked, path = attempt(scale, 1), pool.directory / "cut"
    with (
        cut_after_request(pool.socket, path, b"startProcess"),
        pytest.raises(LostReplyError, match=r"nothing was started; .* no usable answer"),
    ):
        ScaleUp(described(str(path))).perform(asked)

    assert scale.probe(asked).effect is Effect.PRESENT


def test_more_than_there_are_is_refused_before_anything_is_started(
    pool: Orchestrator, scale: ScaleUp
) -> None:
    scale.perform(attempt(scale, 2))
    before = len(spawned(pool))

    seen = scale.observe("worker@north", {"by": 2})

    assert seen["reachable"] is False
    assert "only 1 of 3 are ready" in seen["why"]
    assert scale.perform(attempt(scale, 2)).effect is Effect.ABSENT
    assert len(spawned(pool)) == before


def test_processes_that_supervisord_does_not_know_are_unreachable(scale: ScaleUp) -> None:
    assert "BAD_NAME" in scale.observe("worker@west", {"by": 1})["why"]


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {"by": 1}, "target"),
        ("store", {"by": 1}, "target"),
        ("worker", {"by": 1}, "target"),
        ("worker@east", {"by": 1}, "target"),
        ("worker@north", {"by": 0}, "params.by"),
        ("worker@north", {"by": "1"}, "params.by"),
        ("worker@north", {"by": True}, "params.by"),
        ("worker@north", {"to": 3}, "params.to"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    scale: ScaleUp, target: str, params: dict[str, object], field: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        scale.observe(target, params)
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        scale.perform(request("scale_up", target, params=params))

    assert refused.value.field == field


def test_without_a_pre_image_nothing_is_started(pool: Orchestrator, scale: ScaleUp) -> None:
    before = len(spawned(pool))

    outcome = scale.perform(request("scale_up", "worker@north", params={"by": 1}))

    assert outcome.error_category == "no_pre_image"
    assert len(spawned(pool)) == before
