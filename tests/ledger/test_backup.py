"""Backup and restore: one moment, portable, whole, and a new beginning for whoever held something."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.kernel import SYSTEM, LedgerUnavailableError, RefusedError, StaleFenceError
from holdfast.ledger import verify
from holdfast.ledger.address import Address, open_ledger, read_address
from holdfast.ledger.backup import FENCES_RAISED, NUMBERS_LEFT, back_up, reading, restore
from holdfast.ledger.tables import BOOLEANS, TABLES
from holdfast.response.store import (
    SYSTEM_CHAIN,
    Answer,
    Claim,
    HeadMark,
    Ledger,
    SealedBlob,
    SignedHead,
)
from tests.ledger.ledger_parts import (
    LEASE_S,
    LONG_AGO,
    START,
    batch,
    intent,
    opened,
    request,
    seen,
)
from tests.real_parts import Postgres

Makes = Callable[[str], Address]


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Makes]:
    """Make an address of `sqlite` or `postgres` where nothing is yet."""
    with ExitStack() as stack:

        def make(kind: str) -> Address:
            if kind == "sqlite":
                made = tmp_path / f"store-{len(list(tmp_path.iterdir()))}"
                made.mkdir()
                return Address(path=made / "holdfast.db")
            server: Postgres = request.getfixturevalue("durable_postgres")
            return read_address(stack.enter_context(server.ledger_url()))

        yield make


@contextmanager
def at(address: Address) -> Iterator[Ledger]:
    with closing(open_ledger(address)) as ledger:
        yield ledger


def fill(ledger: Ledger) -> Claim:
    """Put something into every table; give the claim of an incident that has an intent open."""
    ended = opened(ledger)
    ledger.append(batch(ended, 3, ended=True))
    claim = opened(ledger)
    claim = ledger.append(intent(claim, seen(ledger, claim)))
    parked = opened(ledger)
    ledger.park(parked, START)
    ledger.append_system("freeze", {"scope": "all", "because": "ü"}, SYSTEM, START)
    ledger.submit(request(claim.incident_id, "r-1", because="stop"))
    ledger.submit(request(claim.incident_id, "r-2"))
    ledger.answer("r-2", Answer(ok=True, message="done"))
    mark = HeadMark(incident_id=claim.incident_id, seq=claim.seq, head=claim.head)
    ledger.put_signature(SignedHead(mark=mark, at=START, key_id="k", signature=bytes(64)))
    ledger.put_blob(
        SealedBlob(
            digest="d",
            incident_id=claim.incident_id,
            step_id="S1",
            at=START,
            expires_at=START + timedelta(days=90),
            sealed=bytes(range(256)),
        )
    )
    ledger.put_change({"id": "c-1", "at": "2030-01-01T00:00:00Z", "kind": "flag", "summary": "ü"})
    return claim


def content(address: Address) -> dict[str, list[Any]]:
    """Give every row of every table, but for what a restore changes on purpose."""
    with reading(address) as tables:
        rows: dict[str, list[Any]] = {name: list(tables.read(name)) for name in TABLES}
    rows["incident"] = [(row[0], row[1], *row[5:]) for row in rows["incident"]]
    del rows["counter"]
    return rows


KINDS = ("sqlite", "postgres")


@pytest.mark.promise("L21")
@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_what_was_backed_up_is_restored_whole_into_either_store(
    source: str, target: str, empty: Makes, tmp_path: Path
) -> None:
    old, new, file = empty(source), empty(target), tmp_path / "backup.db"
    with at(old) as ledger:
        fill(ledger)
        copied = back_up(old, file)  # while it is open and in use
    restored = restore(file, new)

    assert content(old) == content(new) == content(Address(path=file))
    assert all(content(new).values()), "a table was empty: this test proves nothing about it"
    assert (copied.chains, copied.records, copied.broken) == (4, 8, ())
    assert (restored.chains, restored.records, restored.open_incidents) == (4, 8, 2)
    with at(new) as ledger:
        assert all(verify(ledger, one).ok for one in [SYSTEM_CHAIN, *ledger.incident_ids()])


@pytest.mark.promise("L21")
@pytest.mark.parametrize("target", KINDS)
def test_nobody_of_the_old_database_goes_on_and_the_work_does(
    target: str, empty: Makes, tmp_path: Path
) -> None:
    old, new, file = empty("sqlite"), empty(target), tmp_path / "backup.db"
    with at(old) as ledger:
        held = fill(ledger)
    back_up(old, file)
    restore(file, new)

    with at(new) as ledger:
        with pytest.raises(StaleFenceError):
            ledger.append(batch(held))
        assert ledger.lease_left_s(held) == 0
        claims = ledger.claim_many("w-2", LEASE_S, 9)
        assert [claim.incident_id for claim in claims] == [held.incident_id], "INC-3 is parked"
        assert claims[0].fence == held.fence + FENCES_RAISED + 1
        assert ledger.append(batch(claims[0])).seq == held.seq + 1
        fresh = ledger.open_incident("w-2", LEASE_S)
        assert fresh.incident_id == f"INC-{3 + NUMBERS_LEFT + 1}", "an old number came again"
        assert ledger.submit(request(held.incident_id, "r-3")).n == 3
        assert [one.settled for one in ledger.actions_on("shop@east", LONG_AGO)] == [False]


@pytest.mark.parametrize("target", KINDS)
def test_a_ledger_that_is_not_empty_is_left_as_it_is(
    target: str, empty: Makes, tmp_path: Path
) -> None:
    old, new, file = empty("sqlite"), empty(target), tmp_path / "backup.db"
    with at(old) as ledger:
        fill(ledger)
    back_up(old, file)
    with at(new) as ledger:
        ledger.append_system("freeze", {"scope": "all"}, SYSTEM, START)
    before = content(new)

    with pytest.raises(RefusedError, match="is not empty, and a restore replaces nothing"):
        restore(file, new)
    assert content(new) == before


def change(path: Path, statement: str) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (
            "update record set body = cast('x' || body as blob) where incident_id = 'INC-2' and seq = 2",
            "INC-2: record 2 does not match its hash",
        ),
        ("delete from record where incident_id = 'INC-1' and seq = 4", "INC-1: .* are missing"),
        ("delete from record where incident_id = 'INC-3'", "INC-3: .* are missing"),
        ("delete from incident where id = 'INC-2'", "INC-2: nothing says where it ends"),
    ],
)
def test_a_backup_that_was_changed_is_refused_with_its_first_bad_record(
    statement: str, why: str, empty: Makes, tmp_path: Path
) -> None:
    old, new, file = empty("sqlite"), empty("sqlite"), tmp_path / "backup.db"
    with at(old) as ledger:
        fill(ledger)
    back_up(old, file)
    change(file, statement)

    with pytest.raises(RefusedError, match=f"is not whole: {why}.*nothing was restored"):
        restore(file, new)
    assert not new.path or not new.path.exists()


def test_a_broken_chain_is_backed_up_as_it_is_and_told(empty: Makes, tmp_path: Path) -> None:
    old = empty("sqlite")
    with at(old) as ledger:
        fill(ledger)
    assert old.path is not None
    change(old.path, "delete from record where incident_id = 'INC-1' and seq = 2")
    copied = back_up(old, tmp_path / "backup.db")

    assert [(one.incident_id, one.first_bad_seq) for one in copied.broken] == [("INC-1", 2)]
    assert content(old) == content(Address(path=tmp_path / "backup.db"))


@pytest.mark.promise("L21")
@pytest.mark.parametrize("source", KINDS)
def test_a_backup_is_one_moment_while_others_write(
    source: str, empty: Makes, tmp_path: Path
) -> None:
    old, copied_tables = empty(source), []
    with at(old) as ledger:
        claims = [opened(ledger)]

        def write(table: str, _done: int, _total: int) -> None:
            copied_tables.append(table)
            claims.append(ledger.append(batch(claims[-1])))
            opened(ledger)

        copied = back_up(old, tmp_path / "backup.db", write)

    assert copied_tables == list(TABLES), "it was not written to between all tables"
    assert (copied.chains, copied.records, copied.broken) == (1, 1, ())
    kept = content(Address(path=tmp_path / "backup.db"))
    assert [len(kept[name]) for name in ("incident", "record", "kv")] == [2, 1, 1]


@pytest.mark.promise("L21")
def test_nothing_is_left_of_a_backup_that_could_not_be_finished(
    empty: Makes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, folder = empty("sqlite"), tmp_path / "backups"
    folder.mkdir()
    with at(old) as ledger:
        fill(ledger)

    def stopped(_table: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(old, folder / "backup.db", stopped)
    assert list(folder.iterdir()) == []


def test_a_file_that_is_there_is_never_overwritten(empty: Makes, tmp_path: Path) -> None:
    old, file = empty("sqlite"), tmp_path / "notes.txt"
    file.write_text("mine")
    with at(old) as ledger:
        fill(ledger)

    with pytest.raises(RefusedError, match="is there already; give another name"):
        back_up(old, file)
    assert file.read_text() == "mine"


def test_a_backup_is_for_its_owner_only(empty: Makes, tmp_path: Path) -> None:
    old, file = empty("sqlite"), tmp_path / "backup.db"
    with at(old) as ledger:
        fill(ledger)
    back_up(old, file)

    assert file.stat().st_mode & 0o077 == 0


def test_what_a_newer_release_wrote_is_not_copied_in_part(empty: Makes, tmp_path: Path) -> None:
    old = empty("sqlite")
    with at(old) as ledger:
        fill(ledger)
    assert old.path is not None
    change(old.path, "insert into migration values (99, '0099_later.sql', 'abc')")

    with pytest.raises(RefusedError, match=r"of a newer release.*0099_later\.sql"):
        back_up(old, tmp_path / "backup.db")


def test_a_backup_of_an_older_release_is_brought_up_to_date_on_the_way(
    empty: Makes, tmp_path: Path
) -> None:
    from holdfast.ledger.migrate import migrations

    file, new = tmp_path / "old.db", empty("sqlite")
    number, name, sql = next(migrations("sqlite"))
    with closing(apsw.Connection(str(file))) as db:
        db.execute(sql)
        db.execute("create table migration (number integer primary key, name text, checksum text)")
        from holdfast.ledger.migrate import checksum

        db.execute("insert into migration values (?, ?, ?)", (number, name, checksum(sql)))
        db.execute("insert into kv values ('incident:INC-1:status', x'7b7d')")
    before = file.read_bytes()
    restore(file, new)

    with at(new) as ledger:
        assert ledger.kv("incident:INC-1:status") == b"{}"
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", [None, "no database at all"])
def test_a_file_that_is_no_backup_is_named(text: str | None, empty: Makes, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    if text is not None:
        file.write_text(text)

    with pytest.raises(LedgerUnavailableError, match=r"backup\.db"):
        restore(file, empty("sqlite"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_and_column_of_the_schema_is_in_a_backup(kind: str, empty: Makes) -> None:
    address = empty(kind)
    with at(address):
        pass
    assert schema(address) == {name: set(columns) for name, columns in TABLES.items()}
    assert set().union(*TABLES.values()) >= BOOLEANS


def schema(address: Address) -> dict[str, set[str]]:
    if address.path is not None:
        with closing(apsw.Connection(str(address.path))) as db:
            rows = db.execute(
                "select t.name, c.name from sqlite_schema t, pragma_table_info(t.name) c "
                "where t.type = 'table' and t.name not like 'sqlite_%'"
            ).fetchall()
    else:
        import psycopg

        with psycopg.connect(address.dsn) as connection:
            rows = connection.execute(
                "select table_name::text, column_name::text from information_schema.columns "
                "where table_schema = current_schema()"
            ).fetchall()
    found: dict[str, set[str]] = {}
    for table, column in rows:
        if table != "migration":
            found.setdefault(str(table), set()).add(str(column))
    return found
