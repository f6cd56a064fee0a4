"""The oracle objects: one changed fact at a time around an intent that nothing speaks against.

An oracle that never objects would agree with any guard.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.incident import Draft, Kind, Record, stamp
from holdfast.kernel import SYSTEM, Actor, format_at
from holdfast.policy import Boundary, Limits, Override
from holdfast.response.commands import Intend
from holdfast.response.store import LoggedAction
from tests.response.response_world import BOT
from tests.scene import DANA
from tests.unsafe.case import Around
from tests.unsafe.oracle import against_repeating, objections
from tests.unsafe.stage import KIM, PLACE, Stage, without_a_runbook

HOUR = timedelta(hours=1)


@dataclass(slots=True, kw_only=True)
class Intended:
    """An intent, what came before it, and the world at that moment."""

    records: list[Record]
    data: dict[str, Any]
    cause: int | None
    around: Around

    def objections(self) -> list[str]:
        return objections(self.records, self.data, self.cause, self.around)

    def add(self, kind: Kind, data: Mapping[str, Any], actor: Actor = DANA) -> None:
        draft = Draft(kind=kind, data=data, actor=actor)
        number = len(self.records) + 1
        record = stamp(draft, incident_id="INC-1", seq=number, at=self.around.now)
        self.records.append(record)

    def exchange(self, old: Kind, **changes: Any) -> None:  # noqa: ANN401 - fields of a record
        index = max(i for i, record in enumerate(self.records) if record.kind == old)
        data = {**self.records[index].data, **changes.pop("data", {})}
        self.records[index] = replace(self.records[index], data=data, **changes)

    def world(self, **changes: Any) -> None:  # noqa: ANN401 - fields of the world
        self.around = replace(self.around, world=replace(self.around.world, **changes))

    def surround(self, **changes: Any) -> None:  # noqa: ANN401 - fields of what is around
        self.around = replace(self.around, **changes)

    def log(
        self,
        action: str,
        age_s: float,
        *,
        times: int = 1,
        settled: bool = True,
        own: bool = False,
    ) -> None:
        entry = LoggedAction(
            key=f"k-{len(self.around.log)}",
            incident_id="INC-1" if own else "INC-9",
            step_id="S8",
            action=action,
            target=PLACE,
            at=self.around.now - timedelta(seconds=age_s),
            settled=settled,
        )
        self.surround(log=(*self.around.log, *(entry for _ in range(times))))


def intended() -> Intended:
    """A restart that dana directs under a charter and ravi approves."""
    named = frozenset({"failover_db", "restart_service"})
    stage: Stage = without_a_runbook("guided", limits=Limits(always_approve=named))
    assert stage.charter(f"restart_service:{PLACE}").ok
    assert stage.direct(action="restart_service", target=PLACE).ok
    stage.approving()()
    (intent,) = [command for command in stage.told if isinstance(command, Intend)]
    before = next(i for i, r in enumerate(stage.records) if r.kind == Kind.STEP_INTENDED)
    return Intended(
        records=stage.records[:before],
        data=dict(intent.draft.data),
        cause=intent.draft.cause,
        around=replace(stage.around(), log=()),
    )


def used_override(case: Intended, **changes: Any) -> None:  # noqa: ANN401 - fields of it
    given = Override(
        override_id="o-1", limit="cooldown", by="kim", why="x", expires_at=case.around.now + HOUR
    )
    case.surround(overrides=(replace(given, **changes),))
    case.data["override_ids"] = ["o-1"]


def again(case: Intended) -> None:
    """The same attempt was intended before."""
    case.records.append(
        replace(case.records[-1], kind="step_intended", data=case.data, cause=case.cause,
                seq=len(case.records) + 1)
    )  # fmt: skip
    case.add(Kind.STEP_FINISHED, {"step_id": "S1", "outcome": "succeeded"})


def in_doubt(case: Intended) -> None:
    again(case)
    case.records.pop()


def two_eyes(case: Intended) -> None:
    case.exchange(Kind.CHARTER_SET, data={"four_eyes": True})
    case.exchange(Kind.APPROVAL_GRANTED, actor=DANA)


PACKET = {"to": "ravi", "because": "x", "digest": "-", "expires_at": "-"}
AGAINST: Mapping[str, Callable[[Intended], object]] = {
    "there is a freeze": lambda c: c.surround(freeze="all"),
    "the incident is held": lambda c: c.add(Kind.HELD, {"why": "x"}),
    "the incident has ended": lambda c: c.add(Kind.DISMISSED, {"why": "x"}),
    "people are at work there": lambda c: c.surround(window="MW-1"),
    "it is handed over": lambda c: c.add(Kind.TAKEOVER_PACKET_ISSUED, PACKET),
    "a step of this incident has no known outcome": in_doubt,
    "INC-9 has a step on": lambda c: c.log("clear_cache", 99, settled=False),
    "observe performs nothing": lambda c: c.world(mode="observe"),
    "guided: there is no charter": lambda c: c.add(Kind.TAKEOVER_ACCEPTED, {}, SYSTEM),
    "neither its proposal nor its approval": lambda c: setattr(c, "cause", 1),
    "a note led to it": lambda c: c.exchange(Kind.DIRECTIVE_RECEIVED, kind="note"),
    "bot directed it": lambda c: c.exchange(Kind.STEP_PROPOSED, actor=BOT),
    "nobody said why": lambda c: c.exchange(Kind.DIRECTIVE_RECEIVED, data={"because": " "}),
    "the charter has expired": lambda c: c.exchange(
        Kind.CHARTER_SET, data={"expires_at": format_at(c.around.now)}
    ),
    "dana is not the commander": lambda c: c.add(Kind.TAKEOVER_ACCEPTED, {}, KIM),
    "the charter does not allow it": lambda c: c.exchange(Kind.CHARTER_SET, data={"allowed": []}),
    "it belongs to ravi": lambda c: c.world(
        boundaries=(Boundary(action="*", target="shop-api", authority="ravi"),)
    ),
    "the readings are old": lambda c: c.surround(newest_sample_at=c.around.now - HOUR),
    "nothing says what recovered": lambda c: c.data.update(criteria=[" "]),
    "it was acted on a moment ago": lambda c: c.log("clear_cache", 1),
    "2 restarts in ten minutes": lambda c: c.log("restart_service", 99, times=2),
    "the incident acts too often": lambda c: c.log("clear_cache", 99, times=20, own=True),
    "the installation acts too often": lambda c: c.log("clear_cache", 99, times=60),
    "too much of the pool": lambda c: c.surround(pool_share=0.51),
    "too many regions at once": lambda c: c.data.update(target="shop-api"),
    "bot approved it": lambda c: c.exchange(Kind.APPROVAL_GRANTED, actor=BOT),
    "another step was approved": lambda c: c.exchange(Kind.APPROVAL_GRANTED, data={"hash": "0"}),
    "the approval is from the future": lambda c: c.surround(now=c.around.now - HOUR),
    "the approval has expired": lambda c: c.surround(now=c.around.now + HOUR),
    "the approval was used before": again,
    "whoever directed it approved it": two_eyes,
    "nobody gave the override": lambda c: c.data.update(override_ids=["o-9"]),
    "the override o-1 has ended": lambda c: used_override(c, expires_at=c.around.now),
    "the override o-1 is for shop-db": lambda c: used_override(c, target="shop-db"),
}


def test_nothing_speaks_against_an_intent_that_may_be() -> None:
    assert intended().objections() == []


@pytest.mark.parametrize("words", AGAINST)
def test_one_fact_that_speaks_against_it_is_named(words: str) -> None:
    case = intended()
    AGAINST[words](case)

    assert any(words in text for text in case.objections()), case.objections()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.surround(freeze="all"), "there is a freeze"),
        (lambda c: c.surround(window="MW-1"), "people are at work"),
        (lambda c: c.world(mode="observe"), "observe"),
        (lambda c: c.add(Kind.HELD, {"why": "x"}), "held"),
        (lambda c: c.add(Kind.TAKEOVER_PACKET_ISSUED, PACKET), "handed over"),
        (lambda c: c.add(Kind.STEP_FINISHED, {"step_id": "S1", "outcome": "failed"}), "is known"),
    ],
)
def test_a_repeat_is_objected_to_as_well(change: Callable[[Intended], object], words: str) -> None:
    case = intended()
    in_doubt(case)
    assert against_repeating(case.records, "S1", case.around) == []
    change(case)

    found = against_repeating(case.records, "S1", case.around)
    assert any(words in text for text in found), found
