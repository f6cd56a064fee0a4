"""Receivers of signed heads: real HTTP, real files, and no address in any message."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from holdfast.app.head_receivers import ReceiverError, receivers
from holdfast.app.models import ExportModel
from holdfast.ledger.heads import HeadSigner, head_line, new_private_pem
from holdfast.response.store import HeadMark
from tests.ledger.ledger_parts import START

SIGNER = HeadSigner(new_private_pem())


def row(incident_id: str = "INC-1", seq: int = 3) -> str:
    mark = HeadMark(incident_id=incident_id, seq=seq, head=bytes(32))
    return head_line(SIGNER.sign(mark, START)).decode()


def test_a_webhook_is_posted_the_heads_with_its_token(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    seen: list[Request] = []

    def take(request: Request) -> Response:
        seen.append(request)
        return Response(status=204)

    httpserver.expect_request("/in", method="POST").respond_with_handler(take)
    (webhook,) = receivers(
        [ExportModel(webhook=httpserver.url_for("/in"), token="t0ken")], tmp_path
    )
    webhook.deliver([row(), row(seq=4)])

    (request,) = seen
    assert [h["seq"] for h in json.loads(request.data)["heads"]] == [3, 4]
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["Idempotency-Key"]


def test_an_object_store_gets_one_small_object_for_each_head(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    stored: dict[str, Any] = {}

    def take(request: Request) -> Response:
        stored[request.full_path] = request.json
        return Response(status=200)

    for path in ("/bucket/heads/INC-1/3.json", "/bucket/heads/_system/7.json"):
        httpserver.expect_request(path, method="PUT").respond_with_handler(take)
    url = httpserver.url_for("/bucket/heads/") + "?signature=s3cret"
    (store,) = receivers([ExportModel(object_store=url)], tmp_path)
    store.deliver([row(), row("_system", 7)])

    assert list(stored) == [
        "/bucket/heads/INC-1/3.json?signature=s3cret",
        "/bucket/heads/_system/7.json?signature=s3cret",
    ]
    assert stored["/bucket/heads/INC-1/3.json?signature=s3cret"] == json.loads(row())


@pytest.mark.parametrize("kind", ["webhook", "object_store"])
@pytest.mark.parametrize("answer", [500, 403, 302, None], ids=str)
def test_what_is_not_taken_is_an_error_that_shows_no_address(
    kind: str, answer: int | None, httpserver: HTTPServer, tmp_path: Path
) -> None:
    httpserver.expect_request("/s3cret-path").respond_with_data("no", status=answer or 200)
    httpserver.expect_request("/s3cret-path/INC-1/3.json").respond_with_data(
        "no", status=answer or 200
    )
    url = httpserver.url_for("/s3cret-path")
    if answer is None:
        url = "http://s3cret-user:s3cret@127.0.0.1:9/s3cret-path"
    (receiver,) = receivers([ExportModel.model_validate({kind: url, "token": "s3cret"})], tmp_path)
    with pytest.raises(ReceiverError) as error:
        receiver.deliver([row()])

    assert "127.0.0.1" in error.value.message or "localhost" in error.value.message
    assert (str(answer) if answer else "can't be reached") in error.value.message
    for text in (error.value.message, receiver.shown, receiver.key):
        assert "s3cret" not in text


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"file": "a", "webhook": "http://h/x"},
        {"file": "a", "token": "t"},
        {"webhook": "ftp://x"},
    ],
    ids=str,
)
def test_an_entry_names_exactly_one_place(entry: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ExportModel.model_validate(entry)


def test_a_receiver_is_known_again_by_its_place(tmp_path: Path) -> None:
    make: Callable[[str], str] = lambda name: receivers([ExportModel(file=name)], tmp_path)[0].key  # noqa: E731

    assert make("a") == make("a") != make("b")
