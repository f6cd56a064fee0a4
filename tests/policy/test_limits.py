import math

import pytest

from holdfast.kernel import BadInputError
from holdfast.policy import Limits


def test_without_configuration_every_limit_is_there() -> None:
    limits = Limits.from_mapping({})

    assert limits == Limits()
    assert (limits.restarts_per_target, limits.restart_window_s) == (2, 600.0)
    assert (limits.instances_added_max, limits.rollback_age_max_s) == (3, 3600.0)
    assert (limits.pool_share_max, limits.actions_window_s) == (0.5, 3600.0)
    assert (limits.actions_per_incident, limits.actions_per_installation) == (20, 60)


def test_limits_are_read_from_the_configuration() -> None:
    limits = Limits.from_mapping(
        {"restarts_per_target": 1, "rollback_age_max_s": 900, "always_approve": ["clear_cache"]}
    )

    assert (limits.restarts_per_target, limits.rollback_age_max_s) == (1, 900)
    assert limits.always_approve == {"clear_cache", "failover_db"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"restarts_per_target": None}, "limits.restarts_per_target is None; write a whole number"),
        ({"restarts_per_target": -1}, "is -1; write a whole number from 0 to 10"),
        ({"restarts_per_target": 10**9}, "from 0 to 10"),
        ({"restarts_per_target": 1.5}, "a whole number"),
        ({"restarts_per_target": True}, "is True"),
        ({"restart_window_s": math.inf}, "is inf; write a number from 60 to 86400"),
        ({"restart_window_s": math.nan}, "is nan"),
        ({"restart_window_s": "10m"}, "is '10m'"),
        ({"region_share_max": 0}, "from 0.01 to 1"),
        ({"pool_share_max": 0}, "from 0.01 to 1"),
        ({"pool_share_max": 1.01}, "from 0.01 to 1"),
        ({"actions_per_incident": 0}, "a whole number from 1 to 1000"),
        ({"actions_per_installation": 2.5}, "a whole number from 1 to 10000"),
        ({"actions_window_s": 1}, "from 60 to 86400"),
        ({"restart_per_target": 1}, "limits.restart_per_target is unknown; known are"),
        ({"always_approve": "failover_db"}, "write a list of action names"),
        ({"whole_service_actions": [1]}, "write a list of action names"),
        ({"four_eyes": "yes"}, "write true or false"),
    ],
)
def test_a_limit_out_of_range_is_an_error_that_says_what_to_write(
    data: dict[str, object], words: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        Limits.from_mapping(data)

    assert caught.value.message.startswith("holdfast.yaml: limits.")
    assert words in caught.value.message


def test_what_always_needs_approval_cannot_be_taken_off_the_list() -> None:
    assert Limits.from_mapping({"always_approve": []}).always_approve == {"failover_db"}
    with pytest.raises(BadInputError, match="lacks failover_db"):
        Limits(always_approve=frozenset())
