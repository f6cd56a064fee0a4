"""Speaks AMQP with the RabbitMQ that is acted on; a message is let go only when its copy is safe.

A copy is published as mandatory and persistent, and its original is acknowledged once the broker
has confirmed it; what is not acknowledged goes back to its queue with the connection. One deadline
covers everything, also a broker that is alive and does not answer. No URL is ever in a message.
"""

import logging
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import pika
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker
from pika.frame import Method
from pika.spec import Basic, BasicProperties

from holdfast.actions.supervisord import Deadline
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import HoldfastError
from holdfast.kernel.redact import bounded, first_cause
from holdfast.response.ports import TargetUnreachableError

# It tells each failure many times over, and each is raised as well.
logging.getLogger("pika").setLevel(logging.CRITICAL)

HEARTBEAT_S = 10  # what we hold goes back to its queue this soon after we are gone
CLOSE_S = 0.5
_LAST_WORDS = 5
PERSISTENT = 2
NO_RIGHT = 403
WINDOW = 50  # copies on their way: as many may be doubled when the line goes


class StoppedError(HoldfastError):
    """The broker said no (`refused`), is not there any more (`lost`), or time is over."""

    def __init__(self, message: str, category: str) -> None:
        super().__init__(message)
        self.category = category


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that is held: neither acknowledged nor in its queue."""

    tag: int
    exchange: str
    routing_key: str
    properties: BasicProperties
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What a queue says of itself: messages that are ready, and consumers."""

    waiting: int
    consumers: int


class _Loop(IOLoop):
    """Remembers the sockets, so that a connection can be ended without the broker's consent."""

    def __init__(self) -> None:
        super().__init__()
        self.open_ones: set[int] = set()

    def add_handler(self, fd: Any, handler: Any, events: int) -> None:  # noqa: ANN401 - the driver's
        self.open_ones.add(fd)
        super().add_handler(fd, handler, events)

    def remove_handler(self, fd: Any) -> None:  # noqa: ANN401 - the driver's
        self.open_ones.discard(fd)
        super().remove_handler(fd)


