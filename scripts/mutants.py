"""Puts known faults into a copy of the source, one by one, and sees that the crash matrix is red.

`make mutants`, or `python scripts/mutants.py [NAME ...]`. It ends with 1 if one survives, if one is
caught by no invariant that it should break, or if the source has moved away from under one. The
mutants are in tests/crash/mutants.toml.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MUTANTS = ROOT / "tests" / "crash" / "mutants.toml"
ENOUGH = 3
CASES_TIMEOUT_S = 600.0
WHERE = "import holdfast; print(holdfast.__file__)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One known fault: what is changed, where it is looked for, what must find it."""

    name: str
    why: str
    edits: Sequence[Mapping[str, str]]
    run: Sequence[tuple[str, str, int]]
    caught_by: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant. `broken` counts violations by invariant."""

    mutant: Mutant
    broken: Mapping[str, int]
    example: str
    problem: str | None
    took_s: float

    @property
    def caught(self) -> bool:
        return self.problem is None and bool(self.mutant.caught_by & set(self.broken))

    def line(self) -> str:
        """Say it in one line."""
        if self.problem is not None:
            return f"PROBLEM   {self.mutant.name}: {self.problem}"
        if not self.caught:
            rows = ", ".join(f"{fault}/{store} {n}" for fault, store, n in self.mutant.run)
            found = f" (only {dict(self.broken)})" if self.broken else ""
            return f"SURVIVED  {self.mutant.name}: nothing in {rows} saw it{found}"
        by = ", ".join(f"{name} {n} times" for name, n in sorted(self.broken.items()))
        return f"caught    {self.mutant.name} by {by} in {self.took_s:.0f} s: {self.example}"


def known() -> list[Mutant]:
    """Read the mutants."""
    data = tomllib.loads(MUTANTS.read_text(encoding="utf-8"))
    return [
        Mutant(
            name=entry["name"],
            why=entry["why"],
            edits=entry["edit"],
            run=[(fault, store, int(count)) for fault, store, count in entry["run"]],
            caught_by=frozenset(entry["caught_by"]),
        )
        for entry in data["mutant"]
    ]


def changed(source: Path, mutant: Mutant) -> str | None:
    """Put the mutant into a copy of the source; return what is in the way, if anything is."""
    for edit in mutant.edits:
        file = source / "holdfast" / edit["file"]
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        count = text.count(edit["find"])
        if count != 1:
            first = edit["find"].strip().splitlines()[0]
            return f"mutant out of date: {edit['file']} has {count} times {first!r}, not once"
        file.write_text(text.replace(edit["find"], edit["replace"]), encoding="utf-8")
    return None


def tried(mutant: Mutant) -> Verdict:
    """Run the cases that should see a mutant until enough of them have."""
    began = time.monotonic()
    broken: Counter[str] = Counter()
    example, problem = "", None
    with tempfile.TemporaryDirectory(prefix="holdfast-mutant-") as name:
        source = Path(name) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        problem = changed(source, mutant) or _not_in_use(source)
        for fault, store, count in mutant.run if problem is None else ():
            try:
                for said in violations(source, fault, store, count):
                    broken[said.split(" ")[0]] += 1
                    example = example or said
                    if sum(broken[wanted] for wanted in mutant.caught_by) >= ENOUGH:
                        break
            except RuntimeError as error:
                problem = str(error)
            if problem is not None or sum(broken.values()) >= ENOUGH:
                break
    if problem and mutant.caught_by & set(broken):
        problem = None  # it was caught before it broke the case itself
    took_s = time.monotonic() - began
    return Verdict(mutant=mutant, broken=broken, example=example, problem=problem, took_s=took_s)


def violations(source: Path, fault: str, store: str, count: int) -> Iterator[str]:
    """Run cases against a source, and give each violation as it comes."""
    argv = [sys.executable, "-m", "tests.crash.cases", fault, store, "0", str(count)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=_environment(source), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=errors, start_new_session=True, text=True,
        )  # fmt: skip
        try:
            for line in process.stdout or ():
                result: dict[str, Any] = json.loads(line)
                yield from result["violations"]
            if process.wait(CASES_TIMEOUT_S) != 0:
                errors.seek(0)
                text = errors.read().decode(errors="replace").strip()
                raise RuntimeError(f"{fault}/{store} broke down: {text[-400:]}")
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def _environment(source: Path) -> dict[str, str]:
    path = os.pathsep.join([str(source), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


def _not_in_use(source: Path) -> str | None:
    """Make sure that the copy is what runs: a mutant that nobody loads survives."""
    done = subprocess.run(
        [sys.executable, "-c", WHERE], env=_environment(source), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.stdout.strip().startswith(str(source)):
        return None
    return f"the copy is not what runs: {done.stdout.strip()} {done.stderr.strip()}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="list the mutants and end")
    args = parser.parse_args(argv)
    mutants = [m for m in known() if not args.names or m.name in args.names]
    if args.list:
        sys.stdout.writelines(f"{mutant.name}: {mutant.why}\n" for mutant in mutants)
        return 0
    survived = 0
    with ThreadPoolExecutor(max(1, args.jobs)) as pool:
        for verdict in pool.map(tried, mutants):
            survived += not verdict.caught
            sys.stdout.write(verdict.line() + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(mutants) - survived} of {len(mutants)} mutants caught\n")
    return 1 if survived or not mutants else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
