"""The sandbox's balancer: what HAProxy's runtime socket is told moves traffic, and is seen."""

from collections.abc import Callable, Iterator

import pytest

from holdfast.actions.haproxy import HaProxy, SaidNoError
from holdfast.actions.supervisord import Deadline
from holdfast.kernel.clock import SystemClock
from holdfast.response.ports import TargetUnreachableError
from holdfast.sandbox.effects import POOL_DRAINED, POOL_READY
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.pool_observers import ask
from holdfast.sandbox.services.requests import complete
from holdfast.sandbox.site import front_name
from tests.sandbox.shopping import metrics, post

Eventually = Callable[[Callable[[], bool], str], None]
BASKET = {"item": 7, "quantity": 2, "coupon": {"percent": 10}}


@pytest.fixture
def proxy(platform: Platform) -> Iterator[HaProxy]:
    """The product's own client; every server is ready again at the end."""
    shape = platform.blueprint
    yield HaProxy(address=str(platform.site.balancer_socket), backend=shape.api)
    with platform.observers.own():
        for region in shape.regions:
            ask(platform.site, f"set server {shape.api}/{region} state ready")


def deadline() -> Deadline:
    return Deadline.after(SystemClock(), 5.0)


def served(platform: Platform, region: str) -> float:
    """Count what the API of a region has answered; before its first answer there is no count."""
    shape = platform.blueprint
    page = metrics(platform.site.url(shape.api, region, "/metrics"))
    return page.get(shape.metrics["requests"], 0.0)


def from_front(platform: Platform, region: str) -> int:
    port = platform.site.ports[front_name(region)]
    return post(f"http://127.0.0.1:{port}/checkout", BASKET)


def test_it_says_that_it_is_no_haproxy(platform: Platform) -> None:
    assert "sandbox balancer (not HAProxy)" in ask(platform.site, "show info")


def test_a_drained_region_is_served_by_the_other_until_it_is_put_back(
    platform: Platform, proxy: HaProxy, eventually: Eventually
) -> None:
    here, there = platform.blueprint.regions
    proxy.set_state([here], "drain", deadline())
    drained = {each.name: each.words() for each in proxy.servers(deadline())}
    assert drained == {here: "drained", there: "ready"}

    def is_quiet() -> bool:
        before = served(platform, here)
        answers = {from_front(platform, here) for _ in range(5)}
        return answers == {201} and served(platform, here) == before

    eventually(is_quiet, "nothing more to go to the region that was taken out")
    proxy.set_state([here], "ready", deadline())
    before = served(platform, here)
    assert from_front(platform, here) == 201
    assert served(platform, here) > before


def test_every_order_is_seen_also_one_that_changes_nothing_and_our_own_are_told_apart(
    platform: Platform, proxy: HaProxy
) -> None:
    here = platform.blueprint.regions[0]

    def seen() -> list[tuple[str, str]]:
        kinds = {POOL_DRAINED, POOL_READY}
        return [(e.kind, e.target) for e in platform.observe() if e.kind in kinds]

    before = len(seen())
    for state in ("drain", "drain", "ready"):
        proxy.set_state([here], state, deadline())
    with platform.observers.own():
        proxy.set_state([here], "drain", deadline())
    place = f"{platform.blueprint.api}@{here}"
    drained, ready = (POOL_DRAINED, place), (POOL_READY, place)
    assert seen()[before:] == [drained, drained, ready]


def test_a_weight_of_nought_takes_no_new_request_either(platform: Platform, proxy: HaProxy) -> None:
    here = platform.blueprint.regions[0]
    proxy.set_weights({here: 0}, deadline())
    assert [each.serves for each in proxy.servers(deadline())] == [False, True]
    proxy.set_weights({here: 1}, deadline())
    assert all(each.serves for each in proxy.servers(deadline()))


def test_with_no_server_left_users_are_told_so_at_once(platform: Platform, proxy: HaProxy) -> None:
    proxy.set_state(platform.blueprint.regions, "drain", deadline())
    assert from_front(platform, platform.blueprint.regions[0]) == 503


def test_what_it_does_not_know_is_refused(platform: Platform, proxy: HaProxy) -> None:
    with pytest.raises(SaidNoError, match="No such server"):
        proxy.set_state(["elsewhere"], "drain", deadline())
    with pytest.raises(TargetUnreachableError, match="Can't find backend"):
        HaProxy(address=proxy.address, backend="other").servers(deadline())
    assert "Unknown command" in ask(platform.site, "shutdown sessions server a/b")


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", None),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET /", 41),
    ],
)
def test_a_message_ends_where_its_head_says(message: bytes, found: int | None) -> None:
    assert complete(message) == found
