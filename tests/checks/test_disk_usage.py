from pathlib import Path

from holdfast.checks import DiskUsage
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
