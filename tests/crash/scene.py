"""A whole scene: target, store, workers, people and whatever is done to them; then the checker.

The faults stop before the end. What is under way then has a bounded time to come to rest, and only
after that the history is read and checked, all of it.
"""

import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from holdfast.incident import State, fold
from holdfast.kernel import Clock, SystemClock
from holdfast.response.store import SYSTEM_CHAIN, Ledger
from tests.crash.chaos import Chaos
from tests.crash.checker import Arrival, History, Stored, check
from tests.crash.matrix import Case, Invariant, Outcome, Violation
from tests.crash.nursery import Child, Nursery, nursery
from tests.crash.people import Detection, Person, live_states, tally, tolerant
from tests.crash.proxy import Route, run_proxy, set_share
from tests.crash.scene_store import Store, store_of
from tests.crash.scene_target import Habits, arrivals_at, call, run_target
from tests.crash.scene_world import ACTIONS, RESTART_WINDOW_S, RESTARTS_MOST, services_of
from tests.crash.witness import read_notes
from tests.crash.workers import (
    NOTES,
    JumpedClock,
    Spec,
    opened_with_witness,
    run_worker,
)

_TICK_S = 0.1
_BATCH = 500
_LIMITED = ("restart_service", 100)
_DELAY_S_MOST = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who takes part. `cut` names the links that lead through a proxy: store, target."""

    workers: int = 4
    per_action: int = 2
    most_live: int = 8
    lease_s: float = 1.0
    cut: frozenset[str] = frozenset()
    cut_shares: Mapping[str, float] = field(default_factory=lambda: {"store": 0.1, "target": 0.4})
    silence_s: float = 0.6
    jumps: bool = False
    habits: Habits = field(default_factory=Habits)
    settle_s: float = 40.0
    progress_s: float = 0.0
    mode: str = "autonomous"


@dataclass(slots=True, kw_only=True)
class Scene:
    """What `staged` puts up. `crew` are the workers' current lives, by place."""

    case: Case
    cast: Cast
    store: Store
    nursery: Nursery
    ledger: Ledger
    clock: Clock
    spec: Spec
    detection: Detection
    person: Person
    routes: Mapping[str, Route]
    crew: dict[int, Child] = field(default_factory=dict)
    lives: Counter[int] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    harm: Counter[str] = field(default_factory=Counter)
    settled: bool = False

    @property
    def target(self) -> Path:
        return self.spec.looks_at

    def bear(self, place: int, *, next_release: bool = False) -> Child:
        """Start a worker at this place; no two lives have the same name."""
        self.lives[place] += 1
        worker = f"w{place}.{self.lives[place]}"
        spec = replace(self.spec, worker=worker, next_release=next_release)
        self.crew[place] = self.nursery.bear(worker, run_worker, spec)
        return self.crew[place]

    def bear_again(self, place: int) -> None:
        """Kill the worker at this place and start another there."""
        self.crew[place].kill()
        self.bear(place)

    def cut_lines(self, shares: Mapping[str, float]) -> None:
        """Hit this share of the requests on each line that leads through a proxy."""
        for name, route in self.routes.items():
            cuts = set_share(route, shares.get(name, 0.0))
            self.counts[f"cuts_{name}"] = sum(cuts.values())

    # --- the play ---------------------------------------------------------

    def play(self, seconds: float, chaos: Chaos | None = None) -> None:
        """Let everybody act for so long, with these faults."""
        self.cut_lines(self.cast.cut_shares)
        thread = threading.Thread(target=chaos.run, args=(self,), name="chaos") if chaos else None
        if chaos and thread:
            self.harm = chaos.counts
            thread.start()
        try:
            self.until(time.monotonic() + seconds, self._act)
        finally:
            if chaos and thread:
                chaos.stopping.set()
                thread.join(60)
                self.counts.update(chaos.counts)
                self.harm = Counter()
                assert not thread.is_alive(), "the faults do not stop"
                if chaos.failed:
                    raise RuntimeError("the faults failed") from chaos.failed
        self.cut_lines({})

    def _act(self) -> bool:
        live = live_states(self.ledger)
        self.person.tick(live)
        self.detection.tick(live)
        return False

    def until(self, give_up: float, act: Callable[[], bool]) -> bool:
        """Do it again and again until it says that it is done, or time is up."""
        pause, told_at = threading.Event(), time.monotonic()
        done: list[bool] = []
        while time.monotonic() < give_up:
            tolerant(lambda: done.append(act()))
            if done and done[-1]:
                return True
            if self.cast.progress_s and time.monotonic() - told_at > self.cast.progress_s:
                told_at = time.monotonic() if tolerant(self.tell) else told_at
            pause.wait(_TICK_S)
        return False

    def settle(self) -> None:
        """Stop all faults, and wait a bounded time until every incident has come to rest."""
        self.cut_lines({})
        for place, child in list(self.crew.items()):
            if child.alive:
                child.resume()
            else:
                child.kill()
                self.bear(place)
        began = time.monotonic()
        self.settled = self.until(began + self.cast.settle_s, self._at_rest)
        if not self.settled:
            self._ask_why()
        self.counts["settle_ms"] = int((time.monotonic() - began) * 1000)

    def _ask_why(self) -> None:
        """Have every worker note where its threads stand, beside what it noted before."""
        for child in self.crew.values():
            child.signal(signal.SIGUSR1)
            child.ended(0.2)

    def _at_rest(self) -> bool:
        live = live_states(self.ledger)
        self.person.tick(live, only_approve=True)
        return not self._requests_wait() and all(_rests(state) for state in live)

    def _requests_wait(self) -> bool:
        return any(name != SYSTEM_CHAIN for name in self.ledger.waiting())

    # --- the end ----------------------------------------------------------

    def judge(self) -> Outcome:
        """Send everybody home, read everything, and ask the checker."""
        self.dismiss_crew()
        if self.settled and self._requests_wait():
            # Who goes may still report what came too late: somebody has to be there to answer it.
            self.bear(0)
            self.until(time.monotonic() + self.cast.settle_s, self._at_rest)
            self.dismiss_crew()
        violations = self._violations()
        self.counts["opened"] = self.detection.opened
        return Outcome(violations=violations, counts=dict(self.counts))

    def dismiss_crew(self) -> None:
        """Let the workers finish their step and go."""
        for child in self.crew.values():
            child.resume()
            child.terminate()
        for child in self.crew.values():
            if not child.stops(within_s=15):
                self.counts["did_not_stop"] += 1
            child.kill()

    def _violations(self) -> list[Violation]:
        """Check in batches of incidents, so that a long run needs no memory for all of it."""
        notes = read_notes(self.case.directory / NOTES)
        arrivals = arrivals_at(self.case.directory)
        self.counts["effects"] = sum(a.took for a in arrivals)
        self.counts["turned_away"] = sum(not a.took for a in arrivals)
        waiting = [r.id for name in self.ledger.waiting() for r in self.ledger.requests(name)]
        names = list(self.ledger.incident_ids())
        found: list[Violation] = []
        for batch in [names[i : i + _BATCH] for i in range(0, len(names), _BATCH)] or [[]]:
            mine = frozenset(batch)
            asked = [a for a in notes.accepted if a.incident_id in mine]
            answers = {a.id: got for a in asked if (got := self.ledger.answer_of(a.id))}
            history = History(
                chains=self._chains((*batch, SYSTEM_CHAIN)),
                acknowledged=[a for a in notes.acknowledged if a.incident_id in mine],
                claimed=[c for c in notes.claimed if c.incident_id in mine],
                arrivals=[a for a in arrivals if a.incident_id in mine],
                accepted=asked,
                open_requests=waiting,
                answers=answers,
                repeatability=ACTIONS,
                quiet=True,
            )
            found += check(history)
            self.counts.update(tally(history.states))
        told = {a.incident_id for a in notes.acknowledged} | {a.incident_id for a in arrivals}
        found += over_the_limit(arrivals)
        lost = told - set(names) - {SYSTEM_CHAIN}
        assert not lost, f"somebody saw incidents that the store has never heard of: {sorted(lost)}"
        return found

    def _chains(self, names: Sequence[str]) -> dict[str, Stored]:
        chains = {}
        for name in names:
            links, mark = self.ledger.chain(name)
            # An id that was allotted without a first record is no incident yet.
            if links or (mark is not None and mark.seq > 0):
                chains[name] = Stored(links=links, mark=mark)
        return chains

    def tell(self) -> None:
        """Say how far it is, on one line."""
        names = self.ledger.incident_ids(live_only=True)
        arrivals = arrivals_at(self.case.directory)
        steps = Counter(a.step for a in arrivals if a.took)
        told = {
            "opened": self.detection.opened, "live": len(names),
            "effects": sum(steps.values()), "duplicates": sum(n > 1 for n in steps.values()),
            **{name: n for name, n in self.counts.items() if name != "settle_ms"},
            **self.harm,
        }  # fmt: skip
        text = " ".join(f"{name}={value}" for name, value in told.items())
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201


