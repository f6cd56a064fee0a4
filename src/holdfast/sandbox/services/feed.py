"""The feed of placed orders: a stream of documents for whoever subscribes.

Rule: none but the obvious. Each subscriber has a queue of its own and nothing bounds it, so one
that stops reading makes the API keep every document that it can't send. That is the slow
consumer which every release of this API has.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

DOCUMENT_BYTES = 150_000


class Feed:
    """All subscribers of one API process."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()

    def publish(self, order: int, basket: dict[str, Any]) -> None:
        """Give an order's document to every subscriber; it is drawn up only if there is one."""
        if self._queues:
            document = _document(order, basket)
            for queue in self._queues:
                queue.put_nowait(document)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield documents from now on, until the subscriber is gone."""
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)


def _document(order: int, basket: dict[str, Any]) -> bytes:
    """Draw up the order with its shipping label as a bitmap of text."""
    head = json.dumps({"order": order, "basket": basket}).encode() + b"\n"
    row = f"{order:<79}\n".encode()
    return head + row * (DOCUMENT_BYTES // len(row)) + b"\n"
