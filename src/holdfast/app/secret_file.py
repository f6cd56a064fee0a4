"""Files that hold a key: outside the database, for their owner alone, made once.

Whoever can read the database must not be able to sign its heads or open its seals. Two processes
that start at once must end up with the same key, so a new file appears whole or not at all.
"""

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from holdfast.kernel.errors import BadInputError

_OTHERS = stat.S_IRWXO | stat.S_IWGRP


def key_place(directory: Path, name: str, variable: str) -> tuple[Path, bool]:
    """Say where a key is, and whether it may be made there: one that is given must be there."""
    given = os.environ.get(variable)
    return (Path(given), False) if given else (directory / name, True)


def read_secret(path: Path) -> bytes:
    """Read a key. Raises BadInputError for one that is not there or that others can read."""
    try:
        with path.open("rb") as file:
            rights = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except OSError as error:
        raise BadInputError(
            f"can't read the key {path}: {error.strerror}; put it back from its backup, or give "
            "the right place"
        ) from None
    if rights & _OTHERS:
        raise BadInputError(
            f"the key {path} can be read or changed by others (rights {rights:03o}); "
            f"run `chmod 600 {path}`, and make a new key if somebody may have seen it"
        )
    return content


def read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read a key; make it first if there is none."""
    if not path.exists():
        _make(path, make())
    return read_secret(path)


def _make(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        # A link and not a rename: the first one made is the one that counts.
        with suppress(FileExistsError):
            os.link(part, path)
        sync_directory(path.parent)
    except OSError as error:
        raise BadInputError(
            f"can't write the key {path}: {error.strerror}; choose a directory that you can write"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