def over_the_limit(arrivals: Sequence[Arrival]) -> Iterator[Violation]:
    """More restarts of one target than the limit allows, as the target counted them.

    An effect comes a few seconds after its place was reserved at the latest, so a window shorter by
    that much can't hold more than were reserved in a whole one.
    """
    times: dict[str, list[float]] = {}
    for arrival in arrivals:
        if arrival.took and arrival.at is not None and arrival.target in services_of(*_LIMITED):
            times.setdefault(arrival.target, []).append(arrival.at)
    for target, at in times.items():
        for first, last in zip(at, at[RESTARTS_MOST:], strict=False):
            if last - first < RESTART_WINDOW_S - _DELAY_S_MOST:
                what = f"{RESTARTS_MOST + 1} restarts of {target} in {last - first:.1f} s"
                yield Violation(invariant=Invariant.I1, incident_id="-", what=what)


def _rests(state: State) -> bool:
    # Somebody was called before, and a step is in doubt again: its target is still being probed.
    at_work = bool(state.unsettled) and not state.held
    return not at_work and (state.ended or bool(state.held) or bool(state.escalated))


@contextmanager
def staged(case: Case, cast: Cast) -> Iterator[Scene]:
    """Put a scene up, workers and all, and take everything down afterwards."""
    with ExitStack() as stack:
        store = stack.enter_context(store_of(case))
        births = nursery()
        before = len(births.children)
        stack.callback(lambda: births.bury(births.children[before:]))
        sockets = stack.enter_context(_short_directory())
        target = sockets / "target"
        births.bear("target", run_target, case.directory, target, _seeded(cast.habits, case.seed))
        routes = _routes(case, cast, store, births, sockets)
        _until_there([target, *(r.control for r in routes.values())], births)
        clock_file = case.directory / "clock" if cast.jumps else None
        if clock_file:
            JumpedClock.set(clock_file, 0.0)
        clock: Clock = JumpedClock(clock_file) if clock_file else SystemClock()
        ledger = opened_with_witness(store.url, clock, case.directory)
        stack.callback(ledger.close)
        spec = Spec(
            worker="", directory=case.directory, looks_at=target, per_action=cast.per_action,
            url=store.through(routes["store"].listens.parent) if "store" in routes else store.url,
            acts_at=routes["target"].listens if "target" in routes else target,
            lease_s=cast.lease_s, mode=cast.mode, clock=clock_file,
        )  # fmt: skip
        noise = random.Random(case.seed)
        scene = Scene(
            case=case, cast=cast, store=store, nursery=births, ledger=ledger, clock=clock,
            spec=spec, routes=routes,
            detection=Detection(
                ledger=ledger, clock=clock, target=target, per_action=cast.per_action, noise=noise,
                most_live=cast.most_live, mode=cast.mode,
            ),
            person=Person(ledger=ledger, clock=clock, target=target, noise=noise),
        )  # fmt: skip
        scene.person.arrive()
        for place in range(cast.workers):
            scene.bear(place)
        yield scene


