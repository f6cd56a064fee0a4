from dataclasses import replace

import pytest

from holdfast.kernel import BadInputError
from holdfast.policy import Mode, effective_mode
from tests.policy.questions import AUTONOMOUS, GRANT


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({}, Mode.AUTONOMOUS),
        ({"installation": "supervised"}, Mode.SUPERVISED),
        ({"service": "guided"}, Mode.GUIDED),
        ({"runbook": "observe"}, Mode.OBSERVE),
        ({"incident": "guided"}, Mode.GUIDED),
        ({"installation": "observe", "incident": "autonomous"}, Mode.OBSERVE),
        ({"installation": "guided", "runbook": "autonomous"}, Mode.GUIDED),
        ({"grant": None}, Mode.SUPERVISED),
        ({"grant": replace(GRANT, runbook="other")}, Mode.SUPERVISED),
        ({"grant": replace(GRANT, service="other")}, Mode.SUPERVISED),
        ({"runbook_name": None}, Mode.SUPERVISED),
        ({"grant": None, "installation": "observe"}, Mode.OBSERVE),
    ],
)
def test_the_effective_mode_is_the_lowest_that_everyone_allows(
    changes: dict[str, object], mode: Mode
) -> None:
    assert effective_mode(replace(AUTONOMOUS, **changes)).mode is mode  # type: ignore[arg-type] # any field


def test_the_reasons_say_who_lowered_the_mode() -> None:
    found = effective_mode(replace(AUTONOMOUS, service="guided"))

    assert [reason.text for reason in found.reasons if not reason.ok] == [
        "service shop allows guided"
    ]
    assert found.reasons[-1].text == (
        "dana granted autonomy to runbook restart on shop: 12 good runs"
    )


def test_a_grant_for_something_else_is_named() -> None:
    found = effective_mode(replace(AUTONOMOUS, grant=replace(GRANT, service="other")))
    assert "granted to runbook restart on other, not to runbook restart on shop" in (
        found.reasons[-1].text
    )


def test_a_mode_that_nobody_knows_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(BadInputError, match="the mode 'fast' is unknown; choose observe, guided"):
        effective_mode(replace(AUTONOMOUS, runbook="fast"))
