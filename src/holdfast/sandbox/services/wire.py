"""PostgreSQL's wire protocol 3.0, as far as the pooler speaks it: frames in, frames out.

Rule: pure. A frame is never looked into but for what a pooler must know (who
connects, where a transaction ends, what a server says of itself), so that whatever the services
ask passes through as it is. Written from PostgreSQL's manual, chapter "Frontend/Backend Protocol".
"""

import struct
from collections.abc import Iterable, Mapping

from holdfast.kernel import HoldfastError

PROTOCOL = 3 << 16
SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
STARTUP_BYTES_MAX = 10_000
FRAME_BYTES_MAX = 1 << 30
IDLE, IN_TRANSACTION, FAILED = b"I", b"T", b"E"
# From a client: what is answered with one ReadyForQuery, and what waits for a Sync to be.
SYNC_POINTS = frozenset(b"QSF")
EXTENDED = frozenset(b"PBDECH")
TERMINATE, PASSWORD = ord("X"), ord("p")
# From a server.
READY, ERROR, AUTHENTICATION = ord("Z"), ord("E"), ord("R")
PARAMETER, BACKEND_KEY, ROW = ord("S"), ord("K"), ord("D")
TOO_MANY_CONNECTIONS = "53300"
CANT_CONNECT_NOW = "57P03"
CONNECTION_FAILURE = "08006"
_LENGTH = struct.Struct("!I")


class BrokenFrameError(HoldfastError):
    """What came is no frame of the protocol; the connection can't be used any further."""


class Frames:
    """Cuts a stream of bytes into frames. A frame is its kind (one byte) and all its bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what came and return the frames that are whole by now."""
        data = self._rest + data if self._rest else data
        found, at, end = [], 0, len(data)
        while end - at >= 5:
            length = 1 + _LENGTH.unpack_from(data, at + 1)[0]
            if not 5 <= length <= FRAME_BYTES_MAX:
                raise BrokenFrameError(f"a frame of {length} bytes is none; the client is cut off")
            if end - at < length:
                break
            found.append((data[at], data[at : at + length]))
            at += length
        self._rest = data[at:]
        return found


def untyped(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Cut the first frame of a connection, which has no kind: its code, its body, the rest."""
    if len(data) < 8:
        return None
    length, code = struct.unpack_from("!II", data)
    if not 8 <= length <= STARTUP_BYTES_MAX:
        raise BrokenFrameError(f"a start-up of {length} bytes is none; the client is cut off")
    return None if len(data) < length else (code, data[8:length], data[length:])


def startup_parameters(body: bytes) -> dict[str, str]:
    """Read the names and values with which a client introduces itself."""
    words = [word.decode() for word in body.split(b"\0")]
    # A zero ends each word, and one more ends the list: two empty strings come last.
    return dict(zip(words[:-2:2], words[1:-2:2], strict=True))


def startup(parameters: Mapping[str, str]) -> bytes:
    words = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    return struct.pack("!II", 9 + len(words), PROTOCOL) + words + b"\0"


def frame(kind: bytes, body: bytes) -> bytes:
    return kind + _LENGTH.pack(4 + len(body)) + body


def query(text: str) -> bytes:
    return frame(b"Q", text.encode() + b"\0")


def cancel(key: bytes) -> bytes:
    """Ask a server to stop what the session with this key (pid and secret) does."""
    return struct.pack("!II", 8 + len(key), CANCEL_REQUEST) + key


def greeting(parameters: Iterable[tuple[str, str]], key: bytes) -> bytes:
    """What a server says to a client it lets in: welcome, its settings, a key, ready."""
    told = b"".join(frame(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters)
    return frame(b"R", struct.pack("!I", 0)) + told + frame(b"K", key) + ready()


def ready() -> bytes:
    return frame(b"Z", IDLE)


def error(code: str, message: str, *, severity: str = "ERROR") -> bytes:
    fields = (("S", severity), ("V", severity), ("C", code), ("M", message))
    return frame(b"E", b"".join(f"{name}{value}\0".encode() for name, value in fields) + b"\0")


def pair(frame_bytes: bytes) -> tuple[str, str]:
    """Read the name and the value of a ParameterStatus."""
    name, value = frame_bytes[5:-1].split(b"\0", 1)
    return name.decode(), value.decode()


def message_of(frame_bytes: bytes) -> str:
    """Read an ErrorResponse: its code and its words."""
    fields = {
        field[:1]: field[1:].decode(errors="replace") for field in frame_bytes[5:].split(b"\0")
    }
    return f"{fields.get(b'C', '?')}: {fields.get(b'M', '?')}"


def only_column(frame_bytes: bytes) -> str:
    """Read the first column of a DataRow."""
    length = struct.unpack_from("!i", frame_bytes, 7)[0]
    return frame_bytes[11 : 11 + length].decode() if length >= 0 else ""
