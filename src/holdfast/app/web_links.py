"""Asks whether addresses on the web still answer. Only on request: it leaves the machine.

An address may hold a secret, so only its host is shown in what went wrong.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx2

_AT_ONCE = 8
_BAD_FROM = 400
# What a server says to a HEAD that it does not care for; then the page itself is asked for.
_NOT_FOR_HEAD = frozenset({403, 404, 405, 501})


def dead_addresses(addresses: Collection[str], *, timeout_s: float = 5.0) -> Mapping[str, str]:
    """Ask every address once and say for each that does not answer well what it said."""
    import httpx2

    with (
        httpx2.Client(timeout=timeout_s, follow_redirects=True) as client,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        found = pool.map(lambda address: (address, _problem(client, address)), set(addresses))
        return {address: problem for address, problem in found if problem is not None}


def _problem(client: "httpx2.Client", address: str) -> str | None:
    import httpx2

    host = urlsplit(address).hostname or "no host"
    try:
        status = client.head(address).status_code
        if status in _NOT_FOR_HEAD:
            with client.stream("GET", address) as answer:
                status = answer.status_code
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        return f"{host} can't be asked: {type(error).__name__}"
    return f"{host} answers {status}" if status >= _BAD_FROM else None
