"""One run of one scenario, from an empty directory to a graded document.

Rule: the player waits for events (a tick, a record, a death) and never for a
time that it hopes is enough; every wait has a limit, and a run that meets one is
graded as it stands, with the limit among the reasons. Whatever happens, nothing of
the run is left.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast.kernel import HoldfastError
from holdfast.kernel.clock import SystemClock, format_at
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.catalogue import Settings, write_installation
from holdfast.sandbox.collect import Collected, collect
from holdfast.sandbox.directed import Directed
from holdfast.sandbox.doings import Doings
from holdfast.sandbox.facts import Crash, Facts, Part
from holdfast.sandbox.faults import Injected
from holdfast.sandbox.follow import Follower
from holdfast.sandbox.grade import grade
from holdfast.sandbox.guided import script_of
from holdfast.sandbox.holdfast_process import Event, Events, Holdfast, Serving
from holdfast.sandbox.link import ENVIRONMENT_MARK
from holdfast.sandbox.operator import Operator
from holdfast.sandbox.pager import Pager
from holdfast.sandbox.people import People, everybody
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.relay import Relay
from holdfast.sandbox.scenario import OUTCOMES, Move, Plan
from holdfast.sandbox.script import breaks_itself, silences_metrics
from holdfast.sandbox.succession import Succession

WARM_UP_LIMIT_S = 120.0
CALM_LIMIT_S = 90.0
TICKS_AFTER_THE_END = 4
SUSTAIN_S = 6
DIRECTED_SUSTAIN_S = 3
CRASH_VARIABLE = "HOLDFAST_CRASH_POINT"

Tell = Callable[[Event], None]
AtEnd = Callable[["Run", Mapping[str, Any]], Mapping[str, Any]]
Beside = Callable[["Run"], contextlib.AbstractContextManager[object]]


def tell_nobody(_event: Event) -> None:
    """Take an event for whoever does not watch."""


class Run:
    """One run's parts. Made by `play`, which also ends them."""

    def __init__(self, plan: Plan, platform: Platform, pager: Pager, tell: Tell) -> None:
        self.plan = plan
        self.platform = platform
        self.pager = pager
        self.tell = tell
        self.clock = SystemClock()
        self.events = Events()
        self.follower = Follower(self.events, tell, self._on_death)
        directory = platform.site.root / "holdfast"
        self.holdfast = Holdfast(
            directory,
            log=platform.site.logs / "holdfast.stderr",
            environment={ENVIRONMENT_MARK: str(platform.site.root)},
        )
        self.serving: Serving | None = None
        self.injected: Injected | None = None
        self.also: tuple[Part, ...] = ()
        self.aftercare: Mapping[str, bool] | None = None
        self.crash: Crash | None = None
        self.bare_rule_before = 0
        self.timings: dict[str, float] = {}
        self.trouble: list[str] = []
        self.people: People | None = None
        self.relay: Relay | None = None
        self.lines = script_of(plan.scenario)
        self.played: Mapping[str, Any] | None = None

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        began = self.clock.monotonic()
        self.tell({"event": "stage", "part": part, "state": "begins"})
        try:
            yield
        finally:
            self.timings[part] = self.clock.monotonic() - began
            done = {"event": "stage", "part": part, "state": "done", "took_s": self.timings[part]}
            self.tell(done)

    # --- the parts, in their order ----------------------------------------

    def start(self) -> None:
        with self.timed("holdfast"):
            self.holdfast.init()
            write_installation(self.platform.site, self.holdfast.directory, self._settings())
            self._gather_people()
            point = self.plan.crash_point
            self.serve({CRASH_VARIABLE: point} if point else {})

    def _settings(self) -> Settings:
        scenario, relay = self.plan.scenario, self.relay
        regions = self.platform.blueprint.regions
        return Settings(
            mode=scenario.mode,
            webhook=self.pager.url,
            sustain_s=DIRECTED_SUSTAIN_S if self.lines else SUSTAIN_S,
            directed=bool(self.lines),
            worker_pages={region: relay.url(region) for region in regions} if relay else {},
        )

    def _gather_people(self) -> None:
        """Give everybody who speaks in this scenario a token of their own."""
        shape = self.platform.blueprint
        by = [getattr(shape, move.by) for move in self.plan.scenario.moves if move.by]
        if names := everybody(shape) if self.lines else by:
            self.people = People(self.holdfast, names)

    def serve(self, environment: Mapping[str, str]) -> None:
        self.serving = self.holdfast.serve(
            self.events, adopt=self.platform.adopt, environment=environment
        )

    def warm_up(self) -> None:
        with self.timed("warm-up"):
            if not self.follower.until(lambda: self.follower.warm, WARM_UP_LIMIT_S):
                raise HoldfastError(
                    f"after {WARM_UP_LIMIT_S:.0f} s only {self.follower.warm_text} series had "
                    "enough samples; is a service's /metrics without one of its metrics?"
                )
            onset = self.clock.monotonic() + self.platform.blueprint.onset_s
            self.follower.until(lambda: self.clock.monotonic() >= onset, CALM_LIMIT_S)
            if not self.follower.until(lambda: not self.follower.live, CALM_LIMIT_S):
                raise HoldfastError(
                    f"{', '.join(self.follower.live)} was open before anything was broken, and "
                    f"still was {CALM_LIMIT_S:.0f} s later"
                )

    def break_first(self) -> None:
        """Put the fault in, unless the script says when."""
        if not breaks_itself(self.lines):
            self.break_it()

    def break_it(self) -> Injected:
        scenario = self.plan.scenario
        self.injected = self.platform.inject(scenario.fault, **scenario.options)
        self.tell(_told(self.injected, scenario.title))
        for other in scenario.also:
            injected = self.platform.inject(other.fault, **other.options)
            self.tell(_told(injected, other.title))
            part = Part(
                scenario=other,
                injected_at=injected.injected_at,
                entity=injected.entity or "",
                region=injected.region,
            )
            self.also = (*self.also, part)
        return self.injected

    def follow(self) -> None:
        scenario = self.plan.scenario
        with self.timed("incident"):
            if scenario.watch_s is not None:
                self._watch(scenario.watch_s)
            elif not self._to_its_end(scenario.stop_traffic_at, scenario.limit_s):
                self.trouble.append(
                    f"no end within {scenario.limit_s:.0f} s of the fault; "
                    f"the last record: {self.follower.last_text or 'none'}"
                )
        if scenario.aftercare and not self.trouble and self.injected is not None:
            with self.timed("aftercare"):
                self.aftercare = self.platform.aftercare(self.injected)
        with self.timed("aftermath"):
            last = self.follower.ticks + TICKS_AFTER_THE_END
            self.follower.until(lambda: self.follower.ticks >= last, 4.0 * TICKS_AFTER_THE_END)

    def _watch(self, watch_s: float) -> None:
        over = self.clock.monotonic() + watch_s
        self.follower.until(lambda: self.clock.monotonic() >= over, watch_s + 10.0)
        if not self.follower.until(lambda: not self.follower.live, CALM_LIMIT_S):
            self.trouble.append(f"{', '.join(self.follower.live)} did not come to an end")

    def _to_its_end(self, stop_traffic_at: str | None, limit_s: float) -> bool:
        until = self.clock.monotonic() + limit_s
        if stop_traffic_at is not None:
            if not self.follower.until(lambda: stop_traffic_at in self.follower.kinds, limit_s):
                return False
            self.platform.traffic.stop()
            self.tell({"event": "traffic stopped", "at": format_at(self.clock.now())})
        for move in self.plan.scenario.moves:
            if not self._move(move, until - self.clock.monotonic()):
                return False
        self._play_the_script()
        left_s = until - self.clock.monotonic()
        return self.follower.until(self._is_over, left_s)

    def _play_the_script(self) -> None:
        if not self.lines or self.people is None:
            return
        doings = Doings(self.platform, self.relay, self.break_it)
        doings.broken(self.injected)
        directed = Directed(
            shape=self.platform.blueprint,
            follower=self.follower,
            people=self.people,
            doings=doings,
            succession=Succession(self.platform.site, self.holdfast.directory, self._pid),
            tell=self.tell,
        )
        self.played = {}
        try:
            directed.play(self.lines)
        finally:
            self.played = directed.played.as_data()

    def _pid(self) -> int | None:
        return self.serving.pid if self.serving is not None and self.serving.running else None

    def _is_over(self) -> bool:
        """Say whether each incident has come to an end; one that may still go on has not."""
        scenario = self.plan.scenario
        ends = scenario.ends if scenario.moves or scenario.patient else OUTCOMES
        return self.follower.ended(ends, incidents=1 + len(scenario.also))

    def _move(self, move: Move, limit_s: float) -> bool:
        """Let the one on call do one thing once its record came; False when it never did."""
        if not self.follower.until(
            lambda: self.follower.first_with(move.after, move.count) is not None, limit_s
        ):
            return False
        incident_id = self.follower.first_with(move.after, move.count) or ""
        shape = self.platform.blueprint
        name = getattr(shape, move.by) if move.by else ""
        caller = self.people[name] if self.people is not None and name else self.holdfast
        said = Operator(caller, shape, name).do(move, incident_id)
        self.tell({"event": "moved", "at": format_at(self.clock.now()), "text": said})
        return True

    def _on_death(self, code: int) -> None:
        """Serve is gone. That is what a crash run waits for, once; it is trouble otherwise."""
        if self.plan.crash_point is None or self.crash is not None:
            raise HoldfastError(
                f"`holdfast serve` ended by itself with exit code {code}; see {self.holdfast.log}"
            )
        self.crash = Crash(exit_code=code, effects=len(self.platform.observe()))
        killed = {"event": "killed", "point": self.plan.crash_point, "code": code}
        self.tell({**killed, "at": format_at(self.clock.now())})
        self.serve({})
        self.tell({"event": "restarted", "at": format_at(self.clock.now())})

    # --- the account -------------------------------------------------------

    def facts(self, collected: Collected | None) -> Facts:
        injected, seen = self.injected, collected or Collected()
        return Facts(
            plan=self.plan,
            injected_at=injected.injected_at if injected else None,
            entity=injected.entity if injected else None,
            region=injected.region if injected else None,
            incidents=seen.incidents,
            effects=seen.effects,
            pages=len(self.pager.pages),
            bare_rule_fired=max(seen.bare_rule_fired, self.follower.bare_rule_fired),
            crash=self.crash,
            collected=collected is not None,
            trouble=(*self.trouble, *dict.fromkeys(self.follower.trouble)),
            timings=self.timings,
            also=self.also,
            aftercare=self.aftercare,
            played=self.played,
        )


