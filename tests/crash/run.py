"""Runs the crash matrix for long: `python -m tests.crash.run`, which is what `make crash` does.

It prints its seed, runs faults in processes of their own, goes on where an earlier run was stopped
(`--fresh` begins anew), writes a report, and ends with 1 if an invariant was ever broken.
"""

import argparse
import json
import os
import random
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.crash import report
from tests.crash.matrix import Fault, faults
from tests.crash.progress import Range, Row, State, left, load, split

_SEEDS_APART = 10_000_000
_SILENT_MOST_S = 180.0
_SAVE_EVERY_S = 2.0
_TELL_EVERY_S = 10.0
_STOPPED = 130


@dataclass(slots=True, kw_only=True)
class Runner:
    """One process that runs the cases of one range, and what it has said so far."""

    row: Row
    part: Range
    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]
    heard_at: float
    buffer: bytes = b""

    def lines(self) -> list[dict[str, Any]]:
        """Read what it has said; whole lines only."""
        assert self.process.stdout
        self.buffer += os.read(self.process.stdout.fileno(), 1 << 16)
        *whole, self.buffer = self.buffer.split(b"\n")
        return [json.loads(line) for line in whole]

    @property
    def patience_s(self) -> float:
        """Say how long it may be silent: a timed fault is silent for all of its time."""
        timed = self.row.asked * 2 if self.row.unit == "seconds" else 0
        return _SILENT_MOST_S + timed

    def end(self) -> None:
        """End it and everything that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.errors.close()


@dataclass(slots=True, kw_only=True)
class Run:
    """A run under way."""

    state: State
    path: Path
    jobs: int
    runners: list[Runner] = field(default_factory=list)
    chosen: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    stopping: bool = False
    saved_at: float = 0.0
    told_at: float = 0.0

    def to_the_end(self) -> None:
        """Run what is left. A signal to stop ends the processes and keeps what they had said."""
        try:
            while not self.stopping:
                self._start_more()
                if not self.runners:
                    return
                for key, _ in self.chosen.select(timeout=1.0):
                    self._hear(key.data)
                self._look_after()
        finally:
            for runner in list(self.runners):
                self._drop(runner)
            self.state.save(self.path)

    def _start_more(self) -> None:
        busy = [runner.part for runner in self.runners]
        for row, part in left(self.state.rows):
            alone = row.alone or any(runner.row.alone for runner in self.runners)
            if len(self.runners) >= (1 if alone and self.runners else self.jobs):
                return
            if any(part is other for other in busy) or (alone and self.runners):
                continue
            self._start(row, part)
            busy.append(part)

    def _start(self, row: Row, part: Range) -> None:
        argv = [sys.executable, "-m", "tests.crash.cases", row.fault, row.store]
        argv += [str(part.next), str(part.end - part.next)]
        if row.unit == "seconds":
            argv.append(str(row.asked))
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its process
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        assert process.stdout
        runner = Runner(
            row=row, part=part, process=process, errors=errors, heard_at=time.monotonic()
        )
        self.runners.append(runner)
        self.chosen.register(process.stdout, selectors.EVENT_READ, runner)

    def _hear(self, runner: Runner) -> None:
        before = runner.buffer
        results = runner.lines()
        for result in results:
            runner.row.add(runner.part, result)
            runner.heard_at = time.monotonic()
            for said in result["violations"]:
                tell(f"VIOLATION {runner.row.name}: {said}; {runner.row.replay(result['seed'])}")
        if not results and runner.buffer == before:
            self._ended(runner)

    def _ended(self, runner: Runner) -> None:
        code = runner.process.wait()
        if code != 0:
            runner.errors.seek(0)
            text = runner.errors.read().decode(errors="replace").strip()
            self._failed(runner, f"the case ended with {code}: {text[-800:]}")
        self._drop(runner)

    def _failed(self, runner: Runner, why: str) -> None:
        tell(f"ERROR {runner.row.name}: {why}; {runner.row.replay(runner.part.next)}")
        runner.row.fail(runner.part, why)

    def _look_after(self) -> None:
        now = time.monotonic()
        for runner in list(self.runners):
            if now - runner.heard_at > runner.patience_s:
                self._failed(runner, f"the case said nothing for {runner.patience_s:.0f} s")
                self._drop(runner)
        if now - self.saved_at > _SAVE_EVERY_S:
            self.state.save(self.path)
            self.saved_at = now
        if now - self.told_at > _TELL_EVERY_S:
            self.told_at = now
            for name in dict.fromkeys(runner.row.name for runner in self.runners):
                row = next(row for row in self.state.rows if row.name == name)
                found = sum(row.violations.values())
                tell(f"{name}: {row.done:,} of {row.asked:,} {row.unit}, violations: {found}")

    def _drop(self, runner: Runner) -> None:
        self.chosen.unregister(runner.process.stdout)  # type: ignore[arg-type]
        runner.end()
        self.runners.remove(runner)


def tell(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def begun(args: argparse.Namespace) -> State:
    """Make a new run from what was asked for."""
    seed = args.seed if args.seed is not None else random.randrange(1_000_000)
    rows = []
    for fault in faults().values():
        for store in fault.stores:
            if (args.only and fault.name not in args.only) or args.store not in {None, store}:
                continue
            asked = max(1, round((fault.default if args.default else fault.full) * args.scale))
            rows.append(_row(fault, store, asked, seed * _SEEDS_APART, args.jobs))
    return State(seed=seed, scale=args.scale, rows=rows)


def _row(fault: Fault, store: str, asked: int, first: int, jobs: int) -> Row:
    count = 1 if fault.unit == "seconds" else asked
    ranges = split(first, count, 1 if fault.alone else jobs)
    return Row(
        fault=fault.name, store=store, unit=fault.unit, asked=asked, alone=fault.alone,
        ranges=ranges,
    )  # fmt: skip


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--only", action="append", metavar="FAULT", help="run only this one")
    parser.add_argument("--store", choices=["sqlite", "postgres"], help="run on this store only")
    parser.add_argument("--scale", type=float, default=1.0, help="0.1: a tenth of everything")
    parser.add_argument("--default", action="store_true", help="the sizes that `make test` runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="begin with this seed instead of a random one")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    parser.add_argument("--folder", type=Path, default=Path(".crash"), help="state and report")
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    args = parsed(argv)
    if args.list:
        for fault in faults().values():
            sizes = f"{fault.default:,} / {fault.full:,} {fault.unit}"
            sys.stdout.write(f"{fault.name} ({', '.join(fault.stores)}; {sizes}): {fault.how}\n")
        return 0
    path = args.folder / "state.json"
    state = None if args.fresh else load(path)
    if state is None or all(row.over for row in state.rows):
        state = begun(args)
    else:
        tell(f"going on with the run in {path}; --fresh begins anew")
    tell(f"seed {state.seed}: {', '.join(row.name for row in state.rows) or 'nothing to run'}")
    run = Run(state=state, path=path, jobs=max(1, args.jobs))

    def stop(_number: int, _frame: object) -> None:
        run.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        run.to_the_end()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    written = report.write(state, args.folder)
    sys.stdout.write(report.markdown(state))
    tell(f"the report is in {written}")
    if run.stopping:
        tell("stopped; the same command goes on from here")
        return _STOPPED
    return 1 if state.violated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
