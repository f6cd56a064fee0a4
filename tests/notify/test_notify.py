import io
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import stamina
from pytest_httpserver import HTTPServer

from holdfast.kernel.catalogue import Contact
from holdfast.kernel.errors import BadInputError
from holdfast.notify import ConsoleChannel, Delivery, Notifier, Page, WebhookChannel, paged_data
from tests.io_parts import answering, read_and_hang

DANA = Contact(id="dana", name="Dana Okoye", role="on-call", page=("console", "webhook"))


@pytest.fixture(autouse=True)
def _no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def page(**changes: object) -> Page:
    facts: dict[str, object] = {
        "incident_id": "INC-12",
        "title": "errors of api rose to 33 %",
        "severity": "critical",
        "to": DANA,
        "level": 1,
        "why": "the first page of this incident",
        "packet_markdown": "# What is known\n\nThe link was put back; errors did not fall.",
        "packet": {"checks": {"dsn": "postgresql://reader:hunter2@store/orders"}},
        "idempotency_key": "INC-12/page/1",
    }
    return Page(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_webhook_gets_the_page_as_json_with_its_key_and_without_secrets(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request("/page", method="POST").respond_with_data("thanks")

    delivery = WebhookChannel(httpserver.url_for("/page")).send(page())

    sent = httpserver.log[0][0]
    body = json.loads(sent.get_data())
    assert delivery.delivered
    assert sent.headers["Idempotency-Key"] == "INC-12/page/1"
    assert sent.headers["Content-Type"] == "application/json"
    assert body["to"] == {"id": "dana", "name": "Dana Okoye"}
    assert set(body) == {
        "incident_id", "title", "severity", "to", "level", "why", "packet_markdown", "packet",
    }  # fmt: skip
    assert "hunter2" not in sent.get_data(as_text=True)


def test_a_page_goes_out_whatever_its_packet_holds(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/page").respond_with_data("")
    odd = {"ratio": float("nan"), "at": datetime(2026, 11, 20, tzinfo=UTC), "regions": ("a", "b")}

    delivery = WebhookChannel(httpserver.url_for("/page")).send(page(packet=odd))

    assert delivery.delivered
    assert httpserver.log[0][0].get_json()["packet"] == {
        "ratio": None,
        "at": "2026-11-20 00:00:00+00:00",
        "regions": ["a", "b"],
    }


def test_a_5xx_is_tried_again_with_the_same_key(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/page").respond_with_data("", status=503)
    httpserver.expect_ordered_request("/page").respond_with_data("", status=202)

    delivery = WebhookChannel(httpserver.url_for("/page")).send(page())

    assert delivery.delivered
    assert {request.headers["Idempotency-Key"] for request, _ in httpserver.log} == {
        "INC-12/page/1"
    }


def test_a_receiver_that_stays_broken_is_asked_three_times_and_reported(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request("/page").respond_with_data("", status=500)

    delivery = WebhookChannel(httpserver.url_for("/page")).send(page())

    assert not delivery.delivered
    assert "answered 500, 3 times" in delivery.detail
    assert len(httpserver.log) == 3


@pytest.mark.parametrize("status", [302, 400, 404])
def test_a_refusal_or_a_redirect_is_not_delivered_and_not_tried_again(
    status: int, httpserver: HTTPServer
) -> None:
    elsewhere = {"Location": httpserver.url_for("/elsewhere")}
    httpserver.expect_request("/page").respond_with_data("", status=status, headers=elsewhere)

    delivery = WebhookChannel(httpserver.url_for("/page")).send(page())

    assert not delivery.delivered
    assert len(httpserver.log) == 1


def test_a_receiver_that_hangs_is_asked_once_as_the_page_may_have_arrived() -> None:
    asked = []

    def hang(connection: socket.socket) -> None:
        asked.append(connection)
        read_and_hang(connection)

    with answering(socket.AF_INET, ("127.0.0.1", 0), hang) as (host, port):
        delivery = WebhookChannel(f"http://{host}:{port}/", timeout_s=0.2).send(page())

    assert not delivery.delivered
    assert delivery.detail.endswith("no answer within 0.2 s; it may have arrived")
    assert len(asked) == 1


def test_a_url_that_carries_a_secret_is_never_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    delivery = WebhookChannel(f"http://127.0.0.1:{port}/services/T0/secret-path").send(page())

    assert not delivery.delivered
    assert "can't be reached" in delivery.detail
    assert "secret-path" not in delivery.detail
    with pytest.raises(BadInputError) as caught:
        WebhookChannel("ftp://chat/secret-path")
    assert "secret-path" not in caught.value.message


def test_the_console_shows_a_framed_page() -> None:
    stream = io.StringIO()

    delivery = ConsoleChannel(stream).send(page())

    lines = stream.getvalue().splitlines()
    assert delivery.delivered
    assert lines[1] == "│ " + "PAGE critical: errors of api rose to 33 %".ljust(76) + " │"
    assert {len(line) for line in lines[: lines.index("└" + "─" * 78 + "┘") + 1]} == {80}
    assert lines[-1] == "The link was put back; errors did not fall."


def test_a_page_cannot_send_orders_to_the_terminal() -> None:
    stream = io.StringIO()

    ConsoleChannel(stream).send(page(title="\x1b[2Jgone", packet_markdown="a\x1b]0;x\x07b"))

    assert "\x1b" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()


def test_a_console_that_is_closed_is_not_delivered() -> None:
    stream = io.StringIO()
    stream.close()

    assert not ConsoleChannel(stream).send(page()).delivered


class Broken:
    """A channel that fails as no channel should."""

    name = "console"

    def send(self, page: Page) -> Delivery:
        raise RuntimeError(f"token=abcdefgh12345678 expired, {page.incident_id} is not sent")


def test_a_channel_that_breaks_does_not_stop_the_other(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/page").respond_with_data("")

    deliveries = Notifier([Broken(), WebhookChannel(httpserver.url_for("/page"))]).page(page())

    assert [(d.channel, d.delivered) for d in deliveries] == [("console", False), ("webhook", True)]
    assert deliveries[0].detail == "RuntimeError: token=[redacted] expired, INC-12 is not sent"


def test_a_channel_that_does_not_exist_is_named_with_the_known_ones() -> None:
    deliveries = Notifier([ConsoleChannel(io.StringIO())]).page(page())

    assert [d.delivered for d in deliveries] == [True, False]
    assert deliveries[1].detail == "no channel 'webhook' is configured; known: console"


def test_what_is_recorded_of_a_page_says_whether_it_reached_anybody() -> None:
    nobody = Notifier([]).page(page())

    data = paged_data(page(), nobody)

    assert data["delivered"] is False
    assert data["to"] == {"id": "dana", "name": "Dana Okoye"}
    assert [d["channel"] for d in data["deliveries"]] == ["console", "webhook"]
