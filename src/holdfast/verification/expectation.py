"""A recovery criterion as one line of text, read strictly.

`METRIC{label="value",...} OP VALUE for DURATION [in each region]`; VALUE is a number, or arithmetic
on `baseline`, the level before the incident. Or `METRIC [not] falling|rising for ...`, a trend. It
is read before the step runs, so that a criterion nobody can judge is found while nothing has been
done yet.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from holdfast.kernel import BadInputError
from holdfast.runbooks.durations import parse_duration
from holdfast.verification.trend import TRENDS

EXAMPLE = 'errors{service="checkout"} <= baseline * 1.2 + 0.02 for 60s in each region'
TREND_EXAMPLE = 'queue_depth{service="checkout"} falling for 60s in each region'
LABELS = ("service", "region")
TEXT_CHARACTERS_MAX = 500
_EQUAL_WITHIN = 1e-9


def _equal(value: float, threshold: float) -> bool:
    return math.isclose(value, threshold, rel_tol=_EQUAL_WITHIN, abs_tol=_EQUAL_WITHIN)


OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": _equal,
    "<": operator.lt,
    ">": operator.gt,
}

_COMPARED = "one of < <= > >= == or a trend, `falling` or `rising`"
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<duration>\d+(?:\.\d+)?(?:ms|s|m|h)\b)
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<string>"[^"\n]*")
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<op><=|>=|==|<|>)
      | (?P<mark>[{}=,*+-])
      | (?P<unknown>\S+)
    )""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """`signal OP baseline * factor + offset`, sustained. No baseline: `factor` is None.

    Where `op` is one of TRENDS, it is said of the slope, and there is no value to compare with.
    """

    signal: str
    op: str
    offset: float
    text: str
    labels: Mapping[str, str] = field(default_factory=dict)
    factor: float | None = None
    sustain_s: float = 0.0
    each_region: bool = False

    @property
    def service(self) -> str | None:
        return self.labels.get("service")

    @property
    def region(self) -> str | None:
        return self.labels.get("region")

    @property
    def uses_baseline(self) -> bool:
        return self.factor is not None

    @property
    def asks_trend(self) -> bool:
        return self.op in TRENDS

    def threshold(self, baseline: float | None) -> float | None:
        """Compute the number to compare with; None where the baseline is needed and unknown."""
        if self.factor is None:
            return self.offset
        if baseline is None or not math.isfinite(baseline):
            return None
        return self.factor * baseline + self.offset

    def holds(self, value: float, threshold: float) -> bool:
        """Compare one reading. A reading that is no number never holds."""
        return math.isfinite(value) and OPERATORS[self.op](value, threshold)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse_expectation(text: str, *, service: str | None = None) -> Expectation:
    """Read a criterion; `service` is taken where the text names none.

    Raises BadInputError that says at which column what was expected.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise BadInputError(
            f"an expectation of {len(text)} characters is longer than "
            f"{TEXT_CHARACTERS_MAX}; split it"
        )
    return _Reader(text).read(service)


class _Reader:
    """One pass over the tokens, one method for each part of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def read(self, service: str | None) -> Expectation:
        signal = self._take("word", "a signal name such as errors").text
        labels = self._labels()
        if service is not None:
            labels.setdefault("service", service)
        op = self._trend() or self._take("op", _COMPARED).text
        factor, offset = (None, 0.0) if op in TRENDS else self._value()
        sustain_s = self._duration() if self._accept("for") else 0.0
        each_region = self._each_region(labels)
        if self._peek().text in {"and", "or"}:
            self._fail("the end (what else has to hold is a criterion of its own)")
        if self._peek().kind != "end":
            self._fail("the end, `for DURATION` or `in each region`")
        return Expectation(
            signal=signal,
            labels=labels,
            op=op,
            factor=factor,
            offset=offset,
            sustain_s=sustain_s,
            each_region=each_region,
            text=self._text.strip(),
        )

    def _labels(self) -> dict[str, str]:
        labels: dict[str, str] = {}
        if not self._accept("{"):
            return labels
        while not self._accept("}"):
            if labels and not self._accept(","):
                self._fail("`,` or `}`")
            self._label(labels)
        return labels

    def _label(self, labels: dict[str, str]) -> None:
        name = self._peek().text
        if name not in LABELS or name in labels:
            self._fail("the label service or region, each once")
        self._next += 1
        if not self._accept("="):
            self._fail("`=`")
        value = self._take("string", 'a value in double quotes such as "eu-west"').text[1:-1]
        if not value:
            self._next -= 1
            self._fail("a value that is not empty")
        labels[name] = value

    def _trend(self) -> str | None:
        """Read `falling`, `rising`, or one of them after `not`; None where there is neither."""
        found = "not " if self._accept("not") else ""
        word = self._peek().text
        if word in TRENDS:
            self._next += 1
            return found + word
        if found:
            self._fail("`falling` or `rising`", TREND_EXAMPLE)
        return None

    def _value(self) -> tuple[float | None, float]:
        """Read NUMBER, or baseline [* NUMBER] [+|- NUMBER], or NUMBER * baseline [+|- NUMBER]."""
        if self._accept("baseline"):
            factor = self._number() if self._accept("*") else 1.0
            return factor, self._offset()
        number = self._number()
        if not self._accept("*"):
            return None, number
        if not self._accept("baseline"):
            self._fail("`baseline`")
        return number, self._offset()

    def _offset(self) -> float:
        if self._accept("+"):
            return self._number()
        if self._accept("-"):
            return -self._number()
        return 0.0

    def _number(self) -> float:
        sign = -1.0 if self._accept("-") else 1.0
        number = float(self._take("number", "a number or `baseline`").text)
        if not math.isfinite(number):
            self._next -= 1
            self._fail("a finite number")
        return sign * number

    def _duration(self) -> float:
        return parse_duration(self._take("duration", "a duration such as 60s or 5m").text)

    def _each_region(self, labels: Mapping[str, str]) -> bool:
        if not self._accept("in"):
            return False
        for word in ("each", "region"):
            if not self._accept(word):
                self._fail(f"`{word}` of `in each region`")
        if "region" in labels:
            self._next -= 1
            self._fail("no `in each region` beside a region label")
        return True

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _accept(self, text: str) -> bool:
        if self._peek().text != text:
            return False
        self._next += 1
        return True

    def _take(self, kind: str, wanted: str) -> _Token:
        token = self._peek()
        if token.kind != kind:
            self._fail(wanted)
        self._next += 1
        return token

    def _fail(self, wanted: str, example: str = EXAMPLE) -> NoReturn:
        token = self._peek()
        found = f"`{token.text}`" if token.text else "the end"
        raise BadInputError(
            f"expectation `{self._text.strip()}`, column {token.column}: "
            f"expected {wanted}, found {found}; write for example `{example}`",
            field="expect",
        )


def _tokens(text: str) -> list[_Token]:
    tokens = []
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "unknown"
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
    tokens.append(_Token("end", "", len(text.rstrip()) + 1))
    return tokens
