"""What the hands make of every way in which an action can fail: only one of them means no effect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast.engine.hands import Hands
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError, HoldfastError
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import request


@dataclass(frozen=True, slots=True, kw_only=True)
class Raises:
    """An action that ends with an error."""

    error: Exception
    name: str = "try_it"
    repeatability: Repeatability = Repeatability.NONE
    least_impact: str = "low"

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"reachable": True, "target": target, "params": params}

    def perform(self, request: ActionRequest) -> ActionOutcome:
        assert request.action == self.name
        raise self.error

    def probe(self, request: ActionRequest) -> ProbeResult:
        return ProbeResult(effect=Effect.UNKNOWN, evidence=f"{request.target} can't be seen")

    def undo(self, request: ActionRequest) -> ActionOutcome:
        assert request.action == self.name
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        BadInputError("the answer makes no sense"),
        HoldfastError("something else"),
        LostReplyError("no reply"),
        OSError("the line went"),
        KeyError("pid"),
    ],
)
def test_an_error_in_the_middle_of_an_act_leaves_the_step_in_doubt(error: Exception) -> None:
    hands = Hands(actions={"try_it": Raises(error=error)}, clock=SystemClock())

    returned = hands.perform(request("try_it", "api"), "s", redone=False)

    assert returned.lost
    assert returned.unreachable is None


@pytest.mark.parametrize("name", ["try_it", "nobody_knows_it"])
def test_only_an_action_that_certainly_sent_nothing_had_no_effect(name: str) -> None:
    action = Raises(error=TargetUnreachableError("nothing was sent"))
    hands = Hands(actions={"try_it": action}, clock=SystemClock())

    returned = hands.perform(request(name, "api"), "s", redone=False)

    assert returned.unreachable
    assert returned.lost is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gives(Raises):
    """An action whose methods give whatever it was told to."""

    given: Any

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        assert (target, params) == ("api", {})
        return self.given  # type: ignore[no-any-return]

    def perform(self, request: ActionRequest) -> ActionOutcome:
        assert request.action == self.name
        return self.given  # type: ignore[no-any-return]

    def probe(self, request: ActionRequest) -> ProbeResult:
        assert request.action == self.name
        return self.given  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "given",
    [
        None,
        True,
        ["present"],
        {"reachable": "yes"},
        {"reachable": True, "when": object()},
        {"reachable": True, "load": float("nan")},
        {"reachable": True, "planes": "proxy"},
        {"reachable": True, "planes": [{"plane": "proxy", "now": "ready"}]},
        ActionOutcome(ok=True, effect="present", summary="done"),  # type: ignore[arg-type]
        ActionOutcome(ok=True, effect=Effect.PRESENT, summary="done", output=b"raw"),  # type: ignore[arg-type]
        ActionOutcome(ok=True, effect=Effect.ABSENT, summary="done, and not there"),
        ProbeResult(effect="present", evidence="there"),  # type: ignore[arg-type]
        ProbeResult(effect=Effect.PRESENT, evidence="there", data={"at": object()}),
        ProbeResult(effect=Effect.PRESENT, evidence="there", data={"planes": [{"plane": 7}]}),
    ],
)
def test_what_is_no_answer_tells_nothing_and_stops_nobody(given: object) -> None:
    hands = Hands(
        actions={"try_it": Gives(given=given, error=OSError("not asked"))}, clock=SystemClock()
    )

    seen, problem = hands.observe("try_it", "api", {})
    returned = hands.perform(request("try_it", "api"), "s", redone=False)
    probed = hands.probe(request("try_it", "api"))

    assert (seen, problem is None) == ({}, False)
    assert returned.lost
    assert returned.outcome is None
    assert probed.effect is Effect.UNKNOWN
