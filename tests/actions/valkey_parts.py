"""What the tests of cache and queue share: an emptied server, its own counters, a pause."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import valkey

from holdfast.kernel.clock import SystemClock
from tests.real_parts import Valkey


@contextmanager
def emptied(server: Valkey) -> Iterator[valkey.Valkey]:
    with valkey.Valkey.from_url(server.url) as client:
        client.flushall()
        client.config_resetstat()
        yield client


def calls(client: valkey.Valkey, command: str) -> int:
    """Count how often the server ran a command, inside scripts too, by its own statistics."""
    stats = cast("dict[str, Any]", client.info("commandstats"))
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


class PausingClock(SystemClock):
    """Lets something else happen just before the nth page: each page asks for the time once."""

    def __init__(self, before_page: int, meanwhile: Callable[[], object]) -> None:
        self._left = before_page + 1  # one question when the connection is made
        self._meanwhile = meanwhile

    def monotonic(self) -> float:
        self._left -= 1
        if self._left == 0:
            self._meanwhile()
        return super().monotonic()
