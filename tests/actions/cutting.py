"""Cuts the line between a worker and its target after a request, before its reply."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.io_parts import answering


@contextmanager
def cut_after_request(behind: Path, path: Path, word: bytes) -> Iterator[None]:
    """Listen at `path` for the server at `behind`; the reply to what holds `word` is not passed on.

    The server has carried the request out by the time the line goes.
    """

    def serve(connection: socket.socket) -> None:
        cut = threading.Event()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.connect(str(behind))
            threading.Thread(target=_back, args=(server, connection, cut), daemon=True).start()
            while asked := connection.recv(65536):
                if word in asked:
                    cut.set()
                server.sendall(asked)

    with answering(socket.AF_UNIX, str(path), serve):
        yield


def _back(server: socket.socket, connection: socket.socket, cut: threading.Event) -> None:
    with suppress(OSError):
        while answer := server.recv(65536):
            if cut.is_set():
                connection.shutdown(socket.SHUT_RDWR)
                return
            connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