def _seeded(habits: Habits, seed: int) -> Habits:
    return replace(habits, seed=seed)


def _routes(
    case: Case, cast: Cast, store: Store, births: Nursery, sockets: Path
) -> dict[str, Route]:
    routes = {}
    if "store" in cast.cut and store.socket is not None:
        routes["store"] = Route(
            listens=sockets / "p" / store.socket.name, server=store.socket,
            control=sockets / "store-control", seed=case.seed, late=False,
            silence_s=cast.silence_s,
        )  # fmt: skip
    if "target" in cast.cut:
        routes["target"] = Route(
            listens=sockets / "t" / "target", server=sockets / "target",
            control=sockets / "target-control", seed=case.seed + 1, silence_s=cast.silence_s,
        )  # fmt: skip
    for name, route in routes.items():
        births.bear(f"proxy-{name}", run_proxy, route)
    return routes


@contextmanager
def _short_directory() -> Iterator[Path]:
    """Sockets need short names."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="hfcr", dir="/tmp") as name:
        yield Path(name)


def _until_there(paths: Sequence[Path], births: Nursery) -> None:
    give_up, pause = time.monotonic() + 20, threading.Event()
    while not all(path.exists() for path in paths):
        assert time.monotonic() < give_up, births.log.read_text(errors="replace")
        pause.wait(0.005)


def last_records(ledger: Ledger, incident_id: str, count: int = 12) -> list[str]:
    """Tell the end of a chain, for whoever looks into a violation."""
    records = ledger.records(incident_id)
    state = fold(records, incident_id)
    told = [f"{r.seq} {r.at:%H:%M:%S.%f} {r.kind} {str(dict(r.data))[:160]}" for r in records]
    return [*told[-count:], f"phase {state.phase.value}, held {state.held}"]


__all__ = ["Cast", "Scene", "call", "last_records", "staged"]
