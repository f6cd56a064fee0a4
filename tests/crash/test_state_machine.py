"""Whatever happens in whatever order, to whichever worker: the checker finds nothing.

Hypothesis plays time, the target, people, and workers that come, stand still and go on, against the
real fold, decide(), carrier and journal over the memory ledger. The same checker as for the crash
matrix looks at the whole history after each move.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.engine import Carrier
from holdfast.engine.case import Case
from holdfast.incident import fold, projections
from holdfast.kernel import ManualClock, StaleFenceError
from holdfast.kernel.canonical import canonical_json
from holdfast.ledger import MemoryLedger
from holdfast.response.ports import ActionRequest, LostReplyError, Repeatability
from holdfast.response.store import Request
from tests.crash.checker import check, read_history
from tests.crash.parts import (
    LEASE_S,
    ORIGIN,
    SERVICES,
    TargetReadings,
    Watch,
    go_on_alone,
    make_carrier,
    moves,
    opened,
    taken_over,
)
from tests.crash.target import Target, TargetAction
from tests.crash.witness import Noted, sorted_out, witnessed
from tests.scene import DANA

REPLIES = ("answered", "lost before", "lost after", "late")
ASKED = ("ack", "approve", "deny", "direct", "dismiss", "hold", "note", "resume", "settle")
CRITERION = 'errors{service="shop"} <= baseline * 1.2 + 0.02 for 3s in each region'


@dataclass(slots=True)
class Worker:
    """One worker with its incidents, and what it is in the middle of."""

    carrier: Carrier
    name: str
    cases: dict[str, Case] = field(default_factory=dict)
    under_way: dict[str, Iterator[None]] = field(default_factory=dict)

    def move(self, incident_id: str, times: int) -> None:
        """Do the next few things on one incident; stop with it when it has been overtaken."""
        try:
            for _ in range(times):
                moving = self.under_way.get(incident_id)
                if moving is None:
                    moving = moves(self.carrier, self.cases[incident_id])
                    self.under_way[incident_id] = moving
                if next(moving, "over") == "over":
                    del self.under_way[incident_id]
                    return
        except StaleFenceError:
            del self.under_way[incident_id], self.cases[incident_id]


class Workers(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 1 << 30))
    def begin(self, seed: int) -> None:
        # Drawn from a seed: left to itself Hypothesis plays one kind most of the time.
        self.rng = random.Random(seed)
        kind = self.rng.choice(list(Repeatability))
        self.clock = ManualClock(ORIGIN)
        self.ledger = MemoryLedger(self.clock)
        self.notes: list[Noted] = []
        self.ticks = 0
        self.target = Target(kind=kind, clock=self.clock.monotonic, stamp=self.tick)
        self.replies: list[str] = []
        self.reply = ""
        self.late: list[ActionRequest] = []
        self.asked = 0
        self.over: set[str] = set()
        self.workers: list[Worker] = []
        self.another_worker_comes(SERVICES[0])

    def tick(self) -> float:
        self.ticks += 1
        return float(self.ticks)

    # --- the target and the line to it

    def before(self, request: ActionRequest) -> None:
        self.reply = self.replies.pop(0) if self.replies else self.rng.choice(REPLIES)
        if self.reply == "lost before":
            raise LostReplyError("the line went dead")
        if self.reply == "late":
            self.late.append(request)
            raise LostReplyError("no answer came in time")

    def after(self, _: ActionRequest) -> None:
        if self.reply == "lost after":
            raise LostReplyError("the line went dead")

    def action(self) -> TargetAction:
        return TargetAction(
            target=self.target, repeatability=self.target.kind, before=self.before, after=self.after
        )

    @rule(replies=st.lists(st.sampled_from(REPLIES), min_size=1, max_size=3))
    def the_line_will(self, replies: list[str]) -> None:
        self.replies = replies

    @rule()
    def a_late_request_arrives(self) -> None:
        if self.late:
            self.action().send(self.late.pop(0))

    # --- workers and time

    @rule(service=st.sampled_from(SERVICES))
    def another_worker_comes(self, service: str) -> None:
        """It claims what nobody holds, and opens one incident where there is none."""
        number = len(self.workers) + 1
        seen = witnessed(self.ledger, self.notes.append, self.tick)
        readings = TargetReadings(target=self.target, clock=self.clock)
        carrier = make_carrier(seen, self.action(), readings, Watch(), threads=False)
        worker = Worker(carrier, f"w-{number}")
        for claim in seen.claim_many(worker.name, LEASE_S, 10):
            worker.cases[claim.incident_id] = taken_over(carrier, claim)
        if number <= len(SERVICES):
            case = opened(carrier, service, worker.name)
            worker.cases[case.claim.incident_id] = case
        self.workers.append(worker)

    @rule(data=st.data(), times=st.sampled_from([1, 3, 10, 40]))
    def a_worker_moves(self, data: st.DataObject, times: int) -> None:
        """Any of them: one that was overtaken does not know it yet."""
        able = [worker for worker in self.workers if worker.cases]
        if able:
            worker = data.draw(st.sampled_from(able), label="worker")
            worker.move(data.draw(st.sampled_from(sorted(worker.cases)), label="incident"), times)

    @rule(seconds=st.sampled_from([0.5, 2, 5, 30, 2 * LEASE_S]))
    def time_passes(self, seconds: float) -> None:
        self.clock.jump(timedelta(seconds=seconds))

    # --- people

    @rule(data=st.data(), kind=st.sampled_from(ASKED), yes=st.booleans())
    def a_person_asks(self, data: st.DataObject, kind: str, yes: bool) -> None:  # noqa: FBT001
        name = data.draw(st.sampled_from(list(self.ledger.incident_ids())), label="incident")
        state = fold(self.ledger.records(name), name)
        step = state.last_step
        self.asked += 1
        fields: dict[str, Any] = {
            "step_id": step.step_id if step else "S1",
            "hash": step.hash if step else "0" * 64,
            "because": "I say so",
            "evidence": "I looked",
            "happened": yes,
            "text": f"note {self.asked}",
            "action": "write_mark",
            "target": "shop",
            "expect": [CRITERION] if yes else [],
        }
        request = Request(
            id=f"r-{self.asked}", n=0, incident_id=name, kind=kind, actor=DANA, data=fields,
            at=self.clock.now(),
        )  # fmt: skip
        seen = witnessed(self.ledger, self.notes.append, self.tick)
        seen.submit(request)
        if data.draw(st.booleans(), label="twice"):
            seen.submit(request)

    # --- what must be true

    def broken(self, *, quiet: bool = False) -> list[str]:
        noted = sorted_out(self.notes)
        history = read_history(
            self.ledger,
            acknowledged=noted.acknowledged,
            accepted=noted.accepted,
            claimed=noted.claimed,
            arrivals=self.target.arrivals,
            repeatability={"write_mark": self.target.kind},
            quiet=quiet,
        )
        return [str(violation) for violation in check(history)]

    @invariant()
    def no_invariant_is_broken(self) -> None:
        if hasattr(self, "ledger"):
            assert self.broken() == []

    @invariant()
    def the_records_say_what_the_projections_say_and_what_ended_stays_so(self) -> None:
        for name in self.ledger.incident_ids() if hasattr(self, "ledger") else ():
            _, mark = self.ledger.chain(name)
            state = fold(self.ledger.records(name), name)
            assert mark is not None
            for key, value in projections(state, mark.head).items():
                assert json.loads(self.ledger.kv(key) or b"") == json.loads(canonical_json(value))
            assert not (name in self.over and not state.ended), "it ended and goes on"
            self.over |= {name} if state.ended else set()

    def teardown(self) -> None:
        """Once the faults stop, one worker brings everything to rest."""
        if not hasattr(self, "ledger"):
            return
        self.replies = ["answered"] * 100
        while self.late:
            self.a_late_request_arrives()
        self.clock.jump(timedelta(seconds=2 * LEASE_S))
        seen = witnessed(self.ledger, self.notes.append, self.tick)
        go_on_alone(seen, self.target, self.clock, random.Random(0), "w-last")
        assert self.broken(quiet=True) == []


Workers.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestWorkers = Workers.TestCase
