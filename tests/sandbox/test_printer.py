"""The printer, its size-limited directory, and what a full one does to it."""

import errno
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.sandbox.effects import TEMP_CLEARED
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.services.scratch import Scratch
from holdfast.sandbox.site import GLOBAL
from tests.sandbox.shopping import metrics, post

Eventually = Callable[[Callable[[], bool], str], None]

CLEAR = """
import pathlib, sys
for part in pathlib.Path(sys.argv[1]).iterdir():
    part.unlink(missing_ok=True)
"""


def print_receipt(platform: Platform) -> tuple[int, float]:
    """Print one receipt; return the answer's status and the seconds that it took."""
    began = time.monotonic()
    code = post(platform.site.url(platform.blueprint.printer, GLOBAL, "/print"), {"order": 7})
    return code, time.monotonic() - began


def temp_used(platform: Platform) -> float:
    page = metrics(platform.site.url(platform.blueprint.printer, GLOBAL, "/metrics"))
    return page[platform.blueprint.metrics["temp_used"]]


def test_whatever_lies_in_the_directory_counts_against_its_limit(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, limit=100)
    (tmp_path / "of-somebody-else").write_bytes(b"x" * 60)
    assert scratch.write("mine", b"y" * 40).read_bytes() == b"y" * 40
    assert scratch.used() == 100
    with pytest.raises(OSError, match="No space") as refused:
        scratch.write("one-more", b"z")
    assert refused.value.errno == errno.ENOSPC
    assert not (tmp_path / "one-more").exists()


def test_those_who_want_receipts_get_them_and_are_counted_apart(
    platform: Platform, eventually: Eventually
) -> None:
    code, took_s = print_receipt(platform)
    assert code == 201
    assert took_s < 0.5

    def printed() -> int:
        return sum(second.ok for second in platform.traffic.receipts())

    eventually(lambda: printed() > 3, "receipts in the account of the traffic")
    assert {second.region for second in platform.traffic.receipts()} == {GLOBAL}
    assert {s.region for s in platform.traffic.seconds()} == set(platform.blueprint.regions)
    assert temp_used(platform) < 0.25


def test_a_full_directory_makes_receipts_slow_and_fails_none_until_it_is_cleared(
    platform: Platform, eventually: Eventually
) -> None:
    before = len(platform.observe())
    injected = platform.inject("disk-full")
    try:
        eventually(lambda: temp_used(platform) > 0.99, "the export to fill the directory")
        code, took_s = print_receipt(platform)
        assert code == 201
        assert took_s > 1.0
        subprocess.run([sys.executable, "-c", CLEAR, platform.site.temp], check=True)
        assert print_receipt(platform)[1] < 0.5
        seen = platform.observe()[before:]
    finally:
        platform.heal(injected)
    assert injected.entity == platform.blueprint.printer
    assert [(e.kind, e.target) for e in seen] == [(TEMP_CLEARED, platform.blueprint.printer)]
    assert len(platform.observe()) == before + 1
