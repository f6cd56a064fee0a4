"""Speaks HAProxy's runtime API, and always knows whether anything was sent.

One short connection for each question, over a unix socket or loopback. Which servers there are is
read from HAProxy itself; nothing but a name that it gave is ever sent back to it. It compares
nothing before it sets, so how a call can be repeated is for the action to say.
"""

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag

from holdfast.actions.supervisord import Deadline
from holdfast.kernel.errors import HoldfastError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import LostReplyError, TargetUnreachableError

ANSWER_BYTES_MAX = 4 * 1024 * 1024
READ_BYTES = 65536
RUNNING = 2  # srv_op_state: up, and taking new connections unless an admin state says otherwise
NAME = re.compile(r"[A-Za-z0-9_.:-]+")
LOOPBACK = re.compile(r"(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\]):(\d{1,5})")
WEIGHT_MAX = 256
_STATE_COLUMNS = ("srv_name", "srv_op_state", "srv_admin_state", "srv_uweight", "srv_iweight")


class Admin(IntFlag):
    """The bits of srv_admin_state that are told apart here (HAProxy management guide, 9.3)."""

    FORCED_MAINTENANCE = 0x01
    INHERITED_MAINTENANCE = 0x02
    CONFIGURED_MAINTENANCE = 0x04
    FORCED_DRAIN = 0x08


_MAINTENANCE = Admin.FORCED_MAINTENANCE | Admin.INHERITED_MAINTENANCE | Admin.CONFIGURED_MAINTENANCE


class SaidNoError(HoldfastError):
    """HAProxy answered that it did not do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server of a backend, as HAProxy has it. `weight_configured` is that of its file."""

    name: str
    op_state: int
    admin_state: int
    weight: int
    weight_configured: int

    @property
    def serves(self) -> bool:
        """Say whether new requests go there."""
        return self.op_state == RUNNING and not self.admin_state and self.weight > 0

    @property
    def drained(self) -> bool:
        """Say whether somebody took it out softly."""
        return bool(self.admin_state & Admin.FORCED_DRAIN)

    @property
    def in_maintenance(self) -> bool:
        return bool(self.admin_state & _MAINTENANCE)

    def words(self) -> str:
        if self.in_maintenance:
            return "maintenance"
        if self.drained:
            return "drained"
        return "ready" if self.op_state == RUNNING else "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class HaProxy:
    """The runtime API at one address."""

    address: str
    backend: str

    def servers(self, deadline: Deadline) -> tuple[Server, ...]:
        """Read every server of the backend. Raises TargetUnreachableError: it only looks."""
        try:
            text = self._ask(f"show servers state {self.backend}", deadline)
        except LostReplyError as error:
            raise TargetUnreachableError(f"HAProxy was only asked: {error.message}") from error
        return _servers(text, self.backend)

    def pid(self, deadline: Deadline) -> str:
        """Name the process that answers: one that was reloaded has forgotten what was set."""
        try:
            text = self._ask("show info", deadline)
        except LostReplyError as error:
            raise TargetUnreachableError(f"HAProxy was only asked: {error.message}") from error
        found = re.search(r"^Pid: *(\d+)$", text, re.MULTILINE)
        return found[1] if found else ""

    def set_state(self, names: Sequence[str], state: str, deadline: Deadline) -> None:
        """Set `drain` or `ready`, all in one line. Raises SaidNoError, LostReplyError."""
        self._set(dict.fromkeys(names, f"state {state}"), deadline)

    def set_weights(self, weights: Mapping[str, int], deadline: Deadline) -> None:
        """Set the weight of each server, all in one line. Raises SaidNoError, LostReplyError."""
        self._set({name: f"weight {weight:d}" for name, weight in weights.items()}, deadline)

    def _set(self, words: Mapping[str, str], deadline: Deadline) -> None:
        wrong = [name for name in words if not NAME.fullmatch(name)]
        if wrong:
            raise SaidNoError(f"the server name {wrong[0]!r} can't be sent safely")
        line = ";".join(f"set server {self.backend}/{name} {each}" for name, each in words.items())
        if answer := self._ask(line, deadline).strip():
            # It may have taken the first of several; the caller looks.
            raise SaidNoError(f"HAProxy refused it: {bounded(answer, limit=300)}")

    def _ask(self, line: str, deadline: Deadline) -> str:
        with self._connected(deadline) as connection:
            try:
                connection.settimeout(deadline.left_s())
                connection.sendall(line.encode("ascii") + b"\n")
                received = bytearray()
                while chunk := connection.recv(READ_BYTES):
                    # No state of a backend is that long; what is cut off can't be read as one.
                    received += chunk[: ANSWER_BYTES_MAX - len(received)]
                    connection.settimeout(deadline.left_s())
            except OSError as error:
                raise LostReplyError(
                    f"HAProxy at {self.address} was told, but no usable answer came back:"
                    f" {_words(error)}"
                ) from error
        if not received:  # a command that it took is answered with an empty line at least
            raise LostReplyError(
                f"HAProxy at {self.address} was told, and closed the line without an answer"
            )
        return received.decode("utf-8", "replace")

    def _connected(self, deadline: Deadline) -> socket.socket:
        tcp = LOOPBACK.fullmatch(self.address)
        family = socket.AF_UNIX if tcp is None else socket.AF_INET
        if tcp and tcp[1] == "[::1]":
            family = socket.AF_INET6
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(deadline.left_s())
            connection.connect((tcp[1].strip("[]"), int(tcp[2])) if tcp else self.address)
        except OSError as error:
            connection.close()
            raise TargetUnreachableError(
                f"HAProxy at {self.address} can't be reached: {_words(error)}; nothing was sent. Is"
                " it running, and is its socket readable?"
            ) from error
        return connection


def _servers(text: str, backend: str) -> tuple[Server, ...]:
    lines = text.splitlines()
    head = next((line for line in lines if line.startswith("# ")), None)
    if head is None:
        said = bounded(" ".join(text.split()) or "nothing", limit=200)
        raise TargetUnreachableError(f"HAProxy has no state of backend {backend!r}: it said {said}")
    columns = head[2:].split()
    try:
        places = [columns.index(name) for name in _STATE_COLUMNS]
        rows = [line.split(" ") for line in lines[lines.index(head) + 1 :] if line.strip()]
        found = [[row[place] for place in places] for row in rows]
        return tuple(
            Server(
                name=name,
                op_state=int(op),
                admin_state=int(admin),
                weight=int(weight),
                weight_configured=int(configured),
            )
            for name, op, admin, weight, configured in found
        )
    except (ValueError, IndexError) as error:
        raise TargetUnreachableError(
            f"HAProxy's answer about backend {backend!r} can't be read: {error}"
        ) from error


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(error).split()) or type(error).__name__
