"""Weighing a real HAProxy's servers, seen by requests through it and by its own state."""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from holdfast.actions.set_weight import SetWeight
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionOutcome,
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
    regions = ("north", "south", "west")
    shop = Service(name="shop", regions=regions, control={"pool": {"haproxy": place}})
    return catalogue(shop, Service(name="store"))


def weigh(balancer: Balancer, **more: str) -> SetWeight:
    return SetWeight(described(balancer.admin, **more))


def attempt(action: SetWeight, weight: int | str, target: str = "shop@north") -> ActionRequest:
    params = {"weight": weight}
    return request("set_weight", target, pre_image=action.observe(target, params), params=params)


def weights(balancer: Balancer) -> list[int]:
    answers = [balancer.tell(f"get weight shop/shop-{name}") for name in ("north", "south", "west")]
    return [int(answer.split()[0]) for answer in answers]


def test_requests_go_by_the_weight_that_was_set(balancer: Balancer) -> None:
    action = weigh(balancer)

    outcome = action.perform(attempt(action, 2))
    answers = balancer.visit(11)

    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert weights(balancer) == [2, 10, 10]
    assert 0 < answers["north"] <= 2
    assert action.repeatability is Repeatability.PROBEABLE


def test_a_share_is_of_the_configured_weight_and_not_of_todays(balancer: Balancer) -> None:
    action = weigh(balancer)

    for share in ("50%", "50%", "30%"):
        action.perform(attempt(action, share))

    assert weights(balancer) == [3, 10, 10]


@pytest.mark.parametrize(
    ("share", "why"), [("5%", "write 0 if that is meant"), ("9999%", "256 is the most")]
)
def test_a_share_that_would_be_nothing_or_too_much_is_told(
    balancer: Balancer, share: str, why: str
) -> None:
    seen = weigh(balancer).observe("shop@north", {"weight": share})

    assert seen["reachable"] is False
    assert why in seen["why"]


def test_nought_takes_it_out_and_counts_as_such(balancer: Balancer) -> None:
    action = weigh(balancer)
    asked = attempt(action, 0)

    assert action.perform(asked).ok
    assert set(balancer.visit(6)) == {"south", "west"}
    assert asked.pre_image["pool_share"] == 0.3333
    assert action.observe("shop@west", {"weight": 0})["pool_share"] == 0.6667
    assert "pool_share" not in action.observe("shop@west", {"weight": 5})


def test_the_last_server_that_serves_never_weighs_nothing(balancer: Balancer) -> None:
    action = weigh(balancer)
    late = attempt(action, 0)
    balancer.tell("set server shop/shop-south state drain")
    balancer.tell("set server shop/shop-west weight 0")

    seen = action.observe("shop@north", {"weight": 0})
    outcome = action.perform(late)

    assert seen["reachable"] is False
    assert "no server that serves" in seen["why"]
    assert (outcome.effect, outcome.error_category) == (Effect.ABSENT, "last_server")
    assert action.perform(attempt(action, 1)).ok


def test_two_who_zero_at_once_leave_one_that_serves(balancer: Balancer) -> None:
    balancer.tell("set server shop/shop-west state drain")
    action = weigh(balancer)
    late = [attempt(action, 0, f"shop@{region}") for region in ("north", "south")]
    both, answers = threading.Barrier(2), list[ActionOutcome]()

    def work(asked: ActionRequest) -> None:
        both.wait(10)
        answers.append(action.perform(asked))

    workers = [threading.Thread(target=work, args=(asked,)) for asked in late]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)

    assert any(weights(balancer)[:2])
    assert {each.error_category for each in answers} <= {None, "last_server"}


def test_the_planes_say_what_is_there_and_what_is_to_be(balancer: Balancer) -> None:
    action = weigh(balancer)
    asked = attempt(action, 4, "shop")
    balancer.tell("set server shop/shop-south weight 4")

    probed = action.probe(asked)

    assert asked.pre_image["planes"][0] == {
        "plane": "haproxy shop/shop-north",
        "now": "weight 10",
        "intended": "weight 4",
    }
    assert probed.effect is Effect.UNKNOWN
    assert [each["reached"] for each in probed.data["planes"]] == [False, True, False]


