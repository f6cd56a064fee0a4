"""A reply that is lost: what became of the append is read back before anything is decided."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from holdfast.kernel import SYSTEM, LedgerUnavailableError, StaleFenceError
from holdfast.ledger import PostgresLedger, verify
from holdfast.response.store import Claim
from tests.ledger.cut_line import Cut, CutLine, cut_line
from tests.ledger.ledger_parts import LEASE_S, START, batch, intent, opened, request, seen, seqs
from tests.real_parts import Postgres, short_directory, started_postgres

PATIENCE_S = 0.5


@pytest.fixture
def url(durable_postgres: Postgres) -> Iterator[str]:
    with durable_postgres.ledger_url() as url:
        yield url


@pytest.fixture
def line(durable_postgres: Postgres) -> Iterator[CutLine]:
    assert durable_postgres.directory
    directory = short_directory("ln")
    with cut_line(durable_postgres.directory, directory) as line:
        yield line
    shutil.rmtree(directory)


@pytest.fixture
def ledger(url: str, line: CutLine, durable_postgres: Postgres) -> Iterator[PostgresLedger]:
    from urllib.parse import quote

    there, here = (quote(str(d), safe="") for d in (durable_postgres.directory, line.directory))
    ledger = PostgresLedger(url.replace(there, here), patience_s=PATIENCE_S)
    yield ledger
    ledger.close()


@pytest.mark.promise("L4")
@pytest.mark.parametrize("how", list(Cut))
def test_an_append_whose_reply_is_lost_is_there_exactly_once_and_its_claim_goes_on(
    ledger: PostgresLedger, line: CutLine, how: Cut
) -> None:
    claim = opened(ledger)
    line.cut(how)
    claim = ledger.append(batch(claim, 2))

    assert line.hit.is_set()
    assert (claim.seq, seqs(ledger.records(claim.incident_id))) == (3, [1, 2, 3])
    assert ledger.append(batch(claim)).seq == 4
    assert verify(ledger, claim.incident_id).ok


@pytest.mark.promise("L4")
@pytest.mark.parametrize("how", [Cut.REQUEST_LOST, Cut.REPLY_LOST])
def test_an_intent_whose_reply_is_lost_reserves_its_target_once(
    ledger: PostgresLedger, line: CutLine, how: Cut
) -> None:
    claim = opened(ledger)
    wanted = intent(claim, seen(ledger, claim))
    line.cut(how)

    assert ledger.append(wanted).seq == 2
    assert [entry.key for entry in ledger.actions_on("shop@east", START)] == ["INC-1/S1/1"]


@pytest.mark.promise("L4")
def test_an_append_that_was_overtaken_while_its_request_was_lost_is_refused_as_stale(
    ledger: PostgresLedger, line: CutLine, url: str
) -> None:
    other = PostgresLedger(url, ahead_s=LEASE_S + 1)
    claim = opened(ledger)
    (taken,) = other.claim_many("w-2", LEASE_S, 5)
    other.append(batch(taken))
    line.cut(Cut.REQUEST_LOST)
    with pytest.raises(StaleFenceError, match="of worker w-1 is not current"):
        ledger.append(batch(claim))
    other.close()

    assert [r.seq for r in ledger.records(claim.incident_id)] == [1, 2]


def _submit(ledger: PostgresLedger, claim: Claim) -> object:
    return ledger.submit(request(claim.incident_id)).n


def _append_system(ledger: PostgresLedger, _: Claim) -> object:
    return ledger.append_system("freeze", {"scope": "all"}, SYSTEM, START)


@pytest.mark.promise("L2", "L4")
@pytest.mark.parametrize("how", [Cut.REQUEST_LOST, Cut.REPLY_LOST])
@pytest.mark.parametrize("do", [_submit, _append_system])
def test_what_a_person_asked_for_is_there_once_when_the_reply_is_lost(
    ledger: PostgresLedger,
    line: CutLine,
    do: Callable[[PostgresLedger, Claim], object],
    how: Cut,
) -> None:
    claim = opened(ledger)
    ledger.waiting()
    line.cut(how)

    do(ledger, claim)
    assert line.hit.is_set()
    assert len(ledger.requests(claim.incident_id)) + ledger.system_seq() == 1
    assert ledger.system_seq() == len(ledger.records("_system"))


def test_a_lost_read_is_repeated_while_its_session_is_still_there(
    ledger: PostgresLedger, line: CutLine
) -> None:
    opened(ledger)
    ledger.waiting()
    sessions = [c.session.pid for c in ledger._sessions._idle]
    line.cut(Cut.REQUEST_LOST)
    try:
        for pid in sessions:
            os.kill(pid, signal.SIGSTOP)
        assert ledger.system_seq() == 0
    finally:
        for pid in sessions:
            os.kill(pid, signal.SIGCONT)
    assert line.hit.is_set()


def test_a_parked_incident_stays_parked_when_the_reply_is_lost(
    ledger: PostgresLedger, line: CutLine
) -> None:
    claim = opened(ledger)
    ledger.waiting()
    line.cut(Cut.REPLY_LOST)

    assert ledger.park(claim, None)
    assert ledger.claim_many("w-2", LEASE_S, 5) == []


@pytest.mark.promise("L1")
@pytest.mark.crash
def test_a_server_that_is_stopped_hard_loses_nothing_that_was_acknowledged() -> None:
    with started_postgres(durable=True) as server, server.ledger_url() as url:
        ledger = PostgresLedger(url)
        newest = {claim.incident_id: claim for claim in (opened(ledger) for _ in range(4))}
        stop = threading.Event()

        def write(incident_id: str) -> None:
            while not stop.is_set():
                try:
                    newest[incident_id] = ledger.append(batch(newest[incident_id]))
                except LedgerUnavailableError:
                    newest[incident_id] = _read_anew(ledger, newest[incident_id])

        threads = [threading.Thread(target=write, args=(one,)) for one in newest]
        for thread in threads:
            thread.start()
        for _ in range(2):
            _until_all_wrote(newest)
            server.crash()
            server.start()
        stop.set()
        for thread in threads:
            thread.join()

        for incident_id, claim in newest.items():
            _, mark = ledger.chain(incident_id)
            assert mark is not None
            assert (mark.seq, mark.head) == (claim.seq, claim.head)
            assert verify(ledger, incident_id).ok
        ledger.close()


def test_a_server_that_is_gone_is_told_as_such_and_the_ledger_comes_back_with_it(
    tmp_path: Path,
) -> None:
    with started_postgres(durable=True) as server, server.ledger_url() as url:
        ledger = PostgresLedger(url)
        claim = opened(ledger)
        server.crash()
        with pytest.raises(LedgerUnavailableError, match="can't be reached"):
            ledger.records(claim.incident_id)
        assert ledger.broken is None
        server.start()

        assert seqs(ledger.records(claim.incident_id)) == [1]
        assert ledger.append(batch(claim)).seq == 2
        ledger.close()


def _read_anew(ledger: PostgresLedger, claim: Claim) -> Claim:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            _, mark = ledger.chain(claim.incident_id)
        except LedgerUnavailableError:
            continue
        assert mark is not None
        assert claim.seq <= mark.seq <= claim.seq + 1
        return Claim(
            incident_id=claim.incident_id,
            fence=claim.fence,
            owner=claim.owner,
            seq=mark.seq,
            head=mark.head,
        )
    raise AssertionError("the server did not come back")


def _until_all_wrote(newest: Mapping[str, Claim]) -> None:
    before = {incident_id: claim.seq for incident_id, claim in newest.items()}
    deadline = time.monotonic() + 20
    while any(newest[incident_id].seq < seq + 5 for incident_id, seq in before.items()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
