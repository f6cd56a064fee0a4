"""JSON lines in a file, one per event, as a log collector would pick them up.

Rule: a line is written whole (one write in append mode), so that a reader who
tails the file while processes die never sees half of one mixed with another.
"""

import json
from pathlib import Path

from holdfast.kernel.clock import SystemClock, format_at


class JsonLog:
    """Appends `{"at", "severity", "service", "region", "message", ...}` to one file."""

    def __init__(self, file: Path, service: str, region: str) -> None:
        self._file = file.open("ab", buffering=0)
        self._service = service
        self._region = region
        self._clock = SystemClock()

    def info(self, message: str, **attributes: object) -> None:
        self._write("INFO", message, attributes)

    def warning(self, message: str, **attributes: object) -> None:
        self._write("WARNING", message, attributes)

    def error(self, message: str, **attributes: object) -> None:
        self._write("ERROR", message, attributes)

    def close(self) -> None:
        self._file.close()

    def _write(self, severity: str, message: str, attributes: dict[str, object]) -> None:
        line = {
            "at": format_at(self._clock.now()),
            "severity": severity,
            "service": self._service,
            "region": self._region,
            "message": message,
            **attributes,
        }
        self._file.write(json.dumps(line, default=str).encode() + b"\n")
