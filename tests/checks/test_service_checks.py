import socket
import threading
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from holdfast.actions.supervisord import Deadline, FaultError, Supervisord
from holdfast.checks import CheckRunner, HttpHealth, ServiceStatus, build_checks
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Health
from tests.io_parts import (
    answering,
    catalogue,
    context,
    dribble,
    read_and_cut,
    read_and_hang,
    supervised,
)
from tests.supervisord_parts import Orchestrator, started_supervisord


def start(orchestrator: Orchestrator, process: str) -> None:
    supervisord = Supervisord(socket_path=str(orchestrator.socket))
    supervisord.start(process, Deadline.after(SystemClock(), 20))


def test_every_instance_is_reported_and_one_that_does_not_run_is_down() -> None:
    with started_supervisord("api-north", "api-south", "worker") as orchestrator:
        orchestrator.tell("api-south", "fail")
        start(orchestrator, "api-north")
        with pytest.raises(FaultError):
            start(orchestrator, "api-south")

        result = ServiceStatus(supervised(orchestrator.socket)).run(context("api"))

    instances = result.data["instances"]
    assert result.status is Health.DOWN
    assert list(instances) == ["api@north", "api@south"]
    assert instances["api@north"]["state"] == "RUNNING"
    assert instances["api@north"]["uptime_s"] >= 1
    assert instances["api@south"]["state"] in {"FATAL", "BACKOFF", "EXITED"}
    # Which of the two it says depends on when supervisord noticed.
    assert instances["api@south"]["spawn_error"].startswith(("Exited too quickly", "Bad exit code"))
    assert "api@south is" in result.summary


def test_a_service_whose_instances_all_run_is_healthy(supervisord: Orchestrator) -> None:
    if supervisord.starts("worker") == 0:
        start(supervisord, "worker")

    result = ServiceStatus(supervised(supervisord.socket)).run(context("worker"))

    assert result.status is Health.HEALTHY
    assert result.data["instances"]["worker"]["exit_status"] is None


def test_a_process_that_supervisord_does_not_know_is_down(supervisord: Orchestrator) -> None:
    control = {"supervisord": {"socket": str(supervisord.socket), "process": "{service}-x"}}

    result = ServiceStatus(catalogue(Service(name="api", control=control))).run(context("api"))

    assert result.status is Health.DOWN
    assert result.data["instances"]["api"]["error"] == "supervisord knows no process 'api-x'"


def test_a_supervisord_that_cannot_be_asked_leaves_its_processes_unknown(tmp_path: Path) -> None:
    result = ServiceStatus(supervised(tmp_path / "s")).run(context("api"))

    assert result.status is Health.UNKNOWN
    assert "can't be asked" in result.summary


def test_a_supervisord_that_hangs_or_cuts_is_unknown_in_time(tmp_path: Path) -> None:
    for number, behaviour in enumerate((read_and_hang, read_and_cut)):
        path = f"/tmp/hfsv{threading.get_native_id()}{number}"
        with answering(socket.AF_UNIX, path, behaviour):
            result = ServiceStatus(supervised(path), timeout_s=0.2).run(context("api"))
        Path(path).unlink()

        assert result.status is Health.UNKNOWN


def test_a_service_without_supervisord_is_unknown_not_healthy(supervisord: Orchestrator) -> None:
    result = ServiceStatus(supervised(supervisord.socket)).run(context("store"))

    assert result.status is Health.UNKNOWN


def healthy_at(**urls: str) -> Catalogue:
    return catalogue(Service(name="api", regions=tuple(urls), health=urls))


