"""Cordoning and draining nodes of an *emulated* Kubernetes."""

from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.actions.kubernetes_cordon import CordonNode
from holdfast.actions.kubernetes_drain import DrainNode
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import ActionRequest, Effect, LostReplyError
from tests.actions.kubernetes_parts import NODES, PODS, Cluster, Emulated, Fault, emulated
from tests.io_parts import request

ONE = {"node": "pool-1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("kubernetes")) as made:
        yield made


@pytest.fixture
def cluster(running: Emulated) -> Cluster:
    running.cluster.begin()
    for number in range(1, 5):
        running.cluster.node(f"pool-{number}")
    running.cluster.node("elsewhere")
    running.cluster.pod("web-1", "pool-1")
    running.cluster.pod("web-2", "pool-1")
    running.cluster.pod("web-3", "pool-2")
    running.cluster.pod("log-1", "pool-1", "DaemonSet")
    running.cluster.pod("job-1", "pool-1", "Job", status={"phase": "Succeeded"})
    mirror = {"annotations": {"kubernetes.io/config.mirror": "x"}}
    running.cluster.pod("proxy-1", "pool-1", None, metadata=mirror)
    return running.cluster


@pytest.fixture
def cordon(running: Emulated, cluster: Cluster) -> CordonNode:
    assert cluster.holds(NODES, "pool-1", None)
    return CordonNode(running.catalogue(nodes=["pool-*"]))


@pytest.fixture
def drain(running: Emulated, cluster: Cluster) -> DrainNode:
    assert cluster.holds(NODES, "pool-1", None)
    return DrainNode(running.catalogue(nodes=["pool-*"]))


def asked(action: CordonNode | DrainNode, timeout_s: float = 20.0, **params: str) -> ActionRequest:
    given = params or ONE
    seen = action.observe("web", given)
    return request(action.name, "web", pre_image=seen, params=given, timeout_s=timeout_s)


def cordoned(cluster: Cluster, name: str = "pool-1") -> bool:
    return bool(cluster.read(NODES, name, None)["spec"].get("unschedulable"))


def uncordon(cluster: Cluster) -> None:
    node = cluster.read(NODES, "pool-1", None)
    del node["spec"]["unschedulable"]
    cluster.keep(NODES, node)


def stands(action: CordonNode | DrainNode, done: ActionRequest) -> list[tuple[str, bool]]:
    planes: Any = action.probe(done).data["planes"]
    return [(each["plane"], each["reached"]) for each in planes]


def test_a_node_is_cordoned_once_and_uncordoned_by_the_undo(
    cluster: Cluster, cordon: CordonNode
) -> None:
    step = asked(cordon)

    outcomes = [cordon.perform(step), cordon.perform(step)]
    there = cordoned(cluster)
    back = [cordon.undo(step), cordon.undo(step)]

    assert step.pre_image["planes"] == [
        {"plane": "kubernetes node pool-1", "now": "takes pods", "intended": "cordoned"}
    ]
    assert step.pre_image["pool_share"] == 0.25
    assert [each.ok for each in (*outcomes, *back)] == [True] * 4
    assert (there, cordoned(cluster)) == (True, False)
    assert cluster.patches == ["pool-1", "pool-1"]


def test_what_is_out_already_counts_in_the_share_of_the_pool(
    cluster: Cluster, cordon: CordonNode
) -> None:
    cluster.node("pool-2", cordoned=True)
    cluster.node("pool-3", ready=False)

    assert cordon.observe("web", ONE)["pool_share"] == 0.75


def test_the_last_node_that_takes_pods_is_never_taken_out(
    cluster: Cluster, cordon: CordonNode
) -> None:
    step = asked(cordon)
    for number in (2, 3, 4):
        cluster.node(f"pool-{number}", cordoned=True)

    seen, outcome = cordon.observe("web", ONE), cordon.perform(step)

    assert not seen["reachable"]
    assert "no node of pool-* that takes pods" in seen["why"]
    assert (outcome.error_category, cluster.patches) == ("last_node", [])


def test_two_who_cordon_two_nodes_at_once_leave_one_that_takes_pods(
    cluster: Cluster, cordon: CordonNode
) -> None:
    step = asked(cordon)

    def meanwhile() -> None:
        for number in (2, 3, 4):
            cluster.node(f"pool-{number}", cordoned=True)

    cluster.before_patch.append(meanwhile)
    outcome = cordon.perform(step)

    assert (outcome.error_category, outcome.effect) == ("last_node", Effect.ABSENT)
    assert "uncordoned at once" in outcome.summary
    assert not cordoned(cluster)
    assert cordon.probe(step).effect is Effect.ABSENT
    assert cordon.perform(step).error_category == "changed_since", "and a repeat does nothing"
    assert not cordoned(cluster)


def test_what_was_undone_is_remembered_by_the_node(cluster: Cluster, cordon: CordonNode) -> None:
    step = asked(cordon)
    cordon.perform(step)
    before = cordon.probe(step).data["undone"]
    cordon.undo(step)

    assert (before, cordon.probe(step).data["undone"]) == (False, True)
    assert not cordoned(cluster)


def test_a_node_that_a_person_cordoned_is_theirs(cluster: Cluster, cordon: CordonNode) -> None:
    early = asked(cordon)
    cluster.node("pool-1", cordoned=True)
    late = asked(cordon)

    assert cordon.perform(early).error_category == "changed_since"
    assert cordon.perform(late).error_category == "nothing_to_do"
    assert cordon.undo(late).error_category == "nothing_to_undo"
    assert late.pre_image["planes"] == []
    assert cordoned(cluster)


def test_a_late_repeat_does_not_cordon_what_a_person_uncordoned(
    cluster: Cluster, cordon: CordonNode
) -> None:
    step = asked(cordon)
    cordon.perform(step)
    uncordon(cluster)

    again, undone = cordon.perform(step), cordon.undo(step)

    assert (again.error_category, again.effect) == ("changed_since", Effect.ABSENT)
    assert undone.error_category == "changed_since"
    assert not cordoned(cluster)


@pytest.mark.parametrize("name", ["elsewhere", "pool-9/../x", "", "*"])
def test_only_a_node_of_the_allow_list_can_be_named(cordon: CordonNode, name: str) -> None:
    with pytest.raises(BadInputError) as refused:
        cordon.observe("web", {"node": name})

    assert refused.value.field in {"params.node", "target"}


def test_a_node_that_fits_another_regions_pattern_too_is_not_taken(running: Emulated) -> None:
    described = running.catalogue(
        regions=("eu", "eu-west"), deployment="{service}-{region}", nodes=["pool-{region}-*"]
    )

    with pytest.raises(BadInputError, match="may be of eu-west too"):
        CordonNode(described).observe("web@eu", {"node": "pool-eu-west-1"})


def test_a_service_without_nodes_can_not_lose_one(running: Emulated) -> None:
    with pytest.raises(BadInputError, match=r"no control\.kubernetes\.nodes"):
        CordonNode(running.catalogue()).observe("web", ONE)


def test_a_node_is_drained_of_all_but_its_own_pods(cluster: Cluster, drain: DrainNode) -> None:
    step = asked(drain)

    outcome = drain.perform(step)

    assert [each["plane"] for each in step.pre_image["planes"]] == [
        "kubernetes node pool-1",
        "pods of kubernetes node pool-1",
    ]
    assert step.pre_image["planes"][1]["now"] == "2 pods left"
    assert step.pre_image["pods"] == ["shop/web-1", "shop/web-2"]
    assert outcome.ok, outcome.summary
    assert cordoned(cluster)
    assert sorted(cluster.evicted) == ["web-1", "web-2"]
    assert all(cluster.holds(PODS, name) for name in ("log-1", "job-1", "proxy-1", "web-3"))
    assert [reached for _, reached in stands(drain, step)] == [True, True]
    assert drain.probe(step).effect is Effect.PRESENT


def test_an_eviction_that_a_budget_forbids_is_asked_for_again(
    cluster: Cluster, drain: DrainNode
) -> None:
    cluster.budgets["web-2"] = 1

    outcome = drain.perform(asked(drain))

    assert outcome.ok, outcome.summary
    assert cluster.evicted == ["web-1", "web-2"]


def test_what_a_budget_keeps_leaves_the_drain_half_done_plane_by_plane(
    cluster: Cluster, drain: DrainNode
) -> None:
    step = asked(drain, timeout_s=0.6)
    cluster.budgets["web-2"] = 99

    outcome = drain.perform(step)

    assert (outcome.ok, outcome.effect) == (False, Effect.PRESENT)
    assert outcome.error_category == "evictions_blocked"
    assert "disruption budget" in outcome.summary
    assert stands(drain, step) == [
        ("kubernetes node pool-1", True),
        ("pods of kubernetes node pool-1", False),
    ]
    assert drain.probe(step).effect is Effect.UNKNOWN
    assert drain.probe(step).data["pods_left"] == 1


def test_a_repeat_evicts_the_rest_and_nothing_twice(cluster: Cluster, drain: DrainNode) -> None:
    step = asked(drain, timeout_s=0.5)
    cluster.budgets["web-2"] = 99
    drain.perform(step)
    cluster.budgets.clear()

    again = drain.perform(request("drain_node", "web", pre_image=step.pre_image, params=ONE))

    assert again.ok, again.summary
    assert cluster.evicted == ["web-1", "web-2"]
    assert cluster.patches == ["pool-1"], "it was cordoned once"


def test_nothing_more_is_evicted_once_somebody_uncordoned_the_node(
    cluster: Cluster, drain: DrainNode
) -> None:
    step = asked(drain)
    cluster.budgets["web-2"] = 99
    cluster.faults.append(Fault(method="POST", part="web-1", status=429, message="later"))
    drain.perform(request("drain_node", "web", pre_image=step.pre_image, params=ONE, timeout_s=0.4))
    uncordon(cluster)
    before = list(cluster.evicted)
    cluster.budgets.clear()

    outcome = drain.perform(step)

    assert outcome.error_category == "changed_since"
    assert cluster.evicted == before
    assert not cordoned(cluster)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"owner": None}, "no controller"),
        ({"spec": {"volumes": [{"name": "tmp", "emptyDir": {}}]}}, "emptyDir"),
    ],
)
def test_a_pod_that_can_not_be_made_anew_keeps_its_node(
    cluster: Cluster, drain: DrainNode, extra: dict[str, Any], why: str
) -> None:
    step = asked(drain)
    cluster.pod("store-1", "pool-1", **extra)

    seen, outcome = drain.observe("web", ONE), drain.perform(step)

    assert not seen["reachable"]
    assert why in seen["why"]
    assert outcome.error_category == "unsafe_pods"
    assert (cordoned(cluster), cluster.evicted) == (False, [])


