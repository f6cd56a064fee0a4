"""A trouble that comes back reopens its incident, across a restart, workers and a death."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from holdfast.engine import OpeningFacts
from holdfast.engine.case import Case
from holdfast.engine.told import Became
from holdfast.incident import Kind, Phase
from holdfast.ledger import verify
from holdfast.response import decide
from holdfast.response.commands import Write
from holdfast.response.events import Asked
from tests.engine.engine_parts import LaterClock, Site, facts, site
from tests.engine.test_engine_workers import wait_for
from tests.real_parts import Postgres

NAME = "INC-1"


def recover(made: Site) -> None:
    made.open()
    made.start()
    made.seen.until(made.seen.has("resolved"))


def breaks_again(directory: Path) -> None:
    """The service reads bad again, as if nobody had ever acted on it."""
    (directory / "shop.effects").rename(directory / "shop.first")


def resolved_again(made: Site) -> Callable[[], bool]:
    return lambda: made.seen.kinds().count("resolved") == 1 and made.seen.has("reopened")()


def test_a_trouble_that_is_back_after_a_restart_is_the_same_incident(tmp_path: Path) -> None:
    with site(tmp_path) as first:
        recover(first)
    breaks_again(tmp_path)
    with site(tmp_path, worker="w-2") as second:
        second.open()
        second.open()  # the next tick says so too, before anything could be done about it
        second.start()
        second.seen.until(resolved_again(second))
        state = second.state()

        assert list(second.ledger.incident_ids()) == [NAME]
        assert (state.phase, len(state.reopenings)) == (Phase.RESOLVED, 1)
        assert second.effects() == ["INC-1/S2/1"]
        assert verify(second.ledger, NAME).ok


def test_a_trouble_that_is_back_on_postgresql_is_the_same_incident_whoever_works_on_it(
    tmp_path: Path, durable_postgres: Postgres
) -> None:
    with (
        durable_postgres.ledger_url() as url,
        site(tmp_path, url=url) as first,
        site(tmp_path, url=url, worker="w-2") as second,
    ):
        recover(first)
        first.stop()
        breaks_again(tmp_path)
        second.start()
        first.open()  # it opens incidents, the other one works
        second.seen.until(resolved_again(second))

        assert list(first.ledger.incident_ids()) == [NAME]
        assert second.effects() == ["INC-1/S2/1"]


def test_a_worker_that_dies_right_after_the_reopening_leaves_a_live_incident(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as dead:
        recover(dead)
        dead.stop()
        breaks_again(tmp_path)
        dead.open()
        (request,) = dead.ledger.requests(NAME)
        claim = dead.ledger.claim_one(NAME, "w-1", 30.0)
        assert claim is not None
        case = Case(claim=claim, state=dead.state())
        world = dead.engine.carrier.world
        (write,) = decide(case.state, Asked(request=request), dead.clock.now(), world)
        assert isinstance(write, Write)
        dead.engine.carrier.journal.write(case, write.drafts, answers=write.answers)

        with site(tmp_path, worker="w-2", clock=LaterClock(60)) as second:
            second.start()
            second.seen.until(second.seen.has("resolved"))

            assert second.seen.kinds().count("reopened") == 0
            assert len(second.state().reopenings) == 1
            assert second.effects() == ["INC-1/S2/1"]


def test_what_is_seen_later_or_elsewhere_is_a_new_incident(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        recover(made)
        made.stop()
        made.engine.opening(facts("stock", made.clock.now()))
        with site(tmp_path, worker="w-2", clock=LaterClock(700)) as later:
            later.open()

            assert list(later.ledger.incident_ids()) == [NAME, "INC-2", "INC-3"]
            assert later.state("INC-3").follows is None


def alert(starts_at: str, made: Site) -> OpeningFacts:
    said = facts("shop", made.clock.now())
    signal = {**said.signals[0], "series": "alert Slow of shop in east", "signal": "alert"}
    return replace(said, signals=({**signal, "labels": {}, "starts_at": starts_at},))


def test_an_alert_that_goes_on_firing_after_recovery_reopens_nothing_but_a_new_one_does(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as made:
        made.open()
        made.engine.told(alert("2030-01-01T12:00:00Z", made))
        made.start()
        made.seen.until(made.seen.has("resolved"))
        made.stop()

        repeated = made.engine.told(alert("2030-01-01T12:00:00Z", made))
        assert (repeated.became, repeated.incident_id) == (Became.KNOWN, NAME)
        assert made.ledger.requests(NAME) == []
        assert made.engine.told(alert("2030-01-01T12:05:00Z", made)).became is Became.REOPENED
        assert [request.kind for request in made.ledger.requests(NAME)] == ["trouble_is_back"]


def test_after_a_dismissal_a_new_incident_says_which_one_it_follows(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.open()
        made.submit("hold", because="let me look")
        made.start()
        wait_for(lambda: made.state().held, "it was not held")
        made.submit("dismiss", because="a drill")
        wait_for(partial(dismissed, made), "it was not dismissed")
        made.stop()
        made.open()
        state = made.state("INC-2")

        assert state.follows is not None
        assert (state.follows["incident_id"], state.follows["phase"]) == (NAME, "dismissed")


def dismissed(made: Site) -> bool:
    return Kind.DISMISSED in [record.kind for record in made.ledger.records(NAME)]
