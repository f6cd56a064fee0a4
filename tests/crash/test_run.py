"""The long run goes on where it was stopped, names what failed, and ends red when anything did."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.crash import report
from tests.crash.progress import Range, Row, State, load, split
from tests.crash.run import begun, main, parsed

ROOT = Path(__file__).parents[2]


def a_row(**more: object) -> Row:
    fields: dict[str, object] = {
        "fault": "kill", "store": "sqlite", "unit": "cases", "asked": 4, "ranges": split(0, 4, 2)
    }  # fmt: skip
    return Row(**fields | more)  # type: ignore[arg-type]


def result(seed: int, *violations: str) -> dict[str, object]:
    return {"seed": seed, "took_s": 0.5, "violations": list(violations), "counts": {"kills": 2}}


def test_seeds_are_split_without_gap_or_overlap() -> None:
    parts = split(10, 7, 3)

    assert [seed for part in parts for seed in range(part.first, part.end)] == list(range(10, 17))
    assert split(0, 1, 8) == [Range(0, 0, 1)]


def test_a_stopped_run_is_read_back_as_it_was(tmp_path: Path) -> None:
    row = a_row()
    row.add(row.ranges[0], result(0))
    state = State(seed=7, scale=0.5, rows=[row])
    state.save(tmp_path / "state.json")

    assert load(tmp_path / "state.json") == state
    assert (row.done, row.ranges[0].next, row.counts) == (1, 1, {"kills": 2})


def test_the_report_names_each_violation_and_how_to_see_it_again() -> None:
    row = a_row()
    row.add(row.ranges[0], result(0, "I1 INC-1: step INC-1/S1 had 2 effects"))
    row.fail(row.ranges[1], "the case ended with 1")
    text = report.markdown(State(seed=7, scale=1.0, rows=[row]))

    assert "| kill | sqlite | 2 / 4 | I1: 1, error: 1 |" in text
    assert "NOT COMPLETE; violations: 2" in text
    assert "`python -m tests.crash.cases kill sqlite 0 1`" in text
    assert "`python -m tests.crash.cases kill sqlite 2 1`" in text


def test_what_is_asked_for_is_what_is_planned() -> None:
    args = parsed(["--only", "kill", "--store", "sqlite", "--scale", "0.1", "--seed", "3"])
    state = begun(args)

    assert [(row.name, row.asked) for row in state.rows] == [("kill/sqlite", 500)]
    assert state.rows[0].ranges[0].first == 30_000_000
    with pytest.raises(SystemExit):
        parsed(["--store", "paper"])


@pytest.mark.crash
def test_a_run_goes_through_a_process_and_ends_green(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["--only", "tampering", "--store", "sqlite", "--default", "--folder", str(tmp_path)]
    )

    assert code == 0
    assert "| tampering | sqlite | 20 / 20 | none |" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["rows"][0]["done"] == 20


@pytest.mark.crash
def test_a_fault_that_does_not_exist_any_more_ends_the_run_red(tmp_path: Path) -> None:
    gone = a_row(fault="gone", asked=1, ranges=split(0, 1, 1))
    State(seed=1, scale=1.0, rows=[gone]).save(tmp_path / "state.json")

    assert main(["--folder", str(tmp_path)]) == 1
    assert "KeyError" in (tmp_path / "report.md").read_text()


@pytest.mark.crash
def test_a_run_that_is_told_to_stop_goes_on_from_there(tmp_path: Path) -> None:
    argv = ["--only", "power_loss", "--seed", "1", "--scale", "0.02", "--folder", str(tmp_path)]
    program = [sys.executable, "-m", "tests.crash.run", *argv, "--jobs", "1"]
    with subprocess.Popen(
        program, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as run:
        deadline = time.monotonic() + 40
        while (state := load(tmp_path / "state.json")) is None or not state.rows[0].done:
            assert time.monotonic() < deadline, "nothing is done"
            assert run.poll() is None, "it ended by itself"
        run.send_signal(signal.SIGTERM)
        said, _ = run.communicate(timeout=30)
    stopped = load(tmp_path / "state.json")

    assert run.returncode == 130
    assert b"goes on from here" in said
    assert stopped is not None
    assert 0 < stopped.rows[0].done < 10_000
    assert stopped.rows[0].ranges[0].next == stopped.rows[0].ranges[0].first + stopped.rows[0].done
