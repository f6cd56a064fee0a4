"""What happens to keys that others remove, and to jobs that others put aside.

Rule: the server tells it (keyspace notifications), in the order in which it happened; a mark of
our own comes through the same subscription, so what is counted is complete. A key that expires
tells another event and is no effect.
"""

import contextlib
import threading
from collections.abc import Mapping
from typing import Any, cast

import valkey

from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.effects import CACHE_CLEARED, QUEUE_PARKED, Effect
from holdfast.sandbox.file_observers import EffectLog
from holdfast.sandbox.site import Site

_REMOVED = "__keyevent@0__:del"
_ASIDE = "__keyspace@0__:queue:*:*"  # a list beside a region's queue, named after it
_MARKS = "sandbox:marks"
_PUSHED = frozenset({"lpush", "rpush"})


class KeyspaceWatch:
    """Sees the keys below the cached prefixes go, and lists beside the queues fill."""

    how = "keyspace notifications"

    def __init__(self, site: Site, log: EffectLog) -> None:
        self._shape = site.blueprint
        self._prefixes = (self._shape.price_prefix, self._shape.basket_epoch)
        self._log = log
        self._parked: set[str] = set()
        client = valkey.Valkey(unix_socket_path=str(site.cache_socket), decode_responses=True)
        self._client = cast("Any", client)  # subscriptions have no types in the driver
        self._client.config_set("notify-keyspace-events", "KEgl")
        self._told = self._client.pubsub(ignore_subscribe_messages=True)
        self._told.psubscribe(_REMOVED, _ASIDE, _MARKS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer-keys", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # A server that has gone tells nothing more; whoever waits for a mark then says so.
        with contextlib.suppress(valkey.ConnectionError):
            while not self._over.is_set():
                message = self._told.get_message(timeout=5.0)
                if message is not None:
                    self._take(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        channel, data = str(message["channel"]), str(message["data"])
        if channel == _MARKS:
            self._log.mark(data)
        elif channel == _REMOVED:
            if data.startswith(self._prefixes):
                self._log.add_one_of_many(CACHE_CLEARED, self._shape.cache, "keys")
        else:
            self._aside(channel.partition(":")[2], data)

    def _aside(self, name: str, event: str) -> None:
        if event == "del":
            self._parked.discard(name)
        elif event in _PUSHED and name not in self._parked:
            self._parked.add(name)
            at, target = SystemClock().now(), self._shape.worker
            self._log.add(Effect(at=at, kind=QUEUE_PARKED, target=target, detail=f"in {name}"))

    def fence(self, mark: str) -> None:
        """Return when everything that happened until now is in the log."""
        self._client.publish(_MARKS, mark)
        self._log.wait_for_mark(mark)

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(valkey.ConnectionError):
            self._client.publish(_MARKS, "over")
        self._thread.join()
        self._told.close()
        self._client.close()
