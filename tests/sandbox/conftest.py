"""One real platform per test process; every test leaves it as it was."""

import time
from collections.abc import Callable, Iterator

import pytest

from holdfast.sandbox.platform import Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform.start(directory=tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """Wait for something that another process does; fail with what was waited for."""

    def wait(is_true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 15.0
        while not is_true():
            assert time.monotonic() < deadline, f"waited 15 s in vain: {what}"
            time.sleep(0.02)

    return wait
