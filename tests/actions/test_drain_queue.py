"""Parking messages of a real queue, counted by the server's own statistics."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("valkey")
import valkey

from holdfast.actions.drain_queue import DrainQueue
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.actions.cutting import cut_after_request
from tests.actions.valkey_parts import PausingClock, calls, emptied
from tests.io_parts import catalogue, request
from tests.real_parts import Valkey

PARKED = "jobs:holdfast-parked:INC-1/s/1"


@pytest.fixture
def client(valkey_server: Valkey) -> Iterator[valkey.Valkey]:
    with emptied(valkey_server) as client:
        client.lpush("jobs", *range(100))  # 0 is the oldest, at the right
        yield client


@pytest.fixture
def socket_path() -> Iterator[Path]:
    path = Path(f"/tmp/hf{os.getpid()}-{threading.get_native_id()}-dq")
    yield path
    path.unlink(missing_ok=True)


def described(url: str, **more: object) -> Catalogue:
    queue: dict[str, Any] = {"url": url, "lists": ["jobs"], "page": 10, **more}
    return catalogue(Service(name="shop", control={"queue": queue}), Service(name="store"))


def drain(server: Valkey, clock: Clock | None = None, **more: object) -> DrainQueue:
    return DrainQueue(described(server.url, **more), clock=clock)


def attempt(
    action: DrainQueue, key: str = "INC-1/s/1", fence: int = 1, **params: object
) -> ActionRequest:
    seen = action.observe("shop", params)
    return request("drain_queue", "shop", pre_image=seen, key=key, fence=fence, params=params)


def messages(client: valkey.Valkey, name: str) -> list[int]:
    """List a queue, the oldest first."""
    return [int(each) for each in reversed(cast("list[bytes]", client.lrange(name, 0, -1)))]


def test_the_oldest_messages_are_parked_as_many_as_were_meant(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = drain(valkey_server)
    asked = attempt(action, max=25)
    client.lpush("jobs", 100)

    outcome = action.perform(asked)

    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert messages(client, PARKED) == list(range(25))
    assert messages(client, "jobs") == list(range(25, 101))
    assert calls(client, "lmove") == 25
    assert action.repeatability is Repeatability.IDEMPOTENT
    plane = {"plane": "valkey jobs", "now": "100 wait", "intended": "75 wait, 25 parked"}
    assert asked.pre_image["planes"] == [plane]
    # A queue fills again: that says nothing against the step.
    now = {"now": "25 parked by this step", "reached": True, "lasting": False}
    assert action.probe(asked).data["planes"] == [{**plane, **now}]


def test_the_server_remembers_whether_the_messages_went_back(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = drain(valkey_server)
    asked = attempt(action, max=25)
    action.perform(asked)
    before = action.probe(asked).data["undone"]
    action.undo(asked)
    client.lpush("jobs", 200)  # so it does not read as before any more

    assert (before, action.probe(asked).data["undone"]) == (False, True)


def test_what_came_after_the_look_is_not_drained(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = drain(valkey_server)
    asked = attempt(action)
    client.lpush("jobs", 100, 101)

    action.perform(asked)

    assert messages(client, "jobs") == [100, 101]


@pytest.mark.promise("L8")
def test_the_same_key_twice_moves_once(valkey_server: Valkey, client: valkey.Valkey) -> None:
    action = drain(valkey_server)
    asked = attempt(action, max=30)

    first, second = action.perform(asked), action.perform(asked)

    assert first.ok
    assert second.ok
    assert "already done, not repeated: 30" in second.summary
    assert calls(client, "lmove") == 30
    assert action.probe(asked).effect is Effect.PRESENT


@pytest.mark.promise("L8")
def test_a_lost_reply_is_in_doubt_and_the_repeat_goes_on_from_there(
    valkey_server: Valkey, client: valkey.Valkey, socket_path: Path
) -> None:
    behind = Path(valkey_server.url.removeprefix("unix://"))
    with cut_after_request(behind, socket_path, b"LMOVE"):
        cut = DrainQueue(described(f"unix://{socket_path}"))
        asked = attempt(cut, max=30)
        with pytest.raises(LostReplyError, match="no usable answer"):
            cut.perform(asked)

    action = drain(valkey_server)
    probed = action.probe(asked)
    outcome = action.perform(asked)

    assert probed.effect is Effect.ABSENT
    assert "10 messages" in probed.evidence
    assert outcome.ok
    assert messages(client, PARKED) == list(range(30))
    assert calls(client, "lmove") == 30


def test_a_worker_paused_between_two_pages_moves_no_more_after_a_newer_one(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = drain(valkey_server)
    asked = attempt(action, fence=3, max=30)
    newer = attempt(action, "INC-1/other/1", fence=4, max=5)
    paused = drain(valkey_server, PausingClock(2, lambda: action.perform(newer)))

    with pytest.raises(LostReplyError, match="older than 4"):
        paused.perform(asked)

    assert messages(client, PARKED) == list(range(10))
    assert calls(client, "lmove") == 15


@pytest.mark.promise("L8")
def test_a_late_worker_with_an_older_fence_moves_nothing(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = drain(valkey_server)
    late = attempt(action, "INC-1/s/1", fence=3)
    action.perform(attempt(action, "INC-1/s/2", fence=4, max=1))

    outcome = action.perform(late)

    assert outcome.error_category == "stale_token"
    assert outcome.effect is Effect.ABSENT
    assert calls(client, "lmove") == 1


@pytest.mark.parametrize("oldest", ["right", "left"])
def test_undo_puts_the_messages_back_in_their_order_once(
    valkey_server: Valkey, client: valkey.Valkey, oldest: str
) -> None:
    before = client.lrange("jobs", 0, -1)
    action = drain(valkey_server, oldest=oldest)
    asked = attempt(action, max=25)
    action.perform(asked)

    first, second = action.undo(asked), action.undo(asked)

    assert first.ok
    assert second.ok
    assert client.lrange("jobs", 0, -1) == before
    assert not client.exists(PARKED)
    assert calls(client, "lmove") == 50


def test_undo_brings_back_only_what_is_still_parked(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = drain(valkey_server)
    asked = attempt(action, max=3)
    action.perform(asked)
    client.rpop(PARKED)  # a person took the oldest

    outcome = action.undo(asked)

    assert outcome.ok
    assert "2 messages" in outcome.summary
    assert messages(client, "jobs") == list(range(1, 100))


def test_undo_of_what_was_not_done_does_nothing(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = drain(valkey_server)

    assert action.undo(attempt(action)).error_category == "nothing_to_undo"


def test_a_name_that_is_no_list_is_unreachable_and_left_alone(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    asked = attempt(drain(valkey_server))
    client.delete("jobs")
    client.set("jobs", "text")
    action = drain(valkey_server)

    seen = action.observe("shop", {})
    outcome = action.perform(asked)

    assert seen["reachable"] is False
    assert "not a list" in seen["why"]
    assert outcome.error_category == "changed_meanwhile"
    assert client.get("jobs") == b"text"


def test_an_empty_queue_is_drained_of_nothing(valkey_server: Valkey, client: valkey.Valkey) -> None:
    client.delete("jobs")
    action = drain(valkey_server)

    assert action.perform(attempt(action)).ok
    assert calls(client, "lmove") == 0


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {}, "target"),
        ("store", {}, "target"),
        ("shop", {"queue": "other"}, "params.queue"),
        ("shop", {"max": 0}, "params.max"),
        ("shop", {"max": True}, "params.max"),
        ("shop", {"max": 5_000_000}, "params.max"),
        ("shop", {"all": True}, "params.all"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    valkey_server: Valkey,
    client: valkey.Valkey,
    target: str,
    params: dict[str, object],
    field: str,
) -> None:
    action = drain(valkey_server)

    with pytest.raises(BadInputError) as refused:
        action.observe(target, params)
    with pytest.raises(TargetUnreachableError):
        action.perform(request("drain_queue", target, params=params))

    assert refused.value.field == field
    assert calls(client, "eval") == 0


def test_a_look_that_was_never_taken_is_refused(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = drain(valkey_server)

    assert action.perform(replace(attempt(action), pre_image={})).error_category == "no_pre_image"
