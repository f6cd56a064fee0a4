"""Signed heads: what makes the rewrite of a whole chain show.

Whoever can write the database can compute new hashes for a whole chain; they can't sign its
head, because the private key is not in the database. A signature is an Ed25519 one over a
message that begins with its own purpose, so that it means nothing anywhere else.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import format_at, parse_at
from holdfast.kernel.errors import BadInputError
from holdfast.ledger.chain import ChainVerdict
from holdfast.response.store import HeadMark, Link, SignedHead

FORMAT = "holdfast-head-1"
_PURPOSE = FORMAT.encode() + b"\n"
_KEY_ID_CHARS = 32
_PEM_END = "-----END PUBLIC KEY-----"
_HASH_BYTES, _SIGNATURE_BYTES = 32, 64


def head_message(mark: HeadMark, at: datetime, key_id: str) -> bytes:
    """Give the bytes that are signed: the purpose, a new line, canonical JSON."""
    return _PURPOSE + canonical_json(_said(mark, at, key_id))


def _said(mark: HeadMark, at: datetime, key_id: str) -> dict[str, Any]:
    return {
        "incident_id": mark.incident_id,
        "seq": mark.seq,
        "head": mark.head.hex(),
        "at": format_at(at),
        "key_id": key_id,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """What checks a signature. `key_id` is its fingerprint: 32 hex digits of its SHA-256."""

    key_id: str
    pem: str
    raw: bytes

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> Self:
        """Take a library's key."""
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        return cls(key_id=hashlib.sha256(raw).hexdigest()[:_KEY_ID_CHARS], pem=pem, raw=raw)

    def made(self, signed: SignedHead) -> bool:
        """Say whether this key made the signature over exactly this head."""
        if signed.key_id != self.key_id:
            return False
        message = head_message(signed.mark, signed.at, signed.key_id)
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signed.signature, message)
        except InvalidSignature:
            return False
        return True


class HeadSigner:
    """Holds the private key. It is never shown and never in the database."""

    def __init__(self, pem: bytes, source: str = "the key") -> None:
        """Raise BadInputError for what is no Ed25519 private key in PEM, without showing it."""
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadInputError(
                f"{source} holds no Ed25519 private key in PEM without a password; put the right "
                "file there, or move it away and a new key is made"
            )
        self._key = key
        self.public = PublicKey.of(key.public_key())

    def sign(self, mark: HeadMark, at: datetime) -> SignedHead:
        """Sign one head."""
        key_id = self.public.key_id
        # To the microsecond, as it is written: what is read back must give the same message.
        at = parse_at(format_at(at))
        signature = self._key.sign(head_message(mark, at, key_id))
        return SignedHead(mark=mark, at=at, key_id=key_id, signature=signature)


