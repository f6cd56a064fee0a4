"""From what detection sees to what an incident is told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from holdfast.app.readings import HistoryReadings
from holdfast.detection import Opening, Watch
from holdfast.engine.intake import is_known, merged_by_group, opening_facts, returns
from holdfast.incident import State
from holdfast.kernel.catalogue import Catalogue, Limit, Service, SignalForm, SignalKey, SignalSpec
from holdfast.sources import HistoryFile

AT = datetime(2030, 1, 1, tzinfo=UTC)


def region_of(targets: int) -> Catalogue:
    """A hub and everything that depends on it, each with one target."""
    names = [f"shop-{n}" for n in range(targets)]
    services = {"hub": Service(name="hub")}
    for name in names:
        services[name] = Service(
            name=name, depends_on=("hub",), regions=("east",), scrape={"east": "http://x"}
        )
    return Catalogue(services=services)


def all_down(catalogue: Catalogue) -> tuple[Opening, ...]:
    keys = catalogue.series()
    watch = Watch(catalogue, keys)
    watch.observe(np.zeros(len(keys)), AT)
    return watch.observe(np.zeros(len(keys)), AT)


def told(opening: Opening, *, severity: str = "critical", state: str = "bad") -> State:
    signals = {str(key): {"state": state, "severity": severity} for key in opening.keys}
    return State(incident_id="INC-1", signals=signals)


def test_when_a_region_goes_all_its_targets_are_one_opening_with_every_reason() -> None:
    openings = all_down(region_of(300))
    assert len(openings) == 300

    (merged,) = merged_by_group(openings)

    assert len(merged.keys) == len(merged.services) == len(merged.reasons) == 300
    assert merged.cause == "down"
    assert merged.reason.endswith("and 297 more like it")


def test_what_nothing_connects_stays_apart() -> None:
    services = {
        name: Service(name=name, regions=("east",), scrape={"east": "http://x"})
        for name in ("shop", "mail")
    }
    merged = merged_by_group(all_down(Catalogue(services=services)))
    assert [opening.services for opening in merged] == [("shop",), ("mail",)]


def test_the_hardest_fact_names_the_incident_and_the_first_sign_dates_it() -> None:
    (down,) = all_down(region_of(1))
    earlier = datetime(2029, 12, 31, tzinfo=UTC)
    soft = replace(down, cause="composite", severity="warning", started_at=earlier, reason="slow")
    (merged,) = merged_by_group([soft, down])
    assert (merged.cause, merged.severity, merged.started_at) == ("down", "critical", earlier)
    assert merged.reason == f"{down.reason}; slow"


def test_what_an_incident_was_told_is_not_told_again_on_every_tick() -> None:
    (opening,) = all_down(region_of(1))
    assert is_known(opening, [told(opening)])


def test_what_is_new_worse_or_back_again_is_told() -> None:
    (opening,) = merged_by_group(all_down(region_of(2)))
    known = told(opening)
    fewer = State(incident_id="INC-1", signals=dict(list(known.signals.items())[:1]))
    assert not is_known(opening, [])
    assert not is_known(opening, [fewer])
    assert not is_known(opening, [told(opening, severity="warning")])
    assert not is_known(opening, [told(opening, state="returned")])


@pytest.fixture
def sampled(tmp_path: Path) -> Iterator[HistoryFile]:
    """The history of one series, `reachable` of shop, a sample a second."""
    key = SignalKey("shop", "east", "reachable")
    file = HistoryFile.open(tmp_path / "history", [key], interval_s=1)
    yield file
    file.close()


def test_what_was_past_its_limit_all_along_has_not_returned_to_normal(
    sampled: HistoryFile,
) -> None:
    spec = SignalSpec(form=SignalForm.QUERY, metrics=("up",))
    limit = Limit(signal="reachable", below=1, for_samples=1)
    shop = Service(name="shop", regions=("east",), signals={"reachable": spec}, limits=(limit,))
    catalogue = Catalogue(services={"shop": shop})
    readings = HistoryReadings(sampled, on_trouble=pytest.fail)
    for second in range(60):
        readings.append(AT + timedelta(seconds=second), np.zeros(1))
    now = AT + timedelta(seconds=60)
    (opening,) = Watch(catalogue, catalogue.series()).observe(np.zeros(1), now)

    facts = opening_facts(opening, catalogue, readings)
    state = State(incident_id="INC-1", signals={s["series"]: s for s in facts.signals})
    assert returns(state, readings, now) == ()

    for second in range(60, 63):
        readings.append(AT + timedelta(seconds=second), np.ones(1))
    (back,) = returns(state, readings, now)
    assert back["state"] == "returned"
    (normal,) = facts.baselines.values()
    assert (normal["high"], normal["below"]) == (0.0, 1)
