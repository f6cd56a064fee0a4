"""The keeper: the parent of every process of one platform, and the end of all of them.

Rule: it lives in a session of its own and reads orders from a pipe whose other
end only the owner holds. When the owner ends in any way (an exception, Ctrl-C,
SIGKILL) the pipe closes and the keeper ends everything: each process it started,
whatever those started, and what it was told to adopt. On Linux orphans become its
children (subreaper), so "no children left" is a fact and not a guess; elsewhere it
walks the process table. Should the keeper itself be killed, the kernel's
parent-death signals end its children.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast.sandbox import processes

GRACE_S = 4.0  # what PostgreSQL gets to free its shared memory after SIGQUIT


class Keeper:
    """Holds the children of one platform."""

    def __init__(self) -> None:
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self.gentle: dict[int, int] = {}  # pid -> the signal that ends it at once but cleanly
        self.adopted: dict[int, str] = {}
        self.remove: list[Path] = []

    def handle(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one order and answer it."""
        match order["do"]:
            case "start":
                return {"pid": self.start(order)}
            case "adopt":
                mark = processes.started_at(order["pid"])
                if mark is not None:
                    self.adopted[order["pid"]] = mark
                return {"adopted": mark is not None}
            case "remove":
                self.remove = [Path(path) for path in order["paths"]]
                return {"remove": len(self.remove)}
            case unknown:
                return {"error": f"no order {unknown!r}"}

    def start(self, order: Mapping[str, Any]) -> int:
        gentle = int(order.get("end_signal", signal.SIGKILL))
        with Path(order["log"]).open("ab") as log:
            child = subprocess.Popen(
                order["argv"],
                cwd=order["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: processes.die_with_parent(gentle),  # noqa: PLW1509 - one thread
                **_identity(order.get("uid"), order.get("gid")),
            )
        self.children[child.pid] = child
        if gentle != signal.SIGKILL:
            self.gentle[child.pid] = gentle
        return child.pid

    def end(self) -> None:
        """End everything, wait until it has ended, and remove what was to be removed."""
        spared = self._end_gently()
        self._kill(spared)
        deadline = time.monotonic() + GRACE_S
        while self._left():
            overdue = time.monotonic() > deadline
            self._kill(set() if overdue else spared)
            time.sleep(0.01)
        for path in self.remove:
            shutil.rmtree(path, ignore_errors=True)

    def _end_gently(self) -> set[int]:
        spared: set[int] = set()
        for pid, sig in self.gentle.items():
            if self.children[pid].poll() is None and processes.send(pid, sig):
                spared |= {pid, *processes.descendants(pid)}
        return spared

    def _kill(self, spared: set[int]) -> None:
        for pid in self._family() - spared:
            processes.send(pid, signal.SIGKILL)

    def _left(self) -> bool:
        self.reap()
        return bool(self._family())

    def _family(self) -> set[int]:
        family = processes.descendants(os.getpid())
        for pid, mark in self.adopted.items():
            if processes.started_at(pid) == mark:
                family |= {pid, *processes.descendants(pid)}
        return family

    def reap(self) -> None:
        """Collect what has ended: our own children, then orphans that became ours."""
        for child in self.children.values():
            child.poll()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _identity(uid: int | None, gid: int | None) -> dict[str, Any]:
    return {} if uid is None else {"user": uid, "group": gid, "extra_groups": []}


def _orders() -> Iterator[dict[str, Any]]:
    """Yield orders until the owner closes the pipe, says stop, or we are told to end."""
    while line := sys.stdin.readline():
        order = json.loads(line)
        if order["do"] == "stop":
            return
        yield order


def _answer(document: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(document), flush=True)


def _asked_to_end(_signal: int, _frame: object) -> None:
    raise SystemExit(0)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _asked_to_end)
    processes.adopt_orphans()
    keeper = Keeper()
    try:
        for order in _orders():
            try:
                _answer(keeper.handle(order))
            except (OSError, ValueError) as error:
                _answer({"error": f"{type(error).__name__}: {error}"})
            keeper.reap()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keeper.end()
        _answer({"stopped": True})
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.close()


if __name__ == "__main__":
    main()
