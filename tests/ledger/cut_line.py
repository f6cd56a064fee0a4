"""A line to a PostgreSQL server that is cut exactly once, exactly where a test says."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

NAME = ".s.PGSQL.5432"


class Cut(Enum):
    """What happens to the next request on the line."""

    REQUEST_LOST = "the server never hears of it"
    REPLY_LOST = "the server does it, the reply is lost"
    SILENCE = "the server does it, and the line says nothing more"


@dataclass(slots=True)
class CutLine:
    """Listens in `directory` as the server does, and passes everything on until it is armed."""

    server: Path
    directory: Path
    armed: Cut | None = None
    hit: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)

    def cut(self, how: Cut) -> None:
        """Have the next request on any connection meet this."""
        self.hit.clear()
        self.armed = how

    def accept(self, listening: socket.socket) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError, OSError):
                client, _ = listening.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, suppress(OSError):
            server.connect(str(self.server / NAME))
            while not self._ended.is_set():
                ready, _, _ = select.select([client, server], [], [], 0.1)
                if server in ready:
                    client.sendall(self._read(server))
                if client in ready and not self._request(client, server):
                    return

    def _request(self, client: socket.socket, server: socket.socket) -> bool:
        request = self._read(client)
        how, self.armed = self.armed, None
        if how is None:
            server.sendall(request)
            return True
        if how is not Cut.REQUEST_LOST:
            server.sendall(request)
            self._read(server)
        self.hit.set()
        if how is Cut.SILENCE:
            self._ended.wait(20)
        return False

    @staticmethod
    def _read(line: socket.socket) -> bytes:
        data = line.recv(1 << 20)
        if not data:
            raise ConnectionError
        return data

    def end(self) -> None:
        self._ended.set()


@contextmanager
def cut_line(server: Path, directory: Path) -> Iterator[CutLine]:
    """Open a line to the server whose socket lies in `server`; clients find it in `directory`."""
    line = CutLine(server, directory)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / NAME))
        listening.listen()
        listening.settimeout(0.1)
        accepting = threading.Thread(target=line.accept, args=(listening,))
        accepting.start()
        try:
            yield line
        finally:
            line.end()
            accepting.join()
