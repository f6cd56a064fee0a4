"""What an administrator of the database can do to it: everything, with right hashes."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from holdfast.kernel.canonical import canonical_json
from holdfast.ledger.chain import GENESIS, link_hash


def rewrite(database: Path, incident_id: str, old: str, new: str) -> int:
    """Change a word wherever it stands and compute every hash and the head anew.

    Returns the number of the first record that says something else now.
    """
    first = 0
    with closing(apsw.Connection(str(database))) as db, db:
        rows: list[Any] = db.execute(
            "select seq, body from record where incident_id = ? order by seq", (incident_id,)
        ).fetchall()
        head = GENESIS
        for seq, body in rows:
            text = body.decode().replace(old, new)
            changed = canonical_json(json.loads(text))
            first = first or (seq if changed != body else 0)
            head = link_hash(head, changed)
            db.execute(
                "update record set body = ?, hash = ? where incident_id = ? and seq = ?",
                (changed, head, incident_id, seq),
            )
        db.execute("update incident set head = ? where id = ?", (head, incident_id))
    return first


def cut(database: Path, incident_id: str, keep: int) -> None:
    """Take away the records after `keep`, and let the store's head say that this is the end."""
    with closing(apsw.Connection(str(database))) as db, db:
        db.execute("delete from record where incident_id = ? and seq > ?", (incident_id, keep))
        db.execute(
            "update incident set seq = ?, head = (select hash from record "
            "where incident_id = ? and seq = ?) where id = ?",
            (keep, incident_id, keep, incident_id),
        )


def forget_signatures(database: Path) -> None:
    """Take away every signature that the database holds."""
    with closing(apsw.Connection(str(database))) as db:
        db.execute("delete from head_signature")
