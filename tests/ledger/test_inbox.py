"""The inbox: a request is durable once it is in, comes once, and gets one answer."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from holdfast.kernel import Actor, ActorKind
from holdfast.ledger import SqliteLedger
from holdfast.response.store import SYSTEM_CHAIN, Answer, Request
from tests.ledger.ledger_parts import START, request


def test_a_request_sent_twice_is_one_request_with_its_first_content(ledger: SqliteLedger) -> None:
    first = ledger.submit(request("INC-1", because="the first"))
    second = ledger.submit(request("INC-1", because="another"))

    assert first == second
    assert [one.data for one in ledger.requests("INC-1")] == [{"because": "the first"}]


def test_the_same_request_delivered_fifty_times_at_once_is_one(ledger: SqliteLedger) -> None:
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda n: ledger.submit(request("INC-1", n=n)), range(50)))

    assert all(one == got[0] for one in got)
    assert len(ledger.requests("INC-1")) == 1


def test_requests_come_in_the_order_in_which_they_were_put_in(ledger: SqliteLedger) -> None:
    for name in ("r-3", "r-1", "r-2"):
        ledger.submit(request("INC-1", name))
    ledger.submit(request("INC-2", "r-4"))

    assert [one.id for one in ledger.requests("INC-1")] == ["r-3", "r-1", "r-2"]
    assert sorted(ledger.waiting()) == ["INC-1", "INC-2"]


def test_who_asked_and_on_whose_behalf_is_kept(ledger: SqliteLedger) -> None:
    actor = Actor(kind=ActorKind.AGENT, id="helper", on_behalf_of="dana", token_id="t-7")
    asked = Request(
        id="r-1", n=0, incident_id=SYSTEM_CHAIN, kind="freeze", actor=actor, data={}, at=START
    )

    assert ledger.submit(asked).actor == actor
    assert ledger.requests(SYSTEM_CHAIN)[0].actor == actor


def test_the_first_answer_counts_and_ends_the_waiting(ledger: SqliteLedger) -> None:
    ledger.submit(request("INC-1"))
    assert ledger.answer_of("r-1") is None
    ledger.answer("r-1", Answer(ok=False, message="refused: it is held", data={"seq": 4}))
    ledger.answer("r-1", Answer(ok=True, message="done"))

    assert ledger.answer_of("r-1") == Answer(
        ok=False, message="refused: it is held", data={"seq": 4}
    )
    assert ledger.requests("INC-1") == []
    assert ledger.waiting() == []


def test_a_request_sent_again_after_its_answer_is_not_done_again(ledger: SqliteLedger) -> None:
    ledger.submit(request("INC-1"))
    ledger.answer("r-1", Answer(ok=True, message="done"))
    ledger.submit(request("INC-1"))

    assert ledger.requests("INC-1") == []
    assert ledger.answer_of("r-1") == Answer(ok=True, message="done")


def test_an_unknown_request_has_no_answer(ledger: SqliteLedger) -> None:
    ledger.answer("r-9", Answer(ok=True, message="to nobody"))

    assert ledger.answer_of("r-9") is None


def test_an_unanswered_request_is_still_there_after_a_restart(
    ledger: SqliteLedger, path: Path
) -> None:
    ledger.submit(request("INC-1", because="stop"))
    ledger.close()
    again = SqliteLedger(path)
    try:
        assert [one.data for one in again.requests("INC-1")] == [{"because": "stop"}]
    finally:
        again.close()
