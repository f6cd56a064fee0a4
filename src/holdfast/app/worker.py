"""`holdfast worker`: the engine alone, as many as you like on one database.

A worker claims incidents like every other, takes over those of the dead, and reads the targets
itself, so that it verifies on fresh readings. It opens nothing: that is for `serve`.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from holdfast.app.build import HISTORY_NAME, build
from holdfast.app.installation import Installation
from holdfast.app.linting import refuse_broken_runbooks
from holdfast.app.lock import at_work
from holdfast.app.running import close, on_signal, run, stop
from holdfast.app.watch import Counts, StdoutWatcher


def work(installation: Installation, *, as_json: bool) -> int:
    """Work until told to stop. Returns the exit code: 0, or 1 when the ledger failed."""
    refuse_broken_runbooks(installation)
    watcher = StdoutWatcher(Counts(), as_json=as_json)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="holdfast-worker-")))
        _copy_history(installation.directory, folder)
        parts = build(installation, watcher, worker_folder=folder)
        stack.callback(close, parts)
        stack.callback(parts.heads.stop)
        stack.enter_context(at_work(installation.directory))
        stack.enter_context(on_signal(lambda: stop(parts)))
        watcher.working(parts.engine.worker, os.getpid())
        return run(parts, watcher)


def _copy_history(directory: Path, folder: Path) -> None:
    """Begin with what `serve` has read here, if it has: a row torn by copying is struck out."""
    for name in (HISTORY_NAME, f"{HISTORY_NAME}.json"):
        if (directory / name).is_file():
            copyfile(directory / name, folder / name)
