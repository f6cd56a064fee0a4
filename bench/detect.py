"""The tick path of `zscore` against a plain-Python port of the same rule and against the memory.

All three are measured in one run, in turns, so that a busy machine slows all of them; each
figure is the median of the rounds with its quartiles. Run with --json for one document.
"""

import argparse
import gc
import json
import math
import platform
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, repeat

import numpy as np

from holdfast.detection import ZScore
from holdfast.detection.exact import Floats

SIZES = (10_000, 100_000)
REFERENCE_RATIO = 600
# What a tick reads (reading, anchor, mean, square, trusted, fresh sum and square, the oldest
# sample) and writes (expected, variance, score, mean, square, fresh sum and square, the
# sample) of a series, in numbers of 8 bytes.
TOUCHED_BYTES = (8 + 8) * 8
PLAIN_SERIES = 80
# Samples in a round, at least, so that a round lasts long enough to time.
ROUND_SAMPLES = 12_000_000


class PlainSeries:
    """One series of the same rule, as one would write it without numpy: deque, two passes."""

    def __init__(self) -> None:
        self.samples: deque[float] = deque(maxlen=60)

    def tick(self, reading: float) -> tuple[float, bool, bool]:
        if not math.isfinite(reading):
            return 0.0, False, False
        samples = self.samples
        count = len(samples)
        score, anomaly, critical = 0.0, False, False
        if count >= 30:
            mean = sum(samples) / count
            sigma = math.sqrt(sum((x - mean) ** 2 for x in samples) / count)
            distance = abs(reading - mean)
            floor = max(1e-9 * abs(mean), 1e-140)
            if sigma > floor:
                score = distance / sigma
                anomaly, critical = score > 3 * (1 + 1e-9), score > 4 * (1 + 1e-9)
            elif distance > 3 * floor:
                score = 3 + distance / (distance + max(abs(mean), 1.0))
                anomaly = True
        samples.append(reading)
        return score, anomaly, critical


def check_same_rule(rows: Floats) -> int:
    """Run both over the same readings; the verdicts must be the same. Give their number."""
    fast, plain = ZScore(rows.shape[1]), [PlainSeries() for _ in range(rows.shape[1])]
    compared = 0
    for row in rows:
        scores = fast.tick(row)
        verdicts = [p.tick(x) for p, x in zip(plain, row.tolist(), strict=True)]
        if scores.anomaly.tolist() != [v[1] for v in verdicts] or scores.critical.tolist() != [
            v[2] for v in verdicts
        ]:
            raise SystemExit("the tick path and the plain port disagree; run the tests")
        compared += len(verdicts)
    return compared


def timed(work: Callable[[], int]) -> float:
    """Give how many units per second `work` does; it returns how many it did."""
    gc.collect()
    start = time.perf_counter()
    units = work()
    return units / (time.perf_counter() - start)


