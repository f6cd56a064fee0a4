"""A directory that holds so many bytes and not one more, as its owner counts them.

Rule: whatever lies there counts, whoever wrote it. It is limited as an orchestrator limits
ephemeral storage, by looking, since a quota of the kernel's would need rights that we don't have.
"""

import errno
import os
from pathlib import Path


class Scratch:
    """Write files into `directory` as long as they fit into `limit` bytes."""

    def __init__(self, directory: Path, limit: int) -> None:
        self.directory = directory
        self.limit = limit

    def used(self) -> int:
        """Count what lies there. A file that goes meanwhile counts nothing."""
        total = 0
        with os.scandir(self.directory) as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
        return total

    def write(self, name: str, content: bytes) -> Path:
        """Write a file. Raises OSError with ENOSPC when there is no room for it."""
        if self.used() + len(content) > self.limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.directory))
        path = self.directory / name
        path.write_bytes(content)
        return path
