"""Verifies chains with their signatures: in the ledger, or in an exported file without it.

What counts is what the database can't change: the public keys and the heads that lie beside it, or
better those that were kept elsewhere. Which keys and heads were used is told with the verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.app.heads import heads_here, kept_heads, trusted_keys
from holdfast.kernel.clock import format_at
from holdfast.kernel.errors import BadInputError
from holdfast.ledger.chain import ChainVerdict, verify_chain
from holdfast.ledger.export import Exported, read_export
from holdfast.ledger.heads import PublicKey, check_signatures
from holdfast.response.store import SYSTEM_CHAIN, Ledger, SignedHead


class Proof:
    """The public keys and the exported heads that a chain is held against.

    With a key that somebody gave on purpose, a chain that it has not signed at all is not good.
    """

    def __init__(
        self,
        directory: Path,
        *,
        public_key: Path | None = None,
        heads: Path | None = None,
        offline: bool = False,
    ) -> None:
        self.keys: Mapping[str, PublicKey] = (
            {} if offline and public_key is None else trusted_keys(directory, public_key)
        )
        self.exported: list[SignedHead] = [] if offline else heads_here(directory)
        self._given = kept_heads(heads) if heads is not None else []
        self._heads, self._strict = heads, public_key is not None
        self.exported += self._given

    def judge(self, verdict: ChainVerdict) -> ChainVerdict:
        """Add what follows from the keys and heads that somebody gave on purpose."""
        if self._heads is not None and not any(
            one.mark.incident_id == verdict.incident_id for one in self._given
        ):
            note = f"{self._heads} holds no head of {verdict.incident_id}"
            verdict = replace(verdict, notes=(*verdict.notes, note))
        if not (self._strict and verdict.ok and verdict.signed_up_to_seq is None):
            return verdict
        named = ", ".join(self.keys)
        problem = (
            f"no signature of the given key ({named}) covers any of it: the signatures were "
            "removed, or were made with another key"
        )
        return replace(verdict, ok=False, problem=problem)


def verify_here(ledger: Ledger, incident_id: str, proof: Proof) -> ChainVerdict:
    """Check one chain of a ledger against its hashes, its head and its signatures."""
    # Heads first: one that is signed in between would be of a record that was not read yet.
    stored = ledger.signatures(incident_id)
    links, head = ledger.chain(incident_id)
    verdict = verify_chain(incident_id, links, head.head if head else None)
    checked = check_signatures(verdict, links, stored, proof.keys, proof.exported)
    return proof.judge(checked)


def verify_all(ledger: Ledger, proof: Proof) -> Iterator[ChainVerdict]:
    """Check every chain, `_system` first; one that only a signed head remembers is missing."""
    known = [SYSTEM_CHAIN, *ledger.incident_ids()]
    remembered = {one.mark.incident_id for one in proof.exported if one.key_id in proof.keys}
    for incident_id in [*known, *sorted(remembered - set(known))]:
        verdict = verify_here(ledger, incident_id, proof)
        if incident_id != SYSTEM_CHAIN or verdict.records or not verdict.ok:
            yield verdict


def verify_file(path: Path, proof: Proof, incident_id: str | None = None) -> ChainVerdict:
    """Check an exported file by itself, without any database.

    A file whose first line is no record is another file: BadInputError. Whatever is wrong
    after that is a broken chain, and the verdict names the record.
    """
    exported = _read(path)
    if incident_id is not None and exported.incident_id != incident_id:
        raise BadInputError(
            f"{path} holds {exported.incident_id}, not {incident_id}; give the file of that "
            "incident's export"
        )
    return proof.judge(exported.verify(proof.keys, proof.exported))


def _read(path: Path) -> Exported:
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
    found = read_export(rows)
    if found is None:
        raise BadInputError(
            f"{path}:1 is no exported record; give a file of `holdfast incident export`"
        )
    if not found.links and found.problem is None:
        raise BadInputError(
            f"{path} holds signed heads and no record; give it with --heads, beside a file of "
            "`holdfast incident export`"
        )
    return found


def signed_heads(ledger: Ledger, directory: Path) -> Sequence[Mapping[str, Any]]:
    """Say for every chain up to which record it is signed with a key of this installation."""
    keys = trusted_keys(directory)
    rows = []
    for incident_id in [SYSTEM_CHAIN, *ledger.incident_ids()]:
        made = [
            one
            for one in ledger.signatures(incident_id)
            if one.key_id in keys and keys[one.key_id].made(one)
        ]
        last = max(made, key=lambda one: one.mark.seq, default=None)
        _, head = ledger.chain(incident_id)
        rows.append(
            {
                "incident_id": incident_id,
                "records": head.seq if head else 0,
                "seq": last.mark.seq if last else None,
                "at": format_at(last.at) if last else None,
                "key_id": last.key_id if last else None,
                "head_hash": last.mark.head.hex() if last else None,
            }
        )
    return rows
