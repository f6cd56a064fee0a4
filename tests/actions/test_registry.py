"""Every action of this version, what each declares, and what it is told at its target's address."""

from pathlib import Path

import pytest

from holdfast.actions import action_named, build_actions
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import NotFoundError
from holdfast.response.ports import Repeatability, TargetUnreachableError
from tests.io_parts import request

DECLARED = {
    "clear_cache": (Repeatability.REFUSES_STALE_TOKEN, "low"),
    "command": (Repeatability.NONE, "high"),
    "cordon_node": (Repeatability.IDEMPOTENT, "low"),
    "disable_flag": (Repeatability.IDEMPOTENT, "low"),
    "drain_node": (Repeatability.IDEMPOTENT, "high"),
    "drain_pool": (Repeatability.PROBEABLE, "low"),
    "drain_queue": (Repeatability.IDEMPOTENT, "low"),
    "failover_db": (Repeatability.IDEMPOTENT, "high"),
    "http": (Repeatability.NONE, "high"),
    "restart_service": (Repeatability.PROBEABLE, "low"),
    "rollback_deploy": (Repeatability.IDEMPOTENT, "low"),
    "scale_up": (Repeatability.PROBEABLE, "low"),
    "set_weight": (Repeatability.PROBEABLE, "low"),
    "undrain_pool": (Repeatability.PROBEABLE, "low"),
}
NOTHING = Catalogue(services={})
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "actions.md"


def test_every_action_declares_how_it_can_be_repeated_and_its_least_impact() -> None:
    found = {
        name: (action.repeatability, action.least_impact)
        for name, action in build_actions(NOTHING).items()
    }

    assert found == DECLARED


@pytest.mark.parametrize("name", DECLARED)
def test_bad_input_while_performing_is_said_as_certainly_not_sent(name: str) -> None:
    action = action_named(build_actions(NOTHING), name)

    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        action.perform(request(name, "nobody"))


def test_an_unknown_action_is_told_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="clear_cache, command"):
        action_named(build_actions(NOTHING), "reboot")


@pytest.mark.parametrize("name", DECLARED)
def test_the_reference_tells_what_the_code_declares(name: str) -> None:
    kind, impact = DECLARED[name]
    [row] = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}` |")]

    assert f"`{kind.value}`" in row
    assert row.rsplit("|", 2)[1].strip().startswith(impact)
