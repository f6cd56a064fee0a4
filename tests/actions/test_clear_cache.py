"""Clearing a real cache, counted by the server's own statistics."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("valkey")
import valkey

from holdfast.actions.clear_cache import ClearCache
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
from tests.real_parts import Valkey, started_valkey


@pytest.fixture
def client(valkey_server: Valkey) -> Iterator[valkey.Valkey]:
    with emptied(valkey_server) as client:
        for number in range(120):
            client.set(f"page:{number}", "x")
        client.set("session:1", "keep")
        client.set("pages", "keep")
        yield client


@pytest.fixture
def socket_path() -> Iterator[Path]:
    path = Path(f"/tmp/hf{os.getpid()}-{threading.get_native_id()}-cc")
    yield path
    path.unlink(missing_ok=True)


def described(url: str, prefixes: list[str] | None = None) -> Catalogue:
    cache = {"url": url, "prefixes": prefixes or ["page:"], "page": 10}
    return catalogue(Service(name="shop", control={"cache": cache}), Service(name="store"))


def fill(client: valkey.Valkey) -> None:
    for number in range(10_000):
        client.set(f"page:{number}", "x" * 4000)


def clear(server: Valkey, clock: Clock | None = None) -> ClearCache:
    return ClearCache(described(server.url), clock=clock)


def attempt(action: ClearCache, key: str = "INC-1/s/1", fence: int = 1) -> ActionRequest:
    seen = action.observe("shop", {})
    return request("clear_cache", "shop", pre_image=seen, key=key, fence=fence)


def test_what_is_below_the_prefix_goes_and_nothing_else(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = clear(valkey_server)

    outcome = action.perform(attempt(action))

    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert "120 keys" in outcome.summary
    assert set(client.keys("*")) == {b"session:1", b"pages", b"holdfast:memory"}  # type: ignore[arg-type]
    assert calls(client, "unlink") == 120
    assert calls(client, "scan") > 5, "in pages, not at once"


def test_the_same_key_twice_clears_once(valkey_server: Valkey, client: valkey.Valkey) -> None:
    action = clear(valkey_server)
    asked = attempt(action)
    action.perform(asked)
    client.set("page:1", "filled again")

    again = action.perform(asked)

    assert again.ok
    assert "already done, not repeated" in again.summary
    assert client.get("page:1") == b"filled again"
    assert action.probe(asked).effect is Effect.PRESENT


@pytest.mark.promise("L8")
def test_a_late_worker_with_an_older_fence_clears_nothing(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = clear(valkey_server)
    late = attempt(action, "INC-1/s/1", fence=3)
    action.perform(attempt(action, "INC-1/s/2", fence=4))
    client.set("page:1", "filled again")

    outcome = action.perform(late)

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert outcome.error_category == "stale_token"
    assert client.get("page:1") == b"filled again"


@pytest.mark.promise("L8")
def test_a_worker_paused_between_two_pages_clears_no_more_after_a_newer_one(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = clear(valkey_server)
    asked = attempt(action, fence=3)

    def meanwhile() -> None:
        assert action.perform(replace(asked, fence=4)).ok
        for number in range(120):
            client.set(f"page:{number}", "filled again")

    paused = clear(valkey_server, PausingClock(3, meanwhile))

    with pytest.raises(LostReplyError, match="older than 4"):
        paused.perform(asked)

    assert len(list(client.scan_iter("page:*"))) == 120


@pytest.mark.promise("L8")
def test_a_look_of_a_newer_worker_keeps_an_older_one_out(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = clear(valkey_server)
    late = attempt(action, fence=3)

    assert action.probe(replace(late, fence=4)).effect is Effect.ABSENT
    assert action.perform(late).error_category == "stale_token"
    assert calls(client, "unlink") == 0
    assert action.perform(replace(late, fence=4)).ok


def test_another_incident_has_fences_of_its_own(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = clear(valkey_server)
    action.perform(attempt(action, "INC-1/s/1", fence=9))

    assert action.perform(attempt(action, "INC-2/s/1", fence=1)).ok


def test_a_lost_reply_is_in_doubt_and_the_repeat_does_the_rest_once(
    valkey_server: Valkey, client: valkey.Valkey, socket_path: Path
) -> None:
    behind = Path(valkey_server.url.removeprefix("unix://"))
    with cut_after_request(behind, socket_path, b"UNLINK"):
        cut = ClearCache(described(f"unix://{socket_path}"))
        asked = attempt(cut)
        with pytest.raises(LostReplyError, match="no usable answer"):
            cut.perform(asked)

    action = clear(valkey_server)
    probed = action.probe(asked)
    outcome = action.perform(asked)

    assert probed.effect is Effect.ABSENT
    assert "stopped in the middle" in probed.evidence
    [half], [whole] = probed.data["planes"], action.probe(asked).data["planes"]
    assert asked.pre_image["planes"][0]["plane"] == half["plane"] == "cache shop page:*"
    assert (half["now"].endswith(" keys unlinked"), half["reached"]) == (True, False)
    assert whole["reached"] is True
    assert outcome.ok
    assert calls(client, "unlink") == 120


def test_an_empty_or_a_wild_prefix_is_refused_even_where_the_list_has_it(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    for wild in ("*", "page*", "a?", "[ab]", "\\", ""):
        action = ClearCache(described(valkey_server.url, [wild, "page:"]))
        with pytest.raises(BadInputError, match="empty, wild or our own"):
            action.observe("shop", {"prefix": wild})

    assert len(list(client.scan_iter("page:*"))) == 120


def test_our_own_memory_is_no_cache(valkey_server: Valkey, client: valkey.Valkey) -> None:
    action = ClearCache(described(valkey_server.url, ["hold", "page:"]))

    with pytest.raises(BadInputError, match="our own"):
        action.observe("shop", {"prefix": "hold"})


def test_a_server_that_may_forget_says_so_in_the_pre_image(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        seen = clear(valkey_server).observe("shop", {})
    finally:
        client.config_set("maxmemory-policy", "noeviction")

    assert seen["repeatability"] == "none"
    assert "allkeys-lru" in seen["why"]
    assert clear(valkey_server).repeatability is Repeatability.REFUSES_STALE_TOKEN


def test_a_full_server_can_be_cleared() -> None:
    with (
        started_valkey("--maxmemory", "4mb", "--maxmemory-policy", "noeviction") as full,
        emptied(full) as client,
    ):
        with pytest.raises(valkey.exceptions.OutOfMemoryError):
            fill(client)
        action = clear(full)
        asked = attempt(action)

        outcome = action.perform(asked)

        assert outcome.ok
        assert not list(client.scan_iter("page:*"))
        assert action.probe(asked).effect is Effect.PRESENT


def test_a_server_that_was_restarted_since_is_left_alone() -> None:
    with started_valkey() as first:
        asked = attempt(clear(first))
    with started_valkey() as second, emptied(second) as client:
        client.set("page:1", "x")
        action = clear(second)

        outcome = action.perform(asked)

        assert outcome.error_category == "changed_meanwhile"
        assert action.probe(asked).effect is Effect.UNKNOWN
        assert client.get("page:1") == b"x"


def test_a_server_that_is_not_there_is_no_effect_and_its_password_is_not_shown() -> None:
    action = ClearCache(described("redis://:hunter2@127.0.0.1:1/0"))
    seen = action.observe("shop", {})
    asked = request("clear_cache", "shop", pre_image={"run_id": "x", "prefix": "page:"})

    assert seen["reachable"] is False
    assert "hunter2" not in str(seen)
    with pytest.raises(TargetUnreachableError, match="nothing was sent") as unreachable:
        action.perform(asked)
    assert "hunter2" not in unreachable.value.message


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {}, "target"),
        ("store", {}, "target"),
        ("shop@north", {}, "target"),
        ("shop", {"prefix": "session:"}, "params.prefix"),
        ("shop", {"pattern": "*"}, "params.pattern"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    valkey_server: Valkey,
    client: valkey.Valkey,
    target: str,
    params: dict[str, str],
    field: str,
) -> None:
    action = clear(valkey_server)

    with pytest.raises(BadInputError) as refused:
        action.observe(target, params)
    with pytest.raises(TargetUnreachableError):
        action.perform(request("clear_cache", target, params=params))

    assert refused.value.field == field
    assert calls(client, "eval") == 0


def test_a_clearing_cannot_be_undone_and_says_why(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    action = clear(valkey_server)

    assert "fill the cache again" in action.undo(attempt(action)).summary
