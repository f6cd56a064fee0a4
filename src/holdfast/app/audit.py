"""The restricted audit store: whole outputs, sealed, for a few people and for a while.

The ledger keeps a redacted and bounded output, which everybody with the scope `read` may see; the
whole one can hold secrets. It is durable before the outcome that links to it. A store that can't be
written never costs an outcome: the record says why the whole output is missing.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.app.secret_file import key_place, read_or_make, read_secret
from holdfast.incident import Record
from holdfast.incident.system import AUDIT_READ
from holdfast.kernel.actor import Actor
from holdfast.kernel.clock import Clock, format_at
from holdfast.kernel.errors import HoldfastError, NotFoundError, RefusedError
from holdfast.kernel.redact import bounded
from holdfast.ledger.sealing import Sealer, new_sealing_key
from holdfast.response.ports import KeptOutput
from holdfast.response.store import Ledger

if TYPE_CHECKING:
    from holdfast.app.installation import Installation

KEY_NAME = "audit.key"
KEY_VARIABLE = "HOLDFAST_AUDIT_KEY_FILE"
OUTPUT_BYTES_MAX = 1 << 20
LINK = "audit:"
_PRUNE_EVERY_S = 3600.0


def open_sealer(directory: Path, *, make: bool) -> Sealer:
    """Read the keys of the store; with `make`, one is made where there is none."""
    place, may_make = key_place(directory, KEY_NAME, KEY_VARIABLE)
    if make and may_make:
        text = read_or_make(place, lambda: new_sealing_key().encode())
    else:
        text = read_secret(place)
    return Sealer(text.decode("utf-8", "replace"), f"the key file {place}")


class AuditStore:
    """Keeps outputs. Fulfils `engine.ports.Audit`."""

    def __init__(
        self, ledger: Ledger, sealer: Sealer, clock: Clock, *, retention_days: float
    ) -> None:
        self._ledger, self._sealer, self._clock = ledger, sealer, clock
        self._keep = timedelta(days=retention_days)
        self._pruned_at: float | None = None
        self._lock = threading.Lock()

    def keep(self, *, incident_id: str, step_id: str, output: str) -> KeptOutput:
        """Seal an output and write it durably. Never raises."""
        # A lone surrogate stands for a byte that was no UTF-8: it is given back as that byte.
        text = output.encode("utf-8", "surrogatepass" if _wild(output) else "surrogateescape")
        try:
            blob = self._sealer.seal(
                _cut(text),
                incident_id=incident_id,
                step_id=step_id,
                at=self._clock.now(),
                keep=self._keep,
            )
            self._ledger.put_blob(blob)
        except HoldfastError as error:
            return KeptOutput(size_bytes=len(text), problem=_lost(error.message))
        except Exception as error:  # noqa: BLE001 - the outcome is worth more than its output
            return KeptOutput(
                size_bytes=len(text), problem=_lost(f"{type(error).__name__}: {error}")
            )
        return KeptOutput(size_bytes=len(text), digest=blob.digest)

    def prune(self) -> None:
        """Remove what has been kept long enough; looks once an hour."""
        with self._lock:
            now = self._clock.monotonic()
            if self._pruned_at is not None and now - self._pruned_at < _PRUNE_EVERY_S:
                return
            self._ledger.prune_blobs(self._clock.now())
            self._pruned_at = now


def audit_store(installation: "Installation", ledger: Ledger, clock: Clock) -> AuditStore:
    """Make the store that an installation's settings describe."""
    sealer = open_sealer(installation.directory, make=True)
    return AuditStore(
        ledger, sealer, clock, retention_days=installation.config.audit.retention_days
    )


def _wild(output: str) -> bool:
    """Say whether there is a surrogate that stands for no byte."""
    return any("\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" for c in output)


def _cut(text: bytes) -> bytes:
    if len(text) <= OUTPUT_BYTES_MAX:
        return text
    note = f"\n[cut here: {len(text) - OUTPUT_BYTES_MAX} of {len(text)} bytes are not kept]\n"
    return text[:OUTPUT_BYTES_MAX] + note.encode()


def _lost(why: str) -> str:
    return bounded(f"the whole output could not be kept: {why}", limit=500)


# --- reading --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One output that the ledger links to. `kept` False: removed, or never written."""

    incident_id: str
    step_id: str
    attempt: int | None
    digest: str
    size_bytes: int
    at: datetime
    kept: bool
    expires_at: datetime | None

    def as_data(self) -> dict[str, Any]:
        return {
            "incident_id": self.incident_id,
            "step_id": self.step_id,
            "attempt": self.attempt,
            "digest": self.digest,
            "bytes": self.size_bytes,
            "at": format_at(self.at),
            "kept": self.kept,
            "expires_at": format_at(self.expires_at) if self.expires_at else None,
        }


class AuditReading:
    """Reads the store for a caller who may. Every read is a record before anything is shown."""

    def __init__(self, ledger: Ledger, directory: Path, reader: Actor, clock: Clock) -> None:
        self._ledger, self._directory = ledger, directory
        self._reader, self._clock = reader, clock

    def entries(self, incident_id: str) -> Sequence[Entry]:
        """List the outputs that one incident's records link to, oldest first."""
        self._record("list", incident_id=incident_id)
        return self._entries(incident_id)

    def _entries(self, incident_id: str) -> Sequence[Entry]:
        linked = [r for r in self._ledger.records(incident_id) if r.data.get("output_digest")]
        return [self._entry(record) for record in linked]

    def _entry(self, record: Record) -> Entry:
        digest = str(record.data["output_digest"])
        blob = self._ledger.blob(digest)
        return Entry(
            incident_id=record.incident_id,
            step_id=str(record.data.get("step_id")),
            attempt=record.data.get("attempt"),
            digest=digest,
            size_bytes=int(record.data.get("output_bytes") or 0),
            at=record.at,
            kept=blob is not None,
            expires_at=blob.expires_at if blob else None,
        )

    def of_step(self, incident_id: str, step_id: str) -> bytes:
        """Read the newest output of a step. Raises NotFoundError, CannotOpenError."""
        found = [one for one in self._entries(incident_id) if one.step_id == step_id]
        if not found:
            self._record("show", incident_id=incident_id, step_id=step_id)
            raise NotFoundError(
                f"step {step_id} of {incident_id} has no output in the audit store; see "
                f"`holdfast audit list {incident_id}`"
            )
        return self.of_digest(found[-1].digest, incident_id=incident_id, step_id=step_id)

    def of_digest(
        self, digest: str, *, incident_id: str | None = None, step_id: str | None = None
    ) -> bytes:
        """Read one output. Raises NotFoundError, CannotOpenError."""
        digest = digest.removeprefix(LINK)
        blob = self._ledger.blob(digest)
        self._record(
            "show",
            digest=digest[:64],
            incident_id=blob.incident_id if blob else incident_id,
            step_id=blob.step_id if blob else step_id,
        )
        if blob is None or blob.digest != digest:
            raise NotFoundError(
                f"output {digest[:64]} is not in the audit store: it was removed after its time, "
                "never written, or the digest is another one; see `holdfast audit list INCIDENT`"
            )
        if blob.expires_at <= self._clock.now():
            raise RefusedError(
                f"output {digest} was to be kept until {format_at(blob.expires_at)} and is not "
                "shown any more"
            )
        return open_sealer(self._directory, make=False).open(blob)

    def _record(self, what: str, **named: str | None) -> None:
        data = {"what": what, "incident_id": None, "step_id": None, "digest": None, **named}
        self._ledger.append_system(AUDIT_READ, data, self._reader, self._clock.now())
