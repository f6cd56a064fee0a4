"""Promoting a real standby of a real primary, counted by the standby's own log."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from holdfast.actions.command import RunCommand
from holdfast.actions.failover_db import FailoverDb
from holdfast.kernel.catalogue import Service
from holdfast.kernel.errors import BadInputError
from holdfast.policy.limits import ALWAYS_APPROVED
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)
from tests.actions.cutting import cut_after_request
from tests.actions.standby_parts import (
    NOWHERE,
    described,
    in_recovery,
    make_tokens,
    promotions,
    rows,
    socket_of,
    started_standby,
    wait_for,
)
from tests.io_parts import catalogue, request
from tests.real_parts import Postgres, short_directory, started_postgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with started_postgres() as primary:
        make_tokens(primary)
        yield primary


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Postgres]:
    primary.execute("truncate holdfast_token")
    with started_standby(primary) as standby:
        yield standby


@pytest.fixture
def read_only(primary: Postgres) -> Iterator[None]:
    """Have the primary take no writes, as before a planned failover."""
    set_read_only(primary, "on")
    yield
    set_read_only(primary, "off")


def set_read_only(primary: Postgres, value: str) -> None:
    # Not ALTER DATABASE: that would reach the standby and outlive the failover.
    primary.execute(
        f"alter system set default_transaction_read_only = {value}", "select pg_reload_conf()"
    )
    wait_for(
        primary, f"select 1 where current_setting('default_transaction_read_only') = '{value}'"
    )


def attempt(
    action: FailoverDb, key: str = "INC-1/s/1", fence: int = 1, **params: object
) -> ActionRequest:
    seen = action.observe("orders", params)
    return request("failover_db", "orders", pre_image=seen, key=key, fence=fence, params=params)


def beside_a_dead_primary(standby: Postgres) -> FailoverDb:
    return FailoverDb(described(NOWHERE, standby.dsn))


@pytest.mark.promise("L8")
def test_a_standby_takes_over_from_a_primary_that_died_and_keeps_what_was_committed() -> None:
    with started_postgres(durable=True) as primary:
        make_tokens(primary)
        with started_standby(primary) as standby:
            primary.execute("create table kept as select 42 as answer")
            wait_for(standby, "select 1 where to_regclass('kept') is not null")
            primary.crash()
            action = FailoverDb(described(primary.dsn, standby.dsn))
            asked = attempt(action, fence=3)

            first, second = action.perform(asked), action.perform(asked)

            assert asked.pre_image["primary"] == "down"
            assert "nothing keeps the old primary" in asked.pre_image["old_primary"]
            assert (first.ok, first.effect) == (True, Effect.PRESENT)
            assert (second.ok, second.effect) == (True, Effect.PRESENT)
            assert "not repeated" in second.summary
            assert promotions(standby) == 1
            assert rows(standby, "select answer from kept") == [(42,)]
            assert rows(standby, "select key, fence from holdfast_token") == [("INC-1/s/1", 3)]
            assert action.probe(asked).effect is Effect.PRESENT
            assert "already" in action.observe("orders", {})["why"]


def test_it_always_waits_for_a_person() -> None:
    assert FailoverDb.least_impact == "high"
    assert FailoverDb.name in ALWAYS_APPROVED
    assert FailoverDb.repeatability is Repeatability.IDEMPOTENT


def test_beside_a_primary_that_answers_nothing_is_promoted(
    primary: Postgres, standby: Postgres
) -> None:
    action = FailoverDb(described(primary.dsn, standby.dsn))

    seen = action.observe("orders", {})
    late = request("failover_db", "orders", pre_image=seen)
    outcome = action.perform(late)

    assert seen["reachable"] is False
    assert "two would" in seen["why"]
    assert (outcome.ok, outcome.effect, outcome.error_category) == (False, Effect.ABSENT, "primary")
    assert promotions(standby) == 0


def test_a_planned_failover_waits_until_its_token_has_reached_the_standby(
    primary: Postgres, standby: Postgres, read_only: None
) -> None:
    action = FailoverDb(described(primary.dsn, standby.dsn))
    asked = attempt(action, fence=2, primary="read_only")

    outcome = action.perform(asked)

    assert outcome.ok
    assert promotions(standby) == 1
    assert not in_recovery(standby)
    assert rows(primary, "select key, promoted_at from holdfast_token") == [("INC-1/s/1", None)]
    promoted = "select key from holdfast_token where promoted_at is not null"
    assert rows(standby, promoted) == [("INC-1/s/1",)]
    assert action.probe(asked).effect is Effect.PRESENT


FENCE = "#!/bin/sh\necho ran >> {log}\nexit $(cat {code})\n"


def test_nothing_is_promoted_before_the_old_primary_is_fenced(
    primary: Postgres, standby: Postgres, tmp_path: Path
) -> None:
    program, log, code = (tmp_path / name for name in ("cut-power", "log", "code"))
    program.write_text(FENCE.format(log=log, code=code))
    program.chmod(0o755)
    code.write_text("1")
    failover = {**described(NOWHERE, standby.dsn).services["orders"].control["failover"]}
    orders = catalogue(Service(name="orders", control={"failover": failover | {"fence": "cut"}}))
    fencing = RunCommand(orders, {"cut": {"argv": [str(program)], "timeout_s": 5.0}})
    action = FailoverDb(orders, fencing=fencing)
    asked = attempt(action)

    first, between = action.perform(asked), promotions(standby)
    code.write_text("0")
    newer = "insert into holdfast_token values ('orders', 'INC-1', 9, 'INC-1/s/9')"
    primary.execute(newer)
    wait_for(standby, "select 1 from holdfast_token where fence = 9")
    late, ran = action.perform(asked), log.read_text()
    primary.execute("delete from holdfast_token")
    wait_for(standby, "select 1 where not exists (select from holdfast_token)")
    second = action.perform(asked)

    assert (first.effect, first.error_category) == (Effect.ABSENT, "not_fenced")
    assert "ended with 1" in first.summary
    assert between == 0
    assert (late.error_category, ran) == ("stale_token", "ran\n"), "one that is late bars nothing"
    assert second.ok
    assert "fenced by the command cut" in second.summary
    assert log.read_text() == "ran\n" * 2
    assert promotions(standby) == 1
    assert "command cut" in asked.pre_image["old_primary"]


def test_a_fence_that_stands_without_a_promotion_is_told(
    primary: Postgres, standby: Postgres
) -> None:
    class NewerMeanwhile:
        """A fence during which another worker takes over."""

        def look_named(self, name: str, request: ActionRequest) -> ProbeResult:
            planes = [{"plane": f"command {name} {request.target}", "reached": True}]
            return ProbeResult(effect=Effect.PRESENT, evidence="cut", data={"planes": planes})

        def run_named(self, name: str, request: ActionRequest, timeout_s: float) -> ActionOutcome:
            assert (name, request.target, timeout_s > 0) == ("cut", "orders", True)
            primary.execute("insert into holdfast_token values ('orders', 'INC-1', 9, 'INC-1/s/9')")
            wait_for(standby, "select 1 from holdfast_token where fence = 9")
            return ActionOutcome(ok=True, effect=Effect.PRESENT, summary="cut")

    failover = {**described(NOWHERE, standby.dsn).services["orders"].control["failover"]}
    orders = catalogue(Service(name="orders", control={"failover": failover | {"fence": "cut"}}))
    action = FailoverDb(orders, fencing=NewerMeanwhile())

    asked = attempt(action)
    outcome = action.perform(asked)
    half = {each["plane"]: each["reached"] for each in action.probe(asked).data["planes"]}

    assert (outcome.effect, outcome.error_category) == (Effect.ABSENT, "stale_token")
    assert "the command cut has run" in outcome.summary
    assert half == {"postgresql orders standby": False, "command cut orders": True}
    assert [each["plane"] for each in asked.pre_image["planes"]] == list(half)
    assert promotions(standby) == 0


def test_a_standby_that_does_not_catch_up_is_not_promoted(
    primary: Postgres, standby: Postgres, read_only: None
) -> None:
    standby.execute("select pg_wal_replay_pause()")
    action = FailoverDb(described(primary.dsn, standby.dsn))
    asked = replace(attempt(action, primary="read_only"), timeout_s=1.5)

    outcome = action.perform(asked)

    assert outcome.error_category == "standby_behind"
    assert outcome.effect is Effect.ABSENT
    assert promotions(standby) == 0
    assert action.probe(asked).effect is Effect.ABSENT


@pytest.mark.promise("L8")
def test_an_older_fence_is_refused_on_both_after_a_newer_token_came_there(
    primary: Postgres, standby: Postgres, read_only: None
) -> None:
    action = beside_a_dead_primary(standby)
    late = attempt(action, fence=3)
    newer = "insert into holdfast_token values ('orders', 'INC-1', 4, 'INC-1/s/9')"
    primary.execute("set default_transaction_read_only = off", newer)
    wait_for(standby, "select 1 from holdfast_token where fence = 4")

    on_standby = action.perform(late)
    planned = FailoverDb(described(primary.dsn, standby.dsn))
    on_primary = planned.perform(replace(late, params={"primary": "read_only"}))

    assert on_standby.error_category == on_primary.error_category == "stale_token"
    assert on_standby.effect is on_primary.effect is Effect.ABSENT
    assert promotions(standby) == 0


def test_a_key_that_promoted_once_never_promotes_again_after_a_fail_back(
    primary: Postgres, standby: Postgres
) -> None:
    action = beside_a_dead_primary(standby)
    late = attempt(action)
    primary.execute(
        "insert into holdfast_token values ('orders', 'INC-1', 1, 'INC-1/s/1', now(), now())"
    )
    wait_for(standby, "select 1 from holdfast_token where promoted_at is not null")

    assert "not repeated" in action.perform(late).summary
    assert promotions(standby) == 0


def test_a_standby_that_was_restarted_since_it_was_looked_at_is_left_alone(
    standby: Postgres,
) -> None:
    action = beside_a_dead_primary(standby)
    late = attempt(action)
    standby.crash()
    standby.start()

    outcome = action.perform(late)

    assert outcome.error_category == "changed_meanwhile"
    assert in_recovery(standby)


def test_a_standby_that_somebody_promoted_meanwhile_is_told_and_not_touched(
    standby: Postgres,
) -> None:
    action = beside_a_dead_primary(standby)
    late = attempt(action)
    standby.execute("select pg_promote()")

    outcome = action.perform(late)

    assert outcome.error_category == "changed_meanwhile"
    assert "by whom" in action.probe(late).evidence
    assert promotions(standby) == 1


@pytest.mark.promise("L8")
def test_a_lost_reply_is_in_doubt_and_the_repeat_promotes_no_second_time(
    standby: Postgres,
) -> None:
    directory = short_directory("cut")
    try:
        door = directory / ".s.PGSQL.5432"
        with cut_after_request(socket_of(standby), door, b"when pg_promote(true"):
            cut = FailoverDb(described(NOWHERE, f"host={directory} user=postgres dbname=postgres"))
            asked = attempt(cut)
            with pytest.raises(LostReplyError, match="no usable answer"):
                cut.perform(asked)
    finally:
        shutil.rmtree(directory)
    # The server sees a moment later that its client has gone, and only then lets go of the lock.
    wait_for(
        standby, "select 1 where not exists (select from pg_locks where locktype = 'advisory')"
    )

    action = beside_a_dead_primary(standby)
    probed = action.probe(asked)
    again = action.perform(asked)

    assert probed.effect is Effect.PRESENT
    assert not again.ok
    assert promotions(standby) == 1


def test_many_workers_at_once_promote_once(standby: Postgres) -> None:
    action = beside_a_dead_primary(standby)
    asked = attempt(action)
    answers: list[str] = []

    def work() -> None:
        try:
            answers.append("ok" if action.perform(asked).ok else "refused")
        except LostReplyError:
            answers.append("in doubt")

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert "ok" in answers
    assert "refused" not in answers
    assert promotions(standby) == 1


def test_without_the_token_table_nothing_is_done() -> None:
    with started_postgres() as bare, started_standby(bare) as standby:
        seen = beside_a_dead_primary(standby).observe("orders", {})

    assert seen["reachable"] is False
    assert "holdfast_token" in seen["why"]


def test_a_role_that_may_not_promote_is_told_before_anything_is_done(
    primary: Postgres, standby: Postgres
) -> None:
    primary.execute("drop role if exists watcher", "create role watcher login")
    wait_for(standby, "select 1 from pg_roles where rolname = 'watcher'")
    weak = psycopg.conninfo.make_conninfo(standby.dsn, user="watcher")

    seen = FailoverDb(described(NOWHERE, weak)).observe("orders", {})

    assert seen["reachable"] is False
    assert "pg_promote" in seen["why"]


def test_a_standby_that_is_not_there_is_no_effect_and_its_password_is_not_shown() -> None:
    dsn = "host=127.0.0.1 port=1 user=postgres password=hunter2 dbname=postgres"
    action = FailoverDb(described(NOWHERE, dsn))
    asked = request("failover_db", "orders", pre_image={"started_at": "then"})

    assert "hunter2" not in str(action.observe("orders", {}))
    with pytest.raises(TargetUnreachableError, match="nothing was sent") as unreachable:
        action.perform(asked)
    assert "hunter2" not in unreachable.value.message
    assert action.probe(asked).effect is Effect.UNKNOWN
    assert "rebuild it" in action.undo(asked).summary


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {}, "target"),
        ("shop", {}, "target"),
        ("orders", {"primary": "gone"}, "params.primary"),
        ("orders", {"force": True}, "params.force"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    target: str, params: dict[str, object], field: str
) -> None:
    action = FailoverDb(described(NOWHERE, NOWHERE))

    with pytest.raises(BadInputError) as refused:
        action.observe(target, params)
    with pytest.raises(TargetUnreachableError):
        action.perform(request("failover_db", target, params=params))

    assert refused.value.field == field
