import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from holdfast.checks import CheckRunner, run_checks
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import ManualClock
from holdfast.kernel.errors import BadInputError, NotFoundError
from holdfast.response.ports import CheckContext, CheckResult, Health
from tests.io_parts import NOW, context


class Looking:
    """A check that does what it is told."""

    def __init__(self, name: str, look: Callable[[], Any] = dict) -> None:
        self.name = name
        self.times = 0
        self._look = look

    def run(self, context: CheckContext) -> CheckResult:
        self.times += 1
        data = self._look()
        return CheckResult(
            name=self.name, status=Health.HEALTHY, summary="fine", at=context.now, data=data
        )


def test_a_check_that_hangs_is_down_and_does_not_delay_the_others() -> None:
    released = threading.Event()
    checks = [Looking("stuck", released.wait), Looking("quick")]

    results = run_checks(checks, context(), timeout_s=0.3)
    released.set()

    assert results["stuck"].status is Health.DOWN
    assert results["stuck"].summary == "no answer within 0.3 s"
    assert results["quick"].status is Health.HEALTHY
    assert results["quick"].took_s < 0.3


def test_two_incidents_may_run_the_same_check_at_the_same_time() -> None:
    both = threading.Barrier(2)
    check = Looking("shared", lambda: {"place": both.wait(timeout=10)})
    runner = CheckRunner([check])
    other: list[CheckResult] = []
    thread = threading.Thread(target=lambda: other.append(runner.run(context())["shared"]))
    thread.start()

    mine = runner.run(context())["shared"]
    thread.join(timeout=10)

    assert [mine.status, other[0].status] == [Health.HEALTHY, Health.HEALTHY]


def test_all_checks_run_at_the_same_time() -> None:
    everybody = threading.Barrier(7)

    def meet() -> dict[str, int]:
        return {"place": everybody.wait(timeout=10)}

    results = run_checks([Looking(f"c{n}", meet) for n in range(7)], context())

    assert {r.status for r in results.values()} == {Health.HEALTHY}


def test_a_check_that_still_hangs_is_not_started_again_until_it_has_ended() -> None:
    released, ended = threading.Event(), threading.Event()

    def hang() -> dict[str, Any]:
        released.wait(10)
        ended.set()
        return {}

    stuck = Looking("stuck", hang)
    runner = CheckRunner([stuck], timeout_s=0.1)
    before = threading.active_count()

    first = runner.run(context())["stuck"]
    again = [runner.run(context())["stuck"] for _ in range(5)]

    assert stuck.times == 1
    assert threading.active_count() == before + 1
    assert {r.summary for r in again} == {
        f"still hanging since {first.data['hanging_since']}; not started again"
    }
    released.set()
    ended.wait(10)
    while runner.run(context())["stuck"].status is Health.DOWN:
        pass  # its thread is about to end
    assert stuck.times == 2


def test_a_hanging_check_is_given_up_by_the_injected_clock() -> None:
    released = threading.Event()
    runner = CheckRunner([Looking("stuck", released.wait)], timeout_s=10, clock=ManualClock(NOW))

    result = runner.run(context())["stuck"]
    released.set()

    assert result.summary == "no answer within 10 s"
    assert result.at == NOW + timedelta(seconds=10)


def test_a_check_that_raises_is_down_with_the_reason_and_without_its_secrets() -> None:
    def fail() -> None:
        raise ConnectionError("postgresql://reader:hunter2@store/orders refused\nthe connection")

    result = run_checks([Looking("broken", fail)], context())["broken"]

    assert result.status is Health.DOWN
    assert result.summary == (
        "the check failed: ConnectionError:"
        " postgresql://reader:[redacted]@store/orders refused the connection"
    )


def test_what_a_check_found_is_plain_redacted_and_can_be_hashed() -> None:
    found = {"query": "ALTER ROLE x password='hunter2'", "ratio": float("nan"), "at": NOW, "s": {1}}

    result = run_checks([Looking("odd", lambda: found)], context())["odd"]

    assert "hunter2" not in canonical_json(result.as_data()).decode()
    assert result.data["ratio"] is None
    assert result.data["at"] == "2026-11-20T12:00:00.000000Z"


def test_results_come_in_the_order_of_the_line_up_whichever_is_first() -> None:
    second_done = threading.Event()

    def second() -> dict[str, Any]:
        second_done.set()
        return {}

    def first() -> dict[str, bool]:
        return {"waited": second_done.wait(10)}

    assert list(run_checks([Looking("a", first), Looking("b", second)], context())) == ["a", "b"]


def test_only_the_named_checks_run_and_an_unknown_name_lists_the_known_ones() -> None:
    runner = CheckRunner([Looking("a"), Looking("b")])

    assert list(runner.run(context(), ["b"])) == ["b"]
    with pytest.raises(NotFoundError, match=r"no check is called 'c'; known here: a, b"):
        runner.run(context(), ["c"])


def test_a_time_limit_of_nothing_is_refused() -> None:
    with pytest.raises(BadInputError, match="needs more than 0 seconds"):
        CheckRunner([], timeout_s=0)
