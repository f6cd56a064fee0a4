"""Verifying: online, and with a file, a key and exported heads on another machine."""

import json
import shutil
from pathlib import Path

import apsw
import pytest

from holdfast.ledger import verify
from holdfast.ledger.heads import HeadSigner, new_private_pem, public_keys
from holdfast.response.store import Claim
from tests.app.tampering import cut, forget_signatures, rewrite
from tests.cli.conftest import Holdfast
from tests.cli.signed_parts import Signed, ledger_of, sign, signed_incident
from tests.ledger.ledger_parts import batch
from tests.surface import Installed, refused


@pytest.fixture
def signed(here: Installed, tmp_path: Path) -> Signed:
    return signed_incident(here, tmp_path / "elsewhere")


@pytest.fixture
def away(signed: Signed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another machine, which has nothing of the installation."""
    place = tmp_path / "another-machine"
    place.mkdir()
    return place


def exported(holdfast: Holdfast, signed: Signed, incident_id: str = "INC-1") -> Path:
    out = signed.heads.parent / f"{incident_id}.jsonl"
    assert holdfast("incident", "export", incident_id, "--out", out).code == 0
    return out


def leave(signed: Signed, monkeypatch: pytest.MonkeyPatch, away: Path) -> None:
    """Take the installation away: from here on there is only what was exported."""
    shutil.rmtree(signed.directory)
    monkeypatch.setenv("HOLDFAST_DIR", str(away))
    monkeypatch.delenv("HOLDFAST_TOKEN")


@pytest.mark.promise("L17")
def test_verify_says_up_to_which_record_a_signature_covers_the_chain(
    signed: Signed, holdfast: Holdfast
) -> None:
    said = holdfast("incident", "verify", "INC-1")
    key_id = open_key_id(signed)

    assert said.code == 0
    assert "6 records, the chain is whole; head " in said.out
    assert f"signed up to record 6 with key {key_id}" in said.out
    document = holdfast("incident", "verify", "INC-1", "--json").document
    assert (document["signed_up_to_seq"], document["key_id"]) == (6, key_id)
    assert document["notes"] == []


def open_key_id(signed: Signed) -> str:
    (key_id,) = public_keys(signed.key.read_text(), "heads.pub")
    return key_id


def test_records_after_the_last_signature_are_told(signed: Signed, holdfast: Holdfast) -> None:
    with ledger_of(signed.directory) as ledger:
        _, head = ledger.chain("INC-1")
        assert head is not None
        claim = Claim(incident_id="INC-1", fence=1, owner="w-1", seq=6, head=head.head)
        ledger.append(batch(claim, 2))
    said = holdfast("incident", "verify", "INC-1")

    assert said.code == 0
    assert "signed up to record 6 " in said.out
    assert "(the 2 after it are not signed)" in said.out


def test_an_export_is_proven_on_another_machine_with_the_public_key(
    signed: Signed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, away: Path
) -> None:
    out = exported(holdfast, signed)
    leave(signed, monkeypatch, away)
    rows = [json.loads(row) for row in out.read_text().splitlines()]

    assert [row["seq"] for row in rows if "signature" in row] == [3, 6]
    said = holdfast("incident", "verify", out, "--public-key", signed.key, "--json")
    assert said.code == 0
    assert said.document["signed_up_to_seq"] == 6
    assert said.document["records"] == 6
    bare = holdfast("incident", "verify", out)
    assert bare.code == 0
    assert "no checked signature covers it" in bare.out
    assert "were not checked" in bare.err


@pytest.mark.promise("L17")
@pytest.mark.parametrize("forgotten", [False, True], ids=["signatures left", "signatures deleted"])
@pytest.mark.parametrize("online", [True, False], ids=["online", "as a file"])
def test_a_chain_that_an_administrator_rewrote_whole_is_found(
    signed: Signed,
    holdfast: Holdfast,
    monkeypatch: pytest.MonkeyPatch,
    away: Path,
    *,
    online: bool,
    forgotten: bool,
) -> None:
    with ledger_of(signed.directory) as ledger:
        first = rewrite(signed.database, "INC-1", "note 3", "nothing was done")
        assert verify(ledger, "INC-1").ok, "every hash is right"
    if forgotten:
        forget_signatures(signed.database)
    if online:
        said = holdfast("incident", "verify", "INC-1", "--json")
    else:
        out = exported(holdfast, signed)
        leave(signed, monkeypatch, away)
        assert holdfast("incident", "verify", out).code == 0, "no hash gives it away"
        proof = ("--public-key", signed.key, "--heads", signed.heads)
        said = holdfast("incident", "verify", out, *proof, "--json")
        with_key_alone = holdfast("incident", "verify", out, "--public-key", signed.key)
        assert with_key_alone.code == 1
        assert ("no signature of the given key" in with_key_alone.out) == forgotten

    assert said.code == 1
    assert "was rewritten together with every hash after it" in said.document["problem"]
    assert said.document["first_bad_seq"] <= first
    assert said.document["signed_up_to_seq"] in {None, 3}


@pytest.mark.promise("L17")
def test_a_cut_tail_shows_in_the_heads_that_were_kept_elsewhere(
    signed: Signed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, away: Path
) -> None:
    cut(signed.database, "INC-1", 4)
    forget_signatures(signed.database)
    out = exported(holdfast, signed)
    online = holdfast("incident", "verify", "INC-1")
    leave(signed, monkeypatch, away)
    said = holdfast("incident", "verify", out, "--heads", signed.heads, "--public-key", signed.key)

    for one in (online, said):
        assert one.code == 1
        assert "BROKEN at record 5: the chain ends at record 4" in one.out
        assert "signed up to record 3" in one.out


def test_an_incident_that_was_deleted_whole_is_missed(signed: Signed, holdfast: Holdfast) -> None:
    db = apsw.Connection(str(signed.database))
    for table, column in (("record", "incident_id"), ("incident", "id")):
        db.execute(f"delete from {table} where {column} = 'INC-2'")  # noqa: S608 - names of ours
    db.close()
    forget_signatures(signed.database)
    said = holdfast("incident", "verify", "INC-2")

    assert said.code == 1
    assert "the chain ends at record 0" in said.out
    refused(holdfast("incident", "verify", "INC-3"), 1, "is not known")


def test_the_system_chain_is_signed_too(signed: Signed, holdfast: Holdfast) -> None:
    assert "signed up to record 1 " in holdfast("incident", "verify", "_system").out
    rewrite(signed.database, "_system", '"direct"', '"admin"')

    assert holdfast("incident", "verify", "_system").code == 1


def test_another_key_is_not_enough(signed: Signed, holdfast: Holdfast, tmp_path: Path) -> None:
    out = exported(holdfast, signed)
    other = tmp_path / "other.pub"
    other.write_text(HeadSigner(new_private_pem()).public.pem)
    for words in (("INC-1",), (out,)):
        said = holdfast("incident", "verify", *words, "--public-key", other)
        assert said.code == 1
        assert "no signature of the given key" in said.out
        assert open_key_id(signed) in said.err, "and it says whose signatures there are"


def test_what_does_not_belong_together_is_said(
    signed: Signed, holdfast: Holdfast, tmp_path: Path
) -> None:
    out = exported(holdfast, signed)
    both = ("incident", "verify", "INC-2", "--file", out)
    refused(holdfast(*both), 2, f"{out} holds INC-1, not INC-2")
    assert holdfast("incident", "verify", "INC-1", "--file", out).code == 0

    other = tmp_path / "other.jsonl"
    rows = signed.heads.read_text().splitlines(keepends=True)
    other.write_text("".join(row for row in rows if "INC-2" in row))
    said = holdfast("incident", "verify", out, "--heads", other, "--public-key", signed.key)
    assert said.code == 0
    assert f"{other} holds no head of INC-1" in said.err


@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("--heads", b"hello\n"),
        ("--heads", b"\xff\xfe\x00"),
        ("--heads", b'{"head": 1, "signature": 2}\n'),
        ("--public-key", b""),
        ("--public-key", b"\xff\xfe"),
        ("--public-key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
    ],
    ids=str,
)
def test_garbled_proof_is_bad_input(
    option: str, content: bytes, signed: Signed, holdfast: Holdfast, tmp_path: Path
) -> None:
    (tmp_path / "odd").write_bytes(content)

    refused(holdfast("incident", "verify", "INC-1", option, tmp_path / "odd"), 2, "odd", "; give")
    refused(holdfast("incident", "verify", "INC-1", option, tmp_path / "gone"), 2, "gone", "; give")


@pytest.mark.promise("L16")
@pytest.mark.parametrize("kept", [-1, 400])
def test_a_truncated_export_is_broken_where_it_was_cut(
    kept: int, signed: Signed, holdfast: Holdfast
) -> None:
    out = exported(holdfast, signed)
    whole = out.read_bytes()
    out.write_bytes(whole[:kept] if kept > 0 else whole[: whole.index(b'"signature"')])
    said = holdfast("incident", "verify", out, "--public-key", signed.key)

    assert said.code == 1
    assert ("record 2 can't be read any more" in said.out) == (kept > 0)


def test_signed_heads_alone_are_no_export(signed: Signed, holdfast: Holdfast) -> None:
    refused(holdfast("incident", "verify", signed.heads), 2, "no record; give it with --heads")


def test_the_public_key_can_be_taken_away_and_the_private_one_is_never_shown(
    signed: Signed, holdfast: Holdfast, tmp_path: Path
) -> None:
    out = tmp_path / "mine.pub"
    said = holdfast("heads", "public-key", "--out", out)

    assert said.code == 0
    assert f"fingerprint {open_key_id(signed)}" in said.err
    assert out.read_text() == signed.key.read_text()
    shown = holdfast("heads", "public-key").out
    assert shown == signed.key.read_text()
    secret = (signed.directory / "heads.key").read_text().splitlines()[1]
    assert secret not in shown + said.err + holdfast("heads", "public-key", "--json").out


def test_heads_show_says_how_far_each_chain_is_signed(signed: Signed, holdfast: Holdfast) -> None:
    rows = {r["incident_id"]: r for r in holdfast("heads", "show", "--json").document["heads"]}

    assert {name: (r["records"], r["seq"]) for name, r in rows.items()} == {
        "_system": (1, 1),
        "INC-1": (6, 6),
        "INC-2": (1, 1),
    }
    assert "SIGNED TO" in holdfast("heads", "show").out
    sign(signed.directory, signed.heads)
    assert len(signed.heads.read_text().splitlines()) == 4, "nothing moved, nothing is signed"
