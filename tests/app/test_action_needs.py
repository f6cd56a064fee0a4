"""The table of what actions need says what the actions themselves say."""

from typing import Any

import pytest

from holdfast.actions import build_actions
from holdfast.app.action_needs import CALLS, NEEDS
from holdfast.app.control_models import ActionsModel, ControlModel
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.errors import BadInputError

BARE = Catalogue(services={"shop": Service(name="shop", regions=("east", "west"))})
ACTIONS = build_actions(BARE)
# Some look at the target's section before they look at the parameters.
CONTROL: dict[str, dict[str, Any]] = {
    "scale": {"supervisord": {"socket": "/none.sock", "process": "shop-{n}"}, "extra": 2},
    "release": {"directory": "/none"},
}
ABLE = build_actions(
    Catalogue(services={"shop": Service(name="shop", regions=("east",), control=CONTROL)})
)
# Those that say themselves what they lack; the guard says it of the others.
ASKS_ITSELF = {*CALLS, "set_weight"}
REQUIRED = {"by": 1, "call": "x", "weight": 1}


def says(name: str, target: str, params: dict[str, object], *, able: bool = False) -> str:
    with pytest.raises(BadInputError) as refused:
        (ABLE if able else ACTIONS)[name].observe(target, params)
    return refused.value.message


def test_every_built_in_action_is_in_the_table() -> None:
    assert NEEDS.keys() == ACTIONS.keys()


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_an_action_refuses_the_parameters_that_the_table_does_not_have(name: str) -> None:
    assert "no_such" in says(name, "shop", {"no_such": 1}, able=True)
    for param in NEEDS[name].params:
        assert "has no parameter" not in says(name, "shop", {param: "x"})


@pytest.mark.parametrize("name", sorted(ASKS_ITSELF))
def test_an_action_wants_what_the_table_says_that_it_wants(name: str) -> None:
    (param,) = NEEDS[name].required

    assert f"{param} is None" in says(name, "shop", {})


def test_what_an_action_leaves_to_the_guard_is_wanted_too() -> None:
    others = {name for name, needs in NEEDS.items() if needs.required} - ASKS_ITSELF

    assert others == {"scale_up"}, "the guard refuses scale_up without `by`"


@pytest.mark.parametrize("name", sorted(name for name, needs in NEEDS.items() if needs.sections))
def test_an_action_wants_the_section_of_the_table(name: str) -> None:
    params = {param: REQUIRED[param] for param in NEEDS[name].required}
    target = "shop" if NEEDS[name].whole else "shop@east"

    assert f"control.{NEEDS[name].sections[0]}" in says(name, target, params)
    assert set(NEEDS[name].sections) <= set(ControlModel.model_fields)


@pytest.mark.parametrize("name", sorted(name for name, needs in NEEDS.items() if needs.whole))
def test_an_action_on_a_whole_service_takes_no_instance(name: str) -> None:
    assert "name the service without @region" in says(name, "shop@east", {})


def test_calls_stand_where_the_table_says() -> None:
    assert set(CALLS.values()) <= set(ActionsModel.model_fields)
