"""The owner's end of the keeper: one object through which every process is started.

Rule: the platform never starts a process itself, so there is no moment in which
a process exists that the keeper does not know. Closing the link, or dying with
it open, ends them all.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.kernel import HoldfastError

ENVIRONMENT_MARK = "HOLDFAST_SANDBOX"  # in the environment of every process: which sandbox it is of


class KeeperLink:
    """Talks to the keeper of one platform. Usable from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.sandbox.keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, ENVIRONMENT_MARK: str(root)},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        identity: tuple[int, int] | None = None,
        end_signal: int = signal.SIGKILL,
    ) -> int:
        """Start a process and return its pid. `identity` is (uid, gid) to run as."""
        uid, gid = identity or (None, None)
        order = {
            "do": "start",
            "argv": list(argv),
            "cwd": str(self._root),
            "log": str(log),
            "uid": uid,
            "gid": gid,
            "end_signal": int(end_signal),
        }
        return int(self._ask(order)["pid"])

    def adopt(self, pid: int) -> None:
        """Have a process that someone else started (Holdfast itself) ended with the sandbox."""
        self._ask({"do": "adopt", "pid": pid})

    def remove_at_end(self, *paths: Path) -> None:
        """Name the directories that go when all processes have gone. The last call counts."""
        self._ask({"do": "remove", "paths": [str(path) for path in paths]})

    def stop(self) -> None:
        """End everything and wait until it has ended. Harmless the second time."""
        with self._lock:
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None or stdin.closed:
                return
            stdin.close()
            stdout.read()
            stdout.close()
            self._process.wait()

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None:
                raise HoldfastError("the sandbox's keeper has no pipe; start the sandbox anew")
            try:
                print(json.dumps(order), file=stdin, flush=True)
                line = stdout.readline()
            except (BrokenPipeError, ValueError) as error:
                raise _gone(self.pid) from error
        if not line:
            raise _gone(self.pid)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise HoldfastError(
                f"the sandbox could not {order['do']} {order.get('argv', order)}: "
                f"{answer['error']}; see {order.get('log', self._root)}"
            )
        return answer


def _gone(pid: int) -> HoldfastError:
    return HoldfastError(
        f"the sandbox's keeper (pid {pid}) has ended, and every process of the sandbox with it; "
        "start the sandbox anew"
    )
