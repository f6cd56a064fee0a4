"""Seals what only few may read: AES-256-GCM, found by a digest, bound to where it belongs.

The digest is a commitment: SHA-256 over a random salt, the incident, the step and the text. The
salt lies inside the seal, so the digest in the ledger does not let anyone guess a short secret,
and two steps with the same output have two entries. An entry moved to another step won't open.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.errors import BadInputError, HoldfastError
from holdfast.response.store import SealedBlob

_MARK = b"HFA1"
_KEY_BYTES, _KEY_ID_BYTES, _NONCE_BYTES, _SALT_BYTES, _TAG_BYTES = 32, 8, 12, 32, 16
_LEAST_BYTES = len(_MARK) + _KEY_ID_BYTES + _NONCE_BYTES + _SALT_BYTES + _TAG_BYTES


class CannotOpenError(HoldfastError):
    """A sealed entry that the keys of this installation don't open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    id: bytes
    secret: bytes


class Sealer:
    """Holds the keys: the first one seals, every one opens."""

    def __init__(self, text: str, source: str = "the key") -> None:
        """Read keys, one per line in hex. Raises BadInputError without showing anything of them."""
        self._source = source
        try:
            self._keys = [_key(line) for line in text.split()]
        except ValueError:
            self._keys = []
        if not self._keys:
            raise BadInputError(
                f"{source} holds something else than keys of 64 hex digits, one per line; put the "
                "right file there, or move it away and a new key is made"
            ) from None

    def seal(
        self, text: bytes, *, incident_id: str, step_id: str, at: datetime, keep: timedelta
    ) -> SealedBlob:
        """Seal one output."""
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
        digest = _digest(salt, incident_id, step_id, text)
        key = self._keys[0]
        bound = _bound(digest, incident_id, step_id)
        sealed = AESGCM(key.secret).encrypt(nonce, salt + text, bound)
        return SealedBlob(
            digest=digest,
            incident_id=incident_id,
            step_id=step_id,
            at=at,
            expires_at=at + keep,
            sealed=_MARK + key.id + nonce + sealed,
        )

    def open(self, blob: SealedBlob) -> bytes:
        """Open one entry and check its digest. Raises CannotOpenError."""
        sealed = blob.sealed
        if len(sealed) < _LEAST_BYTES or not sealed.startswith(_MARK):
            raise CannotOpenError(
                f"entry {blob.digest} is no sealed output: it was changed after it was written; "
                "read it from a backup"
            )
        key_id, rest = sealed[len(_MARK) :][:_KEY_ID_BYTES], sealed[len(_MARK) + _KEY_ID_BYTES :]
        key = next((each for each in self._keys if each.id == key_id), None)
        if key is None:
            raise CannotOpenError(
                f"entry {blob.digest} was sealed with key {key_id.hex()}, which is not in "
                f"{self._source}; add that key as a line of its own (without it the entry can't "
                "be read by anyone)"
            )
        bound = _bound(blob.digest, blob.incident_id, blob.step_id)
        try:
            opened = AESGCM(key.secret).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], bound)
        except InvalidTag:
            raise CannotOpenError(_changed(blob)) from None
        salt, text = opened[:_SALT_BYTES], opened[_SALT_BYTES:]
        again = _digest(salt, blob.incident_id, blob.step_id, text)
        if not hmac.compare_digest(again, blob.digest):
            raise CannotOpenError(_changed(blob))
        return text

    @property
    def key_ids(self) -> Sequence[str]:
        """Name the keys, the one that seals first."""
        return [key.id.hex() for key in self._keys]


def new_sealing_key() -> str:
    """Make a key, as one line."""
    return secrets.token_bytes(_KEY_BYTES).hex() + "\n"


def _key(line: str) -> _Key:
    secret = bytes.fromhex(line)
    if len(secret) != _KEY_BYTES:
        raise ValueError(len(secret))
    key_id = hashlib.sha256(b"holdfast-audit-key-1\n" + secret).digest()[:_KEY_ID_BYTES]
    return _Key(id=key_id, secret=secret)


def _digest(salt: bytes, incident_id: str, step_id: str, text: bytes) -> str:
    place = canonical_json([incident_id, step_id])
    return hashlib.sha256(b"holdfast-output-1\n" + salt + place + b"\n" + text).hexdigest()


def _bound(digest: str, incident_id: str, step_id: str) -> bytes:
    return canonical_json({"digest": digest, "incident_id": incident_id, "step_id": step_id})


def _changed(blob: SealedBlob) -> str:
    return (
        f"entry {blob.digest} does not open: it was changed, or moved from another step, after it "
        "was written; read it from a backup"
    )
