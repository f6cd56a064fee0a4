"""The inbox: a request is durable once it is in, comes once, and gets one answer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.kernel import SYSTEM, Actor, ActorKind
from holdfast.response.store import SYSTEM_CHAIN, Answer, Ledger, Request
from tests.ledger.ledger_parts import START, opened, request
from tests.ledger.twins import Twin


def test_a_request_sent_twice_is_one_request_with_its_first_content(ledger: Ledger) -> None:
    first = ledger.submit(request("INC-1", because="the first"))
    second = ledger.submit(request("INC-1", because="another"))

    assert first == second
    assert [one.data for one in ledger.requests("INC-1")] == [{"because": "the first"}]


@pytest.mark.promise("L2")
def test_the_same_request_delivered_fifty_times_at_once_is_one(ledger: Ledger) -> None:
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda n: ledger.submit(request("INC-1", n=n)), range(50)))

    assert all(one == got[0] for one in got)
    assert len(ledger.requests("INC-1")) == 1


def test_requests_come_in_the_order_in_which_they_were_put_in(ledger: Ledger) -> None:
    for name in ("r-3", "r-1", "r-2"):
        ledger.submit(request("INC-1", name))
    ledger.submit(request("INC-2", "r-4"))

    assert [one.id for one in ledger.requests("INC-1")] == ["r-3", "r-1", "r-2"]
    assert sorted(ledger.waiting()) == ["INC-1", "INC-2"]


def test_who_asked_and_on_whose_behalf_is_kept(ledger: Ledger) -> None:
    actor = Actor(kind=ActorKind.AGENT, id="helper", on_behalf_of="dana", token_id="t-7")
    asked = Request(
        id="r-1", n=0, incident_id=SYSTEM_CHAIN, kind="freeze", actor=actor, data={}, at=START
    )

    assert ledger.submit(asked).actor == actor
    assert ledger.requests(SYSTEM_CHAIN)[0].actor == actor


def test_the_first_answer_counts_and_ends_the_waiting(ledger: Ledger) -> None:
    ledger.submit(request("INC-1"))
    assert ledger.answer_of("r-1") is None
    ledger.answer("r-1", Answer(ok=False, message="refused: it is held", data={"seq": 4}))
    ledger.answer("r-1", Answer(ok=True, message="done"))

    assert ledger.answer_of("r-1") == Answer(
        ok=False, message="refused: it is held", data={"seq": 4}
    )
    assert ledger.requests("INC-1") == []
    assert ledger.waiting() == []


@pytest.mark.promise("L2")
def test_a_request_sent_again_after_its_answer_is_not_done_again(ledger: Ledger) -> None:
    ledger.submit(request("INC-1"))
    ledger.answer("r-1", Answer(ok=True, message="done"))
    ledger.submit(request("INC-1"))

    assert ledger.requests("INC-1") == []
    assert ledger.answer_of("r-1") == Answer(ok=True, message="done")


def test_an_unknown_request_has_no_answer(ledger: Ledger) -> None:
    ledger.answer("r-9", Answer(ok=True, message="to nobody"))

    assert ledger.answer_of("r-9") is None


@pytest.mark.promise("L2")
def test_an_unanswered_request_is_still_there_after_a_restart(durable: Twin) -> None:
    durable.ledger.submit(request("INC-1", because="stop"))
    durable.ledger.close()

    assert [one.data for one in durable.reopened().requests("INC-1")] == [{"because": "stop"}]


def test_whoever_listens_hears_of_a_request_a_freeze_and_an_incident_given_back(
    ledger: Ledger,
) -> None:
    heard = threading.Event()
    stop = ledger.listen(heard.set)
    claim = opened(ledger)
    for happening in (
        lambda: ledger.submit(request(claim.incident_id)),
        lambda: ledger.append_system("freeze", {"scope": "all"}, SYSTEM, START),
        lambda: ledger.release(claim),
    ):
        heard.clear()
        happening()
        assert heard.wait(10), "nobody was told"
    stop()
