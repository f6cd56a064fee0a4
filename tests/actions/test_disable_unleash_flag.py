"""Turning a flag of a real Unleash off and on, counted by its own log of events."""

import itertools
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.actions.disable_flag import DisableFlag
from holdfast.app.doctor import examine
from holdfast.app.installation import load_installation
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.certificate_parts import own_certificate
from tests.io_parts import answering, catalogue, request
from tests.real_parts import Postgres
from tests.surface import installed
from tests.unleash_parts import ENVIRONMENT, Unleash, started_unleash

pytestmark = pytest.mark.timeout(400)  # npm, the first time
NUMBERS = itertools.count()
OFF = "feature-environment-disabled"


@pytest.fixture(scope="module")
def unleash(postgres: Postgres) -> Iterator[Unleash]:
    with started_unleash(postgres) as server:
        yield server


@pytest.fixture
def flag(unleash: Unleash) -> str:
    name = f"prices-{next(NUMBERS)}"
    unleash.make_flag(name)
    return name


def described(server: Unleash, flag: str, **more: object) -> Catalogue:
    place: dict[str, Any] = {
        "url": server.url, "token": server.token, "project": "default",
        "environment": ENVIRONMENT, **more,
    }  # fmt: skip
    return catalogue(Service(name="shop", control={"flags": {"unleash": place, "allowed": [flag]}}))


def attempt(disable: DisableFlag, key: str = "INC-1/s/1") -> ActionRequest:
    return request("disable_flag", "shop", pre_image=disable.observe("shop", {}), key=key)


