import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from holdfast.kernel.catalogue import SignalKey
from holdfast.kernel.errors import BadInputError
from holdfast.sources import HistoryFile

START = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
A, B, C = (SignalKey("shop", "north", signal) for signal in ("errors", "latency", "traffic"))


def opened(
    path: Path, *keys: SignalKey, interval_s: float = 60.0, capacity: int = 10
) -> HistoryFile:
    return HistoryFile.open(path, keys, interval_s=interval_s, capacity=capacity)


def write(history: HistoryFile, numbers: range) -> None:
    for n in numbers:
        values = np.array([float(n) + k / 10 for k in range(len(history.keys))])
        history.append(START + timedelta(minutes=n), values)


def test_samples_survive_a_restart_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "history"
    before = opened(path, A, B)
    write(before, range(25))
    before.close()

    after = opened(path, A, B)
    write(after, range(25, 27))
    times, rows = after.rows()

    assert rows[:, 0].tolist() == list(range(17, 27))
    assert rows[:, 1] == pytest.approx(np.arange(17, 27) + 0.1)
    assert times[0] == (START + timedelta(minutes=17)).timestamp()
    assert after.rows(last=3)[1][:, 0].tolist() == [24, 25, 26]
    assert after.column(B)[1][-1] == pytest.approx(26.1)
    assert after.messages == []
    after.close()


def test_a_gap_is_kept_as_a_gap(tmp_path: Path) -> None:
    history = opened(tmp_path / "h", A)
    history.append(START, np.array([np.nan]))

    assert np.isnan(history.rows()[1]).tolist() == [[True]]
    history.close()


def test_series_may_come_go_and_change_places(tmp_path: Path) -> None:
    first = opened(tmp_path / "h", A, B)
    write(first, range(3))
    first.close()
    second = opened(tmp_path / "h", C, B)
    second.append(START + timedelta(minutes=3), np.array([9.0, 8.0]))
    second.close()

    third = opened(tmp_path / "h", B, A, C)
    _, rows = third.rows()

    assert rows[:, 0] == pytest.approx([0.1, 1.1, 2.1, 8.0])
    assert rows[:3, 1].tolist() == [0.0, 1.0, 2.0]
    assert np.isnan(rows[3, 1])
    assert rows[3, 2] == 9.0
    third.close()


def test_the_file_grows_wider_and_keeps_its_samples(tmp_path: Path) -> None:
    first = opened(tmp_path / "h", A, B)
    write(first, range(14))
    first.close()
    many = [SignalKey(f"service-{n}", "north", "errors") for n in range(200)]

    grown = opened(tmp_path / "h", A, *many, B)
    grown.append(START + timedelta(minutes=14), np.arange(202.0))
    _, rows = grown.rows()

    assert rows[:, 0].tolist() == [*range(5, 14), 0.0]
    assert rows[-1].tolist() == list(range(202))
    grown.close()
    again = opened(tmp_path / "h", A)
    assert len(again.rows()[0]) == 10
    again.close()


def test_a_row_torn_by_a_crash_is_left_out(tmp_path: Path) -> None:
    history = opened(tmp_path / "h", A)
    write(history, range(5))
    history.close()
    row_bytes = 8 * (3 + 64)
    with (tmp_path / "h").open("r+b") as file:
        file.seek(4096 + 2 * row_bytes + 24)
        file.write(b"\xff" * 8)

    after = opened(tmp_path / "h", A)

    assert after.rows()[1][:, 0].tolist() == [0, 1, 3, 4]
    assert after.column(A)[1].tolist() == [0, 1, 3, 4]
    with pytest.raises(KeyError):
        after.column(B)
    after.close()


@pytest.mark.parametrize("damage", ["header", "short", "table", "empty"])
def test_a_damaged_file_is_moved_aside_with_a_message(tmp_path: Path, damage: str) -> None:
    history = opened(tmp_path / "h", A)
    write(history, range(5))
    history.close()
    if damage == "table":
        (tmp_path / "h.json").write_text("{")
    elif damage == "header":
        with (tmp_path / "h").open("r+b") as file:
            file.write(b"\x00" * 50)
    else:
        os.truncate(tmp_path / "h", 5000 if damage == "short" else 0)

    after = opened(tmp_path / "h", A)

    (message,) = after.messages
    assert "moved to h.aside, detection starts anew" in message
    assert (tmp_path / "h.aside").exists()
    assert len(after.rows()[0]) == 0
    write(after, range(3))
    assert len(after.rows()[0]) == 3
    after.close()


def test_another_sampling_interval_starts_anew_and_says_so(tmp_path: Path) -> None:
    opened(tmp_path / "h", A, interval_s=60).close()

    after = opened(tmp_path / "h", A, interval_s=1)

    assert "has a sample every 60 s, and now it is every 1 s" in after.messages[0]
    after.close()


def test_a_write_that_fails_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    history = opened(tmp_path / "h", A)
    os.close(history._fd)

    history.append(START, np.array([1.0]))

    assert history.problem is not None
    assert "can't be written" in history.problem
    history._fd = -1


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BadInputError, match="can't be opened"):
        opened(tmp_path / "file" / "h", A)


def test_the_past_is_taken_in_and_what_was_sampled_here_stays(tmp_path: Path) -> None:
    history = opened(tmp_path / "h", A, B)
    history.append(START + timedelta(minutes=4, seconds=5), np.array([4.0, np.nan]))
    history.append(START + timedelta(minutes=5, seconds=5), np.array([5.0, 5.1]))
    past = np.array([[10.0, n] if n != 2 else [np.nan, np.nan] for n in np.arange(7.0)])
    times = START.timestamp() + 60.0 * np.arange(7.0)

    history.merge(times, past)
    write(history, range(7, 8))

    at, rows = history.rows()
    assert rows[:, 0].tolist() == [10.0, 10.0, 10.0, 4.0, 5.0, 10.0, 7.0]
    assert rows[:, 1].tolist() == [0.0, 1.0, 3.0, 4.0, 5.1, 6.0, 7.1]
    assert at[3] == times[4] + 5
    history.close()
    again = opened(tmp_path / "h", A, B)
    assert again.rows()[1][:, 0].tolist() == rows[:, 0].tolist()
    assert again.messages == []
    again.close()


def test_more_past_than_there_is_room_for_keeps_the_newest(tmp_path: Path) -> None:
    history = opened(tmp_path / "h", A, capacity=5)
    write(history, range(100, 103))

    history.merge(START.timestamp() + 60.0 * np.arange(90.0), np.arange(90.0)[:, None])

    assert history.rows()[1][:, 0].tolist() == [88.0, 89.0, 100.0, 101.0, 102.0]
    history.close()


def test_a_past_that_can_not_be_written_is_refused_and_loses_nothing(tmp_path: Path) -> None:
    history = opened(tmp_path / "h", A)
    write(history, range(3))
    (tmp_path / "h.new").mkdir()

    with pytest.raises(BadInputError, match="can't be written"):
        history.merge(np.array([START.timestamp() - 600]), np.array([[9.0]]))
    write(history, range(3, 4))

    assert history.rows()[1][:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    history.close()
