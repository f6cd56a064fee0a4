"""Named requests to a real server on loopback, counted by the server."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from holdfast.actions.http_call import ANSWER_BYTES_MAX, HttpCall
from holdfast.kernel.catalogue import Service
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import answering, catalogue, read_and_cut, request

SERVICES = catalogue(
    Service(name="shop", regions=("north", "south")), Service(name="cdn"), Service(name="odd name")
)
TOKEN = "sesame-opens-it"


@dataclass(slots=True)
class Receiver:
    """What came in, and what is to be answered."""

    port: int = 0
    came: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    status: int = 200
    text: str = "{}"
    more: dict[str, str] = field(default_factory=dict)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def calls(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.came]


@pytest.fixture(scope="module")
def served() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.came.append((self.command, self.path, headers, body))
            self.send_response(receiver.status)
            for name, value in receiver.more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(receiver.text.encode())

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def receiver(served: Receiver) -> Receiver:
    served.came.clear()
    served.status, served.text, served.more = 200, "{}", {}
    return served


def call(receiver: Receiver, path: str = "/do", **more: object) -> dict[str, Any]:
    return {
        "url": receiver.url(path),
        "method": "POST",
        "headers": {},
        "expect_status": [200, 202],
        **more,
    }


def action(**calls: dict[str, Any]) -> HttpCall:
    return HttpCall(SERVICES, calls)


def attempt(made: HttpCall, target: str = "shop@north", **params: object) -> ActionRequest:
    params = {"call": "it", **params}
    seen = made.observe(target, params)
    return request("http", target, pre_image=seen, params=params, key="INC-1/S1/1")


def test_the_request_is_as_the_configuration_says_with_the_places_filled_in(
    receiver: Receiver,
) -> None:
    made = action(
        it=call(
            receiver,
            "/purge/${service}/${region}?by=${incident}",
            method="PUT",
            headers={"Authorization": f"Bearer {TOKEN}"},
            body={"who": "${service}", "deep": ["${region}", 1, None], "${service}": True},
        )
    )

    outcome = made.perform(attempt(made))

    [(method, path, headers, body)] = receiver.came
    assert (outcome.ok, outcome.effect, outcome.return_code) == (True, Effect.PRESENT, 200)
    assert (method, path) == ("PUT", "/purge/shop/north?by=INC-1")
    assert json.loads(body) == {"who": "shop", "deep": ["north", 1, None], "${service}": True}
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["content-type"] == "application/json"
    assert made.least_impact == "high"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, Repeatability.NONE),
        (
            {"probe": {"url": "http://127.0.0.1:1/", "expect_status": [200]}},
            Repeatability.PROBEABLE,
        ),
        ({"idempotency_header": "Idempotency-Key"}, Repeatability.IDEMPOTENT),
    ],
)
def test_each_call_declares_how_it_can_be_repeated(
    receiver: Receiver, more: dict[str, Any], kind: Repeatability
) -> None:
    made = action(it=call(receiver, **more))

    assert made.repeatability is kind
    assert made.observe("shop", {"call": "it"})["repeatability"] == kind.value


def test_the_strongest_call_is_the_best_and_each_says_its_own(receiver: Receiver) -> None:
    made = action(it=call(receiver), other=call(receiver, idempotency_header="Key"))

    assert made.repeatability is Repeatability.IDEMPOTENT
    assert attempt(made).pre_image["repeatability"] == "none"


@pytest.mark.promise("L8")
def test_a_receiver_that_takes_a_key_is_sent_the_same_one_again(receiver: Receiver) -> None:
    made = action(it=call(receiver, idempotency_header="Idempotency-Key"))
    asked = attempt(made)
    with cut_off(receiver) as port:
        lost = action(it={**made._calls["it"], "url": f"http://127.0.0.1:{port}/do"})
        with pytest.raises(LostReplyError, match="no usable answer"):
            lost.perform(replace(asked, pre_image=attempt(lost).pre_image))

    probed = made.probe(asked)
    made.perform(asked)
    made.perform(asked)

    assert probed.effect is Effect.ABSENT
    assert "as it did the first time" in probed.evidence
    assert [each[2]["idempotency-key"] for each in receiver.came] == ["INC-1/S1/1"] * 2


@contextmanager
def cut_off(_receiver: Receiver) -> Iterator[int]:
    with answering(socket.AF_INET, ("127.0.0.1", 0), read_and_cut) as address:
        yield address[1]


@pytest.mark.parametrize(
    ("place", "begins"),
    [("headers", b"HTTP/1.1 200 OK\r\nX-A: "), ("body", b"HTTP/1.1 200 OK\r\n\r\n")],
)
def test_a_receiver_that_dribbles_is_left_when_the_time_is_over(place: str, begins: bytes) -> None:
    over = threading.Event()

    def dribbles(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(begins)
        while not over.wait(0.02):
            connection.sendall(b"x")

    with answering(socket.AF_INET, ("127.0.0.1", 0), dribbles) as address:
        made = action(it={"url": f"http://127.0.0.1:{address[1]}/", "method": "POST",
                          "expect_status": [200]})  # fmt: skip
        asked = replace(attempt(made), timeout_s=0.2)
        began = time.monotonic()
        try:
            if place == "headers":
                with pytest.raises(LostReplyError, match=r"came back: none within 0\.2 s"):
                    made.perform(asked)
            else:
                assert made.perform(asked).output.endswith("[not complete]")
        finally:
            over.set()

    assert time.monotonic() - began < 3


def test_without_key_and_probe_a_lost_answer_stays_unknown(receiver: Receiver) -> None:
    made = action(it=call(receiver))

    assert made.probe(attempt(made)).effect is Effect.UNKNOWN


@pytest.mark.parametrize(
    ("status", "text", "effect"),
    [
        (200, '{"a": {"b": [1, "drained"]}}', Effect.PRESENT),
        (200, '{"a": {"b": [1, "ready"]}}', Effect.ABSENT),
        (200, '{"a": {"b": [1]}}', Effect.ABSENT),
        (200, "no JSON", Effect.ABSENT),
        (404, "", Effect.ABSENT),
        (500, "", Effect.UNKNOWN),
        (403, "", Effect.UNKNOWN),
    ],
)
def test_the_probe_tells_by_status_and_by_what_the_answer_holds(
    receiver: Receiver, status: int, text: str, effect: Effect
) -> None:
    probe = {
        "url": receiver.url("/state/${region}"),
        "expect_status": [200],
        "holds": {"/a/b/1": "drained"},
    }
    made = action(it=call(receiver, probe=probe))
    receiver.status = 404
    asked = attempt(made)
    receiver.status, receiver.text = status, text

    probed = made.probe(asked)
    reached = [each["reached"] for each in probed.data.get("planes", ())]

    assert asked.pre_image["before"] == "absent"
    assert asked.pre_image["planes"][0]["plane"] == f"http 127.0.0.1:{receiver.port} it"
    assert probed.effect is effect
    assert reached == ([] if effect is Effect.UNKNOWN else [effect is Effect.PRESENT])
    assert receiver.calls() == ["GET /state/north"] * 2


def test_an_effect_that_was_there_before_proves_nothing(receiver: Receiver) -> None:
    probe = {"url": receiver.url("/state"), "expect_status": [200]}
    made = action(it=call(receiver, probe=probe))

    probed = made.probe(attempt(made))

    assert probed.effect is Effect.UNKNOWN
    assert "so it did before" in probed.evidence


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        (202, Effect.PRESENT),
        (403, Effect.ABSENT),
        (422, Effect.ABSENT),
        (201, Effect.UNKNOWN),
        (302, Effect.UNKNOWN),
        (409, Effect.UNKNOWN),
        (500, Effect.UNKNOWN),
        (503, Effect.UNKNOWN),
    ],
)
def test_only_what_the_receiver_says_clearly_counts(
    receiver: Receiver, status: int, effect: Effect
) -> None:
    made = action(it=call(receiver))
    asked = attempt(made)
    receiver.status, receiver.text = status, "why"

    outcome = made.perform(asked)

    assert (outcome.effect, outcome.return_code, outcome.output) == (effect, status, "why")
    assert outcome.ok is (effect is Effect.PRESENT)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    made = action(it=call(receiver))
    asked = attempt(made)
    receiver.status, receiver.more = 307, {"Location": receiver.url("/elsewhere")}

    assert made.perform(asked).effect is Effect.UNKNOWN
    assert receiver.calls() == ["POST /do"]


def test_the_answer_is_bounded_and_has_no_secret_of_ours_in_it(receiver: Receiver) -> None:
    made = action(it=call(receiver, headers={"Authorization": f"Bearer {TOKEN}"}))
    asked = attempt(made)
    receiver.text = f"you sent {TOKEN} " + "x" * 2 * ANSWER_BYTES_MAX

    outcome = made.perform(asked)

    assert TOKEN not in outcome.output
    assert "[redacted]" in outcome.output
    assert len(outcome.output) < ANSWER_BYTES_MAX + 100


def test_neither_url_nor_header_is_in_any_message(receiver: Receiver) -> None:
    hidden = {"url": f"http://127.0.0.1:1/{TOKEN}", "headers": {"X-Api-Key": TOKEN}}
    made = action(it=call(receiver) | hidden)
    asked = attempt(made)

    with pytest.raises(TargetUnreachableError, match="nothing was sent") as error:
        made.perform(asked)

    assert TOKEN not in str(error.value) + str(asked.pre_image)


def test_a_body_that_is_too_long_is_not_sent(receiver: Receiver) -> None:
    made = action(it=call(receiver, body={"x": "y" * 300_000}))

    with pytest.raises(BadInputError, match="write at most"):
        attempt(made)


def test_a_call_that_was_changed_since_is_not_sent(receiver: Receiver) -> None:
    asked = attempt(action(it=call(receiver)))
    changed = action(it=call(receiver, "/other"))

    assert changed.perform(asked).error_category == "changed_meanwhile"
    assert changed.probe(asked).effect is Effect.UNKNOWN
    assert receiver.came == []


def test_undo_is_another_call_with_a_key_of_its_own(receiver: Receiver) -> None:
    made = action(
        it=call(receiver, "/on", undo="off"),
        off=call(receiver, "/off", method="DELETE", idempotency_header="Key"),
    )
    asked = attempt(made)

    assert made.undo(asked).ok
    assert receiver.calls() == ["DELETE /off"]
    assert receiver.came[0][2]["key"] == "INC-1/S1/1/undo"
    assert asked.pre_image["reversible"] == "call off"
    assert action(it=call(receiver)).undo(asked).error_category == "not_reversible"


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {"call": "it"}, "target"),
        ("shop@east", {"call": "it"}, "target"),
        ("shop@north", {}, "params.call"),
        ("shop@north", {"call": "other"}, "params.call"),
        ("shop@north", {"call": "it", "url": "http://elsewhere"}, "params.url"),
        ("shop@north", {"call": "it", "values": "x"}, "params.values"),
        ("shop@north", {"call": "it", "values": {"host": "x"}}, "params.values.host"),
        ("shop@north", {"call": "it", "values": {"service": "cdn"}}, "params.values.service"),
        ("shop@north", {"call": "it", "values": {"region": "south"}}, "params.values.region"),
        ("shop", {"call": "it", "values": {"region": "east"}}, "params.values.region"),
        ("odd name", {"call": "it"}, "params.values.service"),
        ("shop@north", {"call": "it", "values": {"incident": "../x"}}, "params.values.incident"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    receiver: Receiver, target: str, params: dict[str, object], field: str
) -> None:
    made = action(it=call(receiver, "/${region}/${service}"))

    with pytest.raises(BadInputError) as refused:
        made.observe(target, params)
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        made.perform(request("http", target, params=params))

    assert refused.value.field == field
    assert receiver.came == []


def test_a_region_that_the_runbook_gives_completes_a_whole_service(receiver: Receiver) -> None:
    made = action(it=call(receiver, "/${region}"))
    with pytest.raises(BadInputError, match=r"needs \$\{region\}"):
        attempt(made, "shop")

    assert made.perform(attempt(made, "shop", values={"region": "south"})).ok
    assert receiver.calls() == ["POST /south"]
