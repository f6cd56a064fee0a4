"""OpenMetrics on /metrics, for the processes that serve nothing else.

Rule: one small registry per process, names from the blueprint, and a listening
socket that shares the port the platform has reserved.
"""

import resource
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from holdfast.sandbox.processes import LINUX

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
STALL_TIMEOUT_S = 2.0  # one thread serves all, so a client that stalls is cut off
_PAGE_BYTES = resource.getpagesize()
Page = Callable[[str], tuple[str, bytes]]  # accept header -> content type, body


def registry_with_memory(name: str) -> CollectorRegistry:
    """Make a registry that already tells the process's resident memory."""
    registry = CollectorRegistry()
    gauge = Gauge(name, "Resident memory of the process in bytes.", registry=registry)
    gauge.set_function(resident_bytes)
    return registry


def resident_bytes() -> float:
    """What the process holds now; where only the peak is known (macOS), the peak."""
    if LINUX:
        return float(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_BYTES
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def render(registry: CollectorRegistry, accept: str) -> tuple[str, bytes]:
    """Write the registry in the format that the scraper asked for."""
    encoder, content_type = choose_encoder(accept)
    return content_type, encoder(registry)


def serve_pages(port: int, pages: Mapping[str, Page]) -> HTTPServer:
    """Serve `pages` by path on a loopback port, in a daemon thread."""
    handler = type("Handler", (_Handler,), {"pages": dict(pages)})
    server = _SharingServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _SharingServer(HTTPServer):
    allow_reuse_port = True  # the platform holds the reservation of the same port

    def server_bind(self) -> None:
        # HTTPServer looks up its own name here, which can wait on a resolver for seconds.
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = "localhost", self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    pages: Mapping[str, Page] = {}

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(STALL_TIMEOUT_S)

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        try:
            content_type, body = page(self.headers.get("Accept", ""))
        except Exception as error:  # noqa: BLE001 - a surface: the scraper gets the words
            self.send_error(503, explain=f"{type(error).__name__}: {error}")
            return
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Scrapes come every second; they are no news."""
