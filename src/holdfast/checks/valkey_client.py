"""Opens a client of a Redis or Valkey server that a check looks at.

The driver is an extra and imported at the first use. No address is ever in a message: it may
hold a password.
"""

from typing import TYPE_CHECKING

from holdfast.kernel.errors import BadInputError

if TYPE_CHECKING:
    import valkey


def valkey_client(url: str, timeout_s: float, *, check: str, field: str) -> "valkey.Valkey":
    """Make a client, not connected yet. Raises BadInputError for a URL that can't be read."""
    try:
        import valkey  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadInputError(
            f"the check {check} is configured, but valkey is not installed;"
            " install it with: pip install 'holdfast[redis]'"
        ) from error
    try:
        return valkey.Valkey.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )
    except ValueError as error:
        raise BadInputError(
            f"{field} begins with {url.partition(':')[0]!r} and can't be used: {error};"
            " write it as redis://host:port/0 or unix:///path/to/socket",
            field=field,
        ) from error
