import os
from pathlib import Path

from holdfast.checks import DiskUsage
from holdfast.checks.disk_usage import DiskPath
from holdfast.checks.tree_size import tree_size
from holdfast.response.ports import Health
from tests.io_parts import context


def test_a_disk_with_room_is_healthy(tmp_path: Path) -> None:
    result = DiskUsage([str(tmp_path)], used_ratio_max=1.0).run(context())

    assert result.status is Health.HEALTHY
    assert result.data["paths"][str(tmp_path)]["total"] > 0


def test_a_disk_above_the_threshold_is_degraded(tmp_path: Path) -> None:
    result = DiskUsage([str(tmp_path)], used_ratio_max=0.0).run(context())

    assert result.status is Health.DEGRADED
    assert "of bytes used (threshold 0%)" in result.summary


def test_a_path_that_is_not_there_is_unknown_and_named_not_healthy(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")

    result = DiskUsage([str(tmp_path), gone], used_ratio_max=1.0).run(context())

    assert result.status is Health.UNKNOWN
    assert result.summary.startswith(f"{gone}: can't be looked at: No such file or directory")


def test_a_full_disk_outranks_a_missing_path(tmp_path: Path) -> None:
    paths = [str(tmp_path), str(tmp_path / "gone")]

    assert DiskUsage(paths, used_ratio_max=0.0).run(context()).status is Health.DEGRADED


def test_no_path_at_all_is_unknown() -> None:
    assert DiskUsage([]).run(context()).status is Health.UNKNOWN


def limited(path: Path, limit_bytes: int) -> DiskUsage:
    return DiskUsage([DiskPath(path=str(path), limit_bytes=limit_bytes, service="api")])


def test_a_directory_with_a_limit_of_its_own_is_measured_by_what_lies_below_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "small").write_bytes(b"x" * 100)
    (tmp_path / "a" / "deep" / "large").write_bytes(b"x" * 850)
    os.link(tmp_path / "a" / "deep" / "large", tmp_path / "the same file")
    (tmp_path / "link").symlink_to("/")

    roomy, full = limited(tmp_path, 2000).run(context()), limited(tmp_path, 1000).run(context())

    reading = full.data["paths"][str(tmp_path)]
    assert roomy.status is Health.HEALTHY
    assert full.status is Health.DEGRADED
    assert (reading["used_bytes"], reading["used_ratio"], reading["free"]) == (950, 0.95, 50)
    assert reading["service"] == "api"
    assert reading["whole"] is True
    assert "95.0% of bytes used of its limit (threshold 90%)" in full.summary


def test_the_directory_that_holds_most_is_named(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "x").write_bytes(b"x" * 900)
    (tmp_path / "y").write_bytes(b"x" * 50)

    result = limited(tmp_path, 1000).run(context())

    largest = result.data["paths"][str(tmp_path)]["largest"]
    assert largest == {"directory": str(tmp_path / "spool"), "bytes": 900}
    assert f"most of it in {tmp_path / 'spool'}" in result.summary


def test_a_limited_directory_that_is_gone_is_unknown(tmp_path: Path) -> None:
    result = limited(tmp_path / "gone", 1000).run(context())

    assert result.status is Health.UNKNOWN
    assert "can't be looked at" in result.summary


def test_counting_a_huge_tree_stops_and_says_that_it_is_a_lower_bound(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"x")

    size = tree_size(str(tmp_path), entries_max=10)

    assert not size.whole
    assert 0 < size.bytes < 20
