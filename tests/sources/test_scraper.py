import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isnan

from pytest_httpserver import HTTPServer

from holdfast.kernel.catalogue import Catalogue, Service, SignalForm, SignalKey, SignalSpec
from holdfast.sources import Scraper, ScrapeRow

SIGNALS = {
    "traffic": SignalSpec(form=SignalForm.RATE, metrics=("n_total",)),
    "memory": SignalSpec(form=SignalForm.GAUGE, metrics=("memory_bytes",)),
}


def catalogue(**urls: str) -> Catalogue:
    return Catalogue(
        services={
            name: Service(name=name, regions=("north",), scrape={"north": url}, signals=SIGNALS)
            for name, url in urls.items()
        }
    )


@contextmanager
def scraping(timeout_s: float = 5.0, /, **urls: str) -> Iterator[Scraper]:
    scraper = Scraper(catalogue(**urls), timeout_s=timeout_s)
    try:
        yield scraper
    finally:
        scraper.close()


@contextmanager
def answering(speak: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A target that accepts and then does as `speak` says, until the end of the test."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(4096)
                    speak(connection, over)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def hang(_: socket.socket, over: threading.Event) -> None:
    over.wait(30)


def dribble(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"#")


def reading(scraper: Scraper, row: ScrapeRow, service: str, signal: str) -> float:
    return float(row.values[scraper.keys.index(SignalKey(service, "north", signal))])


def test_a_target_gives_its_signals_and_up(httpserver: HTTPServer) -> None:
    for count in (10, 40):
        httpserver.expect_ordered_request("/metrics").respond_with_data(
            f"n_total {count}\nmemory_bytes 7\n"
        )
    with scraping(shop=httpserver.url_for("/metrics")) as scraper:
        first, second = scraper.tick(), scraper.tick()

        assert reading(scraper, first, "shop", "memory") == 7.0
        assert reading(scraper, first, "shop", "up") == 1.0
        assert isnan(reading(scraper, first, "shop", "traffic"))
        assert reading(scraper, second, "shop", "traffic") > 0
        assert second.failures == ()


def test_a_failed_scrape_is_a_reading_with_its_reason(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/login").respond_with_data("<html>", content_type="text/html")
    httpserver.expect_request("/gone").respond_with_data("", status=404)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/metrics"
    urls = {
        "login": httpserver.url_for("/login"),
        "gone": httpserver.url_for("/gone"),
        "nobody": nobody,
        "odd": "gopher://there",
    }
    with scraping(5.0, **urls) as scraper:
        row = scraper.tick()

        reasons = {f.service: f.reason for f in row.failures}
        assert reasons["login"].startswith("answered HTML, not metrics")
        assert reasons["gone"].startswith("answered HTTP 404, not metrics; point `scrape`")
        assert reasons["nobody"].startswith("can't be reached (")
        assert reasons["odd"].startswith("has an address that can't be used")
        for name in urls:
            assert reading(scraper, row, name, "up") == 0.0
            assert isnan(reading(scraper, row, name, "memory"))


def test_a_target_that_hangs_delays_nobody_and_is_asked_once_at_a_time(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request("/metrics").respond_with_data("n_total 1\nmemory_bytes 7\n")
    asked = []

    def count(connection: socket.socket, over: threading.Event) -> None:
        asked.append(connection)
        hang(connection, over)

    with (
        answering(count) as url,
        scraping(0.4, stuck=url, shop=httpserver.url_for("/metrics")) as scraper,
    ):
        started = time.monotonic()
        rows = [scraper.tick()]
        assert time.monotonic() - started < 3.0
        rows.append(scraper.tick())

        for row in rows:
            assert reading(scraper, row, "shop", "up") == 1.0
            assert reading(scraper, row, "stuck", "up") == 0.0
            (failure,) = row.failures
            assert "gave no answer within 0.4 s" in str(failure)
        assert len(asked) <= 2


def test_a_target_that_dribbles_is_cut_off() -> None:
    with answering(dribble) as url, scraping(0.3, slow=url) as scraper:
        row = scraper.tick()

        assert reading(scraper, row, "slow", "up") == 0.0
        (failure,) = row.failures
        assert "0.3 s; check that" in failure.reason


def test_a_target_that_sends_without_end_is_cut_off() -> None:
    def flood(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"up 1\n" * 20_000)

    with answering(flood) as url, scraping(20.0, shop=url) as scraper:
        (failure,) = scraper.tick().failures

        assert failure.reason.startswith("answered more than 5 MB")


def test_a_million_lines_are_refused_and_not_read_in_part(httpserver: HTTPServer) -> None:
    body = "memory_bytes 7\n" + "a 1\n" * 1_000_000
    httpserver.expect_request("/metrics").respond_with_data(body)
    with scraping(20.0, shop=httpserver.url_for("/metrics")) as scraper:
        row = scraper.tick()

        assert row.failures[0].reason.startswith("answered more than 50,000 samples")
        assert isnan(reading(scraper, row, "shop", "memory"))


def test_a_platform_without_targets_has_an_empty_row() -> None:
    with scraping() as scraper:
        assert len(scraper.tick().values) == 0
