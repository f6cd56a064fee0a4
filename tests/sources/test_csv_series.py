import csv
import json
from pathlib import Path

import pytest

from holdfast.kernel.errors import BadInputError
from holdfast.sources import detect_file, json_lines, write_csv
from holdfast.sources.csv_series import COLUMNS, read_csv


def file(tmp_path: Path, text: str, name: str = "series.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def with_spike(tmp_path: Path) -> Path:
    values = [10 + n % 2 for n in range(70)]
    values[65] = 30
    return file(
        tmp_path, "timestamp,value\n" + "".join(f"{n * 60},{v}\n" for n, v in enumerate(values))
    )


def test_one_row_comes_out_for_each_row_that_goes_in(tmp_path: Path) -> None:
    target = write_csv(detect_file(with_spike(tmp_path)), tmp_path / "out")

    with target.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert target.name == "series.csv"
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 70
    assert [row["timestamp"] for row in rows[:2]] == ["0", "60"]
    assert rows[0]["expected"] == ""
    assert [n for n, row in enumerate(rows) if row["anomaly"] == "true"] == [65]
    spike = rows[65]
    assert (spike["severity"], spike["confidence"]) == ("critical", "0.99")
    assert float(spike["score"]) == pytest.approx(39.0)
    assert spike["reason"].startswith("at 30.0, expected 9.000 to 12.0 (mean 10.5 of the last 60")


def test_json_lines_carry_the_same_columns(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in json_lines(detect_file(with_spike(tmp_path)))]

    assert tuple(rows[65]) == COLUMNS
    assert rows[65]["anomaly"] is True
    assert rows[0]["expected"] is None


def test_headers_timestamps_and_gaps_are_read_as_people_write_them(tmp_path: Path) -> None:
    text = (
        '\ufeffLabel,Value,"TimeStamp"\n'
        "0,1.5,2026-01-31T10:00:00Z\n"
        "0,,2026-01-31 10:01:00\n"
        "\n"
        "0, 2e3 ,1769853720.5\n"
        "0,NaN,1769853780\n"
    )
    series = read_csv(file(tmp_path, text))

    assert series.values.tolist()[::2] == [1.5, 2000.0]
    assert [v != v for v in series.values.tolist()] == [False, True, False, True]  # noqa: PLR0124 - NaN
    rows = [json.loads(line) for line in json_lines(detect_file(file(tmp_path, text)))]
    assert rows[1]["value"] is None
    assert rows[1]["score"] == 0.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("timestamp,value\n1,2\n\n2,abc\n", r"line 4: value 'abc' is not a number; write a number"),
        (
            "timestamp,value\nyesterday,2\n",
            r"line 2: timestamp 'yesterday' is no moment; write ISO",
        ),
        ("timestamp,value\nnan,2\n", r"timestamp 'nan' is no moment"),
        ("time,value\n1,2\n", r"line 1: no column 'timestamp', only time, value; write a header"),
        ("timestamp,val\n1,2\n", r"no column 'value'"),
        ("", r"no column 'timestamp', only nothing"),
        ("timestamp,value\n1,2\n3\n", r"line 3: 1 columns where 2 are needed"),
    ],
)
def test_a_bad_row_is_named_with_file_line_value_and_next_step(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(BadInputError, match=words) as caught:
        read_csv(file(tmp_path, text))
    assert "series.csv" in caught.value.message


def test_what_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(b"\x1f\x8b\xff\xff")

    with pytest.raises(BadInputError, match="not UTF-8 text"):
        detect_file(packed)
    with pytest.raises(BadInputError, match="can't be read"):
        detect_file(tmp_path / "absent.csv")
    with pytest.raises(BadInputError, match=r"no detector 'magic'; choose one of zscore"):
        detect_file(packed, detector="magic")


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    path = with_spike(tmp_path)
    before = path.read_text()

    with pytest.raises(BadInputError, match="is the input itself"):
        write_csv(detect_file(path), tmp_path)
    assert path.read_text() == before


def test_a_file_with_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    target = write_csv(detect_file(file(tmp_path, "timestamp,value\n")), tmp_path / "out")

    assert target.read_text().splitlines() == [",".join(COLUMNS)]