def new_private_pem() -> bytes:
    """Make a private key, as PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_keys(text: str, source: str) -> Mapping[str, PublicKey]:
    """Read one or more public keys in PEM, by their ids. Raises BadInputError for anything else."""
    blocks = [block + _PEM_END + "\n" for block in text.split(_PEM_END)[:-1]]
    found = {}
    for block in blocks:
        try:
            key = load_pem_public_key(block.encode())
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise BadInputError(
                f"{source} holds a key that is no Ed25519 public key; give the file of "
                "`holdfast heads public-key`"
            )
        public = PublicKey.of(key)
        found[public.key_id] = public
    if not found:
        raise BadInputError(
            f"{source} holds no public key in PEM; give the file of `holdfast heads public-key`"
        )
    return found


# --- as a line of JSON ----------------------------------------------------


def head_line(signed: SignedHead) -> bytes:
    """Write one signed head as it is exported: one JSON object on one line."""
    said = _said(signed.mark, signed.at, signed.key_id)
    return canonical_json({"format": FORMAT, **said, "signature": signed.signature.hex()})


def is_head(data: object) -> bool:
    """Say whether a JSON value means to be a signed head."""
    return isinstance(data, Mapping) and "signature" in data and "head" in data


def head_from(data: Mapping[str, Any]) -> SignedHead:
    """Read one signed head back. Raises ValueError for what can't be one."""
    try:
        head, signature = bytes.fromhex(data["head"]), bytes.fromhex(data["signature"])
        mark = HeadMark(incident_id=str(data["incident_id"]), seq=int(data["seq"]), head=head)
        at, key_id = parse_at(data["at"]), str(data["key_id"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None
    if data.get("format") != FORMAT:
        raise ValueError(f"its format is {data.get('format')!r}, not {FORMAT}")
    if len(head) != _HASH_BYTES or len(signature) != _SIGNATURE_BYTES or mark.seq < 1:
        raise ValueError("a hash has 32 bytes, a signature 64, and numbers begin at 1")
    return SignedHead(mark=mark, at=at, key_id=key_id, signature=signature)


# --- what signatures say about a chain ------------------------------------


def check_signatures(
    verdict: ChainVerdict,
    links: Sequence[Link],
    stored: Iterable[SignedHead],
    keys: Mapping[str, PublicKey],
    exported: Iterable[SignedHead] = (),
) -> ChainVerdict:
    """Say up to where signatures cover a chain, and what they give away about it.

    `stored` lies with the chain, `exported` was kept elsewhere. A head of a key that is not in
    `keys` proves nothing and is only noted. A hash that is wrong is told first.
    """
    here = [one for one in stored if one.mark.incident_id == verdict.incident_id]
    kept = [one for one in exported if one.mark.incident_id == verdict.incident_id]
    everything = sorted({*here, *kept}, key=lambda one: (one.mark.seq, one.at, one.key_id))
    covered: SignedHead | None = None
    found: tuple[int, str] | None = None
    for signed in (one for one in everything if one.key_id in keys):
        found = found or _against(signed, links, keys[signed.key_id], covered)
        if found is None and signed.mark.seq <= verdict.records:
            covered = signed
    told = replace(
        verdict,
        signed_up_to_seq=covered.mark.seq if covered else None,
        key_id=covered.key_id if covered else None,
        notes=(*verdict.notes, *_notes(here, kept, keys)),
    )
    if found is None or (verdict.first_bad_seq or found[0] + 1) <= found[0]:
        return told
    return replace(told, ok=False, first_bad_seq=found[0], problem=found[1])


def _against(
    signed: SignedHead, links: Sequence[Link], key: PublicKey, covered: SignedHead | None
) -> tuple[int, str] | None:
    """Hold one signed head against the chain; give the first bad number and what is wrong."""
    seq, when = signed.mark.seq, format_at(signed.at)
    if not key.made(signed):
        return seq, (
            f"the signature over record {seq} (key {signed.key_id}) does not fit what it stands "
            "under: the signed head was changed or forged"
        )
    if seq > len(links):
        return len(links) + 1, (
            f"the chain ends at record {len(links)}, but a head signed at {when} shows that "
            f"record {seq} was there: the tail was cut off, or this is an older copy"
        )
    if links[seq - 1].hash == signed.mark.head:
        return None
    first = covered.mark.seq + 1 if covered else 1
    where = f"record {seq}" if first == seq else f"one of the records {first} to {seq}"
    return first, (
        f"the head of record {seq} that was signed at {when} (key {signed.key_id}) is another one: "
        f"{where} was rewritten together with every hash after it"
    )


def _notes(
    here: Sequence[SignedHead], kept: Sequence[SignedHead], keys: Mapping[str, PublicKey]
) -> list[str]:
    notes = []
    unknown = sorted({one.key_id for one in (*here, *kept)} - set(keys))
    if unknown:
        notes.append(
            f"signatures of {', '.join(unknown)} were not checked: no such public key is trusted "
            "here; give it with --public-key"
        )
    gone = sorted({one.mark.seq for one in kept} - {one.mark.seq for one in here})
    if gone:
        several = ", ".join(map(str, gone[:5])) + (", …" if len(gone) > 5 else "")  # noqa: PLR2004
        notes.append(
            f"{len(gone)} exported signatures (over record {several}) are not beside the chain: "
            "they were removed, or made after it was exported"
        )
    return notes
