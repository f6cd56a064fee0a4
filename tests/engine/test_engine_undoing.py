"""How an undo in doubt is found at its target: by what it remembers, or place by place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from holdfast.engine.hands import Hands
from holdfast.engine.undoing import looked_at, planes_found
from holdfast.incident import State, Step, StepStatus
from holdfast.kernel import SystemClock
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    ProbeResult,
    Repeatability,
)


@dataclass(slots=True, kw_only=True)
class Lamps:
    """Turns lamps on. What changes by itself is counted up at each look."""

    lit: dict[str, str] = field(default_factory=lambda: {"a": "off", "b": "off"})
    undone: bool | None = None
    unseen: bool = False
    looks: int = 0
    name: str = "turn_on"
    least_impact: str = "low"
    repeatability: Repeatability = Repeatability.PROBEABLE

    def observe(self, _target: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        self.looks += 1
        planes = [{"plane": k, "now": v, "intended": "on"} for k, v in self.lit.items()]
        return {"reachable": True, "start": self.looks, "reversible": "off", "planes": planes}

    def perform(self, _request: ActionRequest) -> ActionOutcome:
        raise AssertionError("nothing is performed here")

    def undo(self, _request: ActionRequest) -> ActionOutcome:
        raise AssertionError("nothing is performed here")

    def probe(self, _request: ActionRequest) -> ProbeResult:
        if self.unseen:
            return ProbeResult(effect=Effect.UNKNOWN, evidence="it is dark")
        planes = [
            {"plane": k, "now": v, "intended": "on", "reached": v == "on"}
            for k, v in self.lit.items()
        ]
        data: dict[str, Any] = {"planes": planes}
        if self.undone is not None:
            data["undone"] = self.undone
        return ProbeResult(effect=Effect.PRESENT, evidence="looked", data=data)


def step(step_id: str, **more: Any) -> Step:  # noqa: ANN401 - any field of a step
    fields: dict[str, Any] = {
        "step_id": step_id, "attempt": 1, "action": "turn_on", "target": "shop", "params": {},
        "status": StepStatus.SUCCEEDED, "impact": "low", "hash": "ab", "criteria": (),
        "idempotency_key": f"INC-1/{step_id}/1", "timeout_s": 5.0,
    }  # fmt: skip
    return Step(**fields | more)


def found(lamps: Lamps) -> ProbeResult:
    """Look for the undo of a step that turned both lamps on."""
    first = step("S1", pre_image=Lamps().observe("shop", {}))
    undo = step("S2", undo_of="S1", status=StepStatus.IN_DOUBT)
    state = State(incident_id="INC-1", steps=(first, undo))
    hands = Hands(actions={"turn_on": lamps}, clock=SystemClock())
    planes = planes_found(hands, state, undo, fence=2)
    result = looked_at(hands, state, undo, fence=2)
    assert list(planes) == list(result.data.get("planes", ()))
    return result


@pytest.mark.parametrize(
    ("now", "effect"),
    [
        ({"a": "off", "b": "off"}, Effect.PRESENT),
        ({"a": "on", "b": "on"}, Effect.ABSENT),
        ({"a": "off", "b": "on"}, Effect.UNKNOWN),
    ],
)
def test_an_undo_is_there_when_each_place_is_as_it_was_whatever_else_changed_by_itself(
    now: dict[str, str], effect: Effect
) -> None:
    result = found(Lamps(lit=now, looks=70))

    assert result.effect is effect
    planes = {each["plane"]: each["reached"] for each in result.data["planes"]}
    assert planes == {name: state == "off" for name, state in now.items()}


@pytest.mark.parametrize("undone", [True, False])
def test_a_target_that_remembers_the_undo_is_believed(*, undone: bool) -> None:
    # Put forward again under a new number: nothing there reads as it did before.
    result = found(Lamps(lit={"a": "off, for the second time", "b": "off"}, undone=undone))

    assert result.effect is (Effect.PRESENT if undone else Effect.ABSENT)
    assert {each["reached"] for each in result.data["planes"]} == {undone}


def test_an_undo_at_a_target_that_can_not_be_looked_at_is_not_taken_for_done() -> None:
    assert found(Lamps(unseen=True)).effect is Effect.UNKNOWN
