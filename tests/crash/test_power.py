"""The simulated disk keeps what was synced, and loses of the rest what a disk may lose."""

import random

from tests.crash.power import Disk, Wrote


def images(disk: Disk, moment: int, count: int = 200) -> set[bytes | None]:
    return {disk.image(moment, random.Random(n), {}).get("f") for n in range(count)}


def test_what_was_synced_is_in_every_image() -> None:
    disk = Disk()
    disk.note("f", Wrote(0, b"a" * 1024))
    assert disk.sync("f")

    assert images(disk, disk.count) == {b"a" * 1024}


def test_of_what_was_not_synced_all_nothing_or_a_part_is_there() -> None:
    disk = Disk()
    disk.put("f", b"-" * 2048)
    disk.note("f", Wrote(0, b"a" * 1024))
    disk.note("f", Wrote(1024, b"b" * 1024))
    found = images(disk, disk.count)

    assert {b"-" * 2048, b"a" * 1024 + b"b" * 1024, b"-" * 1024 + b"b" * 1024} <= found
    assert any(image and b"a" * 512 + b"-" * 512 in image for image in found), "none is torn"
    assert images(disk, 0) == {b"-" * 2048}


def test_a_file_that_was_never_synced_may_not_be_there_at_all() -> None:
    disk = Disk()
    disk.note("f", Wrote(0, b"a"))

    assert {None, b"a"} <= images(disk, disk.count)


def test_after_a_failed_sync_what_was_pending_is_gone_although_the_next_one_succeeds() -> None:
    disk = Disk(fail_at=1)
    disk.put("f", b"--")
    disk.note("f", Wrote(0, b"a"))
    assert not disk.sync("f")
    disk.note("f", Wrote(1, b"b"))
    assert disk.sync("f")

    assert images(disk, disk.count) == {b"-b"}
