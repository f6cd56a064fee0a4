"""Whom `http` trusts: a receiver with a real certificate of its own."""

import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast.actions.http_call import HttpCall
from holdfast.kernel.catalogue import Service
from holdfast.response.ports import ActionRequest, TargetUnreachableError
from tests.certificate_parts import own_certificate
from tests.io_parts import answering, catalogue, request

SERVICES = catalogue(Service(name="shop"))


def attempt(made: HttpCall) -> ActionRequest:
    params = {"call": "it"}
    return request("http", "shop", pre_image=made.observe("shop", params), params=params)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return own_certificate(tmp_path)


def test_a_receiver_with_a_certificate_that_nobody_trusts_is_sent_nothing(
    certificate: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    said: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as line:
            said.append(line.recv(65536))
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with answering(socket.AF_INET, ("127.0.0.1", 0), serve) as address:
        url = f"https://localhost:{address[1]}/"
        call = {"url": url, "method": "POST", "expect_status": [200]}
        stranger = HttpCall(SERVICES, {"it": call})
        known = HttpCall(SERVICES, {"it": {**call, "ca_file": str(certificate)}})
        with pytest.raises(TargetUnreachableError, match="nothing was sent"):
            stranger.perform(attempt(stranger))
        before = list(said)

        assert known.perform(attempt(known)).ok

    assert before == []
    assert said[0].startswith(b"POST / HTTP/1.1")
