"""`holdfast init`: a new installation, each file explained.

Existing files are never overwritten. The first person's token is shown once.
"""

import getpass
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from holdfast.app.installation import database_path
from holdfast.app.tokens import first_token
from holdfast.incident.system import fold_system
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.ledger import SqliteLedger
from holdfast.response.store import SYSTEM_CHAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What init made."""

    directory: Path
    files: tuple[tuple[str, str], ...]
    kept: tuple[str, ...]
    token: str | None


_EXPLAINED = (
    ("holdfast.yaml", "the settings; starts in mode observe, which performs nothing"),
    ("services.yaml", "the service catalogue: what is watched, who owns it, how it is reached"),
)


def init(directory: Path) -> Created:
    """Write the files of a new installation and its first token."""
    try:
        (directory / "runbooks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"can't create {directory}: {error.strerror}; choose a directory that you can write"
        ) from None
    written, kept = [], []
    for name, why, text in _templates():
        path = directory / name
        if path.exists():
            kept.append(name)
        else:
            path.write_text(text, encoding="utf-8")
            written.append((name, why))
    token = _first_token(directory)
    if token:
        written.append(("holdfast.db", "the ledger; back it up, never edit it"))
    return Created(directory=directory, files=tuple(written), kept=tuple(kept), token=token)


def _templates() -> list[tuple[str, str, str]]:
    folder = files("holdfast.app").joinpath("templates")
    found = [
        (name, why, folder.joinpath(name).read_text(encoding="utf-8")) for name, why in _EXPLAINED
    ]
    examples = files("holdfast.runbooks").joinpath("examples")
    for entry in sorted(examples.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".md"):
            why = "an example runbook; read it, then make it yours"
            found.append((f"runbooks/{entry.name}", why, entry.read_text(encoding="utf-8")))
    return found


def _first_token(directory: Path) -> str | None:
    path = database_path(directory)
    ledger = SqliteLedger(path)
    try:
        path.chmod(0o600)
        if fold_system(ledger.records(SYSTEM_CHAIN)).tokens:
            return None
        return first_token(ledger, _user(), SystemClock().now())
    finally:
        ledger.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "admin"