def fast_round(detector: ZScore, rows: Floats, *, look: bool) -> Callable[[], int]:
    times = -(-ROUND_SAMPLES // rows.size)

    def work() -> int:
        for row in chain.from_iterable(repeat(rows, times)):
            scores = detector.tick(row)
            if look:
                scores.score  # noqa: B018 - reading is the work
        return int(rows.size) * times

    return work


def plain_round(rows: Floats) -> Callable[[], int]:
    series = [PlainSeries() for _ in range(PLAIN_SERIES)]
    readings = rows[:, :PLAIN_SERIES].tolist()
    for row in readings:
        for one, reading in zip(series, row, strict=True):
            one.tick(reading)

    def work() -> int:
        for row in readings:
            for one, reading in zip(series, row, strict=True):
                one.tick(reading)
        return len(readings) * PLAIN_SERIES

    return work


def copy_round(size: int) -> Callable[[], int]:
    """Copy as many bytes as a tick touches, half read and half written."""
    source, target = np.ones(size * TOUCHED_BYTES // 16), np.zeros(size * TOUCHED_BYTES // 16)
    times = max(1, 50_000_000 // source.nbytes)

    def work() -> int:
        for _ in range(times):
            np.copyto(target, source)
        return 2 * source.nbytes * times

    return work


def quartiles(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "q1": low, "q3": high}


def measure(size: int, rounds: int, ticks: int) -> dict[str, object]:
    rows = np.random.default_rng(size).normal(10.0, 1.0, (ticks, size))
    detector = ZScore(size)
    detector.warm(rows[:60])
    works = {
        "tick": fast_round(detector, rows, look=False),
        "tick_and_scores": fast_round(detector, rows, look=True),
        "plain": plain_round(rows),
        "copy": copy_round(size),
    }
    for name in ("tick", "copy"):
        works[name]()
    seen: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seen[name].append(timed(work))
    pairs = list(zip(seen["tick"], seen["plain"], seen["copy"], strict=True))
    looked = zip(seen["tick_and_scores"], seen["plain"], strict=True)
    return {
        "ratio_to_plain": quartiles([tick / plain for tick, plain, _ in pairs]),
        "ratio_to_plain_with_all_scores": quartiles([t / plain for t, plain in looked]),
        "ratio_to_copy_bandwidth": quartiles([t * TOUCHED_BYTES / copy for t, _, copy in pairs]),
        "samples_per_s": quartiles(seen["tick"]),
        "samples_per_s_with_all_scores": quartiles(seen["tick_and_scores"]),
        "plain_samples_per_s": quartiles(seen["plain"]),
        "copy_bytes_per_s": quartiles(seen["copy"]),
        "tick_ms": size / statistics.median(seen["tick"]) * 1e3,
    }


def peak_bytes() -> int:
    """Give the most memory this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def document(rounds: int) -> dict[str, object]:
    rows = np.random.default_rng(0).standard_t(2.5, (200, 50))
    compared = check_same_rule(rows)
    before = peak_bytes()
    results = {str(size): measure(size, rounds, 120) for size in SIZES}
    ratios = {
        f"{name}_at_{size}": result[name]["median"]  # type: ignore[index]
        for size, result in results.items()
        for name in ("ratio_to_plain", "ratio_to_copy_bandwidth")
    }
    return {
        "bench": "detect",
        **ratios,
        "reference_ratio_to_plain": REFERENCE_RATIO,
        "rounds": rounds,
        "touched_bytes_per_sample": TOUCHED_BYTES,
        "verdicts_compared_with_plain": compared,
        "peak_memory_bytes": peak_bytes(),
        "peak_memory_before_bytes": before,
        "series": results,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def table(found: dict[str, object]) -> str:
    lines = []
    series = found["series"]
    for size, result in series.items():  # type: ignore[attr-defined]
        ratio, copy = result["ratio_to_plain"], result["ratio_to_copy_bandwidth"]
        full = result["ratio_to_plain_with_all_scores"]
        lines += [
            f"{int(size):,} series",
            (
                f"  {ratio['median']:8.0f} x the plain-Python port "
                f"({ratio['q1']:.0f} to {ratio['q3']:.0f}; reference {REFERENCE_RATIO})"
            ),
            f"  {full['median']:8.0f} x with every score read out (a root each)",
            f"  {copy['median']:8.2f} of the machine's copy bandwidth",
            (
                f"  {result['samples_per_s']['median'] / 1e6:8.1f} M samples/s, "
                f"a tick in {result['tick_ms']:.3f} ms"
            ),
            f"  {result['plain_samples_per_s']['median'] / 1e6:8.3f} M samples/s of the plain port",
        ]
    peak = found["peak_memory_bytes"]
    lines.append(f"peak memory {int(str(peak)) / 1e6:.0f} MB")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--rounds", type=int, default=9, help="rounds, of which the median counts")
    arguments = parser.parse_args()
    found = document(max(2, arguments.rounds))
    print(json.dumps(found) if arguments.json else table(found))


if __name__ == "__main__":
    main()
