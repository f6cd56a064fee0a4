"""Against a real Prometheus, and against engines that answer as only an ill one would."""

import base64
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from holdfast.kernel.catalogue import Catalogue, Service, SignalForm, SignalKey, SignalSpec
from holdfast.kernel.clock import SystemClock
from holdfast.sources import (
    EngineError,
    PrometheusClient,
    PrometheusQueries,
    PrometheusSettings,
    QueryError,
    Scraper,
    ScrapeRow,
    Span,
    backfill_queries,
    read_past,
)
from tests.prometheus_parts import knowing

INTERVAL_S = 1.0
LOOKBACK_S = 1.75
ENDED = 20  # seconds ago


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, datetime]]:
    series = {
        'n_total{region="north"}': lambda age: 2.0 * (1000 - age),
        'n_total{region="south"}': lambda age: 3.0 * (1000 - age),
        'gone_total{region="north"}': lambda age: 5.0 * (1000 - age) if age >= ENDED else None,
        "odd": lambda _age: nan,
    }
    folder: Path = tmp_path_factory.mktemp("engine")
    with knowing(folder, series, past=range(120, -1, -1)) as (server, now):
        yield server.url, datetime.fromtimestamp(now, UTC)


def client(url: str, *, timeout_s: float = 5.0, **more: Any) -> PrometheusClient:  # noqa: ANN401
    settings = PrometheusSettings(url=url, timeout_s=timeout_s, lookback_s=LOOKBACK_S, **more)
    return PrometheusClient(settings)


def catalogue(*regions: str, **queries: str) -> Catalogue:
    signals = {
        name: SignalSpec(form=SignalForm.QUERY, metrics=(text,)) for name, text in queries.items()
    }
    return Catalogue(services={"shop": Service(name="shop", regions=regions, signals=signals)})


