"""Modes and overrides against a running engine, on every store: in time, or not at all."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.incident import Kind, line
from holdfast.incident.system import MODE_CLEARED, MODE_SET, OVERRIDE_GRANTED
from holdfast.kernel import SystemClock, format_at
from holdfast.ledger import MemoryLedger
from tests.engine.engine_parts import Site, facts, site, with_world
from tests.engine.marks import lose

INCIDENT = "INC-1"
STORES = ("memory", "sqlite", "postgres")


@pytest.fixture(params=STORES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """An installation on each of the three stores."""
    more: dict[str, Any] = {}
    if request.param == "memory":
        more["ledger"] = MemoryLedger(SystemClock())
    if request.param != "postgres":
        with site(tmp_path, **more) as one:
            yield one
        return
    server = request.getfixturevalue("durable_postgres")
    with server.ledger_url() as url, site(tmp_path, url=url) as one:
        yield one


def set_mode(made: Site, mode: str = "observe", scope: str = "all") -> None:
    data = {"scope": scope, "mode": mode, "because": "storage audit"}
    made.ledger.append_system(MODE_SET, data, made.dana(), made.clock.now())


def clear_mode(made: Site, scope: str = "all") -> None:
    data = {"scope": scope, "because": "the audit is over"}
    made.ledger.append_system(MODE_CLEARED, data, made.dana(), made.clock.now())


def once(act: Callable[[], None]) -> Callable[[], None]:
    """Do it the first time only."""
    done: list[bool] = []

    def maybe() -> None:
        if not done:
            done.append(True)
            act()

    return maybe


def override(made: Site, incident_id: str, limit: str) -> None:
    data = {
        "override_id": "3fa9",
        "incident_id": incident_id,
        "limit": limit,
        "target": None,
        "because": "a full disk",
        "expires_at": format_at(made.clock.now().replace(year=2200)),
    }
    made.ledger.append_system(OVERRIDE_GRANTED, data, made.dana(), made.clock.now())


@pytest.mark.promise("L13")
def test_a_mode_set_between_the_guard_and_the_intent_stops_the_step(made: Site) -> None:
    made.dana()
    # The target is observed after the guard's view of the installation was taken.
    made.action.looking = once(lambda: set_mode(made))
    made.open()
    made.start()
    made.seen.until(made.seen.has("paged"))

    assert made.effects() == []
    assert "step_intended" not in made.seen.kinds()
    (blocked,) = [r for r in made.ledger.records(INCIDENT) if r.kind == Kind.STEP_BLOCKED]
    assert "dana set the mode of all to at most observe: storage audit" in line(blocked)


def test_a_step_that_a_set_mode_stopped_is_performed_once_it_is_taken_back(made: Site) -> None:
    set_mode(made, scope="service:shop")
    made.open()
    made.start()
    made.seen.until(made.seen.has("paged"))
    assert made.effects() == []

    clear_mode(made, "service:shop")
    made.seen.until(made.seen.has("resolved"))
    assert len(made.effects()) == 1
    assert made.seen.kinds().count("step_proposed") == 2, "shown once, performed once"


@pytest.mark.promise("L13")
def test_a_mode_set_while_a_target_is_probed_stops_the_repeat(made: Site) -> None:
    made.dana()
    made.action.before = lose
    made.action.probing = once(lambda: set_mode(made))
    made.open()
    made.start()
    made.seen.until(made.seen.has("paged"))

    assert made.effects() == []
    assert "step_repeated" not in made.seen.kinds()
    assert "the mode is observe now" in made.state().held["why"]  # type: ignore[index]


def test_an_override_wakes_the_step_that_waits_for_it_and_its_intent_uses_it_up(
    made: Site,
) -> None:
    timing = made.engine.carrier.world.timing
    with_world(made, timing=replace(timing, cooldown_s=600.0))
    made.dana()
    made.open()
    made.start()
    made.seen.until(made.seen.has("resolved"))
    (made.directory / "shop.effects").unlink()

    made.engine.opening(facts("shop", made.clock.now()))
    made.seen.until(lambda: made.seen.kinds().count("step_proposed") == 2)
    override(made, "INC-1", "cooldown")
    made.submit("override", "INC-1", text="override 3fa9 raises cooldown once")
    made.seen.until(lambda: made.seen.kinds().count("step_intended") == 2)

    intents = [r for r in made.ledger.records("INC-1") if r.kind == Kind.STEP_INTENDED]
    assert [r.data["override_ids"] for r in intents] == [[], ["3fa9"]]
    assert made.state("INC-1").overrides_used == ("3fa9",)
    made.seen.until(lambda: made.seen.kinds().count("resolved") == 2)
    assert made.effects() == ["INC-1/S2/1"]
