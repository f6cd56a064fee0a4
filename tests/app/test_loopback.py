"""What counts as this machine alone is decided in one place."""

import pytest

from holdfast.app.addresses import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["127.evil.com", "192.0.2.1", "::", "localhost.evil.com", "", "10.0.0.1"]
)
def test_a_name_that_only_looks_like_loopback_is_another_machine(host: str) -> None:
    assert not is_loopback(host)
