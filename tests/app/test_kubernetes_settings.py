"""What may stand under control.kubernetes, and what the doctor finds of it in an *emulated* one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast.app.control_models import ControlModel
from holdfast.app.doctor_findings import Finding, Level, Look
from holdfast.app.doctor_kubernetes import judge_cluster
from holdfast.app.installation import load_installation
from holdfast.kernel.clock import SystemClock
from tests.actions.kubernetes_parts import Emulated, emulated
from tests.surface import installed


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("kubernetes")) as made:
        made.kubeconfig.chmod(0o600)
        yield made


@pytest.fixture
def look(tmp_path: Path) -> Look:
    site = installed(tmp_path / "site")
    return Look(installation=load_installation(site.directory), clock=SystemClock(), timeout_s=5.0)


def found(running: Emulated, look: Look, **control: object) -> list[Finding]:
    made = ControlModel.model_validate(
        {"kubernetes": {"kubeconfig": str(running.kubeconfig), "namespace": "shop", **control}}
    )
    settings = made.model_dump(exclude_none=True)["kubernetes"]
    service = running.catalogue().services["web"]
    return list(judge_cluster("kubernetes of web", service, settings, look))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kubeconfig": "kubeconfig"},
        {"context": "prod"},
        {"namespace": "Shop"},
        {"deployment": "{tier}"},
        {"nodes": ["*"]},
        {"nodes": ["*-pool"]},
        {"deployment": "web*"},
        {"token": "x"},
    ],
    ids=str,
)
def test_a_setting_that_reaches_too_far_or_nowhere_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ControlModel.model_validate({"kubernetes": wrong})


def test_the_settings_may_name_the_service_and_the_region() -> None:
    given = {
        "kubeconfig": "/etc/holdfast/{region}.yaml",
        "context": "{region}",
        "namespace": "shop-{region}",
        "deployment": "{service}-web",
        "nodes": ["shop-{region}-*", "one.example"],
    }

    made = ControlModel.model_validate({"kubernetes": given})

    assert made.model_dump(exclude_none=True)["kubernetes"] == {
        **given,
        "drain_loses_emptydir": False,
    }


def test_the_doctor_asks_for_every_right_and_tries_none(running: Emulated, look: Look) -> None:
    running.cluster.begin()
    running.cluster.deploy("web", "v1")
    running.cluster.forbidden = {("patch", "nodes"), ("create", "pods"), ("*", "*")}

    rights, reached, missing = found(running, look, nodes=["pool-1"])

    assert (rights.level, reached.level, missing.level) == (Level.OK, Level.OK, Level.ERROR)
    assert "revision 1 (v1), 3 of 3 ready" in reached.value
    assert missing.value == "we may not patch nodes, create pods/eviction"
    assert running.cluster.patches == []


def test_the_doctor_warns_of_a_key_to_the_whole_cluster(running: Emulated, look: Look) -> None:
    running.cluster.begin()
    running.cluster.deploy("web", "v1")

    *_, last = found(running, look)

    assert (last.level, last.value) == (Level.WARNING, "we may do everything in this cluster")


def test_the_doctor_says_what_can_not_be_reached(
    running: Emulated, look: Look, tmp_path: Path
) -> None:
    running.cluster.begin()
    open_to_all = tmp_path / "kubeconfig"
    open_to_all.write_text(running.kubeconfig.read_text())
    open_to_all.chmod(0o644)

    rights, reached = found(running, look, kubeconfig=str(open_to_all))

    assert (rights.level, reached.level) == (Level.UNSAFE, Level.ERROR)
    assert "404" in reached.value
