"""What is done to a scene while it plays: pauses, kills, stops of the database, jumps of the clock.

Everything is drawn from the seed; what it hits is whatever happens to be under way.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.crash.workers import JumpedClock

if TYPE_CHECKING:
    from tests.crash.scene import Scene


JUMPS_S = (-3600.0, 0.0, 3600.0)
_STOP_S, _LOOK_S = 10.0, 0.02


@dataclass(slots=True, kw_only=True)
class Chaos:
    """Faults until told to stop; then everything is whole again. Rates are per second."""

    noise: random.Random
    pauses: float = 0.0
    kills: float = 0.0
    restarts: float = 0.0
    db_stop_every_s: float = 0.0
    db_away_s: float = 1.5
    jumps: float = 0.0
    places: tuple[int, ...] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    failed: BaseException | None = None
    _due: list[tuple[float, str, int]] = field(default_factory=list)

    def run(self, scene: "Scene") -> None:
        """Do harm, until `stopping` is set; then make good."""
        try:
            self._run(scene)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that asked
            self.failed = error

    def _run(self, scene: "Scene") -> None:
        kinds = {"pause": self.pauses, "kill": self.kills, "restart": self.restarts}
        kinds["jump"] = self.jumps
        for kind, rate in kinds.items():
            self._again(kind, rate)
        if self.db_stop_every_s:
            self._at(self.db_stop_every_s * self.noise.uniform(0.3, 1.0), "stop_db")
        while not self.stopping.is_set():
            self._due.sort()
            if not self._due:
                self.stopping.wait()
                break
            at, kind, place = self._due[0]
            if not self.stopping.wait(max(0.0, at - time.monotonic())):
                self._due.pop(0)
                self._do(scene, kind, place)
                self._again(kind, kinds.get(kind, 0.0))
        if scene.spec.clock:
            # The hour by which the clock was put back has gone by: waiting for it is no fault.
            _set_clock(scene, max(JUMPS_S))
        self._make_good(scene)

    def _again(self, kind: str, rate: float) -> None:
        if rate:
            self._at(self.noise.expovariate(rate), kind)

    def _at(self, in_s: float, kind: str, place: int = -1) -> None:
        self._due.append((time.monotonic() + in_s, kind, place))

    def _do(self, scene: "Scene", kind: str, place: int) -> None:
        harm: Mapping[str, Callable[[Scene], None]] = {
            "pause": self._pause, "kill": self._kill, "restart": self._restart,
            "stop_db": self._stop_db, "jump": self._jump,
            "resume": lambda s: s.crew[place].resume(), "born": lambda s: _born(s, place),
        }  # fmt: skip
        harm[kind](scene)

    def _hit(self, scene: "Scene") -> list[int]:
        """List the places where somebody lives who may be hit."""
        living = [place for place, child in scene.crew.items() if child.alive]
        return living if self.places is None else [n for n in living if n in self.places]

    def _somebody(self, scene: "Scene") -> int | None:
        """A worker that is there and runs."""
        places = [n for n in self._hit(scene) if not scene.crew[n].stopped]
        return self.noise.choice(places) if places else None

    def _pause(self, scene: "Scene") -> None:
        place = self._somebody(scene)
        if place is None:
            return
        scene.crew[place].pause()
        self.counts["pauses"] += 1
        # Mostly past its lease, so that somebody else has taken over when it goes on.
        self._at(self.noise.uniform(0.3, 3.0) * scene.cast.lease_s, "resume", place)

    def _kill(self, scene: "Scene") -> None:
        """A paused one may be hit as well: it never goes on then."""
        places = self._hit(scene)
        if not places:
            return
        place = self.noise.choice(places)
        scene.crew[place].kill()
        self.counts["kills"] += 1
        self._at(self.noise.uniform(0.0, 1.0) * scene.cast.lease_s, "born", place)

    def _restart(self, scene: "Scene") -> None:
        place = self._somebody(scene)
        if place is None:
            return
        if not self._stops(scene, place):
            self.counts["did_not_stop"] += 1
        scene.crew[place].kill()
        self.counts["restarts"] += 1
        scene.bear(place)

    def _stops(self, scene: "Scene", place: int) -> bool:
        """Ask one to end. Who is paused goes on when it is due: it may hold the store's lock."""
        child, give_up = scene.crew[place], time.monotonic() + _STOP_S
        child.resume()
        child.terminate()
        while not child.ended(_LOOK_S):
            now = time.monotonic()
            if now > give_up:
                return child.stops(within_s=0)
            for due in [one for one in self._due if one[0] <= now and one[1] == "resume"]:
                self._due.remove(due)
                scene.crew[due[2]].resume()
        return True

    def _stop_db(self, scene: "Scene") -> None:
        assert scene.store.server, "only a server of our own can be stopped"
        scene.store.server.crash()
        self.counts["db_stops"] += 1
        self.stopping.wait(self.noise.uniform(0.0, self.db_away_s))
        scene.store.server.start()
        self._at(self.db_stop_every_s * self.noise.uniform(0.7, 1.3), "stop_db")

    def _jump(self, scene: "Scene") -> None:
        assert scene.spec.clock, "this scene has no clock that jumps"
        _set_clock(scene, self.noise.choice(JUMPS_S))
        self.counts["jumps"] += 1

    def _make_good(self, scene: "Scene") -> None:
        for place, child in list(scene.crew.items()):
            child.resume()
            if not child.alive:
                child.kill()
                scene.bear(place)


def _born(scene: "Scene", place: int) -> None:
    scene.bear(place)


def _set_clock(scene: "Scene", ahead_s: float) -> None:
    """Jump the clock of everybody, and of the server whose sessions then begin anew."""
    assert scene.spec.clock
    JumpedClock.set(scene.spec.clock, ahead_s)
    scene.store.jump(ahead_s)
