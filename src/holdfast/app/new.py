"""`holdfast init`: a new installation, each file explained.

Existing files are never overwritten. The first person's token is shown once.
"""

import getpass
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from holdfast.app import audit, heads
from holdfast.app.audit import open_sealer
from holdfast.app.files import write_whole
from holdfast.app.heads import open_signer
from holdfast.app.ledger_place import database_address
from holdfast.app.tokens import first_token
from holdfast.incident.system import fold_system
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.ledger.address import Address, is_there, open_ledger
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
    ("services.yaml", "the catalogue: what is watched, who owns it, how it is reached"),
)

_EXAMPLES = {
    ".md": "an example runbook; read it, then make it yours",
    ".state.yaml": "what `holdfast runbook test` rehearses it on",
}

_KEYS = (
    (heads.KEY_NAME, "signs the ledger; back it up, away from the ledger's backups"),
    (heads.PUBLIC_NAME, "checks those signatures; keep a copy off this machine"),
    (audit.KEY_NAME, "opens the whole outputs of actions; lost, they are lost"),
)


def init(directory: Path, *, from_prometheus: str | None = None) -> Created:
    """Write the files of a new installation and its first token.

    With the address of a Prometheus the catalogue begins with the jobs that it scrapes.
    """
    database = database_address(directory)  # refused before anything is written
    known = is_there(database)
    texts = _texts(directory, from_prometheus)
    try:
        (directory / "runbooks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"can't create {directory}: {error.strerror}; choose a directory that you can write"
        ) from None
    written, kept = [], []
    for name, why, text in texts:
        if (directory / name).exists():
            kept.append(name)
        else:
            write_whole(directory / name, text)
            written.append((name, why))
    shown = _shown(database, directory)
    if not known:
        written.append((shown, "the ledger; back it up, never edit it"))
    else:
        kept.append(shown)
    token = _first_token(database)
    _keys(directory, written, kept)
    return Created(directory=directory, files=tuple(written), kept=tuple(kept), token=token)


def _keys(directory: Path, written: list[tuple[str, str]], kept: list[str]) -> None:
    """Make the keys that must not lie in the database."""
    there = {name for name, _ in _KEYS if (directory / name).exists()}
    open_signer(directory)
    open_sealer(directory, make=True)
    for name, why in _KEYS:
        if name in there:
            kept.append(name)
        elif (directory / name).exists():  # one that lies elsewhere is not made here
            written.append((name, why))


def _shown(database: Address, directory: Path) -> str:
    path = database.path
    if path is not None and path.is_relative_to(directory):
        return str(path.relative_to(directory))
    return database.shown


def _texts(directory: Path, from_prometheus: str | None) -> list[tuple[str, str, str]]:
    texts = _templates()
    if from_prometheus is None:
        return texts
    there = [name for name, _ in _EXPLAINED if (directory / name).exists()]
    if there:
        raise BadInputError(
            f"{there[0]} is in {directory} already and is not overwritten; choose an empty "
            "directory, or leave out --from-prometheus",
            field="from-prometheus",
        )
    from holdfast.app.first_catalogue import first_catalogue, with_prometheus

    services = first_catalogue(from_prometheus, SystemClock().now())
    begun = {"services.yaml": services}
    return [
        (name, why, begun.get(name, with_prometheus(text, from_prometheus)))
        for name, why, text in texts
    ]


def _templates() -> list[tuple[str, str, str]]:
    folder = files("holdfast.app").joinpath("templates")
    found = [
        (name, why, folder.joinpath(name).read_text(encoding="utf-8")) for name, why in _EXPLAINED
    ]
    examples = files("holdfast.runbooks").joinpath("examples")
    for entry in sorted(examples.iterdir(), key=lambda e: e.name):
        for suffix, why in _EXAMPLES.items():
            if entry.name.endswith(suffix):
                found.append((f"runbooks/{entry.name}", why, entry.read_text(encoding="utf-8")))
    return found


def _first_token(database: Address) -> str | None:
    clock = SystemClock()
    ledger = open_ledger(database, clock)
    try:
        if database.path is not None:
            database.path.chmod(0o600)
        if fold_system(ledger.records(SYSTEM_CHAIN)).tokens:
            return None
        return first_token(ledger, _user(), clock.now())
    finally:
        ledger.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "admin"
