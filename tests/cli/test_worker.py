"""`worker` as a process: it works beside `serve`, takes over from a dead one, and opens nothing."""

import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.incident import Phase, fold
from holdfast.kernel import SYSTEM, SystemClock
from holdfast.ledger import PostgresLedger, SqliteLedger, verify
from holdfast.response.store import Request
from tests.real_parts import Postgres
from tests.surface import Installed, installed, refused, target

FAULT = "queue_age 99\nin_flight 1\n"


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    return installed(tmp_path / "site")


def test_a_worker_takes_over_what_a_dead_serve_left_and_opens_nothing(site: Installed) -> None:
    with target() as told:
        site.describe(told.url, more="lease_s: 2")
        with site.serving() as serving:
            serving.event("tick")
            told.say(FAULT)
            serving.event("record", kind="paged")
            serving.process.kill()
        with site.serving(command="worker") as worker:
            assert worker.event("working")["pid"] == worker.process.pid
            said = site.run("note", "INC-1", "is anybody there?")

            assert said.code == 0, said
            worker.event("record", kind="note", incident_id="INC-1")
            assert worker.stop() == 0
        assert worker.err == ""
        assert not any(e.get("kind") == "incident_opened" for e in worker.events)
    with closing(SqliteLedger(site.directory / "holdfast.db")) as ledger:
        assert ledger.incident_ids() == ["INC-1"]
        assert verify(ledger, "INC-1").ok


def test_workers_and_serve_share_one_directory_and_each_request_is_answered_once(
    site: Installed,
) -> None:
    with target() as told:
        site.describe(told.url, more="lease_s: 1")
        with (
            site.serving() as serving,
            site.serving(command="worker") as first,
            site.serving(command="worker") as second,
        ):
            for worker in (first, second):
                worker.event("working")
            serving.event("tick")
            told.say(FAULT)
            serving.event("record", kind="paged")
            notes = [site.run("note", "INC-1", f"note {n}") for n in range(4)]
            ended = site.run("incident", "dismiss", "INC-1", "--because", "a drill")

            assert [said.code for said in (*notes, ended)] == [0] * 5, (notes, ended)
            assert [each.stop() for each in (first, second, serving)] == [0, 0, 0]
    with closing(SqliteLedger(site.directory / "holdfast.db")) as ledger:
        records = ledger.records("INC-1")
        told_notes = [r.data["text"] for r in records if r.kind == "note"]
        assert told_notes == ["note 0", "note 1", "note 2", "note 3"]
        assert fold(records, "INC-1").phase is Phase.DISMISSED
        assert verify(ledger, "INC-1").ok


def test_a_worker_that_ends_leaves_no_folder_behind(site: Installed, tmp_path: Path) -> None:
    site.describe()
    place = tmp_path / "tmp"
    place.mkdir()
    with site.serving(command="worker", TMPDIR=str(place)) as worker:
        worker.event("working")
        assert [path.name for path in place.iterdir()], tempfile.gettempdir()
        assert worker.stop() == 0

    assert list(place.iterdir()) == []


def test_a_worker_of_a_broken_installation_is_refused_before_it_begins(site: Installed) -> None:
    site.write("holdfast.yaml", "mode: sideways\n")
    said = site.run("worker")

    assert said.code == 2
    assert "mode" in said.err


def test_on_postgresql_one_serve_opens_incidents_and_a_worker_of_another_directory_helps_it(
    site: Installed, tmp_path: Path, durable_postgres: Postgres
) -> None:
    other = installed(tmp_path / "other")
    with target() as told, durable_postgres.ledger_url() as url:
        site.token = None
        for each in (site, other):
            each.describe(told.url, more="lease_s: 1")
        with site.serving(HOLDFAST_DATABASE_URL=url) as serving:
            serving.event("tick")
            refused(
                other.run("serve", HOLDFAST_DATABASE_URL=url),
                1, "opens the incidents of this database", "`holdfast worker`",
            )  # fmt: skip
            with other.serving(command="worker", HOLDFAST_DATABASE_URL=url) as worker:
                worker.event("working")
                told.say(FAULT)
                serving.event("record", kind="paged")
                serving.process.kill()
                serving.joined()
                report(url)
                worker.event("record", kind="late_report", incident_id="INC-1")
                assert worker.stop() == 0
        with other.serving(HOLDFAST_DATABASE_URL=url) as again:
            assert again.health()[0] == 200, "the right to open goes with its process"
            assert again.stop() == 0


def report(url: str) -> None:
    """Put a request of the system itself into the inbox."""
    clock = SystemClock()
    with closing(PostgresLedger(url, clock)) as ledger:
        ledger.submit(
            Request(
                id="late/INC-1/S1", n=0, incident_id="INC-1", kind="late_report", actor=SYSTEM,
                data={"step_id": "S1", "summary": "after its time"}, at=clock.now(),
            )
        )  # fmt: skip
