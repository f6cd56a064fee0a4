"""Signed heads leave the host: until they are delivered, in order, whatever stops in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.app.head_outbox import CURSORS_NAME, HeadOutbox
from holdfast.app.head_receivers import FileReceiver
from holdfast.app.heads import heads_here, kept_heads, open_signer
from holdfast.ledger.heads import HeadSigner, new_private_pem
from tests.app.head_parts import Fickle, Place, place_in
from tests.app.tampering import rewrite
from tests.ledger.ledger_parts import START, batch


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with place_in(tmp_path) as made:
        yield made


def test_what_a_receiver_did_not_take_is_delivered_after_a_restart(place: Place) -> None:
    down, well = Fickle(key="test:down", down=True), Fickle(key="test:well")
    for _ in range(5):
        place.incident()
    place.keeper(down, well).round()
    assert (len(down.rows), len(well.rows)) == (0, 5)
    assert "is down; signed heads wait in heads.jsonl" in place.notices[0]
    assert place.trouble == []

    down.down = False
    after = place.keeper(down, well)
    after.round()
    assert down.seqs == well.seqs
    assert after.problems == []
    after.round()
    assert len(down.rows) == 5, "and nothing twice"


def test_a_damaged_cursor_file_delivers_everything_once_more_rather_than_nothing(
    place: Place,
) -> None:
    place.incident()
    receiver = Fickle()
    place.keeper(receiver).round()
    (place.directory / CURSORS_NAME).write_text("{{{")
    place.keeper(receiver).round()

    assert receiver.seqs == [("INC-1", 4), ("INC-1", 4)]


def test_an_exported_file_can_be_read_and_checked(place: Place) -> None:
    place.incident()
    away = place.directory / "away.jsonl"
    place.keeper(FileReceiver(away)).round()
    (head,) = kept_heads(away)

    assert open_signer(place.directory).public.made(head)
    gone = place.directory / "gone" / "away.jsonl"
    keeper = place.keeper(FileReceiver(gone))
    keeper.round()
    assert "can't be written: No such file or directory" in keeper.problems[0]
    gone.parent.mkdir()
    keeper.round()
    assert kept_heads(gone) == [head]


def test_two_keys_sign_side_by_side(place: Place) -> None:
    """Two hosts on one database have a key each."""
    claim = place.incident()
    place.keeper().round()
    other = HeadSigner(new_private_pem())
    mark = place.ledger.unsigned_heads(other.public.key_id, 5)[0]
    place.ledger.put_signature(other.sign(mark, START))

    assert len(place.ledger.signatures(claim.incident_id)) == 2
    assert place.signed_to(claim.incident_id) == 4


def test_a_large_outbox_is_shortened_once_everybody_has_all_of_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeadOutbox.shorten, "__kwdefaults__", {"most_bytes": 1000})
    claim, receiver = place.incident(), Fickle(down=True)
    place.incident()
    keeper = place.keeper(receiver)
    for _ in range(4):
        keeper.round()
        claim = place.ledger.append(batch(claim))
    keeper.round()
    assert len(heads_here(place.directory)) == 6, "they are waiting"
    receiver.down = False
    keeper.round()

    assert [(h.mark.incident_id, h.mark.seq) for h in heads_here(place.directory)] == [
        ("INC-1", 8),
        ("INC-2", 4),
    ]
    rewrite(place.database, "INC-1", "note 1", "nothing")
    keeper.round()
    place.keeper().round()
    assert len(place.trouble) == 2, "what is left still gives a rewritten chain away"
    rewrite(place.database, "INC-1", "nothing", "note 1")
    place.ledger.append(batch(claim))
    keeper.round()
    assert receiver.seqs[-1] == ("INC-1", 9)
    assert len(receiver.seqs) == len(set(receiver.seqs)) == 7
