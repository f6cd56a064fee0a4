"""How far a long run of the crash matrix has come: kept in a file, so that it can go on after a stop.

A row is one fault on one store. It is split into ranges of seeds, and each range remembers the next
seed to run; what a case found is added to its row as it ends.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

_SEEDS_KEPT = 50


@dataclass(slots=True)
class Range:
    """Seeds from `first` up to `end`, of which those before `next` are done."""

    first: int
    next: int
    end: int


@dataclass(slots=True, kw_only=True)
class Row:
    """One fault on one store. `asked` counts cases, or seconds for a timed fault."""

    fault: str
    store: str
    unit: str
    asked: int
    alone: bool = False
    ranges: list[Range] = field(default_factory=list)
    done: int = 0
    took_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    violations: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.fault}/{self.store}"

    @property
    def over(self) -> bool:
        return all(part.next >= part.end for part in self.ranges)

    def add(self, part: Range, result: dict[str, Any]) -> None:
        """Take in what one case of a range came to."""
        part.next = int(result["seed"]) + 1
        self.done += self.asked if self.unit == "seconds" else 1
        self.took_s += float(result["took_s"])
        for what, count in result["counts"].items():
            self.counts[what] = self.counts.get(what, 0) + int(count)
        for said in result["violations"]:
            self._violated(said.split(" ")[0], int(result["seed"]), said)

    def fail(self, part: Range, why: str) -> None:
        """Take in that a case of this range never ended as a case does. It counts as a failure."""
        self._violated("error", part.next, why)
        part.next += 1
        self.done += self.asked if self.unit == "seconds" else 1

    def _violated(self, invariant: str, seed: int, said: str) -> None:
        self.violations[invariant] = self.violations.get(invariant, 0) + 1
        if len(self.failures) < _SEEDS_KEPT:
            self.failures.append({"seed": seed, "said": said, "replay": self.replay(seed)})

    def replay(self, seed: int) -> str:
        """Give the command that runs this one case again."""
        lasts = f" {self.asked}" if self.unit == "seconds" else ""
        return f"python -m tests.crash.cases {self.fault} {self.store} {seed} 1{lasts}"


@dataclass(slots=True, kw_only=True)
class State:
    """A whole run: the seed that it began with, and its rows."""

    seed: int
    scale: float
    rows: list[Row]

    def save(self, path: Path) -> None:
        """Write it all at once: a run that is killed leaves the last whole state."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        beside.replace(path)

    @property
    def violated(self) -> bool:
        return any(row.violations for row in self.rows)


def load(path: Path) -> State | None:
    """Read a run that was stopped; None where there is none."""
    if not path.exists():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        Row(**{**row, "ranges": [Range(**part) for part in row["ranges"]]}) for row in data["rows"]
    ]
    return State(seed=data["seed"], scale=data["scale"], rows=rows)


def split(first: int, count: int, parts: int) -> list[Range]:
    """Split seeds into about equal ranges."""
    parts = max(1, min(parts, count))
    edges = [first + count * n // parts for n in range(parts + 1)]
    return [Range(a, a, b) for a, b in pairwise(edges) if a < b]


def left(rows: Sequence[Row]) -> Iterator[tuple[Row, Range]]:
    """Give what is not done yet, what runs alone last."""
    for row in sorted(rows, key=lambda row: row.alone):
        for part in row.ranges:
            if part.next < part.end:
                yield row, part
