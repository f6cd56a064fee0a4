"""A real Prometheus that knows a past: samples are written as blocks before it starts.

A test then asks for moments of its choice, and nothing has to be waited for.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.monitoring_parts import Monitor, started_prometheus

# A series' name and labels; what it shows `age` seconds before now, or None where it has none.
Series = Mapping[str, Callable[[int], float | None]]
NO_TARGETS = "global: {scrape_interval: 1h}\n"


@contextmanager
def knowing(tmp_path: Path, series: Series, *, past: range) -> Iterator[tuple[Monitor, float]]:
    """Start Prometheus with a sample for each age of `past` (negative: still to come).

    Gives the server and the time of age 0.
    """
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    now = float(int(time.time()))
    data = tmp_path / "prometheus" / "data"
    data.mkdir(parents=True)
    written = tmp_path / "past.txt"
    lines: dict[str, list[str]] = {}
    for named, shows in series.items():
        name = named.partition("{")[0]
        said = lines.setdefault(name, [f"# TYPE {name} gauge"])
        said += [
            f"{named} {value} {now - age:.3f}" for age in past if (value := shows(age)) is not None
        ]
    written.write_text("\n".join((*(text for said in lines.values() for text in said), "# EOF\n")))
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", str(written), str(data)],
        check=True,
        capture_output=True,
    )
    with started_prometheus(tmp_path, NO_TARGETS) as server:
        yield server, now
