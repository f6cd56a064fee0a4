"""Adds up the files below a directory, and names the directory that holds most of them.

Links are not followed, and a file with several names counts once. It gives up after so many
entries: then the sum is a lower bound and says so.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

ENTRIES_MAX = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSize:
    """What lies below a directory. `whole` is False where it was not counted to the end."""

    bytes: int
    files: int
    unreadable: int
    whole: bool
    largest: str | None
    largest_bytes: int


class _Count:
    def __init__(self, entries_max: int) -> None:
        self.left = entries_max
        self.files = 0
        self.unreadable = 0
        self.sizes: dict[str, int] = {}
        self._seen: set[tuple[int, int]] = set()

    def add(self, directory: str, entry: "os.DirEntry[str]") -> None:
        seen = entry.stat(follow_symlinks=False)
        if seen.st_nlink > 1:
            if (seen.st_dev, seen.st_ino) in self._seen:
                return
            self._seen.add((seen.st_dev, seen.st_ino))
        self.files += 1
        self.sizes[directory] = self.sizes.get(directory, 0) + seen.st_size


def tree_size(path: str, *, entries_max: int = ENTRIES_MAX) -> TreeSize:
    """Measure what lies below `path`. Raises OSError where `path` itself can't be listed."""
    count = _Count(entries_max)
    waiting = [path]
    with os.scandir(path):
        pass  # the first one has to be there; what vanishes further down is only gone
    while waiting and count.left > 0:
        waiting += _directories_in(waiting.pop(), count)
    largest = max(count.sizes, key=lambda each: (count.sizes[each], each), default=None)
    return TreeSize(
        bytes=sum(count.sizes.values()),
        files=count.files,
        unreadable=count.unreadable,
        whole=not waiting and count.left > 0,
        largest=largest,
        largest_bytes=count.sizes[largest] if largest is not None else 0,
    )


def _directories_in(directory: str, count: _Count) -> Iterator[str]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                count.left -= 1
                if count.left <= 0:
                    return
                if entry.is_dir(follow_symlinks=False):
                    yield entry.path
                elif entry.is_file(follow_symlinks=False):
                    _counted(directory, entry, count)
    except FileNotFoundError:
        return
    except OSError:
        count.unreadable += 1


def _counted(directory: str, entry: "os.DirEntry[str]", count: _Count) -> None:
    try:
        count.add(directory, entry)
    except FileNotFoundError:
        return
