import pytest
import valkey

from holdfast.checks import CheckRunner, RedisHealth
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Health
from tests.io_parts import context
from tests.real_parts import Valkey, started_valkey


def test_a_cache_with_room_is_healthy(valkey_server: Valkey) -> None:
    result = RedisHealth(valkey_server.url).run(context())

    assert result.status is Health.HEALTHY
    assert result.data["maxmemory"] == 20 * 1024 * 1024
    assert 0 < result.data["headroom_ratio"] < 1
    assert result.data["loading"] is False


def test_too_little_headroom_is_degraded_with_the_threshold(valkey_server: Valkey) -> None:
    result = RedisHealth(valkey_server.url, headroom_min=0.999).run(context())

    assert result.status is Health.DEGRADED
    assert "headroom (threshold 100%)" in result.summary


def test_evictions_count_only_when_they_grow_between_two_looks() -> None:
    with started_valkey("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru") as server:
        check = RedisHealth(server.url, headroom_min=0.0)
        calm = check.run(context())
        with valkey.Valkey.from_url(server.url) as client:
            for n in range(400):
                client.set(f"k{n}", b"x" * 10_000)
        grown = check.run(context())
        quiet = check.run(context())

    assert calm.data["evicted_since_last"] == 0
    assert grown.status is Health.DEGRADED
    assert grown.data["evicted_since_last"] > 0
    assert quiet.data["evicted_since_last"] == 0


def test_a_cache_without_a_limit_says_so() -> None:
    with started_valkey() as server:
        result = RedisHealth(server.url).run(context())

    assert result.status is Health.HEALTHY
    assert result.data["headroom_ratio"] is None
    assert "no memory limit" in result.summary


def test_a_cache_that_is_gone_is_down_with_the_reason() -> None:
    result = CheckRunner([RedisHealth("unix:///tmp/hf-no-such.sock")]).run(context())

    assert result["redis_health"].status is Health.DOWN
    assert "ConnectionError" in result["redis_health"].summary


def test_an_address_that_is_none_is_an_error_without_its_password() -> None:
    with pytest.raises(
        BadInputError, match=r"checks\.cache\.url begins with \'tcp\' .*write it as"
    ) as caught:
        RedisHealth("tcp://:hunter2@cache:6379").run(context())

    assert "hunter2" not in caught.value.message
