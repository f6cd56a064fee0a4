"""Reads the addresses in the settings early, because a driver's own error would quote them.

An address may hold a password, and a badly written one has pieces of it where a driver expects
a host or a port. So nothing of the value is in these errors.
"""

from importlib.util import find_spec
from ipaddress import ip_address
from urllib.parse import urlsplit

_NOT_SHOWN = "(its value is not shown: it may hold a password)"


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine alone. A name that only looks like a number is not."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_url(url: str) -> str:
    """Return a URL whose host and port can be read. Raises ValueError without the URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        raise ValueError(
            f"it is no address {_NOT_SHOWN}; write SCHEME://HOST:PORT/..., and a special character "
            "of a password as %XX"
        ) from None
    return url


def check_http(url: str) -> str:
    """Return an http(s) URL. Raises ValueError without the URL."""
    if not url.startswith(("http://", "https://")) or not urlsplit(check_url(url)).hostname:
        raise ValueError(f"it is no http:// or https:// address {_NOT_SHOWN}; write one")
    return url


def check_dsn(dsn: str) -> str:
    """Return a PostgreSQL DSN that its driver can read. Raises ValueError without the DSN."""
    if "://" in dsn:
        scheme, _, rest = dsn.partition("://")
        user, at, hosts = rest.partition("/")[0].rpartition("@")
        for host in hosts.split(","):  # several hosts: the first that answers is taken
            check_url(f"{scheme}://{user}{at}{host}")
    if find_spec("psycopg") is None:
        return dsn  # the check says that it needs the driver
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(dsn)
    except ProgrammingError:
        raise ValueError(
            f"it is no PostgreSQL address {_NOT_SHOWN}; write 'host=... dbname=... user=...' with "
            "a value that has spaces in single quotes, or postgresql://..."
        ) from None
    return dsn
