"""An engine that answers to do harm: it gets a bounded time and room, and a reason is told."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from holdfast.kernel.catalogue import SignalKey
from holdfast.kernel.clock import SystemClock
from holdfast.sources import PrometheusClient, PrometheusSettings, QueryError, Span, read_past

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)


def client(server: HTTPServer, timeout_s: float = 5.0) -> PrometheusClient:
    url = server.url_for("")
    return PrometheusClient(PrometheusSettings(url=url, timeout_s=timeout_s, lookback_s=2.0))


def success(kind: object, result: object) -> bytes:
    data = {"resultType": kind, "result": result}
    return json.dumps({"status": "success", "data": data}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"1" * 100_000,
        b'{"status": NaN}',
        success("vector", [5]),
        success("vector", [{"metric": {}, "values": []}]),
        success("vector", [{"metric": {}, "value": {"1": 2}}]),
        success("vector", [{"metric": [], "value": [1, "1" * 5000]}] * 20_000),
        success("vector", "text"),
        success("scalar", None),
        success(["vector"], []),
        success("matrix", [{"metric": {}, "values": [["x", "1"]]}]),
        success("matrix", [{"metric": {}, "values": 7}]),
        success("matrix", [[1, 2]]),
    ],
    ids=lambda body: body[:70].decode(),
)
def test_whatever_is_answered_is_a_reason(body: bytes, httpserver: HTTPServer) -> None:
    for path in ("query", "query_range"):
        httpserver.expect_request(f"/api/v1/{path}").respond_with_data(body)
    with closing(client(httpserver)) as asker:
        with pytest.raises(QueryError):
            asker.number("n", NOW)
        with pytest.raises(QueryError):
            asker.series("n", NOW) if b"values" not in body else asker.number("n", NOW)
        with pytest.raises(QueryError):
            asker.numbers("n", start=NOW, end=NOW, step_s=1.0)


def test_a_past_at_no_moment_is_left_out(httpserver: HTTPServer) -> None:
    values = [["NaN", "1"], ["Infinity", "1"], [1e300, "1"], [NOW.timestamp(), "7"]]
    body = success("matrix", [{"metric": {}, "values": values}])
    httpserver.expect_request("/api/v1/query_range").respond_with_data(body)
    key = SignalKey("shop", "east", "errors")
    span = Span(end=NOW, interval_s=1.0, samples=3)
    with closing(client(httpserver)) as asker:
        past = read_past([(key, "n")], [key], asker, span, timeout_s=5.0, clock=SystemClock())

    assert (past.failed, past.rows[-1][0]) == ({}, 7.0)


def test_an_answer_byte_by_byte_is_not_waited_for(httpserver: HTTPServer) -> None:
    over = threading.Event()

    def drip() -> Iterator[bytes]:
        while not over.wait(0.02):
            yield b" "

    httpserver.expect_request("/api/v1/query").respond_with_handler(lambda _: Response(drip()))
    with closing(client(httpserver, timeout_s=0.1)) as asker:
        try:
            with pytest.raises(QueryError, match=r"within 0\.1 s"):
                asker.number("n", NOW)
        finally:
            over.set()


def test_a_packed_answer_is_not_unpacked(httpserver: HTTPServer) -> None:
    asked: list[str] = []

    def packed(request: Request) -> Response:
        asked.append(request.headers["Accept-Encoding"])
        body = gzip.compress(b" " * 20_000_000, 1)
        return Response(body, headers={"Content-Encoding": "gzip"})

    httpserver.expect_request("/api/v1/query").respond_with_handler(packed)
    with closing(client(httpserver)) as asker, pytest.raises(QueryError, match="packed"):
        asker.number("n", NOW)

    assert asked == ["identity"]


def test_the_words_of_an_engine_steer_no_terminal(httpserver: HTTPServer) -> None:
    error = {"status": "error", "error": "\x1b[2J\x9b1m\u202eno token=hunter2222 " + "x" * 9000}
    httpserver.expect_request("/api/v1/query").respond_with_json(error, status=503)
    with closing(client(httpserver)) as asker, pytest.raises(QueryError) as caught:
        asker.number("n", NOW)

    assert caught.value.message.isprintable()
    assert "hunter2222" not in caught.value.message
    assert len(caught.value.message) < 400
