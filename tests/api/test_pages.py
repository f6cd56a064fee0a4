"""The two pages: health says whether Holdfast can do its work, metrics say what it did."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from holdfast.api import ApiServer, Sources, build_api
from holdfast.api.connections import Connection
from holdfast.app.watch import Counts
from holdfast.kernel.errors import BadInputError
from tests.monitoring_parts import eventually


@contextmanager
def served(health: Mapping[str, Any], listen: str = "127.0.0.1:0") -> Iterator[str]:
    counts = Counts()
    counts.ticks.inc(3)
    server = ApiServer(listen)
    server.start(build_api(Sources(health=lambda: health, metrics=counts.exposition)))
    try:
        yield server.url
    finally:
        server.stop()


def get(url: str, method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(url, method=method)  # noqa: S310 - a loopback address of ours
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - see above
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_health_is_200_while_all_is_well_and_503_once_it_is_not() -> None:
    with served({"status": "ok", "ticks": 3}) as url:
        code, kind, body = get(f"{url}/healthz")
        assert (code, kind, json.loads(body)["ticks"]) == (200, "application/json", 3)
    with served({"status": "failed", "why": "the ledger failed"}) as url:
        code, _, body = get(f"{url}/healthz")
        assert (code, json.loads(body)["why"]) == (503, "the ledger failed")


def test_metrics_are_prometheus_text() -> None:
    with served({"status": "ok"}) as url:
        code, kind, body = get(f"{url}/metrics")

    assert code == 200
    assert kind.startswith("text/plain; version=0.0.4")
    assert "\nholdfast_ticks_total 3.0\n" in body


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/v1/incidents"])
def test_nothing_else_is_served_yet(path: str) -> None:
    with served({"status": "ok"}) as url:
        assert get(url + path)[0] == 404
        assert get(f"{url}/healthz", "POST")[0] == 405


def test_whoever_is_quick_is_answered_and_not_refused() -> None:
    server = ApiServer("127.0.0.1:0")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as early:
        early.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        server.start(build_api(Sources(health=lambda: {"status": "ok"}, metrics=lambda: b"")))
        assert early.recv(64).startswith(b"HTTP/1.1 200")
    server.stop()


@pytest.mark.parametrize("listen", ["127.0.0.1:70000", "no.such.host.invalid:1"])
def test_an_address_that_cannot_be_had_names_the_setting(listen: str) -> None:
    with pytest.raises(BadInputError, match=f"can't listen on {listen}.*`listen`") as found:
        ApiServer(listen)
    assert found.value.field == "listen"


def test_a_port_in_use_is_refused_and_a_server_that_never_started_can_be_stopped() -> None:
    first = ApiServer("127.0.0.1:0")
    with pytest.raises(BadInputError, match="Address already in use"):
        ApiServer(first.url.removeprefix("http://"))
    first.stop()


@pytest.mark.parametrize(("asked", "said"), [(False, b""), (False, b"GET /he"), (True, b"GET /he")])
def test_who_says_half_of_what_they_want_is_not_waited_for(
    *, asked: bool, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "request_within_s", 0.05)
    with served({"status": "ok"}) as url, connected(url) as silent:
        if asked:
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while b"}" not in answer:
                answer += silent.recv(4096)
        silent.sendall(said)
        assert silent.recv(4096) == b""


def test_there_are_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "most", 1)
    with served({"status": "ok"}) as url:
        with connected(url) as first:
            first.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in first.recv(4096)
            with connected(url) as second:
                assert second.recv(4096) == b""
        eventually(lambda: get_code(url) == 200, "there is room again")


def get_code(url: str) -> int:
    try:
        return get(f"{url}/healthz")[0]
    except OSError:
        return 0


def connected(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_no_redirect_sends_a_token_on() -> None:
    with served({"status": "ok"}) as url:
        assert get(f"{url}/healthz/")[0] == 404
