"""Draining a real HAProxy's servers, seen by requests through it and by its own state."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from holdfast.actions.drain_pool import DRAIN, READY, TurnPool
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.actions.cutting import cut_after_request
from tests.actions.haproxy_parts import Balancer, started_haproxy
from tests.io_parts import answering, catalogue, read_and_cut, request


@pytest.fixture(scope="module")
def running() -> Iterator[Balancer]:
    with started_haproxy() as balancer:
        yield balancer


@pytest.fixture
def balancer(running: Balancer) -> Iterator[Balancer]:
    running.reset()
    yield running
    running.reset()


def described(address: str, backend: str = "shop", server: str = "shop-{region}") -> Catalogue:
    place = {"socket": address, "backend": backend, "server": server}
    return catalogue(
        Service(
            name="shop",
            regions=("north", "south", "west"),
            control={"pool": {"haproxy": place}},
        ),
        Service(name="store"),
    )


def drain(balancer: Balancer, **more: str) -> TurnPool:
    return TurnPool(described(balancer.admin, **more), DRAIN)


def undrain(balancer: Balancer, **more: str) -> TurnPool:
    return TurnPool(described(balancer.admin, **more), READY)


def attempt(action: TurnPool, target: str = "shop@north") -> ActionRequest:
    return request(action.name, target, pre_image=action.observe(target, {}))


def test_a_drained_server_gets_no_new_request_and_a_put_back_one_does(balancer: Balancer) -> None:
    out, back = drain(balancer), undrain(balancer)
    before = balancer.visit(6)

    drained = out.perform(attempt(out))
    without = balancer.visit(6)
    undrained = back.perform(attempt(back))

    assert set(before) == {"north", "south", "west"}
    assert (drained.ok, drained.effect) == (True, Effect.PRESENT)
    assert set(without) == {"south", "west"}
    assert undrained.ok
    assert set(balancer.visit(6)) == {"north", "south", "west"}


def test_a_request_under_way_is_finished(balancer: Balancer) -> None:
    out = drain(balancer)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as under_way:
        under_way.connect(str(balancer.directory / "front"))
        under_way.sendall(b"GET / HTTP/1.0\r\n")

        assert out.perform(attempt(out)).ok

        under_way.sendall(b"\r\n")
        assert b"200 OK" in under_way.recv(65536)


def test_the_last_server_that_serves_is_never_taken_out(balancer: Balancer) -> None:
    out = drain(balancer)
    late = attempt(out, "shop@west")
    for region in ("north", "south"):
        assert out.perform(attempt(out, f"shop@{region}")).ok

    seen = out.observe("shop@west", {})
    outcome = out.perform(late)

    assert seen["reachable"] is False
    assert "no server that serves" in seen["why"]
    assert "shop-north is drained" in seen["why"]
    assert (outcome.effect, outcome.error_category) == (Effect.ABSENT, "last_server")
    assert set(balancer.visit(3)) == {"west"}


def test_one_that_is_down_or_weighs_nothing_is_not_counted_as_serving(balancer: Balancer) -> None:
    balancer.tell("set server shop/shop-south health down")
    balancer.tell("set server shop/shop-west weight 0")
    try:
        seen = drain(balancer).observe("shop@north", {})
    finally:
        balancer.tell("set server shop/shop-west weight 100%")

    assert seen["reachable"] is False
    assert seen["serving_elsewhere"] == 0


def test_a_pool_of_one_is_left_alone(balancer: Balancer) -> None:
    assert drain(balancer, backend="lonely").observe("shop@north", {})["reachable"] is False


def test_the_whole_service_at_once_would_leave_none(balancer: Balancer) -> None:
    assert drain(balancer).observe("shop", {})["reachable"] is False


def test_a_server_that_fits_another_regions_pattern_too_is_left_alone(balancer: Balancer) -> None:
    place = {"socket": balancer.admin, "backend": "shop", "server": "shop-{region}*"}
    # `no*` is meant for the region `no`, and fits what is of `north` as well.
    shop = Service(name="shop", regions=("no", "north"), control={"pool": {"haproxy": place}})
    action = TurnPool(catalogue(shop), "drain")

    seen = action.observe("shop@no", {})

    assert not seen["reachable"]
    assert "shop-north may be of another region too" in seen["why"]


def test_what_a_person_set_to_maintenance_stays_theirs(balancer: Balancer) -> None:
    balancer.tell("set server shop/shop-north state maint")
    out, back = drain(balancer), undrain(balancer)

    assert out.perform(attempt(out)).error_category == "nothing_to_do"
    assert back.perform(attempt(back)).error_category == "nothing_to_do"
    assert back.observe("shop@north", {})["servers"]["shop-north"] == "maintenance"


def test_the_probe_reads_the_state_and_undo_puts_it_back(balancer: Balancer) -> None:
    out = drain(balancer)
    asked = attempt(out)
    before = out.probe(asked)
    out.perform(asked)

    after, undone = out.probe(asked), out.undo(asked)

    assert (before.effect, after.effect) == (Effect.ABSENT, Effect.PRESENT)
    assert [each["reached"] for each in before.data["planes"]] == [False]
    assert [each["reached"] for each in after.data["planes"]] == [True]
    assert undone.ok
    assert set(balancer.visit(3)) == {"north", "south", "west"}
    assert out.undo(asked).error_category == "nothing_to_undo"


@pytest.mark.promise("L8")
def test_it_is_set_and_not_compared_so_it_promises_a_probe_and_no_more(balancer: Balancer) -> None:
    """A worker that was paused takes it out again after a person put it back: so no redo."""
    out, back = drain(balancer), undrain(balancer)
    late = attempt(out)
    out.perform(late)
    back.perform(attempt(back))

    assert out.perform(replace(late, fence=0)).ok
    assert out.repeatability is back.repeatability is Repeatability.PROBEABLE
    assert set(balancer.visit(3)) == {"south", "west"}


def test_the_planes_name_each_server_and_the_share_counts_what_is_out_already(
    balancer: Balancer,
) -> None:
    out, back = drain(balancer), undrain(balancer)
    first = out.observe("shop@north", {})
    out.perform(attempt(out))

    second, restored = out.observe("shop@west", {}), back.observe("shop@north", {})

    assert first["planes"] == [
        {"plane": "haproxy shop/shop-north", "now": "ready", "intended": "drained"}
    ]
    assert (first["pool_share"], second["pool_share"]) == (0.3333, 0.6667)
    assert restored["planes"][0]["intended"] == "ready"
    assert "pool_share" not in restored
    assert out.observe("shop", {})["pool_share"] == 1.0


def test_what_was_half_applied_is_told_server_by_server(balancer: Balancer) -> None:
    balancer.tell("set server shop/shop-west state drain")
    back = undrain(balancer)
    balancer.tell("set server shop/shop-north state drain")
    asked = attempt(back, "shop")
    balancer.tell("set server shop/shop-north state ready")

    probed = back.probe(asked)

    assert probed.effect is Effect.UNKNOWN
    assert [(each["plane"], each["now"], each["reached"]) for each in probed.data["planes"]] == [
        ("haproxy shop/shop-north", "ready", True),
        ("haproxy shop/shop-west", "drained", False),
    ]


def test_an_undo_leaves_alone_what_somebody_changed_since(balancer: Balancer) -> None:
    out = drain(balancer)
    asked = attempt(out)
    out.perform(asked)
    balancer.tell("set server shop/shop-north state maint")

    theirs = out.undo(asked)
    reloaded = out.undo(replace(asked, pre_image={**asked.pre_image, "pid": "1"}))

    assert (theirs.effect, theirs.error_category) == (Effect.ABSENT, "changed_since")
    assert "shop-north is maintenance" in theirs.summary
    assert reloaded.error_category == "changed_since"
    assert out.observe("shop@north", {})["servers"]["shop-north"] == "maintenance"


def test_an_undo_never_takes_the_last_server_out(balancer: Balancer) -> None:
    balancer.tell("set server shop/shop-north state drain")
    back = undrain(balancer)
    asked = attempt(back)
    back.perform(asked)
    for name in ("south", "west"):
        balancer.tell(f"set server shop/shop-{name} state drain")

    assert back.undo(asked).error_category == "last_server"


def test_a_star_takes_all_servers_of_a_target(balancer: Balancer) -> None:
    out = drain(balancer, server="*-{region}")

    assert out.perform(attempt(out)).ok
    assert out.observe("shop@north", {})["turns"] == []


def test_a_lost_reply_is_in_doubt_and_the_probe_settles_it(balancer: Balancer) -> None:
    asked = attempt(drain(balancer))
    path = balancer.directory / f"cut{os.getpid()}"
    with (
        cut_after_request(balancer.directory / "admin", path, b"set server"),
        answering(socket.AF_UNIX, str(path) + "x", read_and_cut),
    ):
        cut = TurnPool(described(str(path)), DRAIN)
        with pytest.raises(LostReplyError, match="was told, and closed the line"):
            cut.perform(replace(asked, timeout_s=1.0))
        silent = TurnPool(described(str(path) + "x"), DRAIN)

        assert silent.observe("shop@north", {})["reachable"] is False

    assert drain(balancer).probe(asked).effect is Effect.PRESENT


def test_a_backend_or_a_server_that_is_not_there_is_told(balancer: Balancer) -> None:
    nowhere = drain(balancer, backend="nowhere").observe("shop@north", {})
    nobody = drain(balancer, server="other-{region}").observe("shop@north", {})
    gone = TurnPool(described("/nonexistent/socket"), DRAIN)

    assert "no state of backend 'nowhere'" in nowhere["why"]
    assert "its servers are shop-north, shop-south, shop-west" in nobody["why"]
    assert "nothing was sent" in gone.observe("shop@north", {})["why"]
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        gone.perform(request("drain_pool", "shop@north", pre_image={"turns": ["shop-north"]}))


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {}, "target"),
        ("store", {}, "target"),
        ("shop@east", {}, "target"),
        ("shop@north", {"server": "x"}, "params.server"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    balancer: Balancer, target: str, params: dict[str, str], field: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        drain(balancer).observe(target, params)

    assert refused.value.field == field
