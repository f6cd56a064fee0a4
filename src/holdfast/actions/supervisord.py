"""Speaks XML-RPC with supervisord, and always knows whether anything was sent.

That difference is the point of a client of our own: before the first byte went
out there was no effect (TargetUnreachableError); after it, an answer that didn't
come leaves the effect unknown (LostReplyError). One deadline covers a whole call,
so a server that dribbles can't stretch it.
"""

import socket
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast
from xml.parsers.expat import ExpatError

from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import HoldfastError
from holdfast.response.ports import LostReplyError, TargetUnreachableError

ANSWER_BYTES_MAX = 1024 * 1024
HTTP_OK = 200
READ_BYTES = 65536


class Fault(IntEnum):
    """The fault codes of supervisord that are told apart here."""

    UNKNOWN_METHOD = 1
    SHUTDOWN_STATE = 6
    BAD_NAME = 10
    NO_FILE = 20
    NOT_EXECUTABLE = 21
    FAILED = 30
    ABNORMAL_TERMINATION = 40
    SPAWN_ERROR = 50
    ALREADY_STARTED = 60
    NOT_RUNNING = 70


class FaultError(HoldfastError):
    """supervisord answered that it did not do it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"supervisord refused: {text} (fault {code})")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A moment on the monotonic clock after which nothing is waited for."""

    clock: Clock
    at: float

    @staticmethod
    def after(clock: Clock, seconds: float) -> "Deadline":
        return Deadline(clock=clock, at=clock.monotonic() + seconds)

    def left_s(self) -> float:
        """Say how many seconds are left. Raises TimeoutError when none is."""
        left = self.at - self.clock.monotonic()
        if left <= 0:
            raise TimeoutError("out of time")
        return left


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisord:
    """One supervisord behind a unix socket."""

    socket_path: str

    def process(self, name: str, deadline: Deadline) -> Mapping[str, Any]:
        """Read one process as getProcessInfo gives it."""
        return cast("Mapping[str, Any]", self.call(deadline, "supervisor.getProcessInfo", name))

    def pid(self, deadline: Deadline) -> int:
        """Read the pid of supervisord itself."""
        return cast("int", self.call(deadline, "supervisor.getPID"))

    def stop(self, name: str, deadline: Deadline) -> None:
        """Stop a process and wait until it is gone."""
        self.call(deadline, "supervisor.stopProcess", name, True)  # noqa: FBT003 - the wire's order

    def start(self, name: str, deadline: Deadline) -> None:
        """Start a process and wait until it has run for its `startsecs`."""
        self.call(deadline, "supervisor.startProcess", name, True)  # noqa: FBT003 - the wire's order

    def stderr_tail(self, name: str, length: int, deadline: Deadline) -> str:
        """Read the end of what a process wrote to stderr; empty where it can't be had."""
        try:
            answer = self.call(deadline, "supervisor.readProcessStderrLog", name, -length, 0)
        except (FaultError, LostReplyError, TargetUnreachableError):
            # No log, or bytes in it that XML can't carry. It is only an illustration.
            return ""
        return str(answer)

    def call(self, deadline: Deadline, method: str, *arguments: object) -> object:
        """Call a method. Raises FaultError, LostReplyError or TargetUnreachableError."""
        body = xmlrpc.client.dumps(cast("tuple[Any, ...]", arguments), method).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            self._connect(connection, deadline)
            try:
                raw = _exchange(connection, body, deadline)
                return _answer(raw)
            except xmlrpc.client.Fault as fault:
                raise FaultError(fault.faultCode, fault.faultString) from None
            except (OSError, ValueError, ExpatError, xmlrpc.client.Error) as error:
                raise LostReplyError(
                    f"{method} was sent to supervisord at {self.socket_path}, but no usable answer"
                    f" came back: {_words(error)}; whether it was carried out is unknown"
                ) from error

    def _connect(self, connection: socket.socket, deadline: Deadline) -> None:
        try:
            connection.settimeout(deadline.left_s())
            connection.connect(self.socket_path)
        except OSError as error:
            raise TargetUnreachableError(
                f"supervisord at {self.socket_path} can't be reached: {_words(error)};"
                " nothing was sent. Is it running, and is the socket readable?"
            ) from error


def _exchange(connection: socket.socket, body: bytes, deadline: Deadline) -> bytes:
    head = (
        "POST /RPC2 HTTP/1.0\r\nHost: localhost\r\nContent-Type: text/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection.settimeout(deadline.left_s())
    connection.sendall(head.encode() + body)
    received = bytearray()
    while True:
        connection.settimeout(deadline.left_s())
        chunk = connection.recv(READ_BYTES)
        if not chunk:
            return bytes(received)
        received += chunk
        if len(received) > ANSWER_BYTES_MAX:
            raise ValueError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")


def _answer(raw: bytes) -> object:
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        raise ValueError("the connection was closed before an answer")
    status = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    if len(status) < 2 or status[1] != str(HTTP_OK):  # noqa: PLR2004 - protocol and code
        raise ValueError(f"it answered {' '.join(status)!r}, not 200")
    values, _ = xmlrpc.client.loads(body)
    return cast("object", values[0])


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(error).split()) or type(error).__name__
