"""The engine on PostgreSQL: the same protocol, a server that is stopped hard, and several workers."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from holdfast.incident import Phase
from holdfast.ledger import verify
from holdfast.response.ports import ActionRequest, Repeatability
from tests.engine.engine_parts import LaterClock, Site, site
from tests.engine.marks import effects, lose
from tests.engine.test_engine_workers import wait_for
from tests.real_parts import Postgres


@pytest.fixture
def url(durable_postgres: Postgres) -> Iterator[str]:
    with durable_postgres.ledger_url() as address:
        yield address


def test_an_incident_is_recovered_on_postgresql(tmp_path: Path, url: str) -> None:
    with site(tmp_path, url=url) as made:
        made.open()
        made.start()
        made.seen.until(made.seen.has("resolved"))

        assert made.effects() == ["INC-1/S1/1"]
        assert verify(made.ledger, "INC-1").ok


def is_resolved(made: Site, name: str) -> bool:
    return made.state(name).phase is Phase.RESOLVED


@pytest.mark.promise("L6")
def test_three_workers_share_incidents_and_do_each_step_once(tmp_path: Path, url: str) -> None:
    with (
        site(tmp_path, url=url) as first,
        site(tmp_path, url=url, worker="w-2") as second,
        site(tmp_path, url=url, worker="w-3") as third,
    ):
        first.open("shop")
        second.open("stock")
        for made in (first, second, third):
            made.start()
        for name in ("INC-1", "INC-2"):
            wait_for(partial(is_resolved, third, name), f"{name} was not resolved")

        assert (effects(tmp_path, "shop"), effects(tmp_path, "stock")) == (
            ["INC-1/S1/1"],
            ["INC-2/S1/1"],
        )


@pytest.mark.promise("L3")
def test_a_server_that_is_stopped_while_an_action_runs_gets_the_outcome_when_it_is_back(
    tmp_path: Path, durable_postgres: Postgres, url: str
) -> None:
    def stop(_: ActionRequest) -> None:
        durable_postgres.crash()

    with site(tmp_path, url=url, after=stop, kind=Repeatability.NONE) as made:
        made.open()
        made.start()
        try:
            wait_for(lambda: made.engine.away, "the engine did not notice")
        finally:
            durable_postgres.start()
        made.seen.until(made.seen.has("resolved"), 30.0)

        assert "step_finished" in made.seen.kinds(), "the outcome was forgotten"
        assert made.effects() == ["INC-1/S1/1"]
        assert verify(made.ledger, "INC-1").ok


def test_what_a_dead_worker_left_is_taken_over_when_its_lease_is_over(
    tmp_path: Path, url: str
) -> None:
    with site(tmp_path, url=url, before=lose) as dead:
        dead.open()
        claims = dead.engine.cases
        assert list(claims) == ["INC-1"]
        with site(tmp_path, url=url, worker="w-2", clock=LaterClock(60)) as second:
            second.start()
            second.seen.until(second.seen.has("resolved"))

            assert second.effects() == ["INC-1/S1/1"]


def test_a_request_wakes_the_worker_at_once(tmp_path: Path, url: str) -> None:
    woken = threading.Event()
    with site(tmp_path, url=url) as made, site(tmp_path, url=url, worker="w-2") as other:
        stop = made.ledger.listen(woken.set)
        made.open()
        other.submit("note", text="hello")

        assert woken.wait(5)
        stop()
