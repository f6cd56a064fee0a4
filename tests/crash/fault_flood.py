"""The same alert, approval or directive, delivered many times at once.

Some of the deliveries carry the same id, as a client that repeats does; some are new ones that say
the same, as impatient people do. It must come to one incident, one grant, one step, one effect.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from holdfast.engine import Engine
from holdfast.incident import Kind, State, StepStatus, fold
from holdfast.kernel import format_at
from holdfast.response.store import Request
from tests.crash.matrix import Case, Fault, Invariant, Outcome, Violation
from tests.crash.people import live_states
from tests.crash.scene import Cast, Scene, last_records, staged
from tests.crash.scene_target import Habits, arrivals_at, call
from tests.crash.scene_world import SUPERVISED, opening
from tests.crash.workers import make_engine

_THREADS = 12
_WAIT_S = 20.0
_CALM = Habits(slow_s=0.02, late_share=0.0)


def run(case: Case) -> Outcome:
    """Deliver one of the three; which one comes from the seed."""
    kind = ("alert", "approval", "directive")[case.seed % 3]
    mode = "guided" if kind == "directive" else "autonomous"
    with staged(case, Cast(workers=2, per_action=1, habits=_CALM, mode=mode)) as scene:
        flood = {"alert": _alert, "approval": _approval, "directive": _directive}[kind]
        wrong = flood(scene)
        scene.settle()
        outcome = scene.judge()
    effects = sum(arrival.took for arrival in arrivals_at(case.directory))
    if effects != 1:
        wrong = [*wrong, f"a flood of one {kind} led to {effects} effects"]
    found = [Violation(invariant=Invariant.I1, incident_id="-", what=what) for what in wrong]
    return replace(outcome, violations=[*outcome.violations, *found])


def _alert(scene: Scene) -> list[str]:
    """Many threads tell the one that opens incidents of the same trouble."""
    call(scene.target, 5.0, op="spoil", service="d0")
    serve = _serve(scene)
    facts = opening("d0", scene.clock.now())
    _at_once([lambda: serve.opening(facts)] * _THREADS)
    serve.stop()
    serve.run()
    names = scene.ledger.incident_ids()
    _until(lambda: all(s.ended or s.held for s in live_states(scene.ledger)))
    return [] if len(names) == 1 else [f"one alert opened {', '.join(names)}"]


def _approval(scene: Scene) -> list[str]:
    """A step waits for an approval and gets a dozen."""
    incident_id = scene.detection.open(SUPERVISED)
    state = _wait_for(scene, incident_id, lambda s: _awaited(s) is not None)
    step = _awaited(state)
    assert step
    data = {"step_id": step[0], "hash": step[1], "because": "it is stuck"}
    return _deliver(scene, incident_id, "approve", data, Kind.APPROVAL_GRANTED)


def _directive(scene: Scene) -> list[str]:
    """Holdfast only shows its step; a person directs it, a dozen times."""
    incident_id = scene.detection.open("a0")
    _wait_for(scene, incident_id, lambda s: bool(s.held) or bool(s.escalated))
    data = {
        "action": "restart_service", "target": "a0", "because": "it is stuck", "timeout_s": 1.0,
        "expect": ['errors{service="a0"} <= baseline * 1.2 + 0.02 for 60ms in each region'],
    }  # fmt: skip
    _take_command(scene, incident_id)
    wrong = _deliver(scene, incident_id, "direct", data, Kind.DIRECTIVE_RECEIVED)
    # Under a charter the commander says when it is over.
    _ask(scene, incident_id, "dismiss", {"because": "it is over"})
    _wait_for(scene, incident_id, lambda s: s.ended or bool(s.held))
    return wrong


def _take_command(scene: Scene, incident_id: str) -> None:
    """In mode guided a directive needs a charter."""
    assert scene.person.actor
    now = scene.clock.now()
    data = {
        "commander": scene.person.actor.id, "objective": "errors of a0 are normal",
        "allowed": [{"action": "restart_service", "targets": ["a0"]}], "because": "I take it",
        "expires_at": format_at(now + timedelta(hours=1)),
    }  # fmt: skip
    _ask(scene, incident_id, "charter", data)
    _wait_for(scene, incident_id, lambda s: s.charter is not None)


def _ask(scene: Scene, incident_id: str, kind: str, data: Mapping[str, object]) -> None:
    assert scene.person.actor
    request = Request(
        id=f"{kind}/{incident_id}", n=0, incident_id=incident_id, kind=kind,
        actor=scene.person.actor, data=data, at=scene.clock.now(),
    )  # fmt: skip
    scene.ledger.submit(request)


def _serve(scene: Scene) -> Engine:
    """Give the one that opens incidents, in this process."""
    return make_engine(replace(scene.spec, worker="serve"), scene.ledger, scene.clock)


def _deliver(
    scene: Scene, incident_id: str, kind: str, data: Mapping[str, object], leads_to: Kind
) -> list[str]:
    """Submit it from many threads: half of them under one id, the others each under its own."""
    assert scene.person.actor
    requests = [
        Request(
            id=f"{kind}/{incident_id}/{max(0, n - _THREADS // 2)}", n=0, incident_id=incident_id,
            kind=kind, actor=scene.person.actor, data=data, at=scene.clock.now(),
        )
        for n in range(_THREADS)
    ]  # fmt: skip
    _at_once([partial(scene.ledger.submit, request) for request in requests])
    names = {request.id for request in requests}
    _until(lambda: all(scene.ledger.answer_of(name) for name in names))
    _wait_for(scene, incident_id, _over)
    granted = [r for r in scene.ledger.records(incident_id) if r.kind == leads_to]
    answers = [scene.ledger.answer_of(name) for name in names]
    yes = sum(answer is not None and answer.ok for answer in answers)
    wrong = []
    if len(granted) != 1:
        wrong.append(f"a dozen of {kind} led to {len(granted)} records {leads_to.value}")
    if yes != 1:
        wrong.append(f"a dozen of {kind} were granted {yes} times")
    return wrong


def _over(state: State) -> bool:
    last = state.last_step
    verified = last is not None and last.status is StepStatus.VERIFIED
    return state.ended or bool(state.held) or verified


def _awaited(state: State) -> tuple[str, str] | None:
    step = state.last_step
    waits = step is not None and step.status is StepStatus.AWAITING_APPROVAL
    return (step.step_id, step.hash) if step and waits else None


def _at_once(work: Sequence[Callable[[], object]]) -> None:
    """Run all of it from threads of their own that wait for each other at the start."""
    gate, failed = threading.Barrier(len(work)), list[BaseException]()

    def deliver(act: Callable[[], object]) -> None:
        gate.wait(10)
        try:
            act()
        except Exception as error:  # noqa: BLE001 - carried over to the thread that asked
            failed.append(error)

    threads = [threading.Thread(target=deliver, args=(act,)) for act in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _until(done: Callable[[], bool]) -> None:
    give_up, pause = time.monotonic() + _WAIT_S, threading.Event()
    while not done():
        if time.monotonic() > give_up:
            raise TimeoutError("it did not come to an end")
        pause.wait(0.01)


def _wait_for(scene: Scene, incident_id: str, so: Callable[[State], bool]) -> State:
    states: list[State] = []

    def look() -> bool:
        states.append(fold(scene.ledger.records(incident_id), incident_id))
        return so(states[-1])

    try:
        _until(look)
    except TimeoutError:
        told = "\n  ".join(last_records(scene.ledger, incident_id))
        raise TimeoutError(f"it did not come to an end:\n  {told}") from None
    return states[-1]


FAULT = Fault(
    name="flood",
    how="the same alert, approval or directive delivered a dozen times at once",
    stores=("sqlite", "postgres"),
    default=25,
    full=500,
    run=run,
)
