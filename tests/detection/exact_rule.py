"""The rule in exact rational numbers, and a plain port, to hold the fast detector against."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Verdict:
    score: float
    anomaly: bool
    critical: bool


CALM = Verdict(0.0, anomaly=False, critical=False)
TIE = Fraction(1, 10**9)


def exact_verdict(samples: Iterable[float], reading: float, *, min_samples: int = 30) -> Verdict:
    values = [Fraction(x) for x in samples]
    if len(values) < min_samples or not math.isfinite(reading):
        return CALM
    x = Fraction(reading)
    mean = sum(values, Fraction(0)) / len(values)
    variance = sum(((v - mean) ** 2 for v in values), Fraction(0)) / len(values)
    floor = max(abs(mean) * TIE, Fraction(1, 10**140))
    distance = abs(x - mean)
    if variance <= floor**2:
        if distance <= 3 * floor:
            return CALM
        return Verdict(
            3 + float(distance / (distance + max(abs(mean), Fraction(1)))),
            anomaly=True,
            critical=False,
        )
    square = distance**2 / variance
    return Verdict(
        math.sqrt(square) if square < 10**300 else 1e150,
        anomaly=square > (3 * (1 + TIE)) ** 2,
        critical=square > (4 * (1 + TIE)) ** 2,
    )


def exact_verdicts(readings: Iterable[float], *, window: int = 60) -> list[Verdict]:
    samples: deque[float] = deque(maxlen=window)
    verdicts = []
    for reading in readings:
        verdicts.append(exact_verdict(samples, reading))
        if math.isfinite(reading):
            samples.append(reading)
    return verdicts