def play(
    plan: Plan,
    *,
    directory: Path | None = None,
    keep: bool = False,
    tell: Tell = tell_nobody,
    beside: Beside = contextlib.nullcontext,
    at_end: AtEnd | None = None,
) -> dict[str, Any]:
    """Play one run and return its document. Raises only what a person or the system sends.

    `directory` is the platform's, Holdfast's is `holdfast` in it; both go at the end unless
    `keep`. What `beside` makes is entered while the run lasts. `at_end` may ask the installation
    more before it goes, and adds to the document.
    """
    with contextlib.ExitStack() as stack:
        run = _set_up(plan, directory, stack, keep=keep, tell=tell)
        if isinstance(run, str):
            return grade(Facts(plan=plan, collected=False, trouble=(run,)))
        stack.callback(_make_sure_it_ended, run)
        with beside(run):
            collected = _through(run)
        document = grade(run.facts(collected))
        if at_end is not None and collected is not None:
            try:
                document |= at_end(run, document)
            except HoldfastError as error:
                document |= {"passed": False, "why_not": [*document["why_not"], error.message]}
        with run.timed("clean-up"):
            stack.close()
    return document | {"timings": {k: round(v, 2) for k, v in run.timings.items()}}


def _set_up(
    plan: Plan, directory: Path | None, stack: contextlib.ExitStack, *, keep: bool, tell: Tell
) -> Run | str:
    began = SystemClock().monotonic()
    tell({"event": "stage", "part": "platform", "state": "begins"})
    try:
        shape = Blueprint.vary(plan.seed)
        platform = stack.enter_context(Platform.start(shape, directory, keep=keep))
    except HoldfastError as error:
        return error.message
    run = Run(plan, platform, stack.enter_context(Pager()), tell)
    if silences_metrics(run.lines):
        run.relay = stack.enter_context(Relay(platform.site))
    run.timings["platform"] = SystemClock().monotonic() - began
    tell(
        {
            "event": "stage",
            "part": "platform",
            "state": "done",
            "took_s": run.timings["platform"],
        }
    )
    return run


def _through(run: Run) -> Collected | None:
    try:
        run.start()
        run.warm_up()
        run.break_first()
        run.follow()
    except HoldfastError as error:
        run.trouble.append(error.message)
    try:
        with run.timed("account"):
            return collect(run.holdfast, run.serving, run.platform, run.trouble)
    except (HoldfastError, KeyError, TypeError) as error:
        run.trouble.append(f"the account of the run is incomplete: {error}")
        return None


def _make_sure_it_ended(run: Run) -> None:
    if run.serving is not None:
        run.serving.kill()


def _told(injected: Injected, title: str) -> Event:
    return {
        "event": "injected",
        "at": format_at(injected.injected_at),
        "fault": injected.fault,
        "title": title,
        "entity": injected.entity,
        "region": injected.region,
        "detail": dict(injected.detail),
    }
