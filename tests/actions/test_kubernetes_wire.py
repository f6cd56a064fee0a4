"""How the API server of an *emulated* Kubernetes is reached, and what is never done to reach it."""

import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from holdfast.actions.kubernetes_api import Access, connect
from holdfast.actions.kubernetes_restart import RestartDeployment
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import LostReplyError, TargetUnreachableError
from tests.actions.kubernetes_parts import DEPLOYMENTS, Emulated, emulated, kubeconfig
from tests.io_parts import answering, dribble, request

TOKEN = "kube-token-of-a-test"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("kubernetes")) as made:
        yield made


def read(access: Access) -> None:
    with connect(access, SystemClock(), 2.0) as server:
        server.get("deployments", "web", "shop")


def odd(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<x>")


def why_not(path: Path | None, context: str | None = None) -> str:
    access = Access(kubeconfig=None if path is None else str(path), context=context)
    with pytest.raises(TargetUnreachableError) as refused:
        read(access)
    assert TOKEN not in refused.value.message
    return refused.value.message


def test_what_was_never_reached_was_never_done(running: Emulated, tmp_path: Path) -> None:
    running.cluster.begin()
    running.cluster.deploy("web", "v1")
    seen = RestartDeployment(running.catalogue()).observe("web", {})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gone = kubeconfig(tmp_path / "gone", f"http://127.0.0.1:{port}")
    restart = RestartDeployment(running.catalogue(kubeconfig=str(gone)))

    with pytest.raises(TargetUnreachableError, match="can't be reached"):
        restart.perform(request("restart_service", "web", pre_image=seen))

    assert not restart.observe("web", {})["reachable"]
    assert running.cluster.patches == []


def test_an_answer_that_is_no_answer_leaves_a_change_in_doubt(tmp_path: Path) -> None:
    with answering(socket.AF_INET, ("127.0.0.1", 0), odd) as (host, port):
        path = kubeconfig(tmp_path / "odd", f"http://{host}:{port}")
        with (
            connect(Access(kubeconfig=str(path)), SystemClock(), 2.0) as server,
            pytest.raises(LostReplyError, match="no usable answer"),
        ):
            server.patch("deployments", "web", {"spec": {}}, "shop")


def test_a_server_that_dribbles_is_left_when_the_time_is_over(tmp_path: Path) -> None:
    over = threading.Event()
    with answering(socket.AF_INET, ("127.0.0.1", 0), lambda each: dribble(each, over)) as found:
        path = kubeconfig(tmp_path / "slow", f"http://127.0.0.1:{found[1]}")
        with (
            connect(Access(kubeconfig=str(path)), SystemClock(), 0.3) as server,
            pytest.raises(LostReplyError, match="no answer in time"),
        ):
            server.patch("deployments", "web", {"spec": {}}, "shop")
    over.set()


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ({"exec": {"apiVersion": "v1", "command": "/bin/true"}}, "runs no program"),
        ({"auth-provider": {"name": "gcp"}}, "runs no program"),
        ({"tokenFile": "/nonexistent/token"}, "not found"),
        ({"token": TOKEN, "as": "a-lesser-one"}, "acts as somebody else"),
        ({"token": TOKEN, "as-groups": ["few-rights"]}, "acts as somebody else"),
        ({"token": f"{TOKEN}\nand a second line"}, "its token or its address has a line break"),
    ],
)
def test_a_user_whose_word_can_not_be_kept_is_refused_without_showing_it(
    running: Emulated, tmp_path: Path, user: Mapping[str, object], why: str
) -> None:
    assert why in why_not(kubeconfig(tmp_path / "user", running.url, user))


def test_a_server_that_is_not_encrypted_is_refused(tmp_path: Path) -> None:
    assert "neither https nor loopback" in why_not(
        kubeconfig(tmp_path / "plain", "http://127.evil.example:8080")
    )


def test_a_kubeconfig_that_can_not_be_read_is_said_without_a_word_of_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text(f"users: [{{token: {TOKEN}")

    assert "no YAML" in why_not(broken)
    assert "broken" in why_not(broken)
    assert "can't be used" in why_not(tmp_path / "absent")


def test_an_unknown_context_is_said(running: Emulated) -> None:
    assert "'other' not found" in why_not(running.kubeconfig, "other")


def test_without_a_kubeconfig_it_is_the_account_of_our_own_pod() -> None:
    assert "the cluster that Holdfast runs in can't be used" in why_not(None)


def test_a_missing_extra_is_named_with_what_installs_it(
    running: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "holdfast.actions.kubernetes_wire", None)
    restart = RestartDeployment(running.catalogue())

    with pytest.raises(BadInputError, match=r"pip install 'holdfast\[kubernetes\]'"):
        restart.observe("web", {})
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        restart.perform(request("restart_service", "web"))


def test_no_time_left_means_that_nothing_was_sent(running: Emulated) -> None:
    running.cluster.begin()
    running.cluster.deploy("web", "v1")

    access = Access(kubeconfig=str(running.kubeconfig))
    with (
        connect(access, SystemClock(), 0.0) as server,
        pytest.raises(TargetUnreachableError, match="no time is left; nothing was sent"),
    ):
        server.patch("deployments", "web", {"spec": {"replicas": 0}}, "shop")

    assert running.cluster.read(DEPLOYMENTS, "web")["spec"]["replicas"] == 3


def test_what_we_may_do_can_be_asked(running: Emulated) -> None:
    running.cluster.forbidden = {("create", "pods")}

    with connect(Access(kubeconfig=str(running.kubeconfig)), SystemClock(), 5.0) as server:
        assert server.may("patch", "deployments", "apps", "shop")
        assert not server.may("create", "pods/eviction")
