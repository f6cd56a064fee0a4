"""A real HTTP server that takes what Holdfast sends outside, and answers as it is told."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True, kw_only=True)
class Receiver:
    """What arrived: method, path and body. `status` is what is answered; `hangs` answers late."""

    url: str = ""
    status: int = 200
    location: str | None = None
    hangs: bool = False
    got: list[tuple[str, str, bytes]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    over: threading.Event = field(default_factory=threading.Event)

    def until(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait until so many arrived."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, timeout_s), self.got


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve on a free port of the loopback."""
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with told.changed:
                told.got.append((self.command, self.path, body))
                told.changed.notify_all()
            if told.hangs:
                told.over.wait(10)
            with contextlib.suppress(OSError):
                self.send_response(told.status)
                if told.location:
                    self.send_header("Location", told.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def do_GET(self) -> None:
            self._take()

        def do_POST(self) -> None:
            self._take()

        def log_message(self, *_words: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        told.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
