"""What the tests of a rollback share: a release directory, and a count of its link's moves."""

from pathlib import Path

from holdfast.actions import RollbackDeploy
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.response.ports import ActionRequest
from tests.io_parts import catalogue, request


class Moves:
    """Counts how often the link (or file) was replaced, by the kernel's own word."""

    def __init__(self, directory: Path, name: str = "current") -> None:
        import inotify_simple

        self._name = name
        self._inotify = inotify_simple.INotify()
        flags = inotify_simple.flags
        self._moved_to = int(flags.MOVED_TO)
        # Both halves of a move: inotify merges equal events that follow one another.
        self._inotify.add_watch(directory, flags.MOVED_FROM | flags.MOVED_TO)

    def count(self) -> int:
        return sum(
            bool(event.mask & self._moved_to) and event.name == self._name
            for event in self._inotify.read(timeout=0)
        )

    def close(self) -> None:
        self._inotify.close()


def described(directory: Path, **release: str) -> Catalogue:
    control = {"release": {"directory": str(directory), **release}}
    return catalogue(Service(name="api", control=control), Service(name="store"))


def attempt(rollback: RollbackDeploy, key: str = "i/s/1", **params: object) -> ActionRequest:
    return request("rollback_deploy", "api", pre_image=rollback.observe("api", params), key=key)


def current(directory: Path) -> str:
    return str((directory / "current").readlink())
