import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import valkey

from holdfast.checks import CheckRunner
from holdfast.checks.queue_health import QueueHealth, QueueLimits, expanded
from holdfast.kernel.catalogue import Service
from holdfast.kernel.clock import format_at
from holdfast.response.ports import CheckResult, Health
from tests.io_parts import NOW, catalogue, context
from tests.real_parts import Valkey


@pytest.fixture
def client(valkey_server: Valkey) -> Iterator[valkey.Valkey]:
    with valkey.Valkey.from_url(valkey_server.url) as client:
        client.flushall()
        yield client
        client.flushall()


def sent(ago_s: float) -> str:
    return json.dumps({"at": NOW.timestamp() - ago_s, "order": 1})


def looked(
    server: Valkey, *, limits: QueueLimits | None = None, oldest: str = "right", name: str = "jobs"
) -> CheckResult:
    return QueueHealth(server.url, {name: None}, limits=limits, oldest=oldest).run(context())


def test_a_short_young_queue_is_healthy_with_depth_and_age(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    client.lpush("jobs", sent(5), sent(1))

    result = looked(valkey_server)

    assert result.status is Health.HEALTHY
    assert result.data["lists"]["jobs"] == {"depth": 2, "age_s": 5.0, "region": None}
    assert (result.data["depth"], result.data["age_s"]) == (2, 5.0)


def test_an_old_message_is_degraded_and_a_very_old_one_is_down(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    client.lpush("jobs", sent(50))

    degraded = looked(valkey_server)
    down = looked(valkey_server, limits=QueueLimits(age_down_s=40))

    assert degraded.status is Health.DEGRADED
    assert degraded.summary == "jobs: the oldest waits for 50 s (threshold 30 s)"
    assert down.status is Health.DOWN
    assert down.summary == "jobs: the oldest waits for 50 s (threshold 40 s)"


def test_the_oldest_is_taken_from_the_end_that_consumers_take_from(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    client.rpush("jobs", sent(9), sent(1))

    assert looked(valkey_server, oldest="left").data["lists"]["jobs"]["age_s"] == 9.0
    assert looked(valkey_server, oldest="right").data["lists"]["jobs"]["age_s"] == 1.0


@pytest.mark.parametrize(
    ("message", "age_s"),
    [
        (json.dumps({"at": format_at(NOW - timedelta(seconds=7))}), 7.0),
        (json.dumps({"at": NOW.timestamp() + 60}), 0.0),
        (json.dumps({"at": "yesterday"}), None),
        (json.dumps({"at": True}), None),
        (json.dumps([1]), None),
        (b"\xff\x00 no JSON", None),
    ],
)
def test_a_message_that_does_not_say_when_it_was_sent_has_no_age(
    message: str | bytes, age_s: float | None, valkey_server: Valkey, client: valkey.Valkey
) -> None:
    client.lpush("jobs", message)

    result = looked(valkey_server)

    assert result.status is Health.HEALTHY
    assert result.data["lists"]["jobs"]["age_s"] == age_s


def test_a_deep_queue_is_degraded_whatever_its_age(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    client.lpush("jobs", *["x"] * 11)

    result = looked(valkey_server, limits=QueueLimits(depth_max=10))

    assert result.status is Health.DEGRADED
    assert result.summary == "jobs: 11 messages (threshold 10)"


def test_what_a_step_has_parked_is_listed(valkey_server: Valkey, client: valkey.Valkey) -> None:
    client.lpush("jobs:holdfast-parked:INC-1/S1/1", "x", "y")

    result = looked(valkey_server)

    assert result.data["parked"] == {"jobs:holdfast-parked:INC-1/S1/1": 2}
    assert "2 messages lie parked" in result.summary


def test_a_key_that_is_no_list_is_unknown_and_named(
    valkey_server: Valkey, client: valkey.Valkey
) -> None:
    client.set("jobs", "x")

    result = looked(valkey_server)

    assert result.status is Health.UNKNOWN
    assert result.summary.startswith("jobs: WRONGTYPE")


def test_a_list_for_each_region_is_written_once() -> None:
    services = catalogue(Service(name="jobs", regions=("north", "south")))

    assert expanded(["q:{region}", "dead"], "jobs", services) == {
        "q:north": "north",
        "q:south": "south",
        "dead": None,
    }


def test_a_server_that_is_gone_is_down() -> None:
    check = QueueHealth("unix:///tmp/hf-no-such.sock", {"jobs": None})

    assert CheckRunner([check]).run(context())["queue_health"].status is Health.DOWN
