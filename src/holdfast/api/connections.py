"""One connection: it says what it wants in time, or makes room.

The server under us waits for a request as long as anybody likes to keep silent. A few
thousand who do so would take every file descriptor, and with them the ledger's and the checks'.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Connection(HttpToolsProtocol):
    """Speaks HTTP/1. Counts the time until a request's headers are whole, and nothing after it."""

    most = 512
    request_within_s = 10.0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn narrows it itself
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.close()
            return
        self._begin()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waits() and not self.transport.is_closing():
            self._begin()

    def on_headers_complete(self) -> None:
        self._end()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _waits(self) -> bool:
        """Say whether no request is being answered."""
        cycle: Any = self.cycle  # None before the first one, whatever its type says
        return cycle is None or bool(cycle.response_complete)

    def _begin(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(self.request_within_s, self._give_up)

    def _end(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self._waits():
            self.transport.close()
