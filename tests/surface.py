"""What the tests of the surfaces share: an installation, the program, a target that misbehaves."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WAIT_S = 20.0
METRICS = "text/plain; version=0.0.4"
HEALTHY = "# TYPE requests_total counter\nrequests_total 1\nin_flight 3\nqueue_age 0\n"

CONFIG = """\
mode: {mode}
listen: 127.0.0.1:0
sampling_interval_s: 0.2
verification: {{sustain_s: 0.5}}
{more}
"""
SERVICES = """\
services:
  - name: my-api
    on_call: dana
    owners: [team]
    scrape: {{eu: "{url}"}}
    metrics: {{saturation: {{gauge: in_flight}}, queue_age: {{gauge: queue_age}}}}
    limits: {{queue_age: {{above: 30, for_samples: 1}}}}
contacts:
  dana: {{name: Dana Okoye, role: on-call}}
  team: {{name: API team, role: owner}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - any JSON document
        return json.loads(self.out)


@dataclass(slots=True, kw_only=True)
class Installed:
    """An installation, and the program to use it with."""

    directory: Path
    token: str | None = None

    def run(self, *words: str, **environment: str) -> Said:
        """Run one command in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "holdfast", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
            env=self.environment(**environment),
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def environment(self, **more: str) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        own["HOLDFAST_DIR"] = str(self.directory)
        return own | ({"HOLDFAST_TOKEN": self.token} if self.token else {}) | more

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def describe(
        self, url: str = "http://127.0.0.1:1/metrics", *, mode: str = "observe", more: str = ""
    ) -> None:
        """Describe one service with one target."""
        self.write("holdfast.yaml", CONFIG.format(mode=mode, more=more))
        self.write("services.yaml", SERVICES.format(url=url))

    @contextlib.contextmanager
    def serving(
        self,
        *,
        before: Callable[[], None] | None = None,
        command: str = "serve",
        **environment: str,
    ) -> Iterator["Serving"]:
        """Run `serve` (or `worker`) for as long as the block lasts."""
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast", command, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(**environment),
            preexec_fn=before,  # noqa: PLW1509 - a limit of the process, set before any thread is
        )
        serving = Serving(process=process)
        serving.listen()
        try:
            yield serving
        finally:
            if process.poll() is None:
                process.kill()
            serving.joined()


@dataclass(slots=True, kw_only=True)
class Serving:
    """A running `serve`: its events as they come, its pages."""

    process: "subprocess.Popen[bytes]"
    events: list[dict[str, Any]] = field(default_factory=list)
    err: str = ""
    _news: "queue.SimpleQueue[dict[str, Any] | None]" = field(default_factory=queue.SimpleQueue)
    _threads: list[threading.Thread] = field(default_factory=list)
    _reading: bool = True

    def listen(self) -> None:
        for work in (self._read_out, self._read_err):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self._threads.append(thread)

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first event, past or coming, of which this holds."""
        for event in self.events:
            if holds(event):
                return event
        while True:
            coming = self._news.get(timeout=WAIT_S)
            assert coming is not None, f"serve ended; it said {self.events[-3:]} and {self.err}"
            self.events.append(coming)
            if holds(coming):
                return coming

    def event(self, name: str, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
        """Return the first event of this name that has these values."""
        return self.until(
            lambda e: e.get("event") == name and all(e.get(k) == v for k, v in wanted.items())
        )

    @property
    def url(self) -> str:
        return str(self.event("listening")["url"])

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=WAIT_S) as answer:  # noqa: S310 - a loopback address of ours
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self) -> tuple[int, Any]:
        code, text = self.page("/healthz")
        return code, json.loads(text)

    def deaf(self) -> None:
        """Stop reading what it writes, as a reader that has died."""
        self._reading = False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.joined()

    def joined(self) -> int:
        code = self.process.wait(WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)
        return code

    def _read_out(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self._news.put(json.loads(line))
                if not self._reading:
                    break
        self._news.put(None)

    def _read_err(self) -> None:
        assert self.process.stderr
        with self.process.stderr as stream:
            self.err = stream.read().decode()


def installed(directory: Path) -> Installed:
    """Make an installation without a process: files, ledger, first token."""
    from holdfast.app.new import init

    return Installed(directory=directory, token=init(directory).token)


@dataclass(slots=True, kw_only=True)
class Target:
    """A metrics endpoint that can be told how to answer: a body, a type; None hangs up."""

    url: str = ""
    body: bytes | None = b""
    type: str = METRICS
    status: int = 200
    hanging: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False

    def say(self, text: str | bytes, type_: str = METRICS) -> None:
        self.body, self.type = (text.encode() if isinstance(text, str) else text), type_


@contextlib.contextmanager
def target() -> Iterator[Target]:
    """Serve a real metrics endpoint on a free port."""
    told = Target(body=HEALTHY.encode())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if told.hangs:
                told.hanging.wait(WAIT_S)
            if told.body is None:
                self.close_connection = True
                return
            with contextlib.suppress(OSError):
                self.send_response(told.status)
                self.send_header("Content-Type", told.type)
                self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

        def log_message(self, *_words: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/metrics"
    try:
        yield told
    finally:
        told.hanging.set()
        server.shutdown()
        server.server_close()
        thread.join(WAIT_S)


def refused(said: Said, code: int, *words: str) -> str:
    """Assert that a command was refused with one plain line, and return that line."""
    assert said.code == code, said
    assert "Traceback" not in said.err
    assert said.err.startswith("holdfast: ")
    assert said.err.count("\n") == 1, said.err
    for word in words:
        assert word in said.err, (word, said.err)
    return said.err


def as_mapping(value: object) -> Mapping[str, Any]:
    assert isinstance(value, Mapping)
    return value
