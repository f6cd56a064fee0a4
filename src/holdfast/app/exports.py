"""Documents that leave the ledger: exports that verify without it, postmortems."""

import json
from collections.abc import Sequence
from pathlib import Path

from holdfast.app.desk import Desk
from holdfast.kernel.errors import BadInputError
from holdfast.learning import postmortem
from holdfast.ledger import ChainVerdict, Link, export_line, link_from_export, verify_chain
from holdfast.ledger.chain import GENESIS


def export_lines(links: Sequence[Link]) -> list[str]:
    """Write a chain as JSON Lines."""
    prev, written = GENESIS, []
    for link in links:
        written.append(export_line(link, prev).decode())
        prev = link.hash
    return written


def write_export(path: Path, written: Sequence[str]) -> None:
    """Write an export to a file, whole or not at all."""
    write_text(path, "\n".join(written) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise BadInputError(f"can't write {path}: {error.strerror}; choose another place") from None


def verify_export(path: Path) -> ChainVerdict:
    """Check an exported file by itself, without any database."""
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"can't read {path}: {error}; give a file of `incident export`"
        ) from None
    links = [_link(path, number, row) for number, row in enumerate(rows, start=1) if row.strip()]
    if not links:
        raise BadInputError(f"{path} holds no record; give a file of `holdfast incident export`")
    return verify_chain(links[0].incident_id, links)


def _link(path: Path, number: int, row: str) -> Link:
    try:
        return link_from_export(json.loads(row))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path}:{number} is no exported record ({type(error).__name__}: {error}); the "
            "file was changed or is another one"
        ) from None


def postmortem_of(desk: Desk, incident_id: str) -> str:
    """Write one incident's postmortem."""
    desk.state(incident_id)
    return postmortem(desk.ledger.records(incident_id), desk.verify(incident_id).as_data())
