"""Restarting a deployment of an *emulated* Kubernetes, and all that can come between."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from holdfast.actions import build_actions
from holdfast.actions.kubernetes_restart import RestartDeployment
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Effect, LostReplyError, TargetUnreachableError
from tests.actions.kubernetes_parts import DEPLOYMENTS, Cluster, Emulated, Fault, emulated
from tests.io_parts import request


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("kubernetes")) as made:
        yield made


@pytest.fixture
def cluster(running: Emulated) -> Cluster:
    running.cluster.begin()
    running.cluster.deploy("web", "v1")
    return running.cluster


@pytest.fixture
def restart(running: Emulated, cluster: Cluster) -> RestartDeployment:
    assert cluster.holds(DEPLOYMENTS, "web")
    return RestartDeployment(running.catalogue())


def reached(data: Mapping[str, Any]) -> list[bool]:
    return [each["reached"] for each in data["planes"]]


def test_an_emulated_deployment_is_restarted_and_remembers_the_key(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}), key="i/s/7")

    outcome = restart.perform(asked)

    now = cluster.read(DEPLOYMENTS, "web")
    assert outcome.ok, outcome.summary
    assert json.loads(now["metadata"]["annotations"]["holdfast/keys"]) == ["i/s/7"]
    assert now["spec"]["template"]["metadata"]["annotations"] == {"holdfast/restarted-by": "i/s/7"}
    assert now["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":v1")


def test_the_section_of_the_service_sends_a_restart_to_kubernetes(
    running: Emulated, cluster: Cluster
) -> None:
    restart = build_actions(running.catalogue())["restart_service"]
    seen = restart.observe("web", {})

    assert restart.perform(request("restart_service", "web", pre_image=seen)).ok
    assert (seen["control"], seen["repeatability"]) == ("kubernetes", "idempotent")
    assert cluster.patches == ["web"]


def test_what_is_seen_before_names_the_plane_that_would_change(restart: RestartDeployment) -> None:
    seen = restart.observe("web@east", {})

    [plane] = seen["planes"]
    assert plane["plane"] == "kubernetes deployment shop/web"
    assert plane["now"] == "revision 1 (v1), 3 of 3 ready"
    assert plane["intended"].startswith("restarted")
    assert seen["reversible"].startswith("no: ")


def test_a_repeat_with_the_same_key_is_answered_and_not_done_again(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}))
    restart.perform(asked)

    again = restart.perform(asked)

    assert again.ok
    assert "already done" in again.summary
    assert cluster.patches == ["web"]


def test_a_late_repeat_restarts_nothing_that_was_deployed_or_put_back_since(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}))
    cluster.deploy("web", "v2")
    cluster.deploy("web", "v1")

    outcome = restart.perform(asked)

    assert outcome.error_category == "changed_since", "the same template, but a later revision"
    assert outcome.effect is Effect.ABSENT
    assert cluster.patches == []
    assert restart.probe(asked).effect is Effect.UNKNOWN


def test_an_autoscaler_that_sets_the_replicas_meanwhile_is_no_such_change(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}))
    cluster.deploy("web", "v1", replicas=5)

    assert restart.perform(asked).ok


def test_who_comes_second_looks_again_and_gives_way(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}))
    cluster.before_patch.append(lambda: cluster.deploy("web", "v2"))

    outcome = restart.perform(asked)

    assert outcome.error_category == "changed_since"
    assert cluster.patches == []


def test_a_status_that_changes_meanwhile_is_no_conflict(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}))
    cluster.before_patch.append(lambda: cluster.roll_out("web"))

    assert restart.perform(asked).ok
    assert cluster.patches == ["web"]


def test_a_rollout_that_is_not_through_in_time_goes_on_and_is_not_restarted_again(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}), timeout_s=0.6)
    cluster.stuck = True

    outcome = restart.perform(asked)

    seen = restart.probe(asked)
    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert "has not taken it up yet; the rollout goes on by itself" in outcome.summary
    assert seen.effect is Effect.PRESENT
    assert "a rollout is under way" in restart.observe("web", {})["why"]
    assert reached(seen.data) == [False]
    assert seen.data["planes"][0]["under_way"], "so the verification waits for it"
    cluster.roll_out("web")
    [plane] = restart.probe(asked).data["planes"]
    assert (plane["reached"], "under_way" in plane) == (True, False)


def test_a_rollout_that_kubernetes_gives_up_has_failed(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}))
    cluster.stuck = True
    gave_up = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    quota = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}

    now = cluster.read(DEPLOYMENTS, "web")
    now["status"] |= {"observedGeneration": 9, "updatedReplicas": 1, "conditions": [gave_up, quota]}
    cluster.keep(DEPLOYMENTS, now)
    outcome = restart.perform(asked)

    assert outcome.error_category == "rollout_failed"
    assert "1 of 3 updated" in outcome.summary
    assert "exceeded quota" in outcome.summary
    assert "under_way" not in restart.probe(asked).data["planes"][0]


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_reply_is_said_and_the_probe_tells_what_happened(
    cluster: Cluster, restart: RestartDeployment, *, applied: bool
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}), timeout_s=0.5)
    cluster.faults.append(Fault(method="PATCH", applied=applied))

    with pytest.raises(LostReplyError, match="no answer in time"):
        restart.perform(asked)

    assert restart.probe(asked).effect is (Effect.PRESENT if applied else Effect.ABSENT)
    again = restart.perform(request("restart_service", "web", pre_image=asked.pre_image))
    assert again.ok
    assert len(cluster.patches) == 1


def test_a_server_that_is_overwhelmed_by_the_change_leaves_it_in_doubt(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}))
    cluster.faults.append(Fault(method="PATCH", status=504, message="etcd timed out"))

    with pytest.raises(LostReplyError, match="504: etcd timed out"):
        restart.perform(asked)


@pytest.mark.parametrize(
    ("status", "category"), [(401, "refused"), (403, "forbidden"), (404, "not_found")]
)
def test_what_the_server_refuses_changed_nothing(
    cluster: Cluster, restart: RestartDeployment, status: int, category: str
) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}))
    cluster.faults.append(Fault(method="PATCH", status=status, message="it is forbidden", times=2))

    outcome = restart.perform(asked)

    assert (outcome.effect, outcome.error_category) == (Effect.ABSENT, category)
    assert "it is forbidden" in outcome.summary


def test_a_read_that_is_slow_did_nothing(cluster: Cluster, restart: RestartDeployment) -> None:
    asked = request("restart_service", "web", pre_image=restart.observe("web", {}), timeout_s=0.3)
    cluster.faults.append(Fault(method="GET", part="deployments"))

    with pytest.raises(TargetUnreachableError, match="no answer in time"):
        restart.perform(asked)


def test_one_that_was_not_looked_at_is_left_alone(
    cluster: Cluster, restart: RestartDeployment
) -> None:
    asked = request("restart_service", "web")

    assert restart.perform(asked).error_category == "changed_since"
    assert restart.probe(asked).effect is Effect.UNKNOWN
    assert cluster.patches == []


def test_a_paused_deployment_is_not_restarted(cluster: Cluster, restart: RestartDeployment) -> None:
    cluster.deploy("web", "v1", paused=True)

    seen = restart.observe("web", {})

    assert not seen["reachable"]
    assert "paused" in seen["why"]
    assert seen["planes"] == []


def test_a_restart_can_not_be_undone(cluster: Cluster, restart: RestartDeployment) -> None:
    outcome = restart.undo(request("restart_service", "web"))

    assert (outcome.ok, outcome.error_category) == (False, "not_reversible")
    assert cluster.patches == []


def test_a_deployment_that_is_not_there_is_said(cluster: Cluster, running: Emulated) -> None:
    restart = RestartDeployment(running.catalogue(deployment="other"))

    seen = restart.observe("web", {})

    assert not seen["reachable"]
    assert "404" in seen["why"]
    assert cluster.patches == []


def test_a_deployment_in_each_region_is_acted_on_one_at_a_time(running: Emulated) -> None:
    both = running.catalogue(regions=("east", "west"), deployment="{service}-{region}")

    with pytest.raises(BadInputError, match="one at a time, as web@east"):
        RestartDeployment(both).observe("web", {})


def test_one_deployment_for_all_regions_is_no_instance(running: Emulated) -> None:
    with pytest.raises(BadInputError, match="without @region"):
        RestartDeployment(running.catalogue(regions=("east", "west"))).observe("web@east", {})