@contextmanager
def without_the_answer(server: Unleash, word: bytes) -> Iterator[str]:
    """Give an address by which a request that holds `word` arrives, and its answer does not."""
    port = int(server.url.rpartition(":")[2])

    def serve(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as behind:
            asked = connection.recv(65536)
            behind.sendall(asked)
            answer = behind.recv(65536)
            if word not in asked:
                connection.sendall(answer)
                behind.settimeout(0.2)
                with suppress(TimeoutError):
                    while more := behind.recv(65536):
                        connection.sendall(more)
            connection.shutdown(socket.SHUT_RDWR)

    with answering(socket.AF_INET, ("127.0.0.1", 0), serve) as where:
        yield f"http://127.0.0.1:{where[1]}"


def test_a_flag_is_turned_off_and_the_server_counts_one_change(unleash: Unleash, flag: str) -> None:
    token = unleash.token_of("Editor")
    disable = DisableFlag(described(unleash, flag, token=token))
    asked = attempt(disable)

    outcome, again = disable.perform(asked), disable.perform(asked)
    probed = disable.probe(asked)

    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert not unleash.is_on(flag)
    assert again.error_category == "changed_meanwhile"
    assert unleash.happened(flag).count(OFF) == 1
    assert asked.pre_image["repeatability"] == Repeatability.PROBEABLE.value
    plane = {"plane": f"unleash default/{flag} in production", "now": "on", "intended": "off"}
    assert asked.pre_image["planes"] == [plane]
    assert probed.effect is Effect.PRESENT
    assert probed.data["planes"] == [{**plane, "now": "off", "reached": True}]
    assert token not in str(asked.pre_image) + outcome.summary


def test_undo_turns_it_on_again_once(unleash: Unleash, flag: str) -> None:
    disable = DisableFlag(described(unleash, flag))
    asked = attempt(disable)
    before = disable.undo(asked)
    disable.perform(asked)

    first, second = disable.undo(asked), disable.undo(asked)

    assert before.error_category == "nothing_to_undo"
    assert first.ok
    assert unleash.is_on(flag)
    assert (second.error_category, second.effect) == ("changed_since", Effect.ABSENT)
    assert disable.probe(asked).effect is Effect.UNKNOWN  # off, and on again


def test_what_somebody_changed_since_the_look_is_left_alone(unleash: Unleash, flag: str) -> None:
    disable = DisableFlag(described(unleash, flag))
    turned, edited = attempt(disable), attempt(disable)
    unleash.turn(flag, "off")
    unleash.turn(flag, "on")

    late = disable.perform(turned)
    edited = attempt(disable)
    add_strategy(unleash, flag)
    stale = disable.perform(edited)

    assert late.error_category == stale.error_category == "changed_meanwhile"
    assert unleash.is_on(flag)


def test_undo_leaves_alone_what_somebody_changed_since(unleash: Unleash, flag: str) -> None:
    disable = DisableFlag(described(unleash, flag))
    asked = attempt(disable)
    disable.perform(asked)
    add_strategy(unleash, flag)

    assert disable.undo(asked).error_category == "changed_since"
    assert not unleash.is_on(flag)

    again = attempt(disable)
    assert disable.perform(again).error_category == "nothing_to_do"
    assert again.pre_image["planes"] == []


def add_strategy(server: Unleash, flag: str) -> None:
    path = f"projects/default/features/{flag}/environments/{ENVIRONMENT}/strategies"
    server.ask("POST", path, {"name": "default", "parameters": {}})


def test_a_lost_answer_is_in_doubt_and_the_probe_sees_the_effect(
    unleash: Unleash, flag: str
) -> None:
    with without_the_answer(unleash, b"/off ") as url:
        cut = DisableFlag(described(unleash, flag, url=url))
        asked = attempt(cut)
        with pytest.raises(LostReplyError, match="no usable answer"):
            cut.perform(asked)
        probed = cut.probe(asked)

    assert probed.effect is Effect.PRESENT
    assert not unleash.is_on(flag)


def test_a_certificate_that_nobody_trusts_is_not_spoken_with(
    unleash: Unleash, flag: str, tmp_path: Path
) -> None:
    certificate = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(connection: socket.socket) -> None:
        port = int(unleash.url.rpartition(":")[2])
        with (
            suppress(ssl.SSLError),
            context.wrap_socket(connection, server_side=True) as line,
            socket.create_connection(("127.0.0.1", port)) as behind,
        ):
            behind.sendall(line.recv(65536).replace(b"keep-alive", b"close"))
            while answer := behind.recv(65536):
                line.sendall(answer)

    with answering(socket.AF_INET, ("127.0.0.1", 0), serve) as where:
        url = f"https://localhost:{where[1]}"
        stranger = DisableFlag(described(unleash, flag, url=url)).observe("shop", {})
        known = DisableFlag(described(unleash, flag, url=url, ca_file=str(certificate)))
        done = known.perform(attempt(known))

    assert "CERTIFICATE_VERIFY_FAILED" in stranger["why"]
    assert done.ok
    assert not unleash.is_on(flag)


def test_one_who_may_only_look_is_refused_and_nothing_changes(unleash: Unleash, flag: str) -> None:
    token = unleash.token_of("Viewer")
    disable = DisableFlag(described(unleash, flag, token=token))

    outcome = disable.perform(attempt(disable))

    assert (outcome.error_category, outcome.effect) == ("refused", Effect.ABSENT)
    assert "403" in outcome.summary
    assert token not in outcome.summary
    assert unleash.is_on(flag)


def test_what_is_not_there_or_may_not_be_seen_is_unreachable(unleash: Unleash, flag: str) -> None:
    wrong: dict[str, dict[str, object]] = {
        "401": {"token": "*:*.hunter2-hunter2"},
        "404": {"project": "nowhere"},
        "is the environment in that project": {"environment": "staging"},
        "can't be reached": {"url": "http://127.0.0.1:1"},
    }
    disable = DisableFlag(described(unleash, flag))
    seen = attempt(disable)
    for why, more in wrong.items():
        disable = DisableFlag(described(unleash, flag, **more))
        looked = disable.observe("shop", {})
        assert looked["reachable"] is False
        assert why in looked["why"]
        assert "hunter2" not in looked["why"]
    assert disable.probe(seen).effect is Effect.UNKNOWN
    with pytest.raises(TargetUnreachableError):
        disable.perform(seen)


def test_a_server_that_stands_still_has_not_been_told_anything(unleash: Unleash, flag: str) -> None:
    disable = DisableFlag(described(unleash, flag))
    asked = replace(attempt(disable), timeout_s=0.3)
    children = Path(f"/proc/{unleash.keeper.pid}/task/{unleash.keeper.pid}/children").read_text()
    pid = int(children.split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TargetUnreachableError, match="only asked"):
            disable.perform(asked)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert unleash.is_on(flag)


def test_the_doctor_reads_each_flag_and_names_one_that_is_not_there(
    unleash: Unleash, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLEASH_TOKEN", unleash.token)
    site = installed(tmp_path / "site")
    place = f"{{url: '{unleash.url}', token: '${{UNLEASH_TOKEN}}', environment: {ENVIRONMENT}}}"
    site.write(
        "services.yaml",
        f"services:\n  - name: shop\n    control:\n      flags: {{unleash: {place},"
        f" allowed: [{flag}, gone]}}\n",
    )

    report = examine(load_installation(site.directory), timeout_s=3.0)
    told = [each for found in report.findings.values() for each in found]
    about = [each.value for each in told if each.what == "flags of shop"]

    assert any(f"{flag} in production is on" in text for text in about)
    assert any("404" in text for text in about)
    assert unleash.token not in str(told)
