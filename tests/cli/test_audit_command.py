"""The audit store from the command line: who may, what is recorded, what is shown."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from holdfast.app.audit import AuditStore, open_sealer
from holdfast.incident import Record
from holdfast.kernel import SystemClock
from holdfast.response.store import SYSTEM_CHAIN
from tests.cli.conftest import Holdfast
from tests.cli.signed_parts import ledger_of
from tests.ledger.ledger_parts import batch
from tests.scenes import bad_deploy
from tests.surface import Installed, refused

OUTPUT = "done\nPASSWORD=hunter2\n"


@pytest.fixture
def digest(here: Installed) -> str:
    """Write an incident whose step S1 has its whole output in the store; give the digest."""
    clock = SystemClock()
    with ledger_of(here.directory) as ledger:
        claim = ledger.open_incident("w-1", 30.0)
        name = claim.incident_id
        sealer = open_sealer(here.directory, make=False)
        store = AuditStore(ledger, sealer, clock, retention_days=90)
        kept = store.keep(incident_id=name, step_id="S1", output=OUTPUT)
        linked: Sequence[Record] = [
            Record(
                incident_id=one.incident_id,
                seq=one.seq,
                kind=one.kind,
                at=one.at,
                actor=one.actor,
                cause=one.cause,
                data={**one.data, **kept.as_data()} if one.kind == "step_finished" else one.data,
            )
            for one in bad_deploy(name)
        ]
        for one in linked:
            claim = ledger.append(batch(claim, records=[one]))
    assert kept.digest
    return kept.digest


def system_records(here: Installed) -> list[tuple[str, Any]]:
    with ledger_of(here.directory) as ledger:
        found = ledger.records(SYSTEM_CHAIN)
    return [(r.kind, dict(r.data)) for r in found if r.kind in {"audit_read", "request_refused"}]


@pytest.mark.promise("L18")
def test_a_whole_output_is_shown_as_it_was_and_the_read_is_on_record(
    here: Installed, holdfast: Holdfast, digest: str
) -> None:
    listed = holdfast("audit", "list", "INC-1", "--json").document["outputs"]

    assert [(one["step_id"], one["digest"], one["kept"]) for one in listed] == [
        ("S1", digest, True)
    ]
    assert digest in holdfast("audit", "list", "INC-1").out
    assert here.run("audit", "show", digest).out == OUTPUT
    assert here.run("audit", "show", f"audit:{digest}").out == OUTPUT
    assert holdfast("audit", "show", "INC-1", "S1", "--json").document == {
        "output": OUTPUT,
        "bytes": len(OUTPUT),
    }
    records = system_records(here)
    assert [kind for kind, _ in records] == ["audit_read"] * 5
    assert [data["what"] for _, data in records] == ["list", "list", "show", "show", "show"]
    assert "hunter2" not in json.dumps(records)
    assert "hunter2" not in holdfast("incident", "export", "INC-1").out


@pytest.mark.promise("L18")
def test_without_the_scope_nothing_is_shown_and_the_refusal_is_on_record(
    here: Installed, holdfast: Holdfast, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = holdfast("token", "create", "omar", "--scope", "read", "--scope", "admin", "--json")
    agent = holdfast("token", "create", "bot", "--kind", "agent", "--json")
    never = holdfast("token", "create", "bot2", "--kind", "agent", "--scope", "audit")
    refused(never, 2, "'audit'")
    for token, why in (
        (made.document["token"], "lacks the scope 'audit'"),
        (agent.document["token"], "an agent's token can never read the audit store"),
    ):
        monkeypatch.setenv("HOLDFAST_TOKEN", token)
        for words in (("show", digest), ("show", "INC-1", "S1"), ("list", "INC-1")):
            said = holdfast("audit", *words)
            refused(said, 1, why)
            assert said.out == ""

    records = system_records(here)
    assert [kind for kind, _ in records] == ["request_refused"] * 6
    assert {data["scope"] for _, data in records} == {"audit"}
    monkeypatch.delenv("HOLDFAST_TOKEN")
    refused(holdfast("audit", "show", digest), 1, "HOLDFAST_TOKEN is not set")


def test_what_is_not_there_is_said(holdfast: Holdfast, digest: str) -> None:
    refused(holdfast("audit", "show", "0" * 64), 1, "is not in the audit store")
    refused(holdfast("audit", "show", "INC-1", "S99"), 1, "step S99 of INC-1 has no output")
    refused(holdfast("audit", "list", "INC-99"), 1, "is not known")
    refused(holdfast("audit", "show", "INC-99", "S1"), 1, "is not known")
