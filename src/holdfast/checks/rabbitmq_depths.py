"""Reads how much waits in RabbitMQ's queues. Nothing is consumed to look at it.

How long the oldest message has waited is not told over AMQP, and taking it out to see would mark
it as delivered before, so an age is never given. No address is ever in a message.
"""

import logging
import ssl
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from holdfast.kernel.errors import BadInputError, HoldfastError
from holdfast.kernel.redact import bounded, first_cause

if TYPE_CHECKING:
    import pika

SCHEMES = ("amqp://", "amqps://")
HEARTBEAT_S = 10


class RabbitmqUnreachableError(HoldfastError):
    """The broker can't be asked. The message says why."""


def queue_depths(
    url: str,
    queues: Iterable[str],
    timeout_s: float,
    *,
    check: str,
    field: str,
    ca_file: str | None = None,
) -> Mapping[str, Mapping[str, Any]]:
    """Ask for each queue: `depth` and `consumers`, or an `error`.

    Raises BadInputError for an address that can't be read, RabbitmqUnreachableError.
    """
    try:
        import pika  # noqa: PLC0415 - an extra
        from pika.exceptions import AMQPError  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadInputError(
            f"{check} is configured for RabbitMQ, but pika is not installed;"
            " install it with: pip install 'holdfast[rabbitmq]'"
        ) from error
    # It tells each failure many times over, and each is raised as well.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        parameters = pika.URLParameters(url)
    except (ValueError, TypeError, IndexError):
        text = f"{field} can't be read; write it as amqps://user:password@host/vhost"
        raise BadInputError(text, field=field) from None
    if ca_file and parameters.ssl_options is not None:
        parameters.ssl_options = pika.SSLOptions(_trusting(ca_file), parameters.host)
    parameters.connection_attempts = 1
    parameters.socket_timeout = parameters.stack_timeout = timeout_s
    parameters.heartbeat = HEARTBEAT_S
    try:
        connection = pika.BlockingConnection(parameters)
        try:
            return {queue: _depth(connection, queue) for queue in queues}
        finally:
            if connection.is_open:
                connection.close()
    except (AMQPError, OSError) as error:
        # From None: what the driver raises may hold the URL.
        raise RabbitmqUnreachableError(f"RabbitMQ can't be asked: {first_cause(error)}") from None


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise RabbitmqUnreachableError(f"ca_file {ca_file} can't be used: {error}") from error


def _depth(connection: "pika.BlockingConnection", queue: str) -> Mapping[str, Any]:
    from pika.exceptions import ChannelClosedByBroker  # noqa: PLC0415 - an extra

    # A queue that is not there costs the channel, so each is asked in one of its own.
    channel = connection.channel()
    try:
        answer = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker as error:
        return {"depth": None, "error": bounded(str(error.reply_text), limit=200)}
    channel.close()
    return {"depth": answer.message_count, "consumers": answer.consumer_count}
