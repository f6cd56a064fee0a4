"""Many runs: chosen by name, played in processes of their own, told one by one and together."""

import io
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.kernel import BadInputError
from holdfast.sandbox.gameday import default_jobs, describe, plans_of, run_gameday
from holdfast.sandbox.grade import grade
from tests.sandbox.run_facts import bad_deploy

# A stand-in for a run: it grades nothing and answers as it is told to by the scenario's name.
PLAYER = """
import json, sys
name, seed, run = sys.argv[1:]
scenario, _, point = name.partition(":")
if scenario == "novel":
    sys.exit("no platform today")
document = json.loads(%r)
passed = scenario != "healthy"
more = {"scenario": scenario, "crash_point": point or None, "seed": int(seed), "run": int(run)}
why = [] if passed else ["two pages"]
print(json.dumps(document | more | {"passed": passed, "why_not": why}))
"""
DOCUMENT = json.dumps(grade(bad_deploy()))


def gameday(*names: str, **options: Any) -> tuple[int, list[str]]:  # noqa: ANN401 - its options
    out = io.StringIO()
    player = [sys.executable, "-c", PLAYER % DOCUMENT]
    code = run_gameday(names, out=out, player=player, **options)
    return code, out.getvalue().splitlines()


def test_no_name_means_every_scenario_and_a_crash_is_a_run_at_each_point() -> None:
    names = [plan.name for plan in plans_of([], runs=1, seed=0)]
    assert len(names) == len(set(names)) == 21
    assert sum(name.startswith("engine-crash:") for name in names) == 4


def test_runs_come_in_rounds_with_the_seed() -> None:
    plans = plans_of(["bad-deploy", "engine-crash:after_intent"], runs=2, seed=5)
    assert [(plan.name, plan.run) for plan in plans] == [
        ("bad-deploy", 1),
        ("engine-crash:after_intent", 1),
        ("bad-deploy", 2),
        ("engine-crash:after_intent", 2),
    ]
    assert {plan.seed for plan in plans} == {5}


def test_as_many_runs_go_side_by_side_as_the_processors_carry() -> None:
    assert [default_jobs(processors) for processors in (1, 2, 64)] == [3, 6, 6]
    assert 3 <= default_jobs() <= 6
    assert [default_jobs(each, guided=True) for each in (1, 2, 64)] == [2, 4, 6]


def test_the_guided_runs_are_those_that_people_direct() -> None:
    names = [plan.name for plan in plans_of([], runs=1, seed=0, guided=True)]
    assert len(names) == len(set(names)) == 7
    assert not set(names) & {plan.name for plan in plans_of([], runs=1, seed=0)}
    assert [plan.name for plan in plans_of(["failover"], runs=1, seed=0)] == ["failover"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("flood", "no scenario 'flood'; choose one of bad-deploy"),
        ("engine-crash:noon", "no crash point 'noon'; it has before_intent"),
        ("novel:before_intent", "it has none"),
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_runs(name: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        gameday(name)


def test_json_is_a_line_for_each_run_and_a_summary() -> None:
    code, lines = gameday("bad-deploy", "engine-crash", seed=3, jobs=2, as_json=True)
    documents = [json.loads(line) for line in lines]
    summary = documents.pop()["summary"]
    assert code == 0
    assert len(documents) == 5
    assert {document["seed"] for document in documents} == {3}
    assert (summary["runs"], summary["passed"], summary["failed"]) == (5, 5, 0)
    assert summary["scenarios"]["bad-deploy"]["detected_s"] == 3.0


def test_a_run_that_did_not_pass_says_why_and_the_exit_code_is_1() -> None:
    code, lines = gameday("bad-deploy", "healthy", jobs=1)
    told = "\n".join(lines)
    assert code == 1
    assert "passed  bad-deploy" in told
    assert "FAILED  healthy" in told
    assert "why not: two pages" in told
    assert "1 of 2 runs passed" in told
    assert "\x1b" not in told


def test_a_run_without_a_document_fails_with_what_it_said_and_keeps_its_events() -> None:
    code, lines = gameday("novel", as_json=True)
    document = json.loads(lines[0])
    assert code == 1
    assert document["outcome"] == "none"
    assert "exit code 1 and no document; it said: no platform today" in document["why_not"][0]
    kept = Path(document["events"])
    assert kept.read_text(encoding="utf-8") == "no platform today\n"
    kept.unlink()


def test_a_healthy_run_tells_how_often_the_bare_rule_fired() -> None:
    told = describe(grade(bad_deploy()) | {"bare_rule_fired": 6}, 10)
    assert "bare rule fired 6x" in told


# Whoever runs the tests in the background of a shell has them ignore Ctrl-C, and so all below them.
GAMEDAY = """
import signal, sys
from holdfast.sandbox.gameday import run_gameday
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(run_gameday(["bad-deploy", "novel"], player=[sys.executable, "-c", sys.argv[1]]))
"""


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGKILL])
def test_ending_a_gameday_ends_its_runs(sig: signal.Signals, tmp_path: Path) -> None:
    marks = [tmp_path / "1", tmp_path / "2"]
    for mark in marks:
        os.mkfifo(mark)
    readers = [os.open(mark, os.O_RDONLY | os.O_NONBLOCK) for mark in marks]
    # Each run holds one fifo open for as long as it lives, so its end is an event.
    waits = (
        "import os, sys; n = '1' if sys.argv[1] == 'novel' else '2'\n"
        f"os.write(os.open({str(tmp_path)!r} + '/' + n, os.O_WRONLY), b'x')\n"
        "os.read(0, 1)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", GAMEDAY, waits], stderr=subprocess.PIPE, text=True
    )
    try:
        for reader in readers:
            assert select.select([reader], [], [], 20)[0]
            assert os.read(reader, 1) == b"x"
        process.send_signal(sig)
        for reader in readers:
            assert select.select([reader], [], [], 20)[0]
            assert os.read(reader, 1) == b""
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
        for reader in readers:
            os.close(reader)
    if sig == signal.SIGINT:
        assert process.returncode == 130
        assert "nothing is left" in err
