"""Looks at a release directory: where the link points, and what else is complete.

Layout: `RELEASES/<version>/` directories and a `current` link whose text is a
plain version. Anything else is reported as it is, never followed.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

LINK = "current"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDirectory:
    """What `look` found. `problem` is set where the link can't be told or moved."""

    current: str | None
    problem: str | None


def look(directory: Path) -> ReleaseDirectory:
    """Read the link, and say whether this process could replace it."""
    link = directory / LINK
    try:
        current = str(link.readlink())
    except OSError as error:
        return ReleaseDirectory(current=None, problem=f"{link} can't be read: {error.strerror}")
    if not VERSION.match(current):
        return ReleaseDirectory(
            current=None, problem=f"{link} points to {current!r}, which is no plain version name"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        return ReleaseDirectory(
            current=current, problem=f"{directory} can't be written by this user"
        )
    return ReleaseDirectory(current=current, problem=None)


def why_incomplete(directory: Path, version: str) -> str | None:
    """Say what is wrong with a release on disk; None: a readable directory that isn't empty."""
    if not VERSION.match(version):
        return f"{version!r} is no plain version name"
    path = directory / version
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return f"{path} is not a directory"
        with os.scandir(path) as entries:
            return None if any(entries) else f"{path} is empty"
    except OSError as error:
        return f"{path} can't be read: {error.strerror}"


def directory_before(directory: Path, current: str) -> tuple[str | None, str]:
    """Name the release that was put there last before `current`, by time of its directory."""
    try:
        times = {
            entry.name: entry.stat(follow_symlinks=False).st_mtime_ns
            for entry in os.scandir(directory)
            if entry.is_dir(follow_symlinks=False) and VERSION.match(entry.name)
        }
    except OSError as error:
        return None, f"{directory} can't be read: {error.strerror}"
    older = {name: at for name, at in times.items() if at < times.get(current, 0)}
    if not older:
        return None, f"{directory} holds no release older than {current}"
    previous = max(older, key=lambda name: (older[name], name))
    return previous, f"{previous} is the newest directory older than {current}"
