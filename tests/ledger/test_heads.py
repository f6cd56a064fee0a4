"""What signatures give away about a chain that its own hashes don't."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.incident import Record
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.errors import BadInputError
from holdfast.ledger.chain import GENESIS, ChainVerdict, link_hash, verify_chain
from holdfast.ledger.heads import (
    HeadSigner,
    check_signatures,
    head_from,
    head_line,
    head_message,
    is_head,
    new_private_pem,
    public_keys,
)
from holdfast.response.store import HeadMark, Link, SignedHead
from tests.ledger.ledger_parts import START

SIGNER = HeadSigner(new_private_pem())
OTHER = HeadSigner(new_private_pem())
KEYS = {SIGNER.public.key_id: SIGNER.public}
LENGTH = 8


def chain(*, changed: int | None = None, length: int = LENGTH) -> list[Link]:
    """Write a chain of notes with right hashes; `changed` says something else in that record."""
    prev, links = GENESIS, []
    for seq in range(1, length + 1):
        text = "rewritten" if seq == changed else f"note {seq}"
        one = Record(incident_id="INC-1", seq=seq, kind="note", at=START, data={"text": text})
        body = canonical_json(one.body())
        prev = link_hash(prev, body)
        links.append(Link(incident_id="INC-1", seq=seq, body=body, hash=prev))
    return links


def sign(links: list[Link], *seqs: int, signer: HeadSigner = SIGNER) -> list[SignedHead]:
    marks = [HeadMark(incident_id="INC-1", seq=n, head=links[n - 1].hash) for n in seqs]
    return [signer.sign(mark, START + timedelta(minutes=mark.seq)) for mark in marks]


def judged(
    links: list[Link], stored: list[SignedHead], exported: list[SignedHead] | None = None
) -> ChainVerdict:
    return check_signatures(verify_chain("INC-1", links), links, stored, KEYS, exported or [])


HONEST = chain()


def test_a_verdict_says_up_to_which_record_a_signature_covers_the_chain() -> None:
    verdict = judged(HONEST, sign(HONEST, 3, 6))

    assert (verdict.ok, verdict.signed_up_to_seq) == (True, 6)
    assert verdict.key_id == SIGNER.public.key_id
    assert verdict.as_data()["signed_up_to_seq"] == 6


@pytest.mark.promise("L17")
@given(st.integers(1, LENGTH), st.sets(st.integers(1, LENGTH), min_size=1))
def test_a_chain_rewritten_with_right_hashes_is_found_where_a_signature_covers_it(
    changed: int, signed: set[int]
) -> None:
    forged = chain(changed=changed)
    assert verify_chain("INC-1", forged, forged[-1].hash).ok, "the hashes alone say nothing"
    verdict = judged(forged, sign(HONEST, *signed))

    covering = [seq for seq in signed if seq >= changed]
    good = max((seq for seq in signed if seq < changed), default=0)
    assert verdict.ok == (not covering)
    assert (verdict.signed_up_to_seq or 0) == good, "what came before it is still proven"
    if covering:
        assert verdict.first_bad_seq is not None
        assert good < verdict.first_bad_seq <= changed
        assert "was rewritten together with every hash after it" in str(verdict.problem)


def test_a_tail_that_was_cut_shows_against_a_head_that_was_kept_elsewhere() -> None:
    verdict = judged(HONEST[:5], sign(HONEST, 3), sign(HONEST, 3, 8))

    assert (verdict.ok, verdict.first_bad_seq, verdict.signed_up_to_seq) == (False, 6, 3)
    assert "record 8 was there: the tail was cut off" in str(verdict.problem)


def test_a_signature_of_an_unknown_key_proves_nothing_and_is_told() -> None:
    forged = chain(changed=2)
    verdict = judged(forged, sign(forged, LENGTH, signer=OTHER))

    assert verdict.signed_up_to_seq is None
    assert OTHER.public.key_id in verdict.notes[0]


def test_a_key_id_of_another_key_does_not_help_a_forger() -> None:
    (made,) = sign(HONEST, 4, signer=OTHER)
    verdict = judged(HONEST, [dataclasses.replace(made, key_id=SIGNER.public.key_id)])

    assert (verdict.ok, verdict.first_bad_seq) == (False, 4)
    assert "changed or forged" in str(verdict.problem)


@given(st.data())
def test_any_flipped_bit_of_a_signed_head_is_found(data: st.DataObject) -> None:
    (made,) = sign(HONEST, 5)
    part = data.draw(st.sampled_from(["head", "signature"]))
    value = bytearray(made.mark.head if part == "head" else made.signature)
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    value[bit // 8] ^= 1 << bit % 8
    bad = (
        dataclasses.replace(made, mark=dataclasses.replace(made.mark, head=bytes(value)))
        if part == "head"
        else dataclasses.replace(made, signature=bytes(value))
    )

    assert not judged(HONEST, [bad]).ok


@pytest.mark.parametrize(
    "change",
    [{"at": START}, {"mark": HeadMark(incident_id="INC-1", seq=4, head=HONEST[4].hash)}],
    ids=["its time", "its number"],
)
def test_everything_that_is_said_is_signed(change: dict[str, Any]) -> None:
    (made,) = sign(HONEST, 5)

    assert SIGNER.public.made(made)
    assert not SIGNER.public.made(dataclasses.replace(made, **change))


def test_a_head_of_another_incident_covers_nothing_here() -> None:
    mark = HeadMark(incident_id="INC-2", seq=4, head=HONEST[3].hash)
    verdict = judged(HONEST, [SIGNER.sign(mark, START)])

    assert verdict.ok
    assert verdict.signed_up_to_seq is None


def test_a_signature_that_was_removed_from_the_ledger_is_missed() -> None:
    verdict = judged(HONEST, sign(HONEST, 3), sign(HONEST, 3, 6))

    assert (verdict.ok, verdict.signed_up_to_seq) == (True, 6)
    assert "over record 6" in verdict.notes[0]


def test_a_wrong_hash_is_told_before_a_wrong_signature_after_it() -> None:
    broken = [*HONEST[:2], dataclasses.replace(HONEST[2], body=b"{}"), *HONEST[3:]]
    verdict = judged(broken, sign(chain(changed=1), 6))

    assert verdict.first_bad_seq == 1, "but the rewritten one comes first where it does"
    assert judged(broken, sign(HONEST, 6)).first_bad_seq == 3
    assert judged(broken, sign(HONEST, 6)).signed_up_to_seq is None


def test_the_message_is_of_its_own_purpose() -> None:
    mark = HeadMark(incident_id="INC-1", seq=1, head=HONEST[0].hash)

    assert head_message(mark, START, "k").startswith(b"holdfast-head-1\n{")


def test_a_head_read_back_is_the_one_that_was_written() -> None:
    (made,) = sign(HONEST, 7)
    import json

    data = json.loads(head_line(made))
    assert is_head(data)
    assert head_from(data) == made
    assert SIGNER.public.made(head_from(data))


@pytest.mark.parametrize(
    "change",
    [{"head": "00"}, {"signature": "zz"}, {"seq": 0}, {"format": "x"}, {"at": 5}, {"head": None}],
    ids=str,
)
def test_what_is_no_head_is_a_value_error(change: dict[str, Any]) -> None:
    import json

    (made,) = sign(HONEST, 7)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, the line is counted as bad
        head_from(json.loads(head_line(made)) | change)


def test_keys_are_read_from_one_file_and_anything_else_is_refused() -> None:
    both = public_keys(SIGNER.public.pem + OTHER.public.pem, "heads.pub")
    assert set(both) == {SIGNER.public.key_id, OTHER.public.key_id}

    secret = new_private_pem()
    for text in ("", "hello", secret.decode(), SIGNER.public.pem[:-40]):
        with pytest.raises(BadInputError, match="heads public-key") as refused:
            public_keys(text, "heads.pub")
        assert secret.decode().split("\n")[1] not in str(refused.value)
    with pytest.raises(BadInputError, match="no Ed25519 private key"):
        HeadSigner(SIGNER.public.pem.encode())
