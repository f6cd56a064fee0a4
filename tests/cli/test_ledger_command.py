"""ledger backup, restore and verify: what an operator types, and what it answers."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from holdfast.ledger import SqliteLedger
from tests.cli.conftest import Holdfast
from tests.ledger.ledger_parts import batch, opened
from tests.surface import Installed, refused


@pytest.fixture
def database(here: Installed) -> Path:
    """Two incidents of three records each, beside what `init` wrote."""
    path = here.directory / "holdfast.db"
    with closing(SqliteLedger(path)) as ledger:
        for _ in range(2):
            ledger.append(batch(opened(ledger), 2))
    return path


def change(path: Path, statement: str) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute(statement)


def test_a_ledger_is_backed_up_and_restored_into_another_installation(
    database: Path, holdfast: Holdfast, tmp_path: Path
) -> None:
    file, new = tmp_path / "backup.db", tmp_path / "new"
    new.mkdir()
    said = holdfast("ledger", "backup", file)
    assert said.code == 0
    assert said.out.startswith("wrote 3 chains, 7 records, ")
    told = holdfast("ledger", "restore", file, "--dir", new)

    assert told.code == 0
    assert told.out == "restored 3 chains, 7 records; all are whole\n"
    assert "2 incidents are open" in told.err
    assert 'holdfast freeze --because "restored"' in told.err
    with closing(SqliteLedger(new / "holdfast.db")) as ledger:
        last = ledger.records("_system")[-1]
    assert (last.kind, last.data) == (
        "restored",
        {"from": "backup.db", "chains": 3, "records": 7},
    )
    assert holdfast("ledger", "verify", "--dir", new).code == 0


def test_every_chain_is_verified_and_the_first_bad_record_named(
    database: Path, holdfast: Holdfast
) -> None:
    good = holdfast("ledger", "verify")
    assert (good.code, good.out) == (0, "3 chains, 7 records: all are whole\n")
    change(database, "update record set body = x'7b7d' where incident_id = 'INC-2' and seq = 2")

    bad = holdfast("ledger", "verify")
    assert bad.code == 1
    assert "INC-2: BROKEN at record 2: record 2 does not match its hash" in bad.out
    assert bad.out.endswith("1 are BROKEN\n")
    document = holdfast("ledger", "verify", "--json").document
    assert (document["ok"], document["chains"]) == (False, 3)
    assert [(one["incident_id"], one["first_bad_seq"]) for one in document["broken"]] == [
        ("INC-2", 2)
    ]


def test_the_system_chain_is_verified_too(database: Path, holdfast: Holdfast) -> None:
    change(database, "update record set hash = zeroblob(32) where incident_id = '_system'")

    assert "_system: BROKEN at record 1" in holdfast("ledger", "verify").out


def test_a_backup_with_a_broken_chain_is_written_and_is_exit_1(
    database: Path, holdfast: Holdfast, tmp_path: Path
) -> None:
    change(database, "delete from record where incident_id = 'INC-1' and seq = 3")
    said = holdfast("ledger", "backup", tmp_path / "backup.db")

    assert (said.code, (tmp_path / "backup.db").is_file()) == (1, True)
    assert "INC-1 is BROKEN" in said.err
    new = tmp_path / "new"
    new.mkdir()
    refused(
        holdfast("ledger", "restore", tmp_path / "backup.db", "--dir", new),
        1,
        "is not whole: INC-1",
        "take an older backup",
    )


def test_a_restore_replaces_nothing(database: Path, holdfast: Holdfast, tmp_path: Path) -> None:
    before = len(holdfast("incident", "list", "--json").document["incidents"])
    assert holdfast("ledger", "backup", tmp_path / "backup.db").code == 0

    refused(holdfast("ledger", "restore", tmp_path / "backup.db"), 1, "is not empty")
    assert len(holdfast("incident", "list", "--json").document["incidents"]) == before


def test_where_there_is_no_ledger_nothing_is_made(holdfast: Holdfast, tmp_path: Path) -> None:
    refused(
        holdfast("ledger", "backup", tmp_path / "backup.db", "--dir", tmp_path),
        1,
        "there is no ledger at",
        "--dir",
    )
    assert list(tmp_path.iterdir()) == []
