"""A page counts when it arrived, once for each key."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from holdfast.sandbox.pager import Pager


@pytest.fixture
def pager() -> Iterator[Pager]:
    with Pager() as running:
        yield running


def post(pager: Pager, body: bytes, key: str | None = None) -> int:
    parts = urlsplit(pager.url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    try:
        connection.request("POST", parts.path, body, {"Idempotency-Key": key} if key else {})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_page_that_arrived_is_counted_and_kept(pager: Pager) -> None:
    assert post(pager, json.dumps({"incident_id": "INC-1"}).encode(), "INC-1/1") == 204
    assert pager.pages == ({"incident_id": "INC-1"},)


def test_the_same_page_delivered_twice_is_one_page(pager: Pager) -> None:
    for _ in range(2):
        post(pager, b'{"level": 1}', "INC-1/1")
    post(pager, b'{"level": 2}', "INC-1/2")
    assert [page["level"] for page in pager.pages] == [1, 2]
    assert pager.deliveries == 3


def test_pages_without_a_key_count_each(pager: Pager) -> None:
    for _ in range(2):
        post(pager, b"{}")
    assert len(pager.pages) == 2


@pytest.mark.parametrize(("body", "status"), [(b"hello", 400), (b"", 413)])
def test_what_is_no_page_is_refused_and_not_counted(pager: Pager, body: bytes, status: int) -> None:
    assert post(pager, body) == status
    assert pager.pages == ()


def test_a_closed_pager_takes_no_page() -> None:
    pager = Pager()
    pager.close()
    with pytest.raises(ConnectionRefusedError):
        post(pager, b"{}")
