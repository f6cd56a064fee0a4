"""What the scenes themselves have to be able to do, and what they found and must never find again."""

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.incident import Kind, fold
from tests.crash.chaos import Chaos
from tests.crash.checker import Arrival
from tests.crash.matrix import Case, Invariant
from tests.crash.nursery import Child, Nursery, nursery
from tests.crash.proxy import Cut, Route, run_proxy, set_share
from tests.crash.scene import Cast, Scene, over_the_limit, staged
from tests.crash.scene_target import Habits, UnreachableError, arrivals_at, call, run_target
from tests.crash.scene_world import RESTARTS_MOST

pytestmark = [pytest.mark.crash, pytest.mark.slow]

_CALM = Habits(slow_s=0.01, late_share=0.0)


@pytest.fixture
def births() -> Iterator[Nursery]:
    made = nursery()
    before = len(made.children)
    yield made
    made.bury(made.children[before:])


def target(births: Nursery, directory: Path, habits: Habits = _CALM) -> Path:
    births.bear("target", run_target, directory, directory / "target", habits)
    return there(directory / "target")


def there(path: Path) -> Path:
    give_up, waiting = time.monotonic() + 10, signal.pthread_sigmask(signal.SIG_BLOCK, set())
    while not path.exists():
        assert time.monotonic() < give_up, f"{path} does not come up"
        signal.sigtimedwait(waiting, 0.005)
    return path


def act(address: Path, key: str, kind: str, fence: int = 1) -> dict[str, object]:
    return call(address, 2.0, op="act", kind=kind, service="x", key=key, fence=fence)


def test_a_proxy_cuts_after_the_request_and_the_target_has_done_it(
    tmp_path: Path, births: Nursery
) -> None:
    address = target(births, tmp_path)
    route = Route(
        listens=tmp_path / "p" / "t", server=address, control=tmp_path / "c", silence_s=0.1
    )
    births.bear("proxy", run_proxy, route)
    there(route.control)
    assert act(route.listens, "INC-1/S1/1", "none")["ok"]

    set_share(route, 1.0)
    lost = 0
    for n in range(2, 42):
        try:
            act(route.listens, f"INC-{n}/S1/1", "none")
        except (OSError, ValueError, UnreachableError):
            lost += 1
    cuts = set_share(route, 0.0)

    assert lost == 40, "a line that was cut gave an answer"
    done = {arrival.key for arrival in arrivals_at(tmp_path) if arrival.took}
    assert len(done) >= 1 + cuts[Cut.AFTER_REQUEST]
    assert set(cuts) == {cut.value for cut in Cut}, "not every way to cut was drawn"


@pytest.mark.parametrize("kind", ["idempotent", "refuses_stale_token", "probeable", "none"])
def test_the_target_counts_what_it_did_and_what_it_turned_away(
    tmp_path: Path, births: Nursery, kind: str
) -> None:
    address = target(births, tmp_path)
    act(address, "INC-1/S1/1", kind, fence=2)
    act(address, "INC-1/S1/1", kind, fence=1)

    took = [arrival.took for arrival in arrivals_at(tmp_path)]
    assert took == [True, kind in {"probeable", "none"}]


def test_a_revoked_attempt_can_not_have_an_effect_any_more(tmp_path: Path, births: Nursery) -> None:
    address = target(births, tmp_path)
    said = call(address, 2.0, op="revoke", key="INC-1/S1/1")

    assert said == {"there": False}
    assert not act(address, "INC-1/S1/1", "none")["ok"]
    assert not any(arrival.took for arrival in arrivals_at(tmp_path))


def test_a_child_is_paused_resumed_and_killed_and_nobody_else_is(
    tmp_path: Path, births: Nursery
) -> None:
    address = target(births, tmp_path)
    other = births.bear("sleeper", signal.pause)
    child: Child = births.children[-2]
    child.pause()
    with pytest.raises(TimeoutError):
        call(address, 0.2, op="look")
    child.resume()
    assert "broken" in call(address, 5.0, op="look")

    child.kill()
    assert not child.alive
    assert other.alive


def case_in(directory: Path, store: str = "sqlite", seed: int = 1) -> Case:
    return Case(seed=seed, store=store, directory=directory)


@pytest.mark.promise("L6", "L7")
def test_a_repeat_carries_a_newer_token_than_the_request_that_may_still_be_on_its_way(
    tmp_path: Path,
) -> None:
    """The target answers late to almost everything, and its worker lives: only the token differs."""
    late = Habits(slow_s=0.01, late_share=0.9, late_s=1.2)
    with staged(case_in(tmp_path), Cast(workers=1, per_action=1, habits=late)) as scene:
        scene.person.whim = 0.0
        for _ in range(3):
            incident_id = scene.detection.open("b0")
            until_at_rest(scene, incident_id)
        outcome = scene.judge()
        records = [r for n in scene.ledger.incident_ids() for r in scene.ledger.records(n)]
    repeats = [r for r in records if r.kind == Kind.STEP_REPEATED]

    assert outcome.violations == []
    assert repeats, "nothing was repeated, so nothing was tried"
    intents = {
        r.data["idempotency_key"]: r.data["fence"] for r in records if r.kind == Kind.STEP_INTENDED
    }
    assert all(r.data["fence"] > intents[r.data["idempotency_key"]] for r in repeats)


def until_at_rest(scene: Scene, incident_id: str) -> None:
    def rests() -> bool:
        state = fold(scene.ledger.records(incident_id), incident_id)
        scene.person.tick([] if state.ended else [state])
        return state.ended

    assert scene.until(time.monotonic() + 30, rests), scene.ledger.records(incident_id)[-1]


def test_a_scene_hits_what_it_is_told_to_hit(tmp_path: Path) -> None:
    chaos = Chaos(noise=random.Random(1), pauses=8.0, kills=4.0, restarts=1.0)
    with staged(case_in(tmp_path), Cast(workers=3, lease_s=0.5)) as scene:
        scene.play(2.0, chaos)
        scene.settle()
        outcome = scene.judge()

    assert outcome.violations == []
    assert scene.settled
    assert min(outcome.counts[name] for name in ("pauses", "kills", "effects", "resolved")) > 0
    assert outcome.counts.get("did_not_stop", 0) == 0


def test_more_restarts_than_the_limit_allows_are_seen() -> None:
    within = [
        Arrival(key=f"INC-{n}/S1/1", target="a1", at=float(n)) for n in range(RESTARTS_MOST + 1)
    ]
    apart = [replace(one, at=(one.at or 0.0) * 20) for one in within]
    elsewhere = [replace(one, target=f"e{n}") for n, one in enumerate(within)]

    assert [v.invariant for v in over_the_limit(within)] == [Invariant.I1]
    assert list(over_the_limit(apart)) == []
    assert list(over_the_limit(elsewhere)) == []
