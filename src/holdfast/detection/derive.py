"""Counters and gauges of a scrape become readings: rates, ratios, means.

A counter that falls was restarted from zero, so what it shows is what was added. The first
scrape says nothing about a rate, and a ratio over nothing is a gap: no requests is not
"no errors".
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.kernel.catalogue import SignalForm, SignalSpec
from holdfast.kernel.errors import BadInputError

Labels = tuple[tuple[str, str], ...]
# One scrape: the samples of each metric name, by their sorted labels.
Samples = Mapping[str, Mapping[Labels, float]]

_SELECTOR = re.compile(r"\s*([A-Za-z_:][\w:]*)\s*(?:\{(.*)\})?\s*")
_MATCHER = re.compile(r'\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition on a label; an absent label is the empty text, as in Prometheus."""

    label: str
    pattern: re.Pattern[str]
    wanted: bool

    def accepts(self, labels: Mapping[str, str]) -> bool:
        return (self.pattern.fullmatch(labels.get(self.label, "")) is not None) is self.wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A metric name and a filter: `http_requests_total{code="500"}`."""

    name: str
    matchers: tuple[Matcher, ...] = ()

    def suffixed(self, suffix: str) -> "Selector":
        return Selector(name=self.name + suffix, matchers=self.matchers)

    def pick(self, samples: Samples) -> Mapping[Labels, float]:
        """Give the samples that match and are numbers."""
        found = samples.get(self.name, {})
        return {
            labels: value
            for labels, value in found.items()
            if math.isfinite(value) and all(m.accepts(dict(labels)) for m in self.matchers)
        }


def parse_selector(text: str) -> Selector:
    """Read a metric name with an optional filter. Raises BadInputError with what is wrong."""
    whole = _SELECTOR.fullmatch(text)
    if whole is None:
        raise BadInputError(
            f"{text!r} is not a metric; write a name, or a name and a filter "
            """such as http_requests_total{code="500"}""",
            field="metrics",
        )
    matchers, rest = [], whole[2] or ""
    while rest.strip():
        part = _MATCHER.match(rest)
        if part is None:
            raise BadInputError(
                f"the filter of {text!r} can't be read at {rest!r}; "
                """write label="value", joined by commas""",
                field="metrics",
            )
        matchers.append(_matcher(text, part))
        rest = rest[part.end() :]
    return Selector(name=whole[1], matchers=tuple(matchers))


def _matcher(text: str, part: re.Match[str]) -> Matcher:
    operator, value = part[2], re.sub(r"\\(.)", r"\1", part[3])
    try:
        pattern = re.compile(value if "~" in operator else re.escape(value))
    except re.error as error:
        raise BadInputError(
            f"the filter of {text!r} has the pattern {value!r}, which is not a regular expression "
            f"({error}); correct it",
            field="metrics",
        ) from error
    return Matcher(label=part[1], pattern=pattern, wanted=not operator.startswith("!"))


class Deriver:
    """The signals of one scraped target; remembers the counters of its last good scrape."""

    def __init__(self, specs: Mapping[str, SignalSpec]) -> None:
        self._signals = {name: (spec.form, selectors_of(spec)) for name, spec in specs.items()}
        self._before: dict[Selector, Mapping[Labels, float]] = {}
        self._at_s: float | None = None

    def observe(self, samples: Samples, at_s: float) -> dict[str, float]:
        """Derive every signal from a scrape made at `at_s` (seconds, any origin); NaN is a gap."""
        seconds = math.nan if self._at_s is None else at_s - self._at_s
        now = {s: s.pick(samples) for _, selectors in self._signals.values() for s in selectors}
        readings = {
            name: self._read(form, selectors, now, seconds)
            for name, (form, selectors) in self._signals.items()
        }
        self._before, self._at_s = now, at_s
        return readings

    def _read(
        self,
        form: SignalForm,
        selectors: Sequence[Selector],
        now: Mapping[Selector, Mapping[Labels, float]],
        seconds: float,
    ) -> float:
        if form is SignalForm.GAUGE:
            found = now[selectors[0]]
            return math.fsum(found.values()) if found else math.nan
        if not seconds > 0:
            return math.nan
        added = [self._added(selector, now[selector]) for selector in selectors]
        if form is SignalForm.RATE:
            return added[0] / seconds
        # a counter of failures may not exist before the first failure
        part = 0.0 if math.isnan(added[0]) and form is SignalForm.RATIO else added[0]
        return part / added[1] if added[1] > 0 else math.nan

    def _added(self, selector: Selector, now: Mapping[Labels, float]) -> float:
        """Sum what each counter gained; one that fell, or is new, gained all that it shows."""
        if not now or selector not in self._before:
            return math.nan
        before = self._before[selector]
        gained = (
            value - before[labels] if labels in before and value >= before[labels] else value
            for labels, value in now.items()
        )
        return math.fsum(gained)


def selectors_of(spec: SignalSpec) -> tuple[Selector, ...]:
    """List what a signal is read from. Raises BadInputError."""
    parsed = tuple(parse_selector(text) for text in spec.metrics)
    if spec.form is SignalForm.MEAN:
        return parsed[0].suffixed("_sum"), parsed[0].suffixed("_count")
    return parsed
