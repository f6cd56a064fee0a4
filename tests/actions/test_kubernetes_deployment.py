"""Scaling and rolling back a deployment of an *emulated* Kubernetes."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from holdfast.actions.kubernetes_rollback import RollbackDeployment
from holdfast.actions.kubernetes_scale import ScaleDeployment
from holdfast.response.ports import ActionRequest, Effect, LostReplyError
from tests.actions.kubernetes_parts import (
    AUTOSCALERS,
    DEPLOYMENTS,
    NAMESPACE,
    REPLICA_SETS,
    Cluster,
    Emulated,
    Fault,
    emulated,
)
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
def scale(running: Emulated, cluster: Cluster) -> ScaleDeployment:
    assert cluster.holds(DEPLOYMENTS, "web")
    return ScaleDeployment(running.catalogue())


@pytest.fixture
def rollback(running: Emulated, cluster: Cluster) -> RollbackDeployment:
    cluster.deploy("web", "v2")
    return RollbackDeployment(running.catalogue())


def adding(scale: ScaleDeployment, by: int, timeout_s: float = 20.0) -> ActionRequest:
    seen = scale.observe("web", {"by": by})
    return request("scale_up", "web", pre_image=seen, params={"by": by}, timeout_s=timeout_s)


def going_back(rollback: RollbackDeployment, **params: object) -> ActionRequest:
    seen = rollback.observe("web", params)
    return request("rollback_deploy", "web", pre_image=seen, params=params)


def wanted(cluster: Cluster) -> int:
    return int(cluster.read(DEPLOYMENTS, "web")["spec"]["replicas"])


def image(cluster: Cluster) -> str:
    [container] = cluster.read(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"]
    return str(container["image"]).rpartition(":")[2]


def planes(data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    return data["planes"]


def autoscaler(cluster: Cluster) -> None:
    aim = {"kind": "Deployment", "name": "web"}
    meta = {"name": "web-hpa", "namespace": NAMESPACE}
    spec = {"scaleTargetRef": aim, "maxReplicas": 9}
    cluster.keep(AUTOSCALERS, {"metadata": meta, "spec": spec})


def test_replicas_are_added_once_whatever_is_repeated(
    cluster: Cluster, scale: ScaleDeployment
) -> None:
    asked = adding(scale, 2)

    outcomes = [scale.perform(asked), scale.perform(asked)]

    [plane] = planes(asked.pre_image)
    [after] = planes(scale.probe(asked).data)
    assert (plane["now"], plane["intended"]) == ("3 replicas", "5 replicas")
    assert [each.ok for each in outcomes] == [True, True]
    assert (after["now"], after["reached"]) == ("5 replicas, 5 available", True)
    assert (wanted(cluster), cluster.patches) == (5, ["web"])


def test_replicas_that_somebody_set_since_are_left_as_they_are(
    cluster: Cluster, scale: ScaleDeployment
) -> None:
    asked = adding(scale, 1)
    cluster.deploy("web", "v1", replicas=4)
    cluster.deploy("web", "v1", replicas=3)

    outcome = scale.perform(asked)

    assert outcome.error_category == "changed_since", "set and set back is changed, too"
    assert scale.probe(asked).effect is Effect.UNKNOWN
    assert (wanted(cluster), cluster.patches) == (3, [])


def test_where_an_autoscaler_sets_the_replicas_none_is_added(
    cluster: Cluster, scale: ScaleDeployment
) -> None:
    asked = adding(scale, 1)
    autoscaler(cluster)

    seen, outcome = scale.observe("web", {"by": 1}), scale.perform(asked)

    assert not seen["reachable"]
    assert "web-hpa" in seen["why"]
    assert outcome.error_category == "autoscaled"
    assert cluster.patches == []


def test_an_autoscaler_that_may_not_be_asked_for_is_no_consent(
    cluster: Cluster, scale: ScaleDeployment
) -> None:
    asked = adding(scale, 1)
    cluster.faults.append(Fault(method="GET", part="autoscalers", status=403, times=2))

    seen, outcome = scale.observe("web", {"by": 1}), scale.perform(asked)

    assert not seen["reachable"]
    assert (outcome.error_category, cluster.patches) == ("forbidden", [])


def test_replicas_that_do_not_come_up_in_time_are_said_and_half_of_it_is_seen(
    cluster: Cluster, scale: ScaleDeployment
) -> None:
    asked = adding(scale, 2, timeout_s=0.5)
    cluster.stuck = True
    outcome = scale.perform(asked)
    now = cluster.read(DEPLOYMENTS, "web")
    now["status"] |= {"observedGeneration": 9, "updatedReplicas": 4, "availableReplicas": 4}
    cluster.keep(DEPLOYMENTS, now)

    [plane] = planes(scale.probe(asked).data)

    assert "goes on by itself" in outcome.summary
    assert (plane["now"], plane["reached"]) == ("5 replicas, 4 available", False)


def test_what_was_added_is_taken_away_again_once(cluster: Cluster, scale: ScaleDeployment) -> None:
    asked = adding(scale, 2)
    scale.perform(asked)

    outcomes = [scale.undo(asked), scale.undo(asked)]

    assert [each.ok for each in outcomes] == [True, True]
    assert (wanted(cluster), len(cluster.patches)) == (3, 2)


def test_what_was_added_stays_where_somebody_set_the_replicas_since(
    cluster: Cluster, scale: ScaleDeployment
) -> None:
    asked = adding(scale, 2)
    nothing = scale.undo(asked)
    scale.perform(asked)
    cluster.deploy("web", "v1", replicas=8)

    outcome = scale.undo(asked)

    assert nothing.error_category == "nothing_to_undo"
    assert outcome.error_category == "changed_since"
    assert wanted(cluster) == 8


def test_a_release_is_rolled_back_once_to_the_one_before(
    cluster: Cluster, rollback: RollbackDeployment
) -> None:
    asked = going_back(rollback)

    outcomes = [rollback.perform(asked), rollback.perform(asked)]

    [plane] = planes(asked.pre_image)
    [after] = planes(rollback.probe(asked).data)
    assert plane["now"].startswith("revision 2 (v2)")
    assert plane["intended"] == "as revision 1 was (v1)"
    assert asked.pre_image["deployed_at"] == "2026-11-20T12:00:00Z"
    assert [each.ok for each in outcomes] == [True, True]
    assert after["reached"]
    assert (image(cluster), cluster.patches) == ("v1", ["web"])
    labels = cluster.read(DEPLOYMENTS, "web")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "web"}, "the label of the revision is not the template's"


def test_a_restart_is_no_release_to_go_back_to(
    cluster: Cluster, rollback: RollbackDeployment
) -> None:
    now = cluster.read(DEPLOYMENTS, "web")
    marks = {"kubectl.kubernetes.io/restartedAt": "2026-11-20T12:00:00Z"}
    now["spec"]["template"]["metadata"]["annotations"] = marks
    cluster.change(DEPLOYMENTS, now)

    outcome = rollback.perform(going_back(rollback))

    assert outcome.ok, outcome.summary
    assert image(cluster) == "v1"


def test_a_restart_does_not_make_an_old_release_a_new_one(
    cluster: Cluster, rollback: RollbackDeployment
) -> None:
    now = cluster.read(DEPLOYMENTS, "web")
    marks = {"kubectl.kubernetes.io/restartedAt": "2026-11-21T03:00:00Z"}
    now["spec"]["template"]["metadata"]["annotations"] = marks
    cluster.change(DEPLOYMENTS, now)
    newest = cluster.read(REPLICA_SETS, "web-hash2")
    newest["metadata"]["creationTimestamp"] = "2026-11-21T03:00:00Z"
    cluster.keep(REPLICA_SETS, newest)

    seen = rollback.observe("web", {})

    assert seen["current"]["replica_set"] == "web-hash2"
    assert seen["deployed_at"] == "2026-11-20T12:00:00Z"


@pytest.mark.parametrize("to", ["1", 1, "v1"])
def test_a_revision_can_be_named_by_its_number_or_its_tag(
    cluster: Cluster, rollback: RollbackDeployment, to: object
) -> None:
    cluster.deploy("web", "v3")

    assert rollback.perform(going_back(rollback, to=to)).ok
    assert image(cluster) == "v1"


@pytest.mark.parametrize(
    ("params", "why"),
    [({"from": "v1"}, "not v1 as the step says"), ({"to": "v9"}, "kept are 1 (v1)")],
)
def test_what_does_not_fit_the_step_is_not_rolled_back(
    cluster: Cluster, rollback: RollbackDeployment, params: dict[str, str], why: str
) -> None:
    asked = going_back(rollback, **params)

    outcome = rollback.perform(asked)

    assert outcome.error_category == "no_previous_release"
    assert why in outcome.summary
    assert (planes(asked.pre_image), cluster.patches) == ([], [])


def test_a_late_rollback_leaves_what_was_deployed_since(
    cluster: Cluster, rollback: RollbackDeployment
) -> None:
    asked = going_back(rollback)
    cluster.before_patch.append(lambda: cluster.deploy("web", "v3"))

    outcome = rollback.perform(asked)

    assert outcome.error_category == "changed_since"
    assert (image(cluster), cluster.patches) == ("v3", [])


def test_a_revision_that_is_not_kept_any_more_is_said(
    cluster: Cluster, rollback: RollbackDeployment
) -> None:
    asked = going_back(rollback)
    del cluster.objects[REPLICA_SETS, NAMESPACE, asked.pre_image["to"]["replica_set"]]

    outcome = rollback.perform(asked)

    assert (outcome.error_category, cluster.patches) == ("revision_gone", [])


def test_a_rollback_is_taken_back_once(cluster: Cluster, rollback: RollbackDeployment) -> None:
    asked = going_back(rollback)
    nothing = rollback.undo(asked)
    rollback.perform(asked)

    outcomes = [rollback.undo(asked), rollback.undo(asked)]

    assert nothing.error_category == "nothing_to_undo"
    assert [each.ok for each in outcomes] == [True, True]
    assert (image(cluster), len(cluster.patches)) == ("v2", 2)


def test_a_rollback_stays_where_somebody_deployed_since(
    cluster: Cluster, rollback: RollbackDeployment
) -> None:
    asked = going_back(rollback)
    rollback.perform(asked)
    cluster.deploy("web", "v3")

    outcome = rollback.undo(asked)

    assert outcome.error_category == "changed_since"
    assert image(cluster) == "v3"


def test_a_rollback_whose_reply_is_lost_is_found_by_the_probe(
    cluster: Cluster, rollback: RollbackDeployment
) -> None:
    asked = going_back(rollback)
    short = request("rollback_deploy", "web", pre_image=asked.pre_image, timeout_s=0.5)
    cluster.faults.append(Fault(method="PATCH", applied=True))

    with pytest.raises(LostReplyError):
        rollback.perform(short)

    seen = rollback.probe(asked)
    assert seen.effect is Effect.PRESENT
    assert planes(seen.data)[0]["reached"]
