"""Every head that was signed here, in a file beside the database, and who has been given it.

The file is only ever added to, before the signature goes into the database: what the database
forgets, this remembers. A cursor per receiver outlives a restart, so nothing is left out; after a
crash something may be delivered twice.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from holdfast.app.files import write_whole
from holdfast.app.secret_file import sync_directory
from holdfast.kernel.errors import BadInputError
from holdfast.ledger.export import read_heads
from holdfast.ledger.heads import head_line
from holdfast.response.store import SignedHead

OUTBOX_NAME = "heads.jsonl"
CURSORS_NAME = "heads.exported.json"
LOCK_NAME = "heads.lock"
EXPORT_LOCK_NAME = "heads.export.lock"
_BYTES_MAX = 64 << 20


class HeadOutbox:
    """The signed heads of one installation directory; shared by its processes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / OUTBOX_NAME
        self._read_to = 0
        self._last: dict[str, SignedHead] = {}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that signs here."""
        with locked(self._directory / LOCK_NAME, wait=True):
            self._refresh()
            yield

    @contextmanager
    def exporting(self) -> Iterator[bool]:
        """Be the only process that delivers from here; False when another one does."""
        with locked(self._directory / EXPORT_LOCK_NAME, wait=False) as mine:
            yield mine

    def last(self, incident_id: str) -> SignedHead | None:
        """Give the highest head that was signed of this chain."""
        return self._last.get(incident_id)

    def add(self, signed: Sequence[SignedHead]) -> None:
        """Keep these durably. Raises BadInputError when the file can't be written."""
        content = b"".join(head_line(one) + b"\n" for one in signed)
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                size = os.fstat(file).st_size
                torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                os.write(file, b"\n" * torn + content)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise BadInputError(
                f"can't write {self.path}: {error.strerror}; no head is signed until that is mended"
            ) from None
        self._refresh()

    def _refresh(self) -> None:
        rows, self._read_to = self._rows(self._read_to, None)
        for one in read_heads(rows)[0]:
            known = self._last.get(one.mark.incident_id)
            if known is None or known.mark.seq <= one.mark.seq:
                self._last[one.mark.incident_id] = one

    def pending(self, receiver: str, most: int) -> tuple[Sequence[str], int | None]:
        """Give up to `most` rows that this receiver has not had, and the cursor after them.

        The cursor is None when there is nothing more. A row that a crash tore is left out.
        """
        rows, end = self._rows(self._cursors().get(receiver, 0), most)
        return [row for row in rows if read_heads([row])[0]], end if rows else None

    def delivered(self, receiver: str, cursor: int) -> None:
        """Remember how far this receiver has been served."""
        kept = {**self._cursors(), receiver: cursor}
        write_whole(self._directory / CURSORS_NAME, json.dumps(kept, indent=1) + "\n")

    def shorten(self, receivers: Sequence[str], *, most_bytes: int = _BYTES_MAX) -> bool:
        """Keep only each chain's last head once the file is large and everybody has all of it.

        The ledger has the others. Call it while signing and exporting are both held.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        cursors = self._cursors()
        if size <= most_bytes or any(cursors.get(key, 0) < size for key in receivers):
            return False
        self._refresh()
        kept = b"".join(head_line(one) + b"\n" for one in self._last.values())
        # The cursors first: a crash in between delivers some twice and leaves nothing out.
        moved = {key: len(kept) for key in receivers}
        part = self.path.with_name(f".{OUTBOX_NAME}.part")
        part.write_bytes(kept)
        part.chmod(0o600)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        write_whole(self._directory / CURSORS_NAME, json.dumps(moved, indent=1) + "\n")
        part.replace(self.path)
        sync_directory(self._directory)
        self._read_to = len(kept)
        return True

    def _cursors(self) -> Mapping[str, int]:
        # A damaged file of cursors only means that everything is delivered once more.
        with suppress(OSError, ValueError):
            found: Any = json.loads((self._directory / CURSORS_NAME).read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return {str(k): v for k, v in found.items() if isinstance(v, int) and v >= 0}
        return {}

    def _rows(self, start: int, most: int | None) -> tuple[list[str], int]:
        """Read whole lines from a place in the file on, and give the place after them."""
        rows: list[str] = []
        try:
            with self.path.open("rb") as file:
                file.seek(min(start, os.fstat(file.fileno()).st_size))
                start = file.tell()
                while most is None or len(rows) < most:
                    row = file.readline()
                    if not row.endswith(b"\n"):
                        break
                    rows.append(row.decode("utf-8", "replace").rstrip("\n"))
                    start += len(row)
        except FileNotFoundError:
            return [], start
        except OSError as error:
            raise BadInputError(
                f"can't read {self.path}: {error.strerror}; no head is signed until that is mended"
            ) from None
        return rows, start


def receiver_key(kind: str, place: str) -> str:
    """Name a receiver without showing its address, which may hold a secret."""
    return f"{kind}:{hashlib.sha256(place.encode()).hexdigest()[:16]}"


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the kernel's lock on a file; without `wait`, say False when somebody else does."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadInputError(
            f"can't write {path}: {error.strerror}; signing heads needs a directory that it "
            "can write"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(lock)
