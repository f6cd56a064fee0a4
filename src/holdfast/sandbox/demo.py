"""The demo: one run of one scenario that a person watches, and what to make of it at the end.

Rule: everything shown comes from the product's own JSON, from the sandbox's facts
or from the instances' own pages. On a terminal it is a live picture, in a pipe plain
lines without escape codes, with `--json` one document and nothing else.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live

from holdfast.kernel import BadInputError, HoldfastError
from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.ending import report
from holdfast.sandbox.exposed import Instances
from holdfast.sandbox.guided import by_script
from holdfast.sandbox.holdfast_process import Event
from holdfast.sandbox.play import Run, play
from holdfast.sandbox.scenario import Plan
from holdfast.sandbox.scenarios import choose
from holdfast.sandbox.scene import STAGES, Scene, printable
from holdfast.sandbox.view import View
from holdfast.sandbox.watching import looking, sampling

INTERRUPTED = 130
REFRESH_PER_S = 4
# In demo, a crash scenario without a point dies where it hurts most: after the effect.
DEMO_POINT = "after_effect"
# Records after which `incident show` has something new to show.
WORTH_A_LOOK = frozenset(
    {
        "incident_opened",
        "hypotheses_ranked",
        "plan_chosen",
        "step_intended",
        "step_finished",
        "step_reconciled",
        "step_in_doubt",
        "verification_recorded",
        "held",
        "paged",
        "resolved",
        "dismissed",
    }
)


def run_demo(
    scenario: str = "bad-deploy",
    *,
    as_json: bool = False,
    keep: Path | None = None,
    seed: int = 0,
    script: Path | None = None,
    out: TextIO | None = None,
) -> int:
    """Play `scenario` before somebody's eyes. Returns 0 when it ended as it should, 1 when not.

    `script` names a file of what people do about it, line by line; then its end is what counts.

    Returns 130 after Ctrl-C. `keep` must be new or empty; everything of the run stays there.
    Raises BadInputError for a scenario or directory that won't do.
    """
    plan = _plan(scenario, seed)
    if script is not None:
        plan = replace(plan, scenario=by_script(plan.scenario, script))
    if keep is not None and keep.exists() and not (keep.is_dir() and not any(keep.iterdir())):
        raise BadInputError(
            f"--keep {keep} is a file or not empty; name a directory that is new or empty"
        )
    stream = out or sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal that knows no arrow still gets the rest
    shape, began_s = Blueprint.vary(seed), SystemClock().monotonic()
    scene = Scene(plan=plan, shape=shape, began_s=began_s)
    show = _Show(scene, stream, as_json=as_json)
    with _ended_by_sigterm_as_by_ctrl_c():
        try:
            document = show.play(keep)
        except KeyboardInterrupt:
            kept = "" if keep is None else f"; what was written so far is in {keep}"
            print(f"stopped by you; the platform and Holdfast have ended{kept}", file=sys.stderr)
            return INTERRUPTED
    show.end(document, keep)
    return 0 if document["passed"] else 1


def _plan(scenario: str, seed: int) -> Plan:
    chosen = choose(scenario)
    points = {plan.crash_point: plan for plan in chosen}
    found = points.get(DEMO_POINT, chosen[0])
    return Plan(scenario=found.scenario, seed=seed, crash_point=found.crash_point)


@contextlib.contextmanager
def _ended_by_sigterm_as_by_ctrl_c() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _look_at_nothing(_incident_id: str) -> None:
    """Nobody sees the incident's details, so nobody asks for them."""


