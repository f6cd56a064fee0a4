"""`serve` as a process: one per directory, a graceful end, and a world that misbehaves."""

import json
import resource
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FunctionType

import pytest

from holdfast.ledger import SqliteLedger, verify
from tests.cli.conftest import Holdfast
from tests.surface import METRICS, Installed, installed, refused, target


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    return installed(tmp_path / "site")


def test_serve_answers_counts_tells_and_ends_gracefully(site: Installed) -> None:
    with target() as told:
        site.describe(told.url)
        with site.serving() as serving:
            first = serving.event("tick")
            assert first["series"] == 3
            assert serving.process.pid == serving.event("listening")["pid"]
            code, health = serving.health()
            assert (code, health["status"], health["targets_down"]) == (200, "ok", {})
            metrics = serving.page("/metrics")[1]
            for name in ("ticks", "bare_rule_fired", "pages", "incidents_opened"):
                assert f"\nholdfast_{name}_total " in metrics
            assert serving.page("/elsewhere")[0] == 404
            assert serving.stop() == 0
        assert serving.err == ""
    with closing(SqliteLedger(site.directory / "holdfast.db")) as ledger:
        assert verify(ledger, "_system").ok


def test_a_second_serve_on_the_same_directory_is_refused(site: Installed) -> None:
    site.describe()
    with site.serving() as serving:
        pid = serving.event("listening")["pid"]
        refused(site.run("serve"), 1, "another `holdfast serve`", f"pid {pid}", "another --dir")
        assert serving.health()[0] == 200
        serving.process.kill()
    with site.serving() as again:
        assert again.health()[0] == 200, "a lock does not outlive its process"


def test_a_taken_port_is_named_with_its_setting(here: Installed, holdfast: Holdfast) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        here.describe()
        path = here.directory / "holdfast.yaml"
        path.write_text(path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        said = holdfast("serve", "--json")

    refused(said, 2, f"can't listen on 127.0.0.1:{port}", "Address already in use", "`listen`")
    assert json.loads(said.out)["field"] == "listen"


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "no.such.host.invalid:0", "192.0.2.1:0"])
def test_an_address_that_is_not_ours_is_refused(
    listen: str, here: Installed, holdfast: Holdfast
) -> None:
    here.describe()
    path = here.directory / "holdfast.yaml"
    path.write_text(path.read_text().replace("127.0.0.1:0", listen))

    refused(holdfast("serve"), 2, f"can't listen on {listen}")


def test_nothing_to_watch_is_said_and_served(site: Installed) -> None:
    with site.serving(HOLDFAST_DIR=str(site.directory)) as serving:
        assert "no `scrape` target" in serving.event("notice")["text"]
        assert serving.health()[1]["ticks"] == 0
        assert serving.stop() == 0


def million() -> bytes:
    return b"".join(b'requests_total{path="/%d"} 1\n' % n for n in range(1_000_000))


@pytest.mark.parametrize(
    ("answer", "type_", "status", "reason"),
    [
        (b"<html><body>Login</body></html>", "text/html", 200, "answered HTML, not metrics"),
        (million, METRICS, 200, "answered more than 5 MB"),
        (b"in_flight 1\n" * 60_000, METRICS, 200, "answered more than 50,000 samples"),
        (b"\x00\xff\xfe\x80", METRICS, 200, "not UTF-8"),
        (b"in_flight much\n", METRICS, 200, "no metric (line 1"),
        (b"", METRICS, 200, "no metric at all"),
        (b"in_flight 1\n", METRICS, 503, "answered HTTP 503"),
        (None, METRICS, 200, "can't be reached"),
    ],
    ids=["html", "a million lines", "many samples", "binary", "words", "empty", "503", "hangs up"],
)
def test_a_target_that_answers_nonsense_is_down_with_the_reason_and_serve_goes_on(
    answer: bytes | FunctionType | None, type_: str, status: int, reason: str, site: Installed
) -> None:
    body = answer() if isinstance(answer, FunctionType) else answer
    with target() as told:
        site.describe(told.url)
        # A slow machine needs longer for five megabytes than a fifth of a second.
        path = site.directory / "holdfast.yaml"
        path.write_text(path.read_text().replace("interval_s: 0.2", "interval_s: 1.5"))
        told.body, told.type, told.status = body, type_, status
        with site.serving() as serving:
            down = serving.event("target", up=False)
            assert (down["service"], down["region"]) == ("my-api", "eu")
            assert reason in down["reason"]
            code, health = serving.health()
            assert code == 200
            assert reason in health["targets_down"]["my-api@eu"]
            assert (
                'holdfast_target_up{region="eu",service="my-api"} 0.0'
                in serving.page("/metrics")[1]
            )
            assert serving.stop() == 0


def test_a_target_that_hangs_delays_nobody_and_comes_back(site: Installed) -> None:
    with target() as told:
        told.hangs = True
        site.describe(told.url)
        with site.serving() as serving:
            assert "gave no answer within 0.16 s" in serving.event("target", up=False)["reason"]
            assert serving.event("tick", tick=3)
            told.hangs = False
            told.hanging.set()
            assert serving.event("target", up=True)["reason"] is None
            assert serving.stop() == 0


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="needs Linux: prlimit of another process"
)
def wait_until(so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if so():
            return
        pause.wait(0.02)
    raise AssertionError("it never came to that")


def test_a_disk_without_room_is_said_stops_serve_and_leaves_nothing_half_written(
    site: Installed,
) -> None:
    """A limit on the size of files stands in for the disk: the kernel refuses the write as well."""
    with target() as told:
        site.describe(told.url, mode="autonomous")
        with site.serving() as serving:
            assert serving.event("tick")
            # The signer has nothing left to write, so that nothing meets the full disk before a tick does.
            with closing(SqliteLedger(site.directory / "holdfast.db")) as ledger:
                wait_until(lambda: bool(ledger.signatures("_system")))
            resource.prlimit(serving.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
            assert serving.until(lambda e: "history.bin can't be written" in str(e.get("text")))
            told.say("queue_age 99\nin_flight 1\n")
            # The keeper of signed heads meets the same disk, and may say so first, as a notice.
            trouble = serving.until(
                lambda e: e["event"] == "trouble" and "the ledger" in str(e.get("text"))
            )
            assert "holdfast.db" in trouble["text"]
            assert "check the disk" in trouble["text"]
            assert serving.joined() == 1
        assert "Traceback" not in serving.err
        assert any("history.bin can't be written" in str(e.get("text")) for e in serving.events)
    with closing(SqliteLedger(site.directory / "holdfast.db")) as ledger:
        assert verify(ledger, "_system").ok
        assert ledger.incident_ids() == []


def test_a_history_that_is_damaged_is_put_aside_and_said(site: Installed) -> None:
    with target() as told:
        site.describe(told.url)
        site.write("history.bin", "garbage")
        with site.serving() as serving:
            assert "history.bin.aside" in serving.event("notice")["text"]
            assert serving.event("tick", tick=2)
            assert serving.stop() == 0
