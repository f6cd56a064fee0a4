"""The hash chain: whatever is changed afterwards is found, and the first bad record is named."""

import json
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.incident import Record
from holdfast.kernel import LedgerUnavailableError, canonical_json
from holdfast.ledger import (
    Link,
    SqliteLedger,
    export_line,
    link_from_export,
    verify,
    verify_chain,
)
from holdfast.ledger.chain import GENESIS, link_hash
from tests.ledger.ledger_parts import LEASE_S, START, batch, record
from tests.scenes import bad_deploy, every_kind

LENGTH = 6
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def chain_of(records: list[Record]) -> list[Link]:
    links, head = [], GENESIS
    for one in records:
        body = canonical_json(one.body())
        head = link_hash(head, body)
        links.append(Link(incident_id=one.incident_id, seq=one.seq, body=body, hash=head))
    return links


CHAIN = chain_of(every_kind())


def test_a_whole_chain_verifies_with_its_head() -> None:
    verdict = verify_chain("INC-4", CHAIN, CHAIN[-1].hash)

    assert verdict.as_data() == {
        "incident_id": "INC-4",
        "ok": True,
        "records": len(CHAIN),
        "head_hash": CHAIN[-1].hash.hex(),
        "first_bad_seq": None,
        "problem": None,
        "signed_up_to_seq": None,
        "key_id": None,
        "notes": [],
    }


@pytest.mark.promise("L16")
@given(st.data())
def test_any_flipped_bit_is_found_at_its_record(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(CHAIN) - 1))
    link = CHAIN[index]
    part = data.draw(st.sampled_from(["body", "hash"]))
    content = bytearray(getattr(link, part))
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    parts: dict[str, Any] = {"body": link.body, "hash": link.hash, part: bytes(content)}
    bad = Link(incident_id=link.incident_id, seq=link.seq, **parts)
    verdict = verify_chain("INC-4", [*CHAIN[:index], bad, *CHAIN[index + 1 :]], CHAIN[-1].hash)

    assert (verdict.ok, verdict.first_bad_seq) == (False, link.seq)
    assert verdict.records == index, "the good records before it are counted"


@pytest.mark.promise("L16")
@given(st.integers(0, len(CHAIN) - 1))
def test_any_deleted_record_is_named(index: int) -> None:
    verdict = verify_chain("INC-4", CHAIN[:index] + CHAIN[index + 1 :], CHAIN[-1].hash)

    assert (verdict.ok, verdict.first_bad_seq) == (False, index + 1)


@given(st.integers(1, len(CHAIN) - 1))
def test_a_cut_tail_shows_against_the_head(kept: int) -> None:
    verdict = verify_chain("INC-4", CHAIN[:kept], CHAIN[-1].hash)

    assert (verdict.ok, verdict.first_bad_seq) == (False, kept + 1)
    assert "records are missing" in str(verdict.problem)


def test_a_record_moved_to_another_incident_is_found_although_its_hash_fits() -> None:
    moved = [Link(incident_id="INC-9", seq=n.seq, body=n.body, hash=n.hash) for n in CHAIN]
    verdict = verify_chain("INC-9", moved, CHAIN[-1].hash)

    assert verdict.first_bad_seq == 1
    assert verdict.problem == "record 1 belongs elsewhere: its body says 'INC-4' number 1"


@pytest.mark.parametrize(
    ("body", "problem"), [(b"no json", "is not JSON"), (b"[1]", "is not a JSON object")]
)
def test_a_body_that_is_no_record_is_named_even_when_its_hash_fits(
    body: bytes, problem: str
) -> None:
    link = Link(incident_id="INC-4", seq=1, body=body, hash=link_hash(GENESIS, body))
    verdict = verify_chain("INC-4", [link])

    assert problem in str(verdict.problem)


def test_a_chain_without_records_is_not_called_whole() -> None:
    assert verify_chain("INC-4", []).problem == "there is no record"


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_an_export_read_back_has_the_same_hashes(data: dict[str, Any]) -> None:
    one = Record(incident_id="INC-1", seq=1, kind="note", at=START, data=data)
    (link,) = chain_of([one])
    line = json.loads(export_line(link, GENESIS))

    assert link_from_export(line) == link
    assert line["body"] == json.loads(link.body)
    assert verify_chain("INC-1", [link_from_export(line)], link.hash).ok


