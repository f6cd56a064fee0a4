"""One installation directory, read and checked: settings, catalogue, runbooks, limits."""

import os
from dataclasses import dataclass
from pathlib import Path

from holdfast.app.config import check_names, load_catalogue, load_config, load_limits
from holdfast.app.models import ConfigModel
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import BadInputError, LedgerUnavailableError
from holdfast.ledger import SqliteLedger
from holdfast.policy import Limits
from holdfast.runbooks import Runbook, parse

DATABASE_VARIABLE = "HOLDFAST_DATABASE_URL"
DATABASE_NAME = "holdfast.db"
_SQLITE = "sqlite:///"
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Everything that the files of DIR say."""

    directory: Path
    config: ConfigModel
    catalogue: Catalogue
    runbooks: tuple[Runbook, ...]
    limits: Limits


def load_installation(directory: Path) -> Installation:
    """Read DIR in full. Raises BadInputError with file, field and next step."""
    config = load_config(directory)
    catalogue = load_catalogue(directory / config.catalogue)
    runbooks = load_runbooks(directory / config.runbooks)
    check_names(directory, catalogue, [runbook.name for runbook in runbooks])
    return Installation(
        directory=directory,
        config=config,
        catalogue=catalogue,
        runbooks=runbooks,
        limits=load_limits(config, directory),
    )


def runbook_files(folder: Path) -> tuple[Path, ...]:
    """List the Markdown files of a runbook folder, sorted. No folder: BadInputError."""
    if not folder.is_dir():
        raise BadInputError(
            f"{folder} is no directory; create it, or set `runbooks` in holdfast.yaml"
        )
    return tuple(sorted(path for path in folder.rglob("*.md") if path.is_file()))


def read_runbook(path: Path) -> bytes:
    """Read one runbook's bytes. Raises BadInputError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"can't read {path}: {error.strerror}; mend its rights or take it away"
        ) from None


def load_runbooks(folder: Path) -> tuple[Runbook, ...]:
    """Parse every runbook of a folder; two of one name are an error."""
    found: dict[str, Runbook] = {}
    for path in runbook_files(folder):
        runbook = parse(read_runbook(path), str(path))
        if runbook.name in found:
            raise BadInputError(
                f"{path}: runbook {runbook.name!r} exists already in {found[runbook.name].path}; "
                "give each its own name"
            )
        found[runbook.name] = runbook
    return tuple(found.values())


def database_path(directory: Path) -> Path:
    """Say where the ledger is. Raises BadInputError for a database that this version can't use."""
    url = os.environ.get(DATABASE_VARIABLE)
    if not url:
        return directory / DATABASE_NAME
    if not url.startswith(_SQLITE):
        raise BadInputError(_other_database(url), field=DATABASE_VARIABLE)
    path = Path(url.removeprefix(_SQLITE))
    return path if path.is_absolute() else directory / path


def _other_database(url: str) -> str:
    """Say why not, without the URL itself: it may hold a password."""
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme in {"postgres", "postgresql"}:
        return (
            f"{DATABASE_VARIABLE} names a PostgreSQL database, which comes with the next release; "
            "write sqlite:///PATH or unset it"
        )
    return f"{DATABASE_VARIABLE} is no sqlite:///PATH; write one or unset it"


def open_ledger(path: Path, clock: Clock) -> SqliteLedger:
    """Open the ledger. Raises LedgerUnavailableError for a file that is none."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError:
        start = b""
    except OSError as error:
        raise LedgerUnavailableError(
            f"can't read the ledger {path}: {error.strerror}; mend its rights or give another --dir"
        ) from None
    if start and start != _MAGIC:
        raise LedgerUnavailableError(
            f"{path} is no ledger: it does not begin as an SQLite database does, so it was "
            "overwritten or is another file; put a backup in its place"
        )
    return SqliteLedger(path, clock)
