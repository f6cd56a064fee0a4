"""The target of the crash scenes: a process of its own that keeps account of what was done to it.

It is the observer: each request that it carries out or turns away is one line in a file that only
this process opens. It has the four ways in which real targets can or can't be asked twice. What can
reach it late does: now and then a request lies in it for longer than anybody waits.
"""

import asyncio
import json
import random
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from tests.crash.checker import Arrival

ARRIVALS = "arrivals.jsonl"
_LINE_BYTES_MOST = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How slow a target is: `late_share` of its requests lie for up to `late_s` before they count."""

    seed: int = 0
    slow_s: float = 0.1
    late_share: float = 0.02
    late_s: float = 0.8


@dataclass(slots=True, kw_only=True)
class Target:
    """What the target remembers. One thread, so that two requests are never half done at once."""

    arrivals: TextIO
    habits: Habits
    noise: random.Random
    done: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    sealed: dict[str, int] = field(default_factory=dict)
    broken: dict[str, float] = field(default_factory=dict)
    mended: dict[str, float] = field(default_factory=dict)

    def act(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        key, service, fence = asked["key"], asked["service"], asked["fence"]
        token = _token_of(asked)
        if key in self.revoked:
            return self._turned_away(asked, "this key was revoked by a person")
        if asked["kind"] == "refuses_stale_token":
            if fence < self.sealed.get(token, 0):
                return self._turned_away(asked, f"token {fence} is older than the sealed one")
            self.sealed[token] = fence
        if asked["kind"] == "idempotent" and key in self.done:
            self._log(asked, took=False, why="the key is known")
            return {"ok": True, "effect": "present", "summary": "known already"}
        self.done.add(key)
        self.mended[service] = time.monotonic()
        self._log(asked, took=True, why="")
        return {"ok": True, "effect": "present", "summary": "done"}

    def probe(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        key, fence, token = asked["key"], asked["fence"], _token_of(asked)
        if asked["kind"] == "none":
            return {"effect": "unknown"}
        if asked["kind"] == "refuses_stale_token":
            self.sealed[token] = max(fence, self.sealed.get(token, 0))
        return {"effect": "present" if key in self.done else "absent"}

    def look(self, _asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Say for how many seconds each service has been broken, or mended since."""
        now = time.monotonic()
        return {
            "broken": {name: now - at for name, at in self.broken.items()},
            "mended": {name: now - at for name, at in self.mended.items()},
        }

    def spoil(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Break a service: what the incident is about."""
        self.broken[asked["service"]] = time.monotonic()
        self.mended.pop(asked["service"], None)
        return {}

    def revoke(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """A person makes sure that this attempt can't have an effect later, and says whether it had."""
        self.revoked.add(asked["key"])
        return {"there": asked["key"] in self.done}

    def _turned_away(self, asked: Mapping[str, Any], why: str) -> Mapping[str, Any]:
        self._log(asked, took=False, why=why)
        return {"ok": False, "effect": "absent", "summary": why}

    def _log(self, asked: Mapping[str, Any], *, took: bool, why: str) -> None:
        line = {**asked, "took": took, "why": why, "at": time.monotonic()}
        self.arrivals.write(json.dumps(line) + "\n")
        self.arrivals.flush()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection: a line of JSON, a line of JSON back."""
        with suppress(ConnectionError):
            while line := await reader.readline():
                asked = json.loads(line)
                handler = self._handler(asked["op"])
                if asked["op"] == "act":
                    # It stays in here even when nobody waits for the answer any more.
                    await asyncio.sleep(self._rest())
                answer = handler(asked)
                if asked["op"] == "act":
                    await asyncio.sleep(self.noise.random() * self.habits.slow_s)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    def _handler(self, op: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
        return {
            "act": self.act, "probe": self.probe, "look": self.look, "spoil": self.spoil,
            "revoke": self.revoke,
        }[op]  # fmt: skip

    def _rest(self) -> float:
        late = self.noise.random() < self.habits.late_share
        return self.noise.random() * (self.habits.late_s if late else self.habits.slow_s)


def _token_of(asked: Mapping[str, Any]) -> str:
    """Fences count for each incident by itself, so a target keeps the newest of each."""
    incident_id = asked["key"].split("/")[0]
    return f"{incident_id} on {asked['service']}"


def run_target(directory: Path, address: Path, habits: Habits) -> None:
    """Serve until killed. The file is opened here and by nobody else."""
    with (directory / ARRIVALS).open("a") as arrivals:
        target = Target(arrivals=arrivals, habits=habits, noise=random.Random(habits.seed))
        asyncio.run(_serve(target, address))


async def _serve(target: Target, address: Path) -> None:
    unready = address.with_suffix(".unready")
    server = await asyncio.start_unix_server(target.serve, unready, limit=_LINE_BYTES_MOST)
    unready.rename(address)
    async with server:
        await server.serve_forever()


class UnreachableError(Exception):
    """Nothing was sent."""


def call(address: Path, timeout_s: float, **asked: object) -> dict[str, Any]:
    """Ask the target. UnreachableError: nothing was sent; OSError, ValueError: nobody knows."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        try:
            line.connect(str(address))
        except OSError as error:
            raise UnreachableError(str(error)) from None
        line.sendall(json.dumps(asked).encode() + b"\n")
        with line.makefile("rb") as file:
            answer = file.readline()
    if not answer.endswith(b"\n"):
        raise ConnectionResetError("the line was cut before the answer")
    return dict(json.loads(answer))


def arrivals_at(directory: Path) -> list[Arrival]:
    """Read what the target says came to it, in its order."""
    file = directory / ARRIVALS
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [
        Arrival(key=line["key"], target=line["service"], took=line["took"], at=line["at"])
        for line in lines
    ]
