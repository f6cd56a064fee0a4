"""One short message to an address outside, whose answer is its status and nothing else.

An address may hold a secret, so nothing but its host is ever said; redirects are not followed,
as they would carry that secret elsewhere.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit


def send(
    method: str,
    url: str,
    *,
    timeout_s: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> str | None:
    """Send it once; say why it did not arrive, in words without the address. Never raises."""
    import httpx2

    try:
        with (
            httpx2.Client(timeout=timeout_s, follow_redirects=False) as client,
            # Streamed and not read: whatever it says is of no interest, however long.
            client.stream(method, url, content=body, headers=dict(headers or {})) as response,
        ):
            status = response.status_code
    except httpx2.TimeoutException:
        return f"did not answer within {timeout_s:g} s"
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        # The words of a driver may quote the address.
        return f"can't be reached: {type(error).__name__}"
    return None if 200 <= status < 300 else f"answered {status}"  # noqa: PLR2004 - 2xx


def host(url: str) -> str:
    """Give the part of an address that holds no secret: host and port."""
    parts = urlsplit(url)
    return (parts.hostname or "?") + (f":{parts.port}" if parts.port else "")