def test_instances_that_answer_are_healthy_with_their_code_and_time(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/healthz").respond_with_data("ok")

    result = HttpHealth(healthy_at(north=httpserver.url_for("/healthz"))).run(context())

    assert result.status is Health.HEALTHY
    assert result.data["instances"]["api@north"]["code"] == 200
    assert result.data["instances"]["api@north"]["ms"] > 0


@pytest.mark.parametrize(
    ("code", "status"), [(500, Health.DOWN), (302, Health.DEGRADED), (404, Health.DEGRADED)]
)
def test_any_other_code_is_not_healthy_and_no_redirect_is_followed(
    code: int, status: Health, httpserver: HTTPServer
) -> None:
    elsewhere = {"Location": httpserver.url_for("/login")}
    httpserver.expect_request("/healthz").respond_with_data("", status=code, headers=elsewhere)

    result = HttpHealth(healthy_at(north=httpserver.url_for("/healthz"))).run(context())

    assert result.status is status
    assert [request.path for request, _ in httpserver.log] == ["/healthz"]


def test_one_instance_that_hangs_is_down_and_the_other_is_still_measured(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request("/healthz").respond_with_data("ok")
    with answering(socket.AF_INET, ("127.0.0.1", 0), read_and_hang) as (host, port):
        urls = {"north": f"http://{host}:{port}/", "south": httpserver.url_for("/healthz")}
        result = HttpHealth(healthy_at(**urls), timeout_s=0.5).run(context())

    assert result.status is Health.DOWN
    assert result.data["instances"]["api@north"]["code"] is None
    assert result.data["instances"]["api@south"]["code"] == 200


def test_an_answer_that_dribbles_is_cut_at_the_wall_clock() -> None:
    stop = threading.Event()
    with answering(
        socket.AF_INET, ("127.0.0.1", 0), lambda connection: dribble(connection, stop)
    ) as (host, port):
        check = HttpHealth(healthy_at(north=f"http://{host}:{port}/"), timeout_s=0.3)
        result = CheckRunner([check], timeout_s=5).run(context())["http_health"]
        stop.set()

    assert result.status is Health.DOWN
    assert result.took_s < 2


def test_a_port_where_nobody_listens_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    result = HttpHealth(healthy_at(north=f"http://127.0.0.1:{port}/")).run(context())

    assert result.status is Health.DOWN
    assert "ConnectError" in result.summary


def test_only_what_is_configured_is_in_the_line_up() -> None:
    everything = Service(
        name="api",
        health={"global": "http://127.0.0.1:1/"},
        control={"supervisord": {"socket": "/s"}, "release": {"directory": "/r"}},
    )
    settings = {
        "database": {"dsn": "dbname=x"},
        "cache": {"url": "unix:///s"},
        "disk": {"paths": ["/", {"path": "/tmp", "limit_bytes": 10}]},
        "replication": {"primary": {"dsn": "dbname=x"}, "standby": {"dsn": "dbname=x"}},
        "queue": {"url": "unix:///s", "lists": ["q:{region}"], "service": "api"},
        "changes": {"window_s": 60.0},
        "processes": {},
        "tls": [{"host": "localhost"}],
        "dns": [{"name": "localhost", "expect": ["127.0.0.1"]}],
    }

    full = build_checks(catalogue(everything), settings, {"dsn": "dbname=x"}, changes=lambda _: ())

    assert [check.name for check in full] == [
        "database_connections",
        "replication_status",
        "redis_health",
        "queue_health",
        "disk_usage",
        "recent_deployments",
        "recent_changes",
        "service_status",
        "process_resources",
        "http_health",
        "tls_expiry",
        "dns",
        "rollback_ready",
    ]
    assert build_checks(catalogue(Service(name="api")), {"timeout_s": 10}) == ()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"database": {}}, "checks.database.dsn"),
        ({"disk": {"paths": "/"}}, "checks.disk.paths"),
        ({"replication": {"primary": {"dsn": "x"}}}, "checks.replication.standby.dsn"),
        ({"queue": {"url": "x"}}, "checks.queue.lists"),
    ],
)
def test_a_missing_setting_is_named(settings: dict[str, object], field: str) -> None:
    with pytest.raises(BadInputError, match=f"{field} is missing") as caught:
        build_checks(catalogue(), settings)

    assert caught.value.field == field