class _Show:
    """One way to show a run: live, in lines, or not at all until its end."""

    def __init__(self, scene: Scene, stream: TextIO, *, as_json: bool) -> None:
        self.scene = scene
        self.stream = stream
        self.as_json = as_json
        self.clock = SystemClock()
        self.console = Console(file=stream, highlight=False, soft_wrap=True)
        self.live = not as_json and self.console.is_terminal and not self.console.is_dumb_terminal
        self._look: Callable[[str], None] = _look_at_nothing

    def play(self, keep: Path | None) -> dict[str, Any]:
        with self._picture():
            self._introduce()
            return play(
                self.scene.plan,
                directory=keep,
                keep=keep is not None,
                tell=self._tell,
                beside=self._beside,
                at_end=lambda run, document: self._at_end(run, document, keep),
            )

    def end(self, document: Mapping[str, Any], keep: Path | None) -> None:
        if self.as_json:
            print(json.dumps(document), file=self.stream, flush=True)
            return
        if self.live:
            self.console.print(self._view(), height=400, soft_wrap=False)
        took_s = self.clock.monotonic() - self.scene.began_s
        lines = report(
            document,
            self.scene,
            took_s=took_s,
            keep=keep,
            program=program(),
            width=self.console.width if self.live else None,
        )
        print(*lines, sep="\n", file=self.stream, flush=True)

    def _picture(self) -> contextlib.AbstractContextManager[object]:
        if not self.live:
            return contextlib.nullcontext()
        view = self._view()
        return Live(view, console=self.console, screen=True, refresh_per_second=REFRESH_PER_S)

    def _view(self) -> View:
        return View(self.scene, self.clock.monotonic)

    def _introduce(self) -> None:
        plan = self.scene.plan
        self._line(f"holdfast demo {plan.name}: {plan.scenario.title}")

    def _tell(self, event: Event) -> None:
        now_s = self.clock.monotonic()
        line = self.scene.take(event, now_s)
        if event.get("kind") in WORTH_A_LOOK:
            self._look(str(event["incident_id"]))
        if self.live or self.as_json:
            return
        at = f"{now_s - self.scene.began_s:6.1f} s"
        if event.get("event") == "asked":
            self._line(f"{at}  {event['who']}  $ {printable(event['command'])}")
            for told in str(event["answer"]).splitlines():
                self._line(f"{'':10}  {printable(told)}")
        elif line is not None:
            who = f"{line.incident_id} #{line.seq}" if line.seq else "sandbox"
            self._line(f"{at}  {who}  {line.text}")
        elif event.get("event") == "stage" and event["state"] == "done":
            self._line(f"{at}  {STAGES[event['part']]} done in {event['took_s']:.1f} s")
        elif event.get("event") == "tick" and event["anomalies"] and self._before_the_incident():
            reasons = "; ".join(anomaly["reason"] for anomaly in event["anomalies"])
            self._line(f"{at}  seen  {reasons}")

    def _before_the_incident(self) -> bool:
        scene = self.scene
        return scene.injected is not None and not any(line.seq for line in scene.lines)

    def _line(self, text: str) -> None:
        if not self.live and not self.as_json:
            print(text, file=self.stream, flush=True)

    @contextlib.contextmanager
    def _beside(self, run: Run) -> Iterator[None]:
        """Sample the instances and look at the incident, for as long as somebody sees it."""
        if not self.live:
            yield
            return
        with contextlib.ExitStack() as stack:
            self._look = stack.enter_context(looking(run.holdfast, self.scene))
            stack.enter_context(sampling(Instances(run.platform.site), self.scene))
            yield

    def _at_end(
        self, run: Run, document: Mapping[str, Any], keep: Path | None
    ) -> Mapping[str, Any]:
        """Write the postmortem where it stays, and take a last look."""
        name = document["incident_id"]
        if name is None:
            return {"postmortem": None}
        if self.live:
            self.scene.look(run.holdfast.ask("incident", "show", name, "--json"))
        place = keep or Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
        file = (place / f"postmortem-{name}.md").absolute()
        answer = run.holdfast.call("postmortem", name, "--out", str(file))
        if answer.code != 0:
            raise HoldfastError(f"`{answer.command}` failed: {answer.err.strip()[-300:]}")
        return {"postmortem": str(file)}


def program() -> str:
    """How the reader calls Holdfast here, for the commands to try next."""
    if shutil.which("holdfast"):
        return "holdfast"
    called = Path(sys.argv[0])
    return os.path.relpath(called) if called.name == "holdfast" else "python -m holdfast"
