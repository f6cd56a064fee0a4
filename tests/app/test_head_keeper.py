"""The keeper of heads signs what goes on from what was signed, and nothing else."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.app.head_outbox import OUTBOX_NAME
from holdfast.app.heads import heads_here
from holdfast.app.verifying import Proof, verify_here
from holdfast.incident import Record
from holdfast.kernel import SYSTEM, SystemClock
from holdfast.ledger import verify
from holdfast.response.store import SYSTEM_CHAIN, Claim
from tests.app.head_parts import Fickle, Place, place_in
from tests.app.tampering import cut, forget_signatures, rewrite
from tests.ledger.ledger_parts import START, batch

WAIT_S = 10.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with place_in(tmp_path) as made:
        yield made


def test_a_round_signs_every_head_that_moved_the_systems_too(place: Place) -> None:
    claim = place.incident()
    place.ledger.append_system("frozen", {"scope": "all", "because": "x"}, SYSTEM, START)
    keeper = place.keeper()
    keeper.round()
    keeper.round()

    assert (place.signed_to(claim.incident_id), place.signed_to(SYSTEM_CHAIN)) == (4, 1)
    assert len(heads_here(place.directory)) == 2, "what did not move is not signed again"
    place.ledger.append(batch(claim))
    keeper.round()
    assert place.signed_to(claim.incident_id) == 5
    assert keeper.problems == []


def test_the_end_of_an_incident_is_signed_at_once_and_alone(place: Place) -> None:
    ending, other = place.incident(), place.incident()
    keeper = place.keeper()
    for kind in ("note", "resolved"):
        keeper.on_record(Record(incident_id=ending.incident_id, seq=4, kind=kind, at=START))
    keeper.round_of_ended()

    assert place.signed_to(ending.incident_id) == 4
    assert place.signed_to(other.incident_id) is None


def test_the_thread_signs_when_an_incident_ends_and_what_is_left_when_it_stops(
    place: Place,
) -> None:
    keeper = place.keeper()
    keeper._clock = SystemClock()
    keeper.start()
    ending, late = place.incident(), place.incident()
    keeper.on_record(Record(incident_id=ending.incident_id, seq=4, kind="closed", at=START))
    deadline = time.monotonic() + WAIT_S
    while place.signed_to(ending.incident_id) != 4:
        assert time.monotonic() < deadline, keeper.problems
    place.ledger.append(batch(late))
    keeper.stop()

    assert place.signed_to(late.incident_id) == 5


@pytest.mark.promise("L17")
@pytest.mark.parametrize("forgotten", [False, True], ids=["as it is", "signatures deleted too"])
def test_a_chain_that_an_administrator_rewrote_is_never_signed_and_is_told(
    place: Place, *, forgotten: bool
) -> None:
    claim = place.incident()
    keeper = place.keeper()
    keeper.round()
    assert rewrite(place.database, claim.incident_id, "note 1", "nothing happened") == 1
    if forgotten:
        forget_signatures(place.database)
    assert verify(place.ledger, claim.incident_id).ok, "its hashes are right"
    for _ in range(2):
        keeper.round()
    place.keeper().round()

    verdict = verify_here(place.ledger, claim.incident_id, Proof(place.directory))
    assert (verdict.ok, verdict.signed_up_to_seq) == (False, None)
    assert "rewritten" in str(verdict.problem)
    assert len(heads_here(place.directory)) == 1
    assert len(place.trouble) == 2, "told once by each process, not in every round"
    assert "the head of INC-1 is not signed" in place.trouble[0]
    assert keeper.problems == keeper.rewritten == [place.trouble[0]]


def test_a_rewritten_chain_that_went_on_is_not_signed_either(place: Place) -> None:
    claim = place.incident()
    keeper = place.keeper()
    keeper.round()
    rewrite(place.database, claim.incident_id, "note 2", "nothing")
    _, head = place.ledger.chain(claim.incident_id)
    assert head is not None
    moved = Claim(
        incident_id=claim.incident_id,
        fence=claim.fence,
        owner=claim.owner,
        seq=head.seq,
        head=head.head,
    )
    place.ledger.append(batch(moved))
    keeper.round()

    verdict = verify_here(place.ledger, claim.incident_id, Proof(place.directory))
    assert (verdict.ok, verdict.signed_up_to_seq) == (False, None)
    assert len(heads_here(place.directory)) == 1


def test_a_tail_that_was_cut_with_its_head_is_not_signed_and_shows_in_verify(place: Place) -> None:
    claim = place.incident()
    keeper = place.keeper()
    keeper.round()
    cut(place.database, claim.incident_id, 2)
    forget_signatures(place.database)
    assert verify(place.ledger, claim.incident_id).ok
    keeper.round()

    verdict = verify_here(place.ledger, claim.incident_id, Proof(place.directory))
    assert (verdict.ok, verdict.first_bad_seq) == (False, 3)
    assert "tail was cut off" in str(verdict.problem)
    assert "tail was cut off" in keeper.problems[0]


def test_a_rewritten_chain_that_is_put_right_again_is_signed_again(place: Place) -> None:
    claim = place.incident()
    keeper = place.keeper()
    keeper.round()
    rewrite(place.database, claim.incident_id, "note 1", "gone")
    keeper.round()
    assert keeper.problems
    rewrite(place.database, claim.incident_id, "gone", "note 1")
    keeper.round()

    assert keeper.problems == []
    assert place.signed_to(claim.incident_id) == 4


def test_an_outbox_that_a_crash_tore_is_written_on_and_read_around(place: Place) -> None:
    claim = place.incident()
    receiver = Fickle(most=1)
    place.keeper(receiver).round()
    with (place.directory / OUTBOX_NAME).open("ab") as file:
        file.write(b'{"format":"holdfast-he')
    place.ledger.append(batch(claim))
    place.keeper(receiver).round()

    assert receiver.seqs == [("INC-1", 4), ("INC-1", 5)]
    assert place.signed_to("INC-1") == 5


def test_a_directory_that_cannot_be_written_is_told_and_nothing_else_stops(place: Place) -> None:
    place.incident()
    keeper = place.keeper(beside=lambda: place.notices.append("beside"))
    (place.directory / OUTBOX_NAME).mkdir()
    keeper.round()

    assert "heads.jsonl: Is a directory; no head is signed until" in place.notices[0]
    assert place.notices[-1] == "beside"
    (place.directory / OUTBOX_NAME).rmdir()
    keeper.round()
    assert (place.signed_to("INC-1"), list(keeper.problems)) == (4, [])
