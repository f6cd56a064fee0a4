"""Signatures and sealed outputs on every twin of the store."""

from datetime import timedelta
from pathlib import Path

from holdfast.app.audit import AuditStore, open_sealer
from holdfast.app.heads import HeadKeeper, heads_here, open_signer
from holdfast.app.verifying import Proof, verify_all, verify_here
from holdfast.kernel import SYSTEM, ManualClock
from holdfast.response.store import SYSTEM_CHAIN, Ledger
from tests.ledger.ledger_parts import START, batch, opened


def test_every_store_keeps_signatures_that_verify_and_asks_for_those_that_moved(
    ledger: Ledger, tmp_path: Path
) -> None:
    keeper = HeadKeeper(
        directory=tmp_path,
        ledger=ledger,
        signer=open_signer(tmp_path),
        clock=ManualClock(START),
        every_s=60.0,
    )
    claim, other = opened(ledger), opened(ledger)
    ledger.append_system("frozen", {"scope": "all", "because": "x"}, SYSTEM, START)
    keeper.round()
    claim = ledger.append(batch(claim, 3))
    keeper.round()

    assert keeper.problems == []
    found = {one.incident_id: one for one in verify_all(ledger, Proof(tmp_path))}
    assert {name: (one.ok, one.signed_up_to_seq) for name, one in found.items()} == {
        claim.incident_id: (True, 4),
        other.incident_id: (True, 1),
        SYSTEM_CHAIN: (True, 1),
    }
    assert [one.mark.seq for one in ledger.signatures(claim.incident_id)] == [1, 4]
    assert sorted(one.mark.seq for one in heads_here(tmp_path)) == [1, 1, 1, 4]
    assert ledger.unsigned_heads(open_signer(tmp_path).public.key_id, 10) == []
    assert len(ledger.unsigned_heads("another key", 2)) == 2


def test_a_head_that_another_host_signed_is_gone_on_from(ledger: Ledger, tmp_path: Path) -> None:
    """The second host has the key, and none of the files of the first."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    claim = opened(ledger)
    signer = open_signer(first)
    for directory in (first, second):
        HeadKeeper(
            directory=directory, ledger=ledger, signer=signer, clock=ManualClock(START), every_s=60
        ).round()
        claim = ledger.append(batch(claim))

    assert verify_here(ledger, claim.incident_id, Proof(first)).signed_up_to_seq == 2


def test_every_store_keeps_sealed_outputs_for_their_time(ledger: Ledger, tmp_path: Path) -> None:
    clock = ManualClock(START)
    sealer = open_sealer(tmp_path, make=True)
    store = AuditStore(ledger, sealer, clock, retention_days=2)
    kept = store.keep(incident_id="INC-1", step_id="S1", output="ünïcode\n" * 5000)
    blob = ledger.blob(kept.digest or "")

    assert blob is not None
    assert blob.expires_at == START + timedelta(days=2)
    assert sealer.open(blob).decode() == "ünïcode\n" * 5000
    clock.jump(timedelta(days=2))
    store.prune()
    assert ledger.blob(kept.digest or "") is None
