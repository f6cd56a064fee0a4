"""Interleaved rounds: a slice of raw appends, a slice of the variant, a slice of raw appends.

A figure is the variant's rate over the mean of the raw rates right before and after it, so that a
disk or a neighbour that is slow for a while is slow for both. What is told is the median over the
rounds with its quartiles.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RAW_BYTES = 512
RAW_SLICE_S = 0.1


class Raw:
    """What the disk gives: append 512 bytes, fdatasync, again."""

    def __init__(self, directory: Path) -> None:
        self._bytes = os.urandom(RAW_BYTES)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(directory / "raw", flags, 0o600)

    def rate(self) -> float:
        """Give appends per second over one slice."""
        sync = getattr(os, "fdatasync", os.fsync)
        count, start = 0, time.perf_counter()
        while (took := time.perf_counter() - start) < RAW_SLICE_S:
            os.write(self._file, self._bytes)
            sync(self._file)
            count += 1
        return count / took


class Child:
    """A process that is kept warm and does slices of work when it is told to."""

    def __init__(self, argv: Sequence[str], *, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.answer()

    def tell(self, **order: object) -> None:
        assert self._process.stdin  # noqa: S101 - it was opened with a pipe
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for what it says next. A child that ended ends the benchmark."""
        assert self._process.stdout  # noqa: S101 - it was opened with a pipe
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin  # noqa: S101 - it was opened with a pipe
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(slots=True, kw_only=True)
class Variant:
    """One thing that is measured, by one child or by several at once."""

    name: str
    children: Sequence[Child]
    bar: float | None = None
    slice_s: float = 0.25
    order: dict[str, Any] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def prepare(self) -> None:
        """Let the children make what a slice needs; nobody counts how long that takes."""
        self._ask(do="prepare", slice_s=self.slice_s)

    def slice(self) -> tuple[float, float]:
        """Give units per second, of all children together, and CPU in µs per unit."""
        answers = self._ask(do="go", slice_s=self.slice_s)
        units = sum(answer["units"] for answer in answers)
        rate = sum(answer["units"] / answer["took_s"] for answer in answers)
        return rate, sum(answer["cpu_s"] for answer in answers) / max(units, 1) * 1e6

    def _ask(self, **order: object) -> list[dict[str, Any]]:
        for child in self.children:
            child.tell(**self.order, **order)
        return [child.answer() for child in self.children]

    def found(self) -> dict[str, Any]:
        """Give the figures of all rounds as data."""
        document: dict[str, Any] = {
            "ratio_to_raw": quartiles(self.ratios),
            "per_s": quartiles(self.rates),
            "cpu_us": statistics.median(self.cpu_us),
        }
        if self.bar is not None:
            document["bar"] = self.bar
            document["met"] = statistics.median(self.ratios) >= self.bar
        return document


def quartiles(values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        return dict.fromkeys(("median", "q1", "q3"), values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": middle, "q1": low, "q3": high}


def run(variants: Sequence[Variant], raw: Raw, rounds: int) -> list[float]:
    """Measure every variant in every round; give all raw rates."""
    raws: list[float] = []
    for number in range(rounds + 1):
        for variant in variants:
            variant.prepare()
            before = raw.rate()
            rate, cpu_us = variant.slice()
            after = raw.rate()
            if number == 0:  # warm now, not counted
                continue
            raws += [before, after]
            variant.rates.append(rate)
            variant.ratios.append(rate / ((before + after) / 2))
            variant.cpu_us.append(cpu_us)
    return raws
