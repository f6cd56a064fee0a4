"""Many runs, some at a time, each in a process and on a platform of its own, and their summary.

Rule: runs share nothing but the machine. Every run hangs on one lifeline, a pipe
that only this process holds open: when it ends, in whatever way, so do they all.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from holdfast.kernel.clock import SystemClock
from holdfast.sandbox import guided_grade
from holdfast.sandbox.facts import Facts
from holdfast.sandbox.grade import grade
from holdfast.sandbox.guided import GUIDED
from holdfast.sandbox.recovery_time import told
from holdfast.sandbox.scenario import Plan
from holdfast.sandbox.scenarios import SCENARIOS, choose

PLAYER = (sys.executable, "-m", "holdfast.sandbox.one_run")
RUN_LIMIT_S = 420.0
END_LIMIT_S = 30.0
INTERRUPTED = 130
# A run takes a minute and, on the average, a fifth of a processor: mostly it waits for samples.
JOBS_PER_PROCESSOR = 3
# Where people direct, every command of theirs is a program of its own: a third of a processor.
DIRECTED_JOBS_PER_PROCESSOR = 2
JOBS_MAX = 6

Document = Mapping[str, Any]


def run_gameday(
    scenarios: Sequence[str],
    *,
    runs: int = 1,
    jobs: int | None = None,
    seed: int = 0,
    as_json: bool = False,
    guided: bool = False,
    out: TextIO | None = None,
    player: Sequence[str] = PLAYER,
) -> int:
    """Run each scenario `runs` times (all of them when none is named) and print the grades.

    `guided`: all means the guided ones, which named people direct step by step.

    Returns 0 when every run passed, 1 when one did not, 130 after Ctrl-C. Raises BadInputError
    for a name that is no scenario.
    """
    plans = plans_of(scenarios, runs=runs, seed=seed, guided=guided)
    report = _Report(out or sys.stdout, as_json=as_json, plans=plans)
    began = SystemClock().monotonic()
    try:
        for document in _played(plans, jobs=jobs or default_jobs(guided=guided), player=player):
            report.one(document)
    except KeyboardInterrupt:
        print("stopped by you; every run was ended and nothing is left of them", file=sys.stderr)
        return INTERRUPTED
    report.end(SystemClock().monotonic() - began, seed=seed)
    return 0 if all(document["passed"] for document in report.documents) else 1


def default_jobs(processors: int | None = None, *, guided: bool = False) -> int:
    """Say how many runs go side by side so that none is starved; by default on this machine."""
    if processors is None:
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
        processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    each = DIRECTED_JOBS_PER_PROCESSOR if guided else JOBS_PER_PROCESSOR
    return min(JOBS_MAX, each * processors)


def plans_of(scenarios: Sequence[str], *, runs: int, seed: int, guided: bool = False) -> list[Plan]:
    """List the runs in rounds of all scenarios, so that what is done so far is a fair sample."""
    names = scenarios or [scenario.name for scenario in (GUIDED if guided else SCENARIOS)]
    chosen = [plan for name in names for plan in choose(name)]
    return [replace(plan, seed=seed, run=run) for run in range(1, runs + 1) for plan in chosen]


# --- playing ------------------------------------------------------------------


def _played(plans: Sequence[Plan], *, jobs: int, player: Sequence[str]) -> Iterator[Document]:
    """Yield the documents as the runs end. An exception here ends the runs under way."""
    with _lifeline() as lifeline, ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [pool.submit(_play_one, plan, lifeline, player) for plan in plans]
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            lifeline.cut()
            raise


@dataclass(slots=True)
class _Lifeline:
    """The read end goes to every run as its standard input; the write end is ours alone."""

    read_end: int
    write_end: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cut: bool = False

    def cut(self) -> None:
        with self._lock:
            if not self._cut:
                self._cut = True
                os.close(self.write_end)


@contextlib.contextmanager
def _lifeline() -> Iterator[_Lifeline]:
    lifeline = _Lifeline(*os.pipe())
    try:
        yield lifeline
    finally:
        lifeline.cut()
        os.close(lifeline.read_end)


def _play_one(plan: Plan, lifeline: _Lifeline, player: Sequence[str]) -> Document:
    process = subprocess.Popen(
        [*player, plan.name, str(plan.seed), str(plan.run)],
        stdin=lifeline.read_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches us alone; we cut the lifeline
    )
    try:
        out, err = process.communicate(timeout=RUN_LIMIT_S)
        trouble = f"the run ended with exit code {process.returncode} and no document"
    except subprocess.TimeoutExpired:
        out, err = _ended(process)
        trouble = f"the run was not over after {RUN_LIMIT_S:.0f} s and was ended"
    try:
        document: dict[str, Any] = json.loads(out)
    except ValueError:
        told = f"{trouble}; it said: {err.strip()[-600:] or 'nothing'}"
        document = grade(Facts(plan=plan, collected=False, trouble=(told,)))
    uneventful = document["passed"] or not err or process.returncode == INTERRUPTED
    return document if uneventful else document | {"events": _kept(err)}


def _kept(events: str) -> str:
    """Keep the events of a run that did not pass where somebody can look at them."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="holdfast-gameday-", suffix=".jsonl", delete=False, encoding="utf-8"
    ) as file:
        file.write(events)
    return file.name


