"""One action by several control planes: which of them acts, and what is never guessed."""

from collections.abc import Mapping
from typing import Any

import pytest

from holdfast.actions.by_section import BySection
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import catalogue, request


class Way:
    """An action that only says that it was asked."""

    name = "turn"

    def __init__(self, says: str, repeatability: Repeatability, impact: str = "low") -> None:
        self._says = says
        self.repeatability = repeatability
        self.least_impact = impact

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if target in {"bare", "nobody"}:
            raise BadInputError(f"add control.{self._says} to {target}", field="target")
        return {"reachable": True, "by": self._says, **params}

    def perform(self, request: ActionRequest) -> ActionOutcome:
        return ActionOutcome(
            ok=True, effect=Effect.PRESENT, summary=f"{self._says} {request.target}"
        )

    def probe(self, request: ActionRequest) -> ProbeResult:
        return ProbeResult(effect=Effect.PRESENT, evidence=f"{self._says} {request.target}")

    def undo(self, request: ActionRequest) -> ActionOutcome:
        return ActionOutcome(
            ok=True, effect=Effect.PRESENT, summary=f"{self._says} {request.target}"
        )


ALL = catalogue(
    Service(name="old", control={"one": {"socket": "/s"}}),
    Service(name="new", control={"two": {"deep": {"url": "x"}}}),
    Service(name="both", control={"one": {"socket": "/s"}, "two": {"deep": {"url": "x"}}}),
    Service(name="other", control={"two": {"shallow": "x"}}),
    Service(name="bare"),
)


def turn(known: Catalogue = ALL) -> BySection:
    return BySection(
        known,
        {
            "one": Way("one", Repeatability.PROBEABLE),
            "two.deep": Way("two", Repeatability.IDEMPOTENT, "high"),
        },
    )


@pytest.mark.parametrize(("target", "by"), [("old", "one"), ("old@east", "one"), ("new", "two")])
def test_the_section_of_the_service_chooses_who_acts(target: str, by: str) -> None:
    seen = turn().observe(target, {"x": 1})
    asked = request("turn", target, pre_image=seen)

    assert (seen["by"], seen["x"]) == (by, 1)
    assert turn().perform(asked).summary == f"{by} {target}"
    assert turn().probe(asked).evidence == f"{by} {target}"
    assert turn().undo(asked).summary == f"{by} {target}"


def test_the_pre_image_says_what_its_target_can_give_where_others_give_more() -> None:
    assert turn().observe("old", {})["repeatability"] == "probeable"
    assert turn().observe("new", {})["repeatability"] == "idempotent"
    assert turn().repeatability is Repeatability.IDEMPOTENT
    assert turn(catalogue(ALL.services["old"])).repeatability is Repeatability.PROBEABLE
    assert turn(catalogue()).repeatability is Repeatability.PROBEABLE
    assert turn().least_impact == "high"


def test_two_sections_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(BadInputError, match=r"control\.one and control\.two\.deep.*keep one"):
        turn().observe("both", {})
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        turn().perform(request("turn", "both"))


def test_a_service_without_a_section_is_told_every_one_that_would_do() -> None:
    with pytest.raises(
        BadInputError, match=r"add control\.one to bare; control\.two\.deep would do as well"
    ):
        turn().observe("bare", {})
    with pytest.raises(BadInputError) as unknown:
        turn().observe("nobody", {})
    assert "would do" not in unknown.value.message
    assert turn().observe("other", {})["by"] == "one", "the key is not in its section"


def test_what_was_seen_through_one_section_is_never_acted_on_through_another() -> None:
    seen = turn().observe("old", {})
    moved = turn(catalogue(Service(name="old", control={"two": {"deep": {"url": "x"}}})))
    asked = request("turn", "old", pre_image=seen)

    with pytest.raises(TargetUnreachableError, match=r"seen through control\.one"):
        moved.perform(asked)
    assert moved.probe(asked).effect is Effect.UNKNOWN
    assert moved.undo(asked).error_category == "changed_since"
