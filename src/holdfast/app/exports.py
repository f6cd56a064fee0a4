"""Documents that leave the ledger: exports that verify without it, postmortems."""

import json
from collections.abc import Sequence
from pathlib import Path

from holdfast.app.desk import Desk
from holdfast.app.files import write_whole
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


def write_lines(path: Path, written: Sequence[str]) -> None:
    """Write an export to a file, whole or not at all."""
    write_whole(path, "\n".join(written) + "\n")


def verify_export(path: Path) -> ChainVerdict:
    """Check an exported file by itself, without any database.

    A file whose first line is no record is another file: BadInputError. Whatever is wrong
    after that is a broken chain, and the verdict names the record.
    """
    links: list[Link] = []
    problem, prev = None, GENESIS
    for number, row in enumerate(_rows(path), start=1):
        link, problem = _link(row, prev)
        if link is None and number == 1:
            raise BadInputError(
                f"{path}:1 is no exported record; give a file of `holdfast incident export`"
            )
        if link is None or problem:
            break
        links.append(link)
        prev = link.hash
    verdict = verify_chain(links[0].incident_id if links else "?", links)
    if problem is None or (links and not verdict.ok):
        return verdict
    bad = len(links) + 1
    return ChainVerdict(
        incident_id=verdict.incident_id,
        ok=False,
        records=len(links),
        head=prev,
        first_bad_seq=bad,
        problem=f"record {bad} {problem}",
    )


def _rows(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{path} is not UTF-8 text (byte {error.start}); give a file of `incident export`"
        ) from None
    except OSError as error:
        raise BadInputError(
            f"can't read {path}: {error.strerror}; give a file of `incident export`"
        ) from None
    rows = [row for row in text.split("\n") if row.strip()]
    if not rows:
        raise BadInputError(f"{path} holds no record; give a file of `holdfast incident export`")
    return rows


def _link(row: str, prev: bytes) -> tuple[Link | None, str | None]:
    """Read one line, and say what is wrong with what the hash does not cover."""
    try:
        data = json.loads(row)
        link = link_from_export(data)
        follows, belongs = data["prev_hash"], data["body"]["incident_id"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, "can't be read any more: it was changed after it was exported"
    if follows != prev.hex():
        return link, "names another record before it than the one that is there"
    if belongs != link.incident_id:
        return link, f"belongs elsewhere: it says {link.incident_id!r}, its body {belongs!r}"
    return link, None


def postmortem_of(desk: Desk, incident_id: str) -> str:
    """Write one incident's postmortem."""
    desk.state(incident_id)
    return postmortem(desk.ledger.records(incident_id), desk.verify(incident_id).as_data())
