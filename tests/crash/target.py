"""A target that knows by itself what came and what took effect, and the action that asks it.

It runs as a process of its own where Holdfast is killed, and as an object where time and power are
simulated. Holdfast can ask it to act and can look at it; its log is for the checker alone.
"""

import ctypes
import json
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)
from tests.crash.checker import Arrival

_TIMEOUT_S = 5.0
_PR_SET_PDEATHSIG = 1


class Asking(Protocol):
    """How the action reaches the target: directly, or over a socket."""

    def ask(self, **question: Any) -> Mapping[str, Any]: ...  # noqa: ANN401 - plain JSON


@dataclass(slots=True, kw_only=True)
class Target:
    """Keeps what arrived, in order. `stamp` orders it for the checker, `clock` dates it for readings."""

    kind: Repeatability
    stamp: Callable[[], float] = time.monotonic
    clock: Callable[[], float] = time.monotonic
    arrivals: list[Arrival] = field(default_factory=list)
    good_since: dict[str, float] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def after(
        kind: Repeatability, arrivals: Sequence[Arrival], clock: Callable[[], float]
    ) -> "Target":
        """Make a target to which these have come already, as it stands long after."""
        target = Target(kind=kind, stamp=lambda: math.inf, clock=clock, arrivals=list(arrivals))
        target.good_since = {a.target: -1.0 for a in arrivals if a.took}
        return target

    def ask(self, **question: Any) -> Mapping[str, Any]:  # noqa: ANN401 - plain JSON
        """Answer one question: perform, probe, observe, log."""
        match question["what"]:
            case "perform":
                return self._perform(question["key"], question["target"], question["fence"])
            case "probe":
                return self._probe(question["key"], question["target"], question["fence"])
            case "observe":
                return {
                    "good_since": self.good_since.get(question["target"]),
                    "marks": len(self._effects(question["target"])),
                }
            case "log":
                return {"arrivals": [asdict(arrival) for arrival in self.arrivals]}
            case what:
                raise ValueError(f"a target can't {what}")

    def _effects(self, target: str) -> list[Arrival]:
        return [a for a in self.arrivals if a.took and a.target == target]

    def _perform(self, key: str, target: str, fence: int) -> Mapping[str, Any]:
        known = any(a.key == key for a in self._effects(target))
        stale = fence < self.newest.get(target, 0)
        remembers = self.kind is Repeatability.IDEMPOTENT and known
        refuses = self.kind is Repeatability.REFUSES_STALE_TOKEN and stale
        took = not (remembers or refuses)
        self.arrivals.append(Arrival(key=key, target=target, took=took, at=self.stamp()))
        self.newest[target] = max(fence, self.newest.get(target, 0))
        if took:
            self.good_since.setdefault(target, self.clock())
        return {"ok": not refuses}

    def _probe(self, key: str, target: str, fence: int) -> Mapping[str, Any]:
        if self.kind is Repeatability.REFUSES_STALE_TOKEN:
            # A look by a newer worker seals the target against every older one.
            self.newest[target] = max(fence, self.newest.get(target, 0))
        return {"there": any(a.key == key for a in self._effects(target))}


def serve(target: Target, listening: socket.socket) -> None:
    """Answer one line of JSON for each line, until the process is ended."""
    chosen = selectors.DefaultSelector()
    chosen.register(listening, selectors.EVENT_READ)
    left: dict[socket.socket, bytes] = {}
    while True:
        for key, _ in chosen.select():
            if key.fileobj is listening:
                connection, _ = listening.accept()
                left[connection] = b""
                chosen.register(connection, selectors.EVENT_READ)
                continue
            connection = key.fileobj  # type: ignore[assignment]
            if not _answer(target, connection, left):
                chosen.unregister(connection)
                left.pop(connection)
                connection.close()


def _answer(target: Target, connection: socket.socket, left: dict[socket.socket, bytes]) -> bool:
    try:
        received = connection.recv(65536)
        *lines, left[connection] = (left[connection] + received).split(b"\n")
        for line in lines:
            connection.sendall(json.dumps(target.ask(**json.loads(line))).encode() + b"\n")
    except OSError:
        return False
    return bool(received)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTarget:
    """The target behind a socket. A connection for each question: a killed asker leaves nothing."""

    address: Path

    def ask(self, **question: Any) -> Mapping[str, Any]:  # noqa: ANN401 - plain JSON
        """Ask; TargetUnreachableError before, LostReplyError after the question went out."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_TIMEOUT_S)
            try:
                line.connect(str(self.address))
            except OSError as error:
                raise TargetUnreachableError(f"the target is not there: {error}") from None
            try:
                line.sendall(json.dumps(question).encode() + b"\n")
                with line.makefile("rb") as answers:
                    answer: Mapping[str, Any] = json.loads(answers.readline())
            except (OSError, ValueError) as error:
                raise LostReplyError(f"no answer from the target: {error}") from None
            return answer

    def log(self) -> list[Arrival]:
        """Read what the target noted."""
        return [Arrival(**arrival) for arrival in self.ask(what="log")["arrivals"]]


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def target_process(address: Path, kind: Repeatability) -> Iterator[RemoteTarget]:
    """Fork a process that is the target. Only from a process without threads."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(address))
        listening.listen(64)
        child = os.fork()
        if child == 0:
            die_with_parent()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                serve(Target(kind=kind), listening)
            finally:
                os._exit(1)
    try:
        yield RemoteTarget(address=address)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetAction:
    """The action: asks the target, whatever it is."""

    target: Asking
    repeatability: Repeatability
    name: str = "write_mark"
    least_impact: str = "low"
    before: Callable[[ActionRequest], None] = lambda _: None
    after: Callable[[ActionRequest], None] = lambda _: None

    def observe(self, target: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        seen = self.target.ask(what="observe", target=target)
        return {"reachable": True, "reversible": "no: a mark stays", "marks": seen["marks"]}

    def send(self, request: ActionRequest) -> Mapping[str, Any]:
        """Let the request reach the target."""
        return self.target.ask(
            what="perform", key=request.idempotency_key, target=request.target, fence=request.fence
        )

    def perform(self, request: ActionRequest) -> ActionOutcome:
        self.before(request)
        answer = self.send(request)
        self.after(request)
        if answer["ok"]:
            return ActionOutcome(ok=True, effect=Effect.PRESENT, summary="marked")
        return ActionOutcome(ok=False, effect=Effect.ABSENT, summary="the token is stale")

    def probe(self, request: ActionRequest) -> ProbeResult:
        if self.repeatability is Repeatability.NONE:
            return ProbeResult(effect=Effect.UNKNOWN, evidence="nothing can be said afterwards")
        seen = self.target.ask(
            what="probe", key=request.idempotency_key, target=request.target, fence=request.fence
        )
        effect = Effect.PRESENT if seen["there"] else Effect.ABSENT
        return ProbeResult(effect=effect, evidence=f"the mark is {effect.value}")

    def undo(self, _request: ActionRequest) -> ActionOutcome:
        return ActionOutcome(ok=False, effect=Effect.ABSENT, summary="a mark stays")
