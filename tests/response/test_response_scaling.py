"""How many instances were added is counted from every intent, also from those of others."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from holdfast.response import ActionFacts
from holdfast.response.commands import Intend, Prepare
from holdfast.response.ports import Repeatability
from holdfast.response.store import LoggedAction
from holdfast.runbooks import Runbook, parse
from tests.response.response_parts import Play
from tests.response.response_world import HEAD, STEP, world


def scaling(by: int) -> Runbook:
    step = STEP.format(
        title="Add", action="scale_up", target="shop-api@east", impact="low", retries=0
    ).replace("expect:", f"params: {{by: {by}}}\nexpect:")
    return parse(HEAD.format(name="roll-back", type="high_error_rate") + step, "add.md")


def played(by: int, *log: LoggedAction) -> Play:
    """Play up to the guard's answer about a step that adds so many."""
    known = world(scaling(by))
    facts = ActionFacts(repeatability=Repeatability.PROBEABLE, least_impact="low")
    play = Play(world=replace(known, actions={"scale_up": facts}), stop_at=(Prepare,)).open().run()
    (prepare,) = [c for c in play.told if isinstance(c, Prepare)]
    play.stop_at = ()
    play.run(play.prepared(prepare, log=log))
    return play


def entry(at: datetime, incident_id: str, step_id: str = "S9") -> LoggedAction:
    return LoggedAction(
        key=f"{incident_id}/{step_id}/1", incident_id=incident_id, step_id=step_id,
        action="scale_up", target="shop-api@east", at=at, settled=True,
    )  # fmt: skip


def test_as_many_as_the_limit_allows_are_added() -> None:
    assert played(3).count(Intend) == 1
    assert played(4).count(Intend) == 0


@pytest.mark.promise("L11")
def test_what_another_incident_added_is_not_known_and_counts_as_the_most() -> None:
    before = played(1).now - timedelta(minutes=30)

    play = played(1, entry(before, "INC-8"))

    assert play.count(Intend) == 0
    assert "3 added before, 1 wanted" in str([record.data for record in play.records])


def test_what_is_longer_ago_than_the_window_does_not_count() -> None:
    before = played(1).now - timedelta(hours=2)

    assert played(1, entry(before, "INC-8")).count(Intend) == 1
