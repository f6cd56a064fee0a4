"""A webhook receiver on loopback: the on-call engineer's telephone, and how often it rings.

Rule: a page is what arrived here, not what Holdfast says it sent. The same page
delivered twice (same key) is one page.
"""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

BODY_BYTES_MAX = 5_000_000
STALL_TIMEOUT_S = 5.0


@dataclass(slots=True)
class _Arrived:
    """Pages by key; a page without a key counts each time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    by_key: dict[str, dict[str, Any]] = field(default_factory=dict)
    deliveries: int = 0

    def add(self, key: str | None, page: dict[str, Any]) -> None:
        with self.lock:
            self.deliveries += 1
            self.by_key.setdefault(key or f"delivery {self.deliveries}", page)


class Pager:
    """Listens from the moment it is made until it is closed."""

    def __init__(self) -> None:
        self._arrived = _Arrived()
        handler = type("Handler", (_Handler,), {"arrived": self._arrived})
        self._server = LoopbackServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/page"

    @property
    def pages(self) -> tuple[dict[str, Any], ...]:
        """List every page that arrived, each once."""
        with self._arrived.lock:
            return tuple(self._arrived.by_key.values())

    @property
    def deliveries(self) -> int:
        """Count the requests that brought them."""
        with self._arrived.lock:
            return self._arrived.deliveries

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()


class LoopbackServer(ThreadingHTTPServer):
    """An HTTP server on loopback that asks no resolver for its own name."""

    daemon_threads = True

    def server_bind(self) -> None:
        # HTTPServer looks up its own name here, which can wait on a resolver for seconds.
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = "localhost", self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    arrived: _Arrived

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(STALL_TIMEOUT_S)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= BODY_BYTES_MAX:
            self.send_error(413)
            return
        try:
            page = json.loads(self.rfile.read(length))
        except ValueError as error:
            self.send_error(400, explain=f"a page is a JSON document: {error}")
            return
        self.arrived.add(self.headers.get("Idempotency-Key"), page)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """The count is the log."""
