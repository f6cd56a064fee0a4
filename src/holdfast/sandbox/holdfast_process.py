"""Holdfast as a customer has it: a program with a command line, a stream of lines and two pages.

Rule: nothing of it is imported; it is started, asked, stopped and killed. Every call
is bounded in time, and one that runs over is killed and said so.
"""

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.kernel import HoldfastError
from holdfast.sandbox.exposed import parse_exposition

PRODUCT = (sys.executable, "-m", "holdfast")
CALL_TIMEOUT_S = 30.0
LISTEN_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
PAGE_TIMEOUT_S = 5.0

Event = Mapping[str, Any]
Events = queue.SimpleQueue[Event]
# What the reader adds to the product's own events.
ENDED = "ended"  # {"event", "code"}: serve is gone; a negative code is a signal
NOISE = "noise"  # {"event", "text"}: a line that is no JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one call said."""

    command: str
    code: int
    out: str
    err: str

    def document(self) -> dict[str, Any]:
        """Read the answer as one JSON document. Raises HoldfastError for anything else."""
        try:
            found = json.loads(self.out)
        except ValueError as error:
            raise HoldfastError(
                f"`{self.command}` answered no JSON document ({error}; exit code {self.code}, "
                f"stderr: {_end(self.err)}); run it by hand"
            ) from error
        if not isinstance(found, dict):
            raise HoldfastError(f"`{self.command}` answered {type(found).__name__}, not a document")
        return found


class Holdfast:
    """One installation in `directory`. Not thread-safe but for `call`."""

    def __init__(
        self,
        directory: Path,
        *,
        log: Path,
        argv: Sequence[str] = PRODUCT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.log = log
        self.token: str | None = None
        self._argv = tuple(argv)
        self._more = dict(environment or {})

    def init(self) -> None:
        """Make the installation and keep the token that is shown once."""
        answer = self.ask("init", str(self.directory), "--json")
        self.token = str(answer["token"])

    def as_somebody(self, token: str) -> "Holdfast":
        """Give the same installation as it is called with another token."""
        other = Holdfast(
            self.directory, log=self.log, argv=self._argv, environment=dict(self._more)
        )
        other.token = token
        return other

    def call(self, *arguments: str, timeout_s: float = CALL_TIMEOUT_S) -> Answer:
        """Run one command to its end. Raises HoldfastError when it takes too long."""
        command = shlex.join(("holdfast", *arguments))
        process = subprocess.Popen(
            [*self._argv, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(),
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise HoldfastError(
                f"`{command}` gave no answer within {timeout_s:g} s and was killed; run it by hand"
            ) from error
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        return Answer(command=command, code=process.returncode, out=out, err=err)

    def ask(self, *arguments: str, timeout_s: float = CALL_TIMEOUT_S) -> dict[str, Any]:
        """Run one command that must succeed and read its document."""
        answer = self.call(*arguments, timeout_s=timeout_s)
        if answer.code != 0:
            raise HoldfastError(
                f"`{answer.command}` failed with exit code {answer.code}: {_end(answer.err)}"
            )
        return answer.document()

    def serve(
        self,
        events: Events,
        *,
        adopt: Callable[[int], None],
        environment: Mapping[str, str] | None = None,
    ) -> "Serving":
        """Start `serve` and return when it listens. `adopt` is told its pid at once."""
        argv = [*self._argv, "serve", "--dir", str(self.directory), "--json"]
        with contextlib.ExitStack() as unless_it_listens:
            with uninterrupted():
                serving = Serving(
                    argv, self._environment() | dict(environment or {}), self.log, events
                )
                unless_it_listens.callback(serving.kill)
                adopt(serving.pid)
            serving.wait_until_it_listens()
            unless_it_listens.pop_all()
        return serving

    def _environment(self) -> dict[str, str]:
        """The environment without what the caller set for a Holdfast of their own."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        own["HOLDFAST_DIR"] = str(self.directory)
        return own | self._more | ({"HOLDFAST_TOKEN": self.token} if self.token else {})


class Serving:
    """One `serve` process and the thread that reads its lines into the queue."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], log: Path, events: Events
    ) -> None:
        self._log = log
        self._events = events
        self._listens = threading.Event()
        self.url = ""
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                start_new_session=True,  # a Ctrl-C at the terminal is ours to pass on
            )
        self._reader = threading.Thread(target=self._read, name="serve-lines", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until_it_listens(self, timeout_s: float = LISTEN_TIMEOUT_S) -> None:
        """Return when the `listening` line came. Raises HoldfastError when it doesn't."""
        self._listens.wait(timeout_s)
        if not self.url:
            ended = self._process.poll()
            self.kill()
            why = f"was not listening after {timeout_s:g} s"
            if ended is not None:
                why = f"ended with exit code {ended} before it listened"
            raise HoldfastError(f"`holdfast serve` {why}; it said: {_tail(self._log)}")

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to end and return its exit code; kill it when it takes too long."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._joined()

    def kill(self) -> int:
        """End it without asking."""
        self._process.kill()
        return self._joined()

    def metrics(self) -> dict[str, float]:
        """Read /metrics: the value of each metric, samples of one name summed."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=PAGE_TIMEOUT_S) as page:  # noqa: S310 - a loopback address of ours
            return parse_exposition(page.read().decode())

    def _joined(self) -> int:
        code = self._process.wait()
        self._reader.join()
        return code

    def _read(self) -> None:
        stdout = self._process.stdout
        if stdout is None:
            return
        with stdout:
            for line in stdout:
                event = _event(line)
                if event.get("event") == "listening":
                    self.url = str(event["url"]).rstrip("/")
                    self._listens.set()
                self._events.put(event)
        # A closed stdout is not yet an end: whoever waits is told when there is an exit code.
        code = self._process.wait()
        self._listens.set()
        self._events.put({"event": ENDED, "code": code, "pid": self.pid})


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM for a moment in which a process exists that nobody knows yet.

    In a thread other than the main one neither is ever raised, so there is nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {each: signal.signal(each, lambda sig, _: arrived.append(sig)) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if arrived:
            signal.raise_signal(arrived[0])


def _event(line: bytes) -> Event:
    text = line.decode(errors="replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        return {"event": NOISE, "text": text}
    return found if isinstance(found, dict) else {"event": NOISE, "text": text}


def _end(text: str) -> str:
    return text.strip()[-600:] or "nothing"


def _tail(log: Path) -> str:
    return _end(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else "nothing"
