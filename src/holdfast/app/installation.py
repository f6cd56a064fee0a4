"""One installation directory, read and checked: settings, catalogue, runbooks, limits."""

from dataclasses import dataclass
from pathlib import Path

from holdfast.app.boundaries import check_boundaries
from holdfast.app.config import (
    CONFIG_NAME,
    check_names,
    load_catalogue,
    load_config,
    load_limits,
)
from holdfast.app.models import ConfigModel
from holdfast.app.yaml_file import read_yaml
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Limits
from holdfast.runbooks import Runbook, parse


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
    check_boundaries(config, catalogue, read_yaml(directory / CONFIG_NAME))
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
