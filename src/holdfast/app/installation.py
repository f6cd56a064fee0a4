"""One installation directory, read and checked: settings, catalogue, runbooks, limits."""

import os
from dataclasses import dataclass
from pathlib import Path

from holdfast.app.config import ConfigModel, load_catalogue, load_config, load_limits
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Limits
from holdfast.runbooks import Runbook, parse

DATABASE_VARIABLE = "HOLDFAST_DATABASE_URL"
DATABASE_NAME = "holdfast.db"
_SQLITE = "sqlite:///"


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
    return Installation(
        directory=directory,
        config=config,
        catalogue=catalogue,
        runbooks=load_runbooks(directory / config.runbooks),
        limits=load_limits(config, directory),
    )


def runbook_files(folder: Path) -> tuple[Path, ...]:
    """List the Markdown files of a runbook folder, sorted. No folder: BadInputError."""
    if not folder.is_dir():
        raise BadInputError(
            f"{folder} is no directory; create it, or set `runbooks` in holdfast.yaml"
        )
    return tuple(sorted(path for path in folder.rglob("*.md") if path.is_file()))


def load_runbooks(folder: Path) -> tuple[Runbook, ...]:
    """Parse every runbook of a folder; two of one name are an error."""
    found: dict[str, Runbook] = {}
    for path in runbook_files(folder):
        runbook = parse(path.read_bytes(), str(path))
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
        scheme = url.split(":", 1)[0]
        raise BadInputError(
            f"{DATABASE_VARIABLE} names a {scheme} database, which this version can't use yet; "
            "write sqlite:///PATH or unset it"
        )
    path = Path(url.removeprefix(_SQLITE))
    return path if path.is_absolute() else directory / path