def _ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.terminate()
    try:
        return process.communicate(timeout=END_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


# --- telling ------------------------------------------------------------------


class _Report:
    """Prints one line for each run and the summary; on a terminal, what is still to come."""

    def __init__(self, out: TextIO, *, as_json: bool, plans: Sequence[Plan]) -> None:
        self._out = out
        self._as_json = as_json
        self._progress = sys.stderr if sys.stderr.isatty() and not as_json else None
        self._total = len(plans)
        self._width = max(len(plan.name) for plan in plans)
        self.documents: list[Document] = []
        self._say_progress()

    def one(self, document: Document) -> None:
        self.documents.append(document)
        self._clear_progress()
        line = json.dumps(document) if self._as_json else describe(document, self._width)
        print(line, file=self._out, flush=True)
        self._say_progress()

    def end(self, took_s: float, *, seed: int) -> None:
        self._clear_progress()
        summary = summarise(self.documents) | {"seed": seed, "took_s": round(took_s, 1)}
        if self._as_json:
            print(json.dumps({"summary": summary}), file=self._out, flush=True)
            return
        print("", *describe_summary(summary), sep="\n", file=self._out, flush=True)

    def _say_progress(self) -> None:
        if self._progress and len(self.documents) < self._total:
            text = f"{len(self.documents)} of {self._total} runs are over …"
            print(f"\r{text}", end="", file=self._progress, flush=True)

    def _clear_progress(self) -> None:
        if self._progress:
            print("\r" + " " * 40 + "\r", end="", file=self._progress, flush=True)


def name_of(document: Document) -> str:
    """Name a run's scenario with its crash point, as `choose` reads it."""
    at = f":{document['crash_point']}" if document["crash_point"] else ""
    return f"{document['scenario']}{at}"


def describe(document: Document, width: int) -> str:
    """Say one run in a line, and below it why it did not pass."""
    grade_word = "passed" if document["passed"] else "FAILED"
    facts = [document["outcome"], document["incident_type"], document["root_cause_entity"]]
    facts.append(f"did {', '.join(document['actions'])}" if document["actions"] else "did nothing")
    if document["incident_id"]:
        facts.append(f"detected {_seconds(document['detected_s'])}")
        facts.append(f"recovered {_seconds(document['recovered_s'])}")
        if document["recovery"]:
            facts.append(f"({told(document['recovery'])})")
    facts.append(f"pages {document['pages']}")
    facts.append(f"duplicates {document['duplicate_effects']}")
    facts.append(f"bare rule fired {document['bare_rule_fired']}x")
    said = ", ".join(str(fact) for fact in facts if fact is not None)
    head = f"{grade_word}  {name_of(document):<{width}}  run {document['run']}  {said}"
    below = [f"why not: {reason}" for reason in document["why_not"]]
    below += [f"its events: {document['events']}"] if "events" in document else []
    return "\n".join([head, *(f"        {line}" for line in below)])


def summarise(documents: Sequence[Document]) -> dict[str, Any]:
    """Count, and take the medians, by scenario and crash point."""
    names = dict.fromkeys(sorted(name_of(document) for document in documents))
    rows = {name: [d for d in documents if name_of(d) == name] for name in names}
    directed = any(document.get("guided") for document in documents)
    return {
        **(guided_grade.totals(documents) if directed else {}),
        "runs": len(documents),
        "passed": sum(bool(document["passed"]) for document in documents),
        "failed": sum(not document["passed"] for document in documents),
        "duplicate_effects": sum(document["duplicate_effects"] for document in documents),
        "false_actions": sum(document["false_actions"] for document in documents),
        "scenarios": {name: _row(found) for name, found in rows.items()},
    }


def _row(documents: Sequence[Document]) -> dict[str, Any]:
    outcomes = sorted({document["outcome"] for document in documents})
    return {
        "runs": len(documents),
        "passed": sum(bool(document["passed"]) for document in documents),
        "outcomes": outcomes,
        "detected_s": _median(documents, "detected_s"),
        "recovered_s": _median(documents, "recovered_s"),
        "recovery_ratio": _worst_ratio(documents),
        "pages": sum(document["pages"] for document in documents),
        "bare_rule_fired": sum(document["bare_rule_fired"] for document in documents),
    }


def describe_summary(summary: Mapping[str, Any]) -> list[str]:
    """Say the summary in lines: a row for each scenario, then the whole."""
    rows = [("scenario", "passed", "outcome", "detected", "recovered", "ratio", "pages")]
    for name, row in summary["scenarios"].items():
        rows.append(
            (
                name,
                f"{row['passed']}/{row['runs']}",
                "/".join(row["outcomes"]),
                _seconds(row["detected_s"]),
                _seconds(row["recovered_s"]),
                "–" if row["recovery_ratio"] is None else f"{row['recovery_ratio']:.2f}",
                str(row["pages"]),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    verdict = f"{summary['passed']} of {summary['runs']} runs passed"
    counts = f"{summary['duplicate_effects']} duplicate effects, {summary['false_actions']} false"
    ending = f"{verdict}; {counts} actions; {summary['took_s']:.0f} s (medians over the runs)"
    directed = guided_grade.told(summary) if "directed_runs" in summary else []
    return [*lines, "", *directed, ending]


def _median(documents: Sequence[Document], field_name: str) -> float | None:
    values = [d[field_name] for d in documents if d[field_name] is not None]
    return round(statistics.median(values), 2) if values else None


def _worst_ratio(documents: Sequence[Document]) -> float | None:
    """The worst of the runs: a bound that most of them keep is none."""
    found = [d["recovery"]["ratio"] for d in documents if d.get("recovery")]
    known = [ratio for ratio in found if ratio is not None]
    return max(known) if known else None


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"
