"""Passes the workers' metric pages on to whoever reads them, until it is told to fall silent.

Rule: what it passes on it has read that moment and changes nothing of. Silent, it takes the
question and says that it has nothing new, as a metric source does that lost its own.
"""

import threading
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self

from holdfast.sandbox.pager import LoopbackServer
from holdfast.sandbox.site import Site

READ_TIMEOUT_S = 0.7


class Relay:
    """Listens from the moment it is made until it is closed."""

    def __init__(self, site: Site) -> None:
        worker = site.blueprint.worker
        pages = {
            f"/{region}/metrics": site.url(worker, region, "/metrics")
            for region in site.blueprint.regions
        }
        self._silent = threading.Event()
        handler = type("Handler", (_Handler,), {"pages": pages, "silent": self._silent})
        self._server = LoopbackServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def url(self, region: str) -> str:
        """Say where the page of one region's workers is read."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{region}/metrics"

    def silence(self) -> None:
        self._silent.set()

    def speak(self) -> None:
        self._silent.clear()

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


class _Handler(BaseHTTPRequestHandler):
    pages: Mapping[str, str]
    silent: threading.Event

    def do_GET(self) -> None:
        place = self.pages.get(self.path)
        if place is None or self.silent.is_set():
            self.send_error(404 if place is None else 503)
            return
        request = urllib.request.Request(  # noqa: S310 - a loopback address of ours
            place, headers={"Accept": self.headers.get("Accept", "")}
        )
        try:
            with urllib.request.urlopen(request, timeout=READ_TIMEOUT_S) as page:  # noqa: S310
                body, kind = page.read(), page.headers.get("Content-Type", "text/plain")
        except OSError:
            self.send_error(502)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Nobody reads it."""
