"""A plugin for supervisord that remembers restarts: each key once, no token older than the newest.

Runs inside supervisord, so it needs nothing but supervisor and the standard library. A key is
synced to the journal before the process is touched: a restart happens at most once for a key,
whatever dies. If supervisord itself dies in between, the key is in doubt and stays so, because
nothing that is left could prove which of the two it was; a person settles it.

A restart that has begun goes on to its end when the caller hangs up: nobody is left stopped.

    [rpcinterface:holdfast]
    supervisor.rpcinterface_factory = holdfast.actions.orchestrator:make_rpcinterface
    journal = /var/lib/supervisor/holdfast-keys.jsonl
"""

import fcntl
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from supervisor.http import NOT_DONE_YET
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.xmlrpc import Faults, RPCError

API = 1
BEGUN, DONE, REFUSED, STALE, IN_DOUBT, UNKNOWN = (
    "begun", "done", "refused", "stale", "in_doubt", "unknown",
)  # fmt: skip
_ALIVE = ("STARTING", "RUNNING", "BACKOFF")
_POLL_S = 0.05
_open_journals: dict[str, "KeyMemory"] = {}


class KeyMemory:
    """What the journal knows: the last row of each key, the highest fence of each incident."""

    def __init__(self, path: str) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.fences: dict[tuple[str, str], int] = {}
        self._path = path
        self._broken: str | None = None
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise ValueError(
                f"the journal {path} is in use by another supervisord; give each one its own"
            ) from None
        self._read()

    def close(self) -> None:
        """Let the file go, unless that happened: supervisord closes all it has when it reloads."""
        try:
            still_ours = os.path.samestat(os.fstat(self._fd), Path(self._path).stat())
        except OSError:
            return
        if still_ours:
            os.close(self._fd)

    def newest_fence(self, process: str, incident: str) -> int:
        return self.fences.get((process, incident), 0)

    def write(self, row: dict[str, Any]) -> None:
        """Append and sync. After an error nothing more is taken: what the disk has is unknown."""
        if self._broken:
            raise RPCError(Faults.FAILED, self._broken)
        line = json.dumps(row, sort_keys=True).encode() + b"\n"
        try:
            if not self._ends_well():
                line = b"\n" + line
            written = os.write(self._fd, line)
            os.fsync(self._fd)
        except OSError as error:
            self._refuse_from_now_on(str(error))
        if written != len(line):
            self._refuse_from_now_on("it took only a part of a line")
        self._take(row)

    def _refuse_from_now_on(self, why: str) -> NoReturn:
        self._broken = (
            f"the journal {self._path} can't be written ({why}), so nothing is restarted;"
            " make room, then restart supervisord"
        )
        raise RPCError(Faults.FAILED, self._broken)

    def _read(self) -> None:
        size = os.fstat(self._fd).st_size
        for line in os.pread(self._fd, size, 0).split(b"\n"):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue  # torn by a crash, so never acknowledged
        directory = os.open(Path(self._path).parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _take(self, row: dict[str, Any]) -> None:
        place = (row["process"], _incident(row["key"]))
        self.fences[place] = max(self.fences.get(place, 0), int(row["fence"]))
        self.rows[row["key"]] = row

    def _ends_well(self) -> bool:
        size = os.fstat(self._fd).st_size
        return size == 0 or os.pread(self._fd, 1, size - 1) == b"\n"


class Job:
    """One restart under way: stop, start, remember how it ended."""

    def __init__(self, rpc: Any, memory: KeyMemory, row: dict[str, Any], state: str) -> None:  # noqa: ANN401 - supervisor has no types
        self._rpc = rpc
        self._memory = memory
        self._row = row
        self._step = self._stop if state in _ALIVE else self._start
        self._wait: Callable[[], Any] | None = None
        self.answer: dict[str, Any] | None = None

    def poll(self) -> None:
        """Go on as far as it can without waiting. Never raises: supervisord must live on."""
        while self.answer is None:
            try:
                waits_for = self._wait
                value = waits_for() if waits_for else self._step()
                if value is NOT_DONE_YET:
                    return
                self._wait = value if callable(value) else None
                if self._wait is None:
                    self._next()
            except RPCError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - it runs in supervisord's own loop
                self._end(ok=False, text=f"{type(error).__name__}: {error}")

    def _stop(self) -> Any:  # noqa: ANN401 - True, or what waits for it
        return self._rpc.stopProcess(self._row["process"], True)  # noqa: FBT003 - the wire's order

    def _start(self) -> Any:  # noqa: ANN401 - True, or what waits for it
        return self._rpc.startProcess(self._row["process"], True)  # noqa: FBT003 - the wire's order

    def _next(self) -> None:
        if self._step == self._stop:
            self._step = self._start
        else:
            self._end(ok=True, text="it was restarted and is RUNNING")

    def _fail(self, error: RPCError) -> None:
        self._wait = None
        if self._step == self._stop and error.code == Faults.NOT_RUNNING:
            self._step = self._start  # it ended by itself meanwhile
            return
        which = "the stop" if self._step == self._stop else "the start"
        self._end(ok=False, text=f"{which} failed: {error.text} (fault {error.code})")

    def _end(self, *, ok: bool, text: str) -> None:
        self._row = {**self._row, "state": DONE, "ok": ok, "text": text}
        try:
            self._memory.write(self._row)
        except RPCError as error:
            # Known now, but not after supervisord's next start: then it is in doubt.
            self._row["text"] += f"; not remembered: {error.text}"
            self._memory.rows[self._row["key"]] = self._row
        self.answer = _answer(self._row)


class HoldfastRPC:
    """The methods `holdfast.*` of supervisord's XML-RPC. An answer is a struct with a `state`."""

    def __init__(self, supervisord: Any, memory: KeyMemory) -> None:  # noqa: ANN401 - no types
        self._rpc = SupervisorNamespaceRPCInterface(supervisord)
        self._memory = memory
        self._jobs: dict[str, Job] = {}
        # A reload of supervisord keeps the pid, so the time is part of it.
        self._instance = f"{os.getpid()}-{time.time_ns()}"

    def describe(self) -> dict[str, Any]:
        """Say that the plugin is there, and which version of these methods it speaks."""
        return {"api": API, "keys": len(self._memory.rows)}

    def attempt(self, key: str) -> dict[str, Any]:
        """Say what is known of a key: done, refused, begun, in_doubt or unknown."""
        row = self._memory.rows.get(key)
        if row is None:
            return {"state": UNKNOWN, "ok": False, "text": "no restart with this key was begun"}
        if row["state"] == BEGUN and row["instance"] != self._instance:
            text = "supervisord ended while this restart was under way"
            return {"state": IN_DOUBT, "ok": False, "text": text}
        return _answer(row)

    def restart(self, name: str, key: str, fence: int, timeout: float, seen: int = 0) -> Any:  # noqa: ANN401 - a struct, or what waits for it
        """Restart one process, at most once for `key`.

        `seen` is the pid that the caller decided about, 0 if none ran; a process that somebody
        started since is left alone. Within `timeout` seconds the answer is there, or `begun`.
        """
        known = self.attempt(key)
        if known["state"] == UNKNOWN:
            newest = self._memory.newest_fence(name, _incident(key))
            if fence < newest:
                text = f"fence {fence} is older than {newest}, which was here already"
                return {"state": STALE, "ok": False, "text": text}
            self._begin(name, key, fence, seen)
        elif known["state"] != BEGUN:
            return {**known, "repeated": True}
        if key not in self._jobs:
            return self.attempt(key)
        return self._waiting(key, timeout)

    def _begin(self, name: str, key: str, fence: int, seen: int) -> None:
        info = self._rpc.getProcessInfo(name)  # a group or a pattern has none: BAD_NAME
        row = {
            "key": key, "process": name, "fence": fence, "state": BEGUN, "ok": False,
            "text": "it is under way", "instance": self._instance,
            "at": datetime.now(UTC).isoformat(),  # noqa: TID251 - a world of its own, without our clock
        }  # fmt: skip
        if why := _why_not(info, seen):
            self._memory.write({**row, "state": REFUSED, "text": why})
            return
        self._memory.write(row)
        job = Job(self._rpc, self._memory, row, info["statename"])
        self._jobs[key] = job
        Drive(job, lambda: self._jobs.pop(key, None))
        job.poll()

    def _waiting(self, key: str, timeout: float) -> Callable[[], Any]:
        until = time.monotonic() + float(timeout)  # noqa: TID251 - as above

        def answer() -> Any:  # noqa: ANN401 - a struct, or NOT_DONE_YET
            now = self.attempt(key)
            if now["state"] == BEGUN and time.monotonic() < until:  # noqa: TID251 - as above
                return NOT_DONE_YET
            return now

        answer.delay = _POLL_S  # type: ignore[attr-defined]  # supervisor's way to say how often
        answer.rpcinterface = self  # type: ignore[attr-defined]  # and whose it is
        return answer


class Drive:
    """Has a job polled in every round of supervisord's loop, whether or not a caller still waits.

    supervisord asks everything in its socket map whether it wants to read; an end of a pipe of our
    own is in there, never wants to, and takes the question as its turn.
    """

    def __init__(self, job: Job, ended: Callable[[], object]) -> None:
        self._job = job
        self._ended = ended
        self._pipe = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        asyncore.socket_map[self._pipe[0]] = self

    def readable(self) -> bool:
        self._job.poll()
        if self._job.answer is not None and asyncore.socket_map.pop(self._pipe[0], None):
            os.close(self._pipe[0])
            os.close(self._pipe[1])
            self._ended()
        return False

    def writable(self) -> bool:
        return False


def make_rpcinterface(supervisord: Any, journal: str = "", **more: str) -> HoldfastRPC:  # noqa: ANN401 - no types
    """Make the plugin, as the section [rpcinterface:holdfast] asks. Raises ValueError."""
    if not journal or more:
        wrong = f"has no setting {min(more)!r}" if more else "lacks `journal`"
        raise ValueError(f"[rpcinterface:holdfast] {wrong}; write: journal = /path/to/a/file")
    path = str(Path(journal).resolve())
    if path in _open_journals:  # supervisord was told to reload: the same process, anew
        _open_journals.pop(path).close()
        for fd, each in list(asyncore.socket_map.items()):
            if isinstance(each, Drive):
                del asyncore.socket_map[fd]
    _open_journals[path] = KeyMemory(path)
    return HoldfastRPC(supervisord, _open_journals[path])


def _why_not(info: dict[str, Any], seen: int) -> str | None:
    if info["statename"] == "STOPPING":
        return "it is being stopped by someone else"
    if info["statename"] in ("RUNNING", "STARTING") and seen and info["pid"] != seen:
        return f"it was started anew since it was looked at (pid {seen} → {info['pid']})"
    return None


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    return {"state": row["state"], "ok": row["ok"], "text": row["text"], "at": row["at"]}


def _incident(key: str) -> str:
    return key.partition("/")[0]