def test_the_probe_reads_the_weight_and_undo_sets_the_old_one(balancer: Balancer) -> None:
    action = weigh(balancer)
    asked = attempt(action, 4)
    before = action.probe(asked)
    action.perform(asked)

    after, undone, again = action.probe(asked), action.undo(asked), action.undo(asked)

    assert (before.effect, after.effect) == (Effect.ABSENT, Effect.PRESENT)
    assert asked.pre_image["reversible"] == "set shop-north back to 10"
    assert undone.ok
    assert weights(balancer) == [10, 10, 10]
    assert again.error_category == "nothing_to_undo"


@pytest.mark.promise("L8")
def test_a_weight_that_somebody_set_since_is_neither_overwritten_nor_undone(
    balancer: Balancer,
) -> None:
    action = weigh(balancer)
    done, late = attempt(action, 4), attempt(action, 6)
    action.perform(done)
    reloaded = replace(done, pre_image={**done.pre_image, "pid": "1"})

    refused = action.perform(late)
    balancer.tell("set server shop/shop-north weight 7")
    undone = action.undo(done)

    assert (refused.effect, refused.error_category) == (Effect.ABSENT, "changed_meanwhile")
    assert (undone.effect, undone.error_category) == (Effect.ABSENT, "changed_since")
    assert action.undo(reloaded).error_category == "changed_since"
    assert action.probe(reloaded).effect is Effect.UNKNOWN
    assert weights(balancer)[0] == 7


def test_what_a_person_set_to_maintenance_stays_theirs(balancer: Balancer) -> None:
    action = weigh(balancer)
    late = attempt(action, 4)
    balancer.tell("set server shop/shop-north state maint")

    assert action.perform(late).error_category == "changed_meanwhile"
    assert action.perform(attempt(action, 4)).error_category == "nothing_to_do"


def test_a_backend_whose_weights_are_fixed_refuses_and_it_is_told(balancer: Balancer) -> None:
    action = weigh(balancer, backend="fixed")

    outcome = action.perform(attempt(action, 4))

    assert (outcome.ok, outcome.effect, outcome.error_category) == (
        False,
        Effect.ABSENT,
        "refused",
    )
    assert "static" in outcome.summary


def test_a_lost_reply_is_in_doubt_and_the_probe_settles_it(balancer: Balancer) -> None:
    asked = attempt(weigh(balancer), 4)
    path = balancer.directory / f"cutw{os.getpid()}"
    with (
        cut_after_request(balancer.directory / "admin", path, b"set server"),
        answering(socket.AF_UNIX, str(path) + "x", read_and_cut),
    ):
        cut = SetWeight(described(str(path)))
        with pytest.raises(LostReplyError, match="was told, and closed the line"):
            cut.perform(replace(asked, timeout_s=1.0))
        silent = SetWeight(described(str(path) + "x"))

        assert silent.observe("shop@north", {"weight": 4})["reachable"] is False

    assert weigh(balancer).probe(asked).effect is Effect.PRESENT


def test_a_balancer_that_is_not_there_is_no_effect() -> None:
    gone = SetWeight(described("/nonexistent/socket"))
    seen = {"sets": {"shop-north": 4}, "before": {"shop-north": 10}}

    for act in (gone.perform, gone.undo):
        with pytest.raises(TargetUnreachableError, match="nothing was sent"):
            act(request("set_weight", "shop@north", pre_image=seen))
    assert gone.probe(request("set_weight", "shop@north")).effect is Effect.UNKNOWN


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {"weight": 1}, "target"),
        ("store", {"weight": 1}, "target"),
        ("shop@east", {"weight": 1}, "target"),
        ("shop@north", {"weight": 257}, "params.weight"),
        ("shop@north", {"weight": -1}, "params.weight"),
        ("shop@north", {"weight": True}, "params.weight"),
        ("shop@north", {"weight": "ten"}, "params.weight"),
        ("shop@north", {"weight": "5;shutdown%"}, "params.weight"),
        ("shop@north", {"share": 1}, "params.share"),
        ("shop@north", {}, "params.weight"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    target: str, params: dict[str, object], field: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        SetWeight(described("/nonexistent/socket")).observe(target, params)

    assert refused.value.field == field
