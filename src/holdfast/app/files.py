"""Writes files whole or not at all: what a crash or a full disk interrupts leaves no half."""

import os
from pathlib import Path

from holdfast.kernel.errors import BadInputError


def write_whole(path: Path, text: str) -> None:
    """Write a file under its name only once it is complete. Raises BadInputError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None
        raise BadInputError(
            f"can't write {path}: {error.strerror or error}; choose a place that you can write"
        ) from None
