"""`serve` beside a real Prometheus: warm at once, and calm when Prometheus dies."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from holdfast.app.installation import load_installation
from holdfast.app.prometheus import backfill
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.sources import HistoryFile
from tests.monitoring_parts import Monitor
from tests.prometheus_parts import knowing
from tests.real_parts import end
from tests.surface import CONFIG, Installed, installed

SERVICES = """\
services:
  - name: shop
    regions: [north, south]
    metrics:
      traffic: {query: 'sum(rate(n_total{region="{region}"}[10s]))'}
      failing: {query: 'sum(nobody{region="{region}"})'}
    limits: {traffic: {below: 1, for_samples: 1}}
"""
MORE = """\
prometheus: {{url: "{url}", lookback_s: 3}}
detection: {{window: 40}}
"""


ENGINE = 'prometheus: {url: "http://127.0.0.1:1"}'


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    series = {
        f'n_total{{region="{region}"}}': lambda age: 7.0 * (1000 - age)
        for region in ("north", "south")
    }
    with knowing(tmp_path_factory.mktemp("engine"), series, past=range(120, -120, -1)) as found:
        yield found[0]


@pytest.fixture
def site(tmp_path: Path, engine: Monitor) -> Installed:
    site = installed(tmp_path / "site")
    site.write("holdfast.yaml", CONFIG.format(mode="observe", more=MORE.format(url=engine.url)))
    site.write("services.yaml", SERVICES)
    return site


def test_serve_is_warm_from_its_first_tick_and_a_dead_prometheus_is_no_outage(
    site: Installed, engine: Monitor
) -> None:
    with site.serving() as serving:
        asked = serving.event("notice")["text"]
        assert asked == "asking Prometheus for the last 40 samples of 4 series"
        warm = serving.until(lambda e: e.get("text", "").startswith("warm: "))["text"]
        assert warm == "warm: 2 of 4 series, 2 back-filled from Prometheus"
        failed = serving.until(lambda e: "could not be back-filled" in e.get("text", ""))["text"]
        assert "failing of shop in north: Prometheus answered no series" in failed
        first = serving.event("tick")
        assert (first["tick"], first["warm"], first["anomalies"]) == (1, 2, [])
        told = serving.until(lambda e: "failing of shop in south has no" in e.get("text", ""))
        assert told["event"] == "notice"
        assert "\nholdfast_query_gaps 2.0\n" in serving.page("/metrics")[1]
        assert serving.health()[1]["status"] == "ok"

        end(engine.keeper)

        trouble = serving.event("trouble")["text"]
        assert trouble.startswith("Prometheus can't be reached (")
        for number in range(3):
            serving.event("tick", tick=serving.events[-1].get("tick", 0) + 1 + number)
        health = serving.health()[1]
        assert (health["status"], health["targets_down"]) == ("degraded", {})
        assert "can't be reached" in health["why"]
        metrics = serving.page("/metrics")[1]
        assert "\nholdfast_prometheus_failures_total 1.0\n" in metrics
        assert "\nholdfast_incidents_opened_total 0.0\n" in metrics
        assert sum(e["event"] == "trouble" for e in serving.events) == 1
        assert serving.stop() == 0


def test_an_engine_that_is_away_delays_no_start_and_takes_nothing_away(tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    site.write("holdfast.yaml", CONFIG.format(mode="observe", more=ENGINE))
    site.write("services.yaml", SERVICES)
    installation = load_installation(site.directory)
    keys = installation.catalogue.series()
    history = HistoryFile.open(tmp_path / "history", keys, interval_s=0.2)
    history.append(datetime.now(UTC), np.ones(len(keys)))
    told: list[str] = []

    backfill(installation, history, SystemClock(), told.append)

    assert told[0] == "asking Prometheus for the last 60 samples of 4 series"
    assert told[1].startswith("nothing was back-filled, detection warms up by itself: Prometheus ")
    assert len(told) == 2
    assert history.rows()[1].tolist() == [[1.0] * 4]
    history.close()


@pytest.mark.parametrize(
    ("signal", "engine", "words"),
    [
        ("{query: n}", ENGINE, "says the same for all 2 regions of this service; filter on one"),
        ("{query: 'n', gauge: n}", ENGINE, "names 2 ways to read it"),
        (
            "{query: 'n{r=\"{region}\"}', backfill: 'n{r=\"{region}\"}'}",
            ENGINE,
            "backfill is not needed",
        ),
        ("{query: 'n{r=\"{region}\"}'}", "", "needs an engine to ask; add `prometheus:"),
        ("{gauge: n, backfill: 'n{r=\"{region}\"}'}", "", "needs an engine to ask"),
    ],
)
def test_a_query_that_can_not_be_right_is_refused_with_its_line(
    signal: str, engine: str, words: str, tmp_path: Path
) -> None:
    site = installed(tmp_path / "site")
    site.write("holdfast.yaml", CONFIG.format(mode="observe", more=engine))
    site.write(
        "services.yaml",
        f"services:\n  - name: shop\n    regions: [a, b]\n    metrics:\n      traffic: {signal}\n",
    )

    with pytest.raises(BadInputError) as caught:
        load_installation(site.directory)

    assert "services.yaml:5: services.0.metrics.traffic" in caught.value.message
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{url: 'http://x', token: t, user: u, password: p}", "not both"),
        ("{url: 'http://x', user: u}", "both user and password"),
        ("{url: x}", "it is no http"),
        ("{url: 'http://x', token: 5}", "its value is not shown"),
    ],
)
def test_the_address_of_an_engine_is_checked_and_no_credential_is_shown(
    given: str, words: str, tmp_path: Path
) -> None:
    site = installed(tmp_path / "site")
    site.write("holdfast.yaml", CONFIG.format(mode="observe", more=f"prometheus: {given}"))

    with pytest.raises(BadInputError, match=words) as caught:
        load_installation(site.directory)

    assert (caught.value.field or "").startswith("prometheus")
