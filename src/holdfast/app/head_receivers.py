"""Where signed heads go, off the host: a file, a webhook, an object store.

Each either has all that it was given, or raises ReceiverError in words that show no address: an
address may hold a secret. Every delivery may be repeated, and a repeat changes nothing.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

from holdfast.app.head_outbox import receiver_key
from holdfast.kernel.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.app.models import ExportModel

_TIMEOUT_S = 10.0


class ReceiverError(HoldfastError):
    """A receiver did not take what it was given; it is given again later."""


class Receiver(Protocol):
    """Takes signed heads. `key` stays the same over restarts, `most` is a delivery's size."""

    @property
    def key(self) -> str: ...

    @property
    def shown(self) -> str: ...

    @property
    def most(self) -> int: ...

    def deliver(self, rows: Sequence[str]) -> None:
        """Hand over these rows, one JSON object each. Raises ReceiverError."""
        ...


class FileReceiver:
    """Appends lines to a file: on a mount, or one that a collector reads."""

    most = 1000

    def __init__(self, path: Path) -> None:
        self._path = path
        self.key = receiver_key("file", str(path))
        self.shown = f"file {path}"

    def deliver(self, rows: Sequence[str]) -> None:
        """Append them and make them durable. Raises ReceiverError."""
        content = "".join(row + "\n" for row in rows).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            file = os.open(self._path, flags, 0o640)
            try:
                os.write(file, content)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise ReceiverError(f"{self.shown} can't be written: {error.strerror}") from None


class WebhookReceiver:
    """Posts {"heads": [...]} to a URL; any 2xx means that it has them."""

    most = 100

    def __init__(self, url: str, token: str | None) -> None:
        self._url, self._token = url, token
        self.key = receiver_key("webhook", url)
        self.shown = f"webhook {_host(url)}"

    def deliver(self, rows: Sequence[str]) -> None:
        """Post them in one request. Raises ReceiverError."""
        if not rows:
            return
        body = json.dumps({"heads": [json.loads(row) for row in rows]}).encode()
        key = receiver_key("heads", "\n".join(rows))
        _send("POST", self._url, body, {**_headers(self._token), "Idempotency-Key": key}, self)


class ObjectStoreReceiver:
    """Puts each head at URL/INCIDENT/SEQ.json."""

    most = 1

    def __init__(self, url: str, token: str | None) -> None:
        self._url, self._token = url, token
        self.key = receiver_key("object_store", url)
        self.shown = f"object store {_host(url)}"

    def deliver(self, rows: Sequence[str]) -> None:
        """Put each as an object of its own. Raises ReceiverError."""
        for row in rows:
            head = json.loads(row)
            parts = urlsplit(self._url)
            name = f"{quote(str(head['incident_id']), safe='')}/{int(head['seq'])}.json"
            url = parts._replace(path=f"{parts.path.rstrip('/')}/{name}").geturl()
            _send("PUT", url, row.encode(), _headers(self._token), self)


def receivers(configured: Sequence["ExportModel"], directory: Path) -> Sequence[Receiver]:
    """Make what `heads.export` lists."""
    made: list[Receiver] = []
    for each in configured:
        if each.file is not None:
            made.append(FileReceiver(directory / each.file))
        if each.webhook is not None:
            made.append(WebhookReceiver(each.webhook, each.token))
        if each.object_store is not None:
            made.append(ObjectStoreReceiver(each.object_store, each.token))
    return made


def _headers(token: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    return {**headers, "Authorization": f"Bearer {token}"} if token else headers


def _send(
    method: str, url: str, body: bytes, headers: Mapping[str, str], receiver: Receiver
) -> None:
    import httpx2

    try:
        with (
            httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client,
            # Streamed and not read: whatever it says is of no interest, however long.
            client.stream(method, url, content=body, headers=dict(headers)) as response,
        ):
            status = response.status_code
    except httpx2.TimeoutException:
        raise ReceiverError(f"{receiver.shown} did not answer within {_TIMEOUT_S:g} s") from None
    except httpx2.HTTPError as error:
        # The words of a driver may quote the address.
        raise ReceiverError(f"{receiver.shown} can't be reached: {type(error).__name__}") from None
    if not 200 <= status < 300:  # noqa: PLR2004 - 2xx
        raise ReceiverError(f"{receiver.shown} answered {status}")


def _host(url: str) -> str:
    parts = urlsplit(url)
    return (parts.hostname or "?") + (f":{parts.port}" if parts.port else "")