def test_an_export_names_the_hash_before_each_record() -> None:
    previous = [GENESIS, *(link.hash for link in CHAIN)]
    lines = [
        json.loads(export_line(link, prev)) for link, prev in zip(CHAIN, previous, strict=False)
    ]

    assert [line["seq"] for line in lines] == list(range(1, len(CHAIN) + 1))
    assert lines[0]["prev_hash"] == "00" * 32
    assert [line["prev_hash"] for line in lines[1:]] == [line["hash"] for line in lines[:-1]]


# --- on a real file -------------------------------------------------------


@pytest.fixture
def written(path: Path) -> Path:
    """A file with two incidents of six records each, closed."""
    ledger = SqliteLedger(path)
    for _ in range(2):
        claim = ledger.open_incident("w-1", LEASE_S)
        marks = [
            record(claim, n, text=f"mark {claim.incident_id} {n}") for n in range(1, LENGTH + 1)
        ]
        ledger.append(batch(claim, records=marks))
    ledger.close()
    return path


def verdicts(path: Path) -> tuple[Any, Any]:
    ledger = SqliteLedger(path)
    try:
        return verify(ledger, "INC-1"), verify(ledger, "INC-2")
    finally:
        ledger.close()


def change(path: Path, statement: str, *values: int) -> None:
    db = apsw.Connection(str(path))
    db.execute(statement, values)
    db.close()


@pytest.mark.promise("L16")
@pytest.mark.parametrize("seq", range(1, LENGTH + 1))
def test_a_bit_flipped_in_the_file_is_named(written: Path, seq: int) -> None:
    content = bytearray(written.read_bytes())
    places = [i for i in range(len(content)) if content.startswith(f"mark INC-1 {seq}".encode(), i)]
    assert len(places) == 1
    content[places[0]] ^= 1
    written.write_bytes(content)
    first, second = verdicts(written)

    assert (first.ok, first.first_bad_seq, second.ok) == (False, seq, True)
    assert "was changed after it was written" in first.problem


@pytest.mark.promise("L16")
@pytest.mark.parametrize("seq", range(1, LENGTH + 1))
def test_a_row_deleted_from_the_file_is_named(written: Path, seq: int) -> None:
    change(written, "delete from record where incident_id = 'INC-1' and seq = ?", seq)
    first, second = verdicts(written)

    assert (first.ok, first.first_bad_seq, second.ok) == (False, seq, True)


def test_a_tail_cut_from_the_file_is_named(written: Path) -> None:
    change(written, "delete from record where incident_id = 'INC-1' and seq > 2")
    first, _ = verdicts(written)

    assert (first.ok, first.records, first.first_bad_seq) == (False, 2, 3)


@pytest.mark.promise("L16")
def test_two_records_that_change_places_are_named(written: Path) -> None:
    for statement in (
        "update record set seq = 99 where incident_id = 'INC-1' and seq = 3",
        "update record set seq = 3 where incident_id = 'INC-1' and seq = 4",
        "update record set seq = 4 where incident_id = 'INC-1' and seq = 99",
    ):
        change(written, statement)
    first, _ = verdicts(written)

    assert (first.ok, first.first_bad_seq) == (False, 3)


def test_a_record_made_unreadable_is_a_clear_message_and_not_a_crash(written: Path) -> None:
    change(written, "update record set body = x'00' where incident_id = 'INC-1' and seq = 2")
    ledger = SqliteLedger(written)
    try:
        with pytest.raises(
            LedgerUnavailableError, match=r"record 2 of INC-1.*incident verify INC-1"
        ):
            ledger.records("INC-1")
        assert verify(ledger, "INC-1").first_bad_seq == 2
    finally:
        ledger.close()


def test_what_the_engine_writes_verifies_and_folds_to_the_same_records(path: Path) -> None:
    ledger = SqliteLedger(path)
    try:
        claim = ledger.open_incident("w-1", LEASE_S)
        for one in bad_deploy():
            claim = ledger.append(batch(claim, records=[one]))
        assert ledger.records("INC-1") == bad_deploy()
        assert verify(ledger, "INC-1").head == claim.head
    finally:
        ledger.close()
