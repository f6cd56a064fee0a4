"""Posts a page as JSON to a URL.

Tried again only where it certainly, or by the receiver's own word, did not take
it: no connection, or a 5xx. The idempotency header lets the receiver drop the
repeat. A URL can carry a secret, so only its host is ever shown.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.errors import BadInputError
from holdfast.notify.page import Delivery, Page

if TYPE_CHECKING:
    import httpx2

SERVER_ERRORS = 500


class _AgainError(Exception):
    """The receiver said 5xx."""


class WebhookChannel:
    """A receiver of pages; any 2xx means that it has it."""

    name = "webhook"

    def __init__(self, url: str, *, timeout_s: float = 5.0, attempts: int = 3) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadInputError(
                "notify.webhook is no http or https URL; write it as https://host/path",
                field="notify.webhook",
            )
        self._url = url
        self._host = parts.hostname + (f":{parts.port}" if parts.port else "")
        self._timeout_s = timeout_s
        self._attempts = attempts

    def send(self, page: Page) -> Delivery:
        import httpx2  # noqa: PLC0415 - half of a command's start-up time

        try:
            status = self._post(page)
        except _AgainError as error:
            return self._failed(f"answered {error}, {self._attempts} times")
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return self._failed(f"can't be reached: {str(error) or type(error).__name__}")
        except httpx2.TimeoutException:
            return self._failed(f"no answer within {self._timeout_s:g} s; it may have arrived")
        except httpx2.HTTPError as error:
            return self._failed(f"{type(error).__name__}: {error}; it may have arrived")
        if not 200 <= status < 300:  # noqa: PLR2004 - 2xx
            return self._failed(f"answered {status}")
        return Delivery(channel=self.name, delivered=True, detail=f"{self._host} answered {status}")

    def _post(self, page: Page) -> int:
        import httpx2  # noqa: PLC0415 - as above
        import stamina  # noqa: PLC0415 - as above

        body = canonical_json(page.as_data())
        again = (httpx2.ConnectError, httpx2.ConnectTimeout, _AgainError)
        status = 0
        with httpx2.Client(timeout=self._timeout_s, follow_redirects=False) as client:
            for attempt in stamina.retry_context(on=again, attempts=self._attempts, timeout=None):
                with attempt:
                    status = self._post_once(client, body, page.idempotency_key)
        return status

    def _post_once(self, client: "httpx2.Client", body: bytes, key: str) -> int:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        # Streamed and not read: whatever it says is of no interest, however long.
        with client.stream("POST", self._url, content=body, headers=headers) as response:
            if response.status_code >= SERVER_ERRORS:
                raise _AgainError(str(response.status_code))
            return response.status_code

    def _failed(self, why: str) -> Delivery:
        return Delivery(channel=self.name, delivered=False, detail=f"{self._host} {why}")
