"""Reads what a target answers: OpenMetrics or Prometheus text, bounded, or the reason why not.

An answer is taken whole or not at all, since half a scrape would look like counters that
fell. Only the metrics that the catalogue asks for are kept. Own code rather than the
client library's parser, which takes four times as long on the largest answer allowed.
"""

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from holdfast.detection import Samples
from holdfast.kernel.errors import HoldfastError

BODY_BYTES_MAX = 5_000_000
SAMPLES_MAX = 50_000

_SAMPLE = re.compile(
    r"([A-Za-z_:][\w:]*)"
    r'(?:\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\})?'
    r"[ \t]+(\S+)"
    r"(?:[ \t]+-?[\d.eE+-]+)?"  # timestamp
    r"(?:[ \t]+#[ \t].*)?[ \t]*"  # exemplar
)
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class ScrapeError(HoldfastError):
    """A target's answer can't be used. The message is the reason of the failed scrape."""


def parse_metrics(
    body: bytes, *, content_type: str = "", wanted: AbstractSet[str] | None = None
) -> Samples:
    """Read the samples of the `wanted` metrics (None: all), by name and sorted labels.

    Raises ScrapeError naming what was found and what to do.
    """
    text = _text(body, content_type)
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    count = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line[0] == "#" or line.isspace():
            continue
        count += 1
        if count > SAMPLES_MAX:
            raise ScrapeError(
                f"answered more than {SAMPLES_MAX:,} samples; drop labels with many values, "
                "or point `scrape` at an endpoint with fewer metrics"
            )
        sample = _SAMPLE.fullmatch(line.rstrip("\r"))
        if sample is None:
            raise _unreadable(number, line)
        name, labels, value = sample.groups()
        if wanted is None or name in wanted:
            found.setdefault(name, {})[_labels(labels or "", number, line)] = _number(
                value, number, line
            )
    if not count:
        raise ScrapeError("answered no metric at all; check what the target exports")
    return found


def _text(body: bytes, content_type: str) -> str:
    if len(body) > BODY_BYTES_MAX:
        raise ScrapeError(
            f"answered more than {BODY_BYTES_MAX // 1_000_000} MB; "
            "point `scrape` at an endpoint with fewer metrics"
        )
    start = body[:200].lstrip()
    if start.startswith(b"<") or content_type.startswith("text/html"):
        shown = start[:60].decode("utf-8", "replace").replace("\n", " ")
        raise ScrapeError(
            f"answered HTML, not metrics ({shown!r}); point `scrape` at the service's /metrics"
        )
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ScrapeError(
            f"answered bytes that are not UTF-8 (at byte {error.start}); "
            "point `scrape` at the service's /metrics"
        ) from error
    if content_type.startswith("application/openmetrics-text") and "# EOF" not in text[-10:]:
        raise ScrapeError(
            f"answer was cut off after {len(body):,} bytes (no # EOF); check the target's log"
        )
    return text


def _labels(text: str, number: int, line: str) -> tuple[tuple[str, str], ...]:
    labels, rest = [], text
    while rest.strip():
        part = _LABEL.match(rest)
        if part is None:
            raise _unreadable(number, line)
        labels.append((part[1], _ESCAPE.sub(_unescape, part[2]) if "\\" in part[2] else part[2]))
        rest = rest[part.end() :]
    return tuple(sorted(labels))


_unescape: Callable[[re.Match[str]], str] = lambda m: _ESCAPED.get(m[1], m[0])  # noqa: E731


def _number(text: str, number: int, line: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _unreadable(number, line) from None


def _unreadable(number: int, line: str) -> ScrapeError:
    return ScrapeError(
        f"answered a line that is no metric (line {number}: {line[:60]!r}); "
        "point `scrape` at an endpoint that speaks OpenMetrics or Prometheus text"
    )