class At(SystemClock):
    """The machine's clock, with a fixed time of day."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


def tick(url: str, known: Catalogue, at: datetime, *, timeout_s: float = 5.0) -> ScrapeRow:
    clock = At(at)
    queries = PrometheusQueries(
        known, client(url, timeout_s=timeout_s), timeout_s=timeout_s, clock=clock
    )
    scraper = Scraper(known, timeout_s=timeout_s, clock=clock, queries=queries)
    try:
        return scraper.tick()
    finally:
        scraper.close()


def reading(row: ScrapeRow, known: Catalogue, region: str, signal: str) -> float:
    return float(row.values[known.series().index(SignalKey("shop", region, signal))])


def test_each_region_reads_its_own_number_as_of_the_ticks_time(
    engine: tuple[str, datetime],
) -> None:
    url, now = engine
    known = catalogue(
        "north", "south", traffic='sum(rate(n_total{region="{region}"}[10s]))', clock="time()"
    )

    row = tick(url, known, now)

    assert reading(row, known, "north", "traffic") == pytest.approx(2.0)
    assert reading(row, known, "south", "traffic") == pytest.approx(3.0)
    assert reading(row, known, "north", "clock") == now.timestamp()
    assert (row.gaps, row.engine, row.failures) == ({}, None, ())
    assert all(key.signal != "up" for key in known.series())


def test_what_is_not_one_number_is_a_gap_with_its_reason(engine: tuple[str, datetime]) -> None:
    url, now = engine
    known = catalogue(
        "north",
        many="n_total",
        none="nobody",
        range="n_total[10s]",
        broken="sum(",
        odd="odd",
        over="sum(n_total) / 0",
    )

    row = tick(url, known, now)

    told = {key.signal: reason for key, reason in row.gaps.items()}
    assert told["many"].startswith("answered 2 series; aggregate it to one")
    assert told["none"].startswith("answered no series with a fresh sample")
    assert told["range"].startswith("answered a matrix, not a number")
    assert told["broken"].startswith("refused the query (")
    assert "parse error" in told["broken"]
    assert set(told) == {"many", "none", "range", "broken"}
    assert np.isnan(row.values).all()
    assert row.engine is None


def test_a_service_may_be_scraped_in_one_region_and_asked_about_in_all(
    engine: tuple[str, datetime], httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/metrics").respond_with_data("mem 7\n")
    url, now = engine
    shop = Service(
        name="shop",
        regions=("north", "south"),
        scrape={"north": httpserver.url_for("/metrics")},
        signals={
            "memory": SignalSpec(form=SignalForm.GAUGE, metrics=("mem",)),
            "count": SignalSpec(form=SignalForm.QUERY, metrics=('n_total{region="{region}"}',)),
        },
    )
    known = Catalogue(services={"shop": shop})

    row = tick(url, known, now)

    assert {
        str(key): float(value) for key, value in zip(known.series(), row.values, strict=True)
    } == {
        "memory of shop in north": 7.0,
        "count of shop in north": 2000.0,
        "up of shop in north": 1.0,
        "count of shop in south": 3000.0,
    }


@pytest.mark.parametrize(
    "query",
    ["gone_total", "sum(rate(gone_total[1m]))", "sum(rate(gone_total[1m])) / sum(gone_total)"],
)
def test_a_series_that_ended_is_a_gap_two_intervals_later(
    query: str, engine: tuple[str, datetime]
) -> None:
    url, now = engine
    known = catalogue("north", traffic=query)
    ended = now - timedelta(seconds=ENDED)

    before = tick(url, known, ended + timedelta(seconds=INTERVAL_S))
    after = tick(url, known, ended + timedelta(seconds=2 * INTERVAL_S))

    assert not isnan(reading(before, known, "north", "traffic"))
    assert isnan(reading(after, known, "north", "traffic"))


def test_an_engine_that_does_not_answer_is_trouble_and_says_nothing_of_a_service() -> None:
    known = catalogue("north", errors="n", traffic="m")

    row = tick("http://127.0.0.1:1", known, datetime.now(UTC))

    assert row.engine is not None
    assert row.engine.startswith("can't be reached (")
    assert (row.gaps, row.failures) == ({}, ())
    assert np.isnan(row.values).all()


def test_an_engine_that_hangs_delays_no_tick(httpserver: HTTPServer) -> None:
    over = threading.Event()

    def hang(_: Request) -> Response:
        over.wait(10)
        return Response(status=500)

    httpserver.expect_request("/api/v1/query").respond_with_handler(hang)
    try:
        row = tick(
            httpserver.url_for(""), catalogue("north", a="n"), datetime.now(UTC), timeout_s=0.3
        )
    finally:
        over.set()

    assert row.engine == ("gave no answer within 0.3 s; check that it runs and is not overloaded")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (200, {"status": "success", "isPartial": True, "data": {}}, QueryError, "only a part"),
        (200, {"status": "success", "data": {"resultType": "string"}}, QueryError, "a string"),
        (
            200,
            {
                "status": "success",
                "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]},
            },
            QueryError,
            "histogram_quantile",
        ),
        (503, {"status": "error", "error": "shutting down"}, EngineError, "(shutting down)"),
        (401, {}, EngineError, "token, user and password"),
        (404, {}, EngineError, "before /api/v1"),
        (200, [], EngineError, "before /api/v1"),
        (502, {}, EngineError, "HTTP 502"),
    ],
)
def test_an_answer_that_is_none_is_told_as_what_it_is(
    status: int, body: object, kind: type[QueryError], words: str, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/api/v1/query").respond_with_json(body, status=status)

    with closing(client(httpserver.url_for(""))) as asker, pytest.raises(QueryError) as caught:
        asker.number("n", datetime.now(UTC))

    assert type(caught.value) is kind
    assert words in caught.value.message


def test_we_say_who_asks_and_take_no_partial_answer(httpserver: HTTPServer) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        return Response(
            '{"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}}'
        )

    httpserver.expect_request("/api/v1/query").respond_with_handler(answer)
    now, url = datetime.now(UTC), httpserver.url_for("")

    with closing(client(url, token="secret")) as asker:
        assert asker.number("n", now) == 7.0
    tenant = {"X-Scope-OrgID": "a"}
    with closing(client(url, user="ann", password="pw", headers=tenant)) as asker:
        assert asker.number("n + " * 900 + "n", now) == 7.0

    first, second = seen
    assert first.headers["Authorization"] == "Bearer secret"
    assert first.args["partial_response"] == "false"
    assert first.args["deny_partial_response"] == "1"
    assert first.args["lookback_delta"] == "1750ms"
    assert second.headers["Authorization"] == "Basic " + base64.b64encode(b"ann:pw").decode()
    assert second.headers["X-Scope-OrgID"] == "a"
    assert (first.method, second.method) == ("GET", "POST")


def test_the_past_is_laid_out_by_time_with_its_gaps_and_what_fails_is_named(
    engine: tuple[str, datetime],
) -> None:
    url, now = engine
    known = catalogue("north", traffic="sum(n_total)", gone="sum(gone_total)", broken="sum(")
    span = Span(end=now, interval_s=1.0, samples=60)
    asked = tuple(backfill_queries(known))

    with closing(client(url)) as asker:
        past = read_past(asked, known.series(), asker, span, timeout_s=5.0, clock=SystemClock())

    traffic, gone, broken = past.rows.T
    assert past.times[-1] == now.timestamp()
    assert np.diff(past.times) == pytest.approx(1.0)
    assert traffic[-1] == pytest.approx(5000.0)
    assert traffic[0] == pytest.approx(5.0 * (1000 - 59))
    assert np.isfinite(gone).tolist() == [True] * 41 + [False] * 19
    assert np.isnan(broken).all()
    assert past.filled == 2
    assert [key.signal for key in past.failed] == ["broken"]


def test_what_is_scraped_may_have_a_query_for_its_past() -> None:
    spec = SignalSpec(form=SignalForm.GAUGE, metrics=("mem",), backfill='mem{r="{region}"}')
    shop = Service(
        name="shop", regions=("a", "b"), scrape={"a": "http://x/metrics"}, signals={"mem": spec}
    )

    assert list(backfill_queries(Catalogue(services={"shop": shop}))) == [
        (SignalKey("shop", "a", "mem"), 'mem{r="a"}')
    ]
    assert [key.signal for key in shop.series()] == ["mem", "up"]