class Broker:
    """One connection with one channel, opened by `with`. Nothing is ever sent twice."""

    def __init__(
        self, url: str, clock: Clock, timeout_s: float, ca_file: str | None = None
    ) -> None:
        self._url = url
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._deadline = Deadline.after(clock, timeout_s)
        self._loop = _Loop()
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._ended: BaseException | None = None
        self._blocked = False
        self._on_empty: Callable[[], None] = _wake
        self._sent = 0
        self._pending: dict[int, int] = {}
        self._returned = 0
        self._after_return = 0
        self.user = ""
        self.moved = 0
        self.refused = 0
        self._heard = 0

    def __enter__(self) -> Self:
        try:
            parameters = self._parameters()
            self.user = str(getattr(parameters.credentials, "username", ""))
            self._loop.activate_poller()
            self._loop.call_later(self._timeout_s, _wake)
            self._connection = SelectConnection(
                parameters,
                on_open_callback=self._on_open,
                on_open_error_callback=self._on_ended,
                on_close_callback=self._on_ended,
                custom_ioloop=self._loop,
            )
            self._until(lambda: self._channel is not None and self._channel.is_open)
        except (StoppedError, AMQPError, OSError, ValueError) as error:
            self.__exit__()
            words = error.message if isinstance(error, StoppedError) else first_cause(error)
            # From None: what the driver raises may hold the URL.
            raise TargetUnreachableError(
                f"RabbitMQ can't be used: {words}; nothing was sent"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Leave politely, or else cut the line: what is held must not stay held."""
        try:
            with suppress(AMQPError, OSError):
                self._leave()
            for number in list(self._loop.open_ones):
                with suppress(OSError), socket.socket(fileno=os.dup(number)) as line:
                    line.shutdown(socket.SHUT_RDWR)
            with suppress(AMQPError, OSError):
                last = Deadline.after(self._deadline.clock, CLOSE_S)
                self._turn_while(lambda: bool(self._loop.open_ones), last)
                for _turn in range(_LAST_WORDS):  # in which the driver closes its sockets
                    self._loop.process_timeouts()
        finally:
            self._loop.close()

    def _leave(self) -> None:
        closing = Deadline.after(self._deadline.clock, CLOSE_S)
        self._loop.call_later(CLOSE_S, _wake)
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
            self._turn_while(lambda: not self._closed, closing)

    @property
    def uncertain(self) -> int:
        """How many copies may be in the other queue although their originals are still here."""
        # The broker has read an acknowledgement when it has answered what was asked after it.
        unheard = self.moved - self._heard
        return len(self._pending) + max(0, self._after_return - self._returned) + unheard

    def depth(self, queue: str) -> Depth:
        """Ask for a queue by its name; it is not made. Everything sent before is done by then."""
        found: list[Any] = []
        moved = self.moved
        self._open().queue_declare(queue, passive=True, callback=found.append)
        self._until(lambda: bool(found))
        self._heard = moved
        answer = found[0].method
        return Depth(waiting=int(answer.message_count), consumers=int(answer.consumer_count))

    def take(self, queue: str) -> Message | None:
        """Take the oldest message that is ready, or None. It is held until the connection ends."""
        found: list[Message | None] = []

        def got(_: Channel, method: Basic.GetOk, properties: BasicProperties, body: bytes) -> None:
            found.append(
                Message(
                    tag=int(method.delivery_tag or 0),
                    exchange=str(method.exchange or ""),
                    routing_key=str(method.routing_key or ""),
                    properties=properties,
                    body=body,
                )
            )

        channel, moved = self._open(), self.moved
        self._on_empty = lambda: found.append(None)
        channel.basic_get(queue, got)
        self._until(lambda: bool(found))
        self._heard = moved
        return found[0]

    def give_back(self, last: int) -> None:
        """Put everything that is held, up to a tag, back to its places in its queue."""
        self._open().basic_nack(last, multiple=True, requeue=True)

    def copy(self, message: Message, queue: str, properties: BasicProperties) -> None:
        """Publish a copy; its original is acknowledged when the broker has confirmed it."""
        properties.delivery_mode = PERSISTENT
        channel = self._open()
        self._sent += 1
        self._pending[self._sent] = message.tag
        channel.basic_publish("", queue, message.body, properties, mandatory=True)
        self._until(lambda: len(self._pending) < WINDOW)

    def confirmed(self) -> None:
        """Wait until every copy is confirmed or refused."""
        self._until(lambda: not self._pending)

    @property
    def said_no(self) -> str | None:
        """Say how the broker refused a copy, or None."""
        if self._returned:
            return "the broker gave a message back: the queue is not there any more"
        return "the broker refused a message: is the queue full?" if self.refused else None

    def left_s(self) -> float:
        """Tell how much time is left. Never negative."""
        return max(0.0, self._deadline.at - self._deadline.clock.monotonic())

    # ------------------------------------------------------------------ what the driver calls
    def _on_open(self, connection: Any) -> None:  # noqa: ANN401 - the driver's
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_ended)
        channel.add_on_return_callback(self._on_return)
        channel.add_callback(lambda _: self._on_empty(), [Basic.GetEmpty], one_shot=False)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._on_ready(channel))

    def _on_ready(self, channel: Channel) -> None:
        self._channel = channel

    def _on_ended(self, _: Any, error: Any) -> None:  # noqa: ANN401 - the driver's
        self._ended = self._ended or error
        denied = isinstance(error, ChannelClosedByBroker) and error.reply_code == NO_RIGHT
        if denied and not self.moved:
            self._pending.clear()  # who may not publish has published nothing

    def _on_blocked(self, *_: object) -> None:
        self._blocked = True

    def _on_return(self, *_: object) -> None:
        self._returned += 1

    def _on_confirm(self, frame: "Method[Any]") -> None:
        answer = frame.method
        tag = int(answer.delivery_tag)
        for number in [n for n in self._pending if n == tag or (answer.multiple and n <= tag)]:
            original = self._pending.pop(number)
            if isinstance(answer, Basic.Nack):
                self.refused += 1
            elif self._returned:
                # A returned message is confirmed too, and which one it was isn't said.
                self._after_return += 1
            elif self._channel is not None and self._channel.is_open:
                self._channel.basic_ack(original)
                self.moved += 1
            else:
                self._after_return += 1

    # ------------------------------------------------------------------ waiting
    @property
    def _closed(self) -> bool:
        return self._connection is None or self._connection.is_closed

    def _open(self) -> Channel:
        assert self._channel is not None  # noqa: S101 - used inside the `with` only
        if self._ended is not None or not self._channel.is_open:
            raise self._stopped()
        return self._channel

    def _until(self, done: Callable[[], bool]) -> None:
        self._turn_while(lambda: not done() and self._ended is None, self._deadline)
        if done():
            return
        raise self._stopped()

    def _turn_while(self, waiting: Callable[[], bool], deadline: Deadline) -> None:
        while waiting() and deadline.clock.monotonic() < deadline.at:
            self._loop.poll()
            self._loop.process_timeouts()

    def _stopped(self) -> StoppedError:
        error = self._ended
        if error is None and self._blocked:
            why = "the broker is low on memory or disk and takes no message"
            return StoppedError(f"{why}; {self._timeout_s:g} s are over", "time_over")
        if error is None:
            return StoppedError(f"no answer within {self._timeout_s:g} s", "time_over")
        if isinstance(error, ChannelClosedByBroker | ConnectionClosedByBroker):
            words = bounded(f"{error.reply_code} {error.reply_text}", limit=300)
            return StoppedError(f"the broker said no: {words}", "refused")
        return StoppedError(f"the connection is lost: {first_cause(error)}", "lost")

    def _parameters(self) -> pika.URLParameters:
        try:
            parameters = pika.URLParameters(self._url)
        except (ValueError, TypeError, IndexError):
            raise ValueError("its address can't be read; write amqps://USER@HOST/VHOST") from None
        if self._ca_file and parameters.ssl_options is not None:
            trusted = ssl.create_default_context(cafile=self._ca_file)
            parameters.ssl_options = pika.SSLOptions(trusted, parameters.host)
        parameters.connection_attempts = 1
        parameters.socket_timeout = self._timeout_s
        parameters.stack_timeout = self._timeout_s
        parameters.heartbeat = HEARTBEAT_S
        return parameters


def _wake() -> None:
    """End a poll: whoever waits looks at the time."""
