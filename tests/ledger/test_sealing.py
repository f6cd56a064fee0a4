"""What is sealed opens where it belongs, with the right key, unchanged; and nowhere else."""

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import BadInputError
from holdfast.ledger.sealing import CannotOpenError, Sealer, new_sealing_key
from holdfast.response.store import SealedBlob
from tests.ledger.ledger_parts import START

KEY = new_sealing_key()
SEALER = Sealer(KEY)
SECRET = b"password=hunter2\n" * 3


def seal(text: bytes = SECRET, step_id: str = "S1", sealer: Sealer = SEALER) -> SealedBlob:
    return sealer.seal(
        text, incident_id="INC-1", step_id=step_id, at=START, keep=timedelta(days=90)
    )


@given(st.binary(max_size=300))
def test_what_was_sealed_opens_as_it_was(text: bytes) -> None:
    blob = seal(text)

    assert SEALER.open(blob) == text
    assert blob.expires_at == START + timedelta(days=90)


def test_neither_the_text_nor_its_plain_digest_is_in_the_entry() -> None:
    import hashlib

    blob = seal()

    assert b"hunter2" not in blob.sealed
    assert blob.digest != hashlib.sha256(SECRET).hexdigest()


def test_two_equal_outputs_are_two_entries() -> None:
    first, again, other = seal(), seal(), seal(step_id="S2")

    assert len({first.digest, again.digest, other.digest}) == 3
    assert {SEALER.open(one) for one in (first, again, other)} == {SECRET}


@given(st.data())
def test_any_flipped_bit_is_found(data: st.DataObject) -> None:
    blob = seal()
    content = bytearray(blob.sealed)
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpenError, match=blob.digest):
        SEALER.open(dataclasses.replace(blob, sealed=bytes(content)))


@pytest.mark.parametrize(
    "change", [{"step_id": "S2"}, {"incident_id": "INC-2"}, {"digest": "0" * 64}]
)
def test_an_entry_put_in_another_place_does_not_open(change: dict[str, str]) -> None:
    with pytest.raises(CannotOpenError, match="moved from another step"):
        SEALER.open(dataclasses.replace(seal(), **change))  # type: ignore[arg-type]


def test_a_cut_entry_does_not_open() -> None:
    with pytest.raises(CannotOpenError, match="no sealed output"):
        SEALER.open(dataclasses.replace(seal(), sealed=b"HFA1"))


def test_another_key_says_which_one_is_missing() -> None:
    with pytest.raises(
        CannotOpenError, match=f"key {SEALER.key_ids[0]}, which is not in other.key"
    ):
        Sealer(new_sealing_key(), "other.key").open(seal())


def test_a_new_key_in_front_seals_and_the_old_one_still_opens() -> None:
    old = seal()
    both = Sealer(new_sealing_key() + KEY)

    assert both.open(old) == SECRET
    assert both.open(seal(sealer=both)) == SECRET
    with pytest.raises(CannotOpenError):
        SEALER.open(seal(sealer=both))


@pytest.mark.parametrize(
    "text", ["", "ab", "z" * 64, KEY + "ab"], ids=["none", "short", "odd", "two"]
)
def test_a_damaged_key_file_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(BadInputError, match="holds something else") as refused:
        Sealer(text, "audit.key")
    assert KEY.strip() not in str(refused.value)
