"""Series from CSV files, and scores back into CSV: the hands of `holdfast detect`.

One row out for each row in, in the same order. A file is read whole before anything is
written, so that a bad row leaves nothing half-done; the error names the file, the line and
the value.
"""

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from holdfast.detection import DetectorSettings, SeriesScores, score_series
from holdfast.detection.exact import Floats
from holdfast.kernel.errors import BadInputError

COLUMNS = (
    "file", "timestamp", "value", "expected", "low", "high",
    "score", "confidence", "anomaly", "severity", "reason",
)  # fmt: skip
DETECTORS: Mapping[str, Callable[[Floats, DetectorSettings | None], SeriesScores]] = {
    "zscore": score_series,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvSeries:
    """One file: timestamps as they were written, values as numbers."""

    path: Path
    timestamps: list[str]
    values: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectResult:
    """One file and what the detector says about each of its rows."""

    series: CsvSeries
    scores: SeriesScores

    @property
    def anomalies(self) -> int:
        """Count the anomalous rows."""
        return int(self.scores.anomaly.sum())

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Give the rows in the order of COLUMNS; None where nothing is known."""
        s = self.scores
        columns = (s.expected, s.low, s.high, s.score, s.confidence)
        numbers = zip(*(_cells(column) for column in columns), strict=True)
        flags = zip(s.anomaly.tolist(), s.critical.tolist(), strict=True)
        texts = zip(self.series.timestamps, s.values.tolist(), strict=True)
        name = self.series.path.name
        for n, ((at, value), number, flag) in enumerate(zip(texts, numbers, flags, strict=True)):
            anomaly, critical = flag
            severity = ("critical" if critical else "warning") if anomaly else None
            shown = value if math.isfinite(value) else None
            reason = s.reason(n) if anomaly else None
            yield (name, at, shown, *number, anomaly, severity, reason)


def detect_file(
    path: Path | str, *, detector: str = "zscore", settings: DetectorSettings | None = None
) -> DetectResult:
    """Read a CSV file and score each of its rows. Raises BadInputError."""
    if detector not in DETECTORS:
        raise BadInputError(
            f"there is no detector {detector!r}; choose one of {', '.join(DETECTORS)}",
            field="detector",
        )
    series = read_csv(path)
    return DetectResult(series=series, scores=DETECTORS[detector](series.values, settings))


def json_lines(result: DetectResult) -> Iterator[str]:
    """Give one JSON object per row."""
    for row in result.rows():
        yield json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False)


def write_csv(result: DetectResult, folder: Path | str) -> Path:
    """Write the scores of a file into `folder` under its own name, whole or not at all."""
    target = Path(folder) / result.series.path.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and target.samefile(result.series.path):
            raise BadInputError(
                f"{target} is the input itself; choose another folder for --out", field="out"
            )
        fresh = target.with_name(target.name + ".new")
        with fresh.open("w", encoding="utf-8", newline="") as file:
            write_rows(result, file)
        fresh.replace(target)
    except OSError as error:
        raise BadInputError(
            f"scores can't be written to {target} ({error.strerror or error}); "
            "choose another folder for --out",
            field="out",
        ) from error
    return target


def write_rows(result: DetectResult, file: TextIO, *, header: bool = True) -> None:
    """Write all rows as CSV, after the header unless it stands there already."""
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows((*row[:8], "true" if row[8] else "false", *row[9:]) for row in result.rows())


# ---------------------------------------------------------------------- reading
def read_csv(path: Path | str) -> CsvSeries:
    """Read a file with the columns `timestamp` and `value` (any case, any order).

    Timestamps are ISO 8601 or epoch seconds; an empty value (or nan, null) is a gap. Raises
    BadInputError naming file, line and value.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(path, csv.reader(file))
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{path} is not UTF-8 text (byte {error.start}); unpack or convert it first"
        ) from error
    except csv.Error as error:
        raise BadInputError(f"{path} is not CSV ({error}); check its quotes") from error
    except OSError as error:
        raise BadInputError(
            f"{path} can't be read ({error.strerror or error}); check the path"
        ) from error


def _read(path: Path, reader: Iterable[list[str]]) -> CsvSeries:
    rows = iter(reader)
    at, value = _columns(path, next(rows, []))
    need = max(at, value) + 1
    timestamps: list[str] = []
    texts: list[str] = []
    lines = _Lines(rows)
    for row in lines:
        if len(row) < need:
            raise BadInputError(
                f"{path}, line {lines.number}: {len(row)} columns where {need} are needed; "
                "write `timestamp,value`, with nothing after the comma for a gap"
            )
        timestamps.append(row[at])
        texts.append(row[value])
    _check_timestamps(path, timestamps, lines)
    values = _values(path, texts, lines)
    return CsvSeries(path=path, timestamps=timestamps, values=values)


class _Lines:
    """Rows that are not empty, and which line of the file each was on (quoted breaks aside)."""

    def __init__(self, rows: Iterator[list[str]]) -> None:
        self._rows = rows
        self.number = 1
        self._empty: list[int] = []

    def __iter__(self) -> Iterator[list[str]]:
        for row in self._rows:
            self.number += 1
            if row:
                yield row
            else:
                self._empty.append(self.number)

    def of(self, index: int) -> int:
        """Give the line of the `index`-th row."""
        line = index + 2
        for empty in self._empty:
            if empty > line:
                break
            line += 1
        return line


def _columns(path: Path, header: list[str]) -> tuple[int, int]:
    names = [name.strip().lower() for name in header]
    for wanted in ("timestamp", "value"):
        if wanted not in names:
            shown = ", ".join(header[:8]) or "nothing"
            raise BadInputError(
                f"{path}, line 1: no column {wanted!r}, only {shown}; "
                "write a header line with `timestamp,value`"
            )
    return names.index("timestamp"), names.index("value")


def _values(path: Path, texts: list[str], lines: _Lines) -> Floats:
    try:
        return np.array(list(map(float, texts)), dtype=np.float64)
    except ValueError:
        pass
    out = np.full(len(texts), np.nan)
    for n, text in enumerate(texts):
        clean = text.strip()
        if clean and clean.lower() not in ("null", "none", "na"):
            try:
                out[n] = float(clean)
            except ValueError:
                raise BadInputError(
                    f"{path}, line {lines.of(n)}: value {text!r} is not a number; "
                    "write a number, or nothing for a gap"
                ) from None
    return out


def _check_timestamps(path: Path, timestamps: list[str], lines: _Lines) -> None:
    """Refuse what is no moment. Order is not asked for: the rows are the samples."""
    for n, text in enumerate(timestamps):
        if not _is_moment(text):
            raise BadInputError(
                f"{path}, line {lines.of(n)}: timestamp {text!r} is no moment; "
                "write ISO 8601 (2026-01-31T10:00:00Z) or epoch seconds"
            )


def _is_moment(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        pass
    try:
        datetime.fromisoformat(text.strip().strip('"'))
    except ValueError:
        return False
    return True


def _cells(column: Floats) -> Iterator[float | None]:
    known = np.isfinite(column).tolist()
    return (x if ok else None for x, ok in zip(column.tolist(), known, strict=True))
