"""Documents that leave the ledger: exports that verify without it, postmortems."""

from collections.abc import Sequence
from pathlib import Path

from holdfast.app.desk import Desk
from holdfast.app.files import write_whole
from holdfast.learning import postmortem
from holdfast.ledger.export import export_rows


def export_lines(desk: Desk, incident_id: str) -> tuple[list[str], int]:
    """Write a chain and its signatures as JSON Lines; the number is how many are records."""
    signed = desk.ledger.signatures(incident_id)
    links = desk.links(incident_id)
    return export_rows(links, signed), len(links)


def write_lines(path: Path, written: Sequence[str]) -> None:
    """Write an export to a file, whole or not at all."""
    write_whole(path, "\n".join(written) + "\n")


def postmortem_of(desk: Desk, incident_id: str) -> str:
    """Write one incident's postmortem."""
    desk.state(incident_id)
    return postmortem(desk.ledger.records(incident_id), desk.verify(incident_id).as_data())
