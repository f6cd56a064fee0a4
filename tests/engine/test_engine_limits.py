"""What limits all actions together, and change freezes, against the engine and a real store."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.incident import Kind
from holdfast.policy import Limits, Window
from tests.engine.engine_parts import Site, site, with_world

LATER = "INC-2"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as one:
        yield one


def test_when_the_installation_acted_often_enough_the_next_incident_waits_for_a_person(
    made: Site,
) -> None:
    with_world(made, limits=Limits(actions_per_installation=1))
    made.open("shop")
    made.start()
    made.seen.until(made.seen.has("resolved"))
    made.open("stock")
    made.seen.until(made.seen.has("paged", LATER))

    (blocked,) = [r for r in made.ledger.records(LATER) if r.kind == Kind.STEP_BLOCKED]
    assert "the installation has acted often enough" in str(blocked.data)
    assert "1 actions in 1 h" in str(blocked.data)
    assert made.effects("shop") != []
    assert made.effects("stock") == []


def test_within_a_change_freeze_a_granted_runbook_waits_for_an_approval(made: Site) -> None:
    now = made.clock.now()
    freeze = Window(
        window_id="freeze-1",
        scope="all",
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(hours=1),
        by="dana",
        why="end of the year",
    )
    with_world(made, change_freezes=(replace(freeze, scope="stock"), freeze))
    made.open("shop")
    made.start()
    made.seen.until(made.seen.has("approval_requested"))

    assert made.state().waiting_for is not None
    assert made.effects("shop") == []