def test_an_emptydir_can_be_allowed_to_be_lost(cluster: Cluster, running: Emulated) -> None:
    drain = DrainNode(running.catalogue(nodes=["pool-1"], drain_loses_emptydir=True))
    cluster.node("pool-1")
    cluster.pod("store-1", "pool-1", spec={"volumes": [{"name": "tmp", "emptyDir": {}}]})
    patient = DrainNode(running.catalogue(nodes=["pool-*"], drain_loses_emptydir=True))

    assert "no node of pool-1" in drain.observe("web", {})["why"], "the only node may be left out"
    assert patient.perform(asked(patient)).ok
    assert "store-1" in cluster.evicted


def test_an_eviction_that_is_refused_says_how_far_it_came(
    cluster: Cluster, drain: DrainNode
) -> None:
    step = asked(drain)
    cluster.faults.append(Fault(method="POST", part="web-2", status=403, message="may not evict"))

    outcome = drain.perform(step)

    assert (outcome.ok, outcome.effect) == (False, Effect.PRESENT)
    assert "pods evicted: 1" in outcome.summary
    assert "may not evict" in outcome.summary


def test_an_eviction_whose_reply_is_lost_leaves_the_step_in_doubt(
    cluster: Cluster, drain: DrainNode
) -> None:
    step = asked(drain, timeout_s=0.6)
    cluster.faults.append(Fault(method="POST", part="web-2", applied=True))

    with pytest.raises(LostReplyError, match="is cordoned, pods evicted: 1"):
        drain.perform(step)

    assert drain.probe(step).effect is Effect.PRESENT, "it had happened all the same"


def test_a_pod_that_is_gone_when_its_turn_comes_is_no_failure(
    cluster: Cluster, drain: DrainNode
) -> None:
    step = asked(drain)
    cluster.faults.append(Fault(method="POST", part="web-1", status=404))
    cluster.faults.append(Fault(method="POST", part="web-2", status=409))

    assert drain.perform(step).ok


def test_a_drain_is_taken_back_by_uncordoning_unless_a_person_cordoned_before(
    cluster: Cluster, drain: DrainNode
) -> None:
    step = asked(drain)
    assert drain.undo(step).error_category == "nothing_to_undo"
    drain.perform(step)
    assert drain.undo(step).ok
    assert not cordoned(cluster)

    cluster.node("pool-2", cordoned=True)
    second = asked(drain, node="pool-2")
    assert drain.perform(second).ok
    assert drain.undo(second).error_category == "nothing_to_undo"
    assert cordoned(cluster, "pool-2")
