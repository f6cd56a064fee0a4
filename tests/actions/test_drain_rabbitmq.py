"""Parking messages of a real RabbitMQ, counted by the broker and read back message by message."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pika")
import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exchange_type import ExchangeType

from holdfast.actions.drain_queue import DrainQueue
from holdfast.app.doctor import examine
from holdfast.app.installation import load_installation
from holdfast.checks.queue_health import QueueHealth, QueueLimits
from holdfast.checks.rabbitmq_depths import RabbitmqUnreachableError
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    Effect,
    Health,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import context, request
from tests.rabbitmq_parts import (
    ACK,
    GET,
    PUBLISH,
    JumpingClock,
    RabbitMq,
    attempt,
    bodies,
    described,
    drain,
    fill,
    given_back,
    line_to,
    messages,
    started_rabbitmq,
)
from tests.surface import installed

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMq]:
    with started_rabbitmq() as broker:
        yield broker


@pytest.fixture
def channel(rabbitmq: RabbitMq) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
    channel = connection.channel()
    channel.confirm_delivery()
    yield channel
    connection.close()


@pytest.fixture
def queue(channel: BlockingChannel) -> str:
    """Make a queue with thirty messages, and its parking queue."""
    name = f"jobs{next(NUMBERS)}"
    for each in (name, f"{name}.parked"):
        channel.queue_declare(each, durable=True)
    fill(channel, name, range(30))
    return name


def test_the_oldest_messages_are_parked_as_many_as_were_meant(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    action = drain(rabbitmq, queue)
    asked = attempt(action, max=25)
    fill(channel, queue, range(30, 31))

    outcome = action.perform(asked)
    probed = action.probe(asked)

    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert bodies(channel, f"{queue}.parked") == list(range(25))
    assert bodies(channel, queue) == list(range(25, 31))
    assert asked.pre_image["repeatability"] == Repeatability.PROBEABLE.value
    assert asked.pre_image["planes"] == [
        {"plane": f"rabbitmq {queue}", "now": "30 wait", "intended": "5 wait"},
        {"plane": f"rabbitmq {queue}.parked", "now": "0 parked", "intended": "25 more parked"},
    ]
    assert probed.effect is Effect.PRESENT
    assert [each["reached"] for each in probed.data["planes"]] == [True, True]
    assert probed.data["planes"][1]["now"] == "25 parked, 25 of them by this step"


def test_a_message_keeps_what_it_carries_and_what_would_lose_it_is_set_aside(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    channel.queue_purge(queue)
    channel.queue_declare(f"{queue}.copies")
    channel.exchange_declare(f"{queue}.x", ExchangeType("topic"))
    channel.queue_bind(queue, f"{queue}.x", "order.*")
    sent = pika.BasicProperties(
        content_type="application/json", content_encoding="utf-8", priority=3, type="order",
        message_id="m-1", timestamp=1_700_000_000, correlation_id="c-1", reply_to="r", app_id="a",
        user_id="guest", expiration="60000", delivery_mode=1,
        headers={"tenant": "a", "count": 7, "CC": [f"{queue}.copies"]},
    )  # fmt: skip
    channel.basic_publish(f"{queue}.x", "order.new", b"1", sent)
    action = DrainQueue(described(rabbitmq.url, queue))
    asked = attempt(action)

    action.perform(asked)
    ((parked, body),) = messages(channel, f"{queue}.parked")
    action.undo(asked)
    ((back, _),) = messages(channel, queue)

    kept = ["content_type", "content_encoding", "priority", "type", "message_id", "timestamp"]
    kept += ["correlation_id", "reply_to", "app_id"]
    for properties in (parked, back):
        assert {name: getattr(properties, name) for name in kept} == {
            name: getattr(sent, name) for name in kept
        }
        assert properties.delivery_mode == 2
    assert body == b"1"
    assert (parked.expiration, parked.user_id) == (None, None)
    assert parked.headers == {
        "tenant": "a", "count": 7, "x-holdfast-key": "INC-1/s/1", "x-holdfast-queue": queue,
        "x-holdfast-exchange": f"{queue}.x", "x-holdfast-routing-key": "order.new",
        "x-holdfast-expiration": "60000", "x-holdfast-user_id": "guest",
        "x-holdfast-CC": [f"{queue}.copies"],
    }  # fmt: skip
    assert (back.expiration, back.user_id) == ("60000", "guest")
    assert back.headers == {"tenant": "a", "count": 7, "x-holdfast-CC": [f"{queue}.copies"]}
    assert not messages(channel, f"{queue}.copies")


def test_the_same_key_twice_moves_once(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    action = drain(rabbitmq, queue)
    asked = attempt(action, max=10)

    first, second = action.perform(asked), action.perform(asked)

    assert first.ok
    assert second.ok
    assert "already done, not repeated: 10 of 10" in second.summary
    assert len(bodies(channel, queue)) == 20


def test_undo_brings_back_only_its_own_messages_to_the_end(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    action = drain(rabbitmq, queue)
    mine, other = attempt(action, max=5), attempt(action, "INC-2/s/1", max=5)
    action.perform(mine)
    action.perform(other)
    first, second = action.undo(mine), action.undo(mine)
    assert first.ok
    assert "5 messages moved" in first.summary
    assert second.error_category == "nothing_to_undo"
    assert second.effect is Effect.ABSENT
    assert bodies(channel, queue) == [*range(10, 30), *range(5)]
    assert bodies(channel, f"{queue}.parked") == list(range(5, 10))
    assert action.probe(mine).effect is Effect.ABSENT
    assert action.probe(other).effect is Effect.PRESENT


def test_a_probe_puts_everything_back_before_it_answers(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    fill(channel, queue, range(30, 400))
    action = drain(rabbitmq, queue)
    asked = attempt(action)
    action.perform(asked)

    probed = action.probe(asked)
    action.undo(asked)

    assert probed.data["count"] == 400
    assert bodies(channel, queue) == list(range(400))


def test_a_line_cut_between_confirm_and_acknowledgement_doubles_and_never_loses(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    with line_to(rabbitmq, cut_at=ACK, nth=11) as url:
        cut = DrainQueue(described(url, queue))
        asked = attempt(cut, max=20)
        with pytest.raises(LostReplyError, match="may be in both queues"):
            cut.perform(asked)
    parked = bodies(channel, f"{queue}.parked")
    left = given_back(channel, queue, 30 - len(parked) + 1)
    probed = drain(rabbitmq, queue).probe(asked)

    assert set(parked) | set(left) == set(range(30))
    assert 1 <= len(set(parked) & set(left)) <= 10  # all but the ten acknowledged before the cut
    assert probed.effect is Effect.UNKNOWN
    assert f"{len(parked)} of 20" in probed.evidence
    assert not any(each["reached"] for each in probed.data["planes"])


def test_a_broker_that_takes_a_message_and_never_confirms_leaves_the_step_in_doubt(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    with line_to(rabbitmq, hold_at=PUBLISH, nth=4) as url:
        slow = DrainQueue(described(url, queue))
        asked = replace(attempt(slow, max=20), timeout_s=0.5)
        began = time.monotonic()
        with pytest.raises(LostReplyError, match=r"3 messages moved .*no answer within 0.5 s"):
            slow.perform(asked)
        took_s = time.monotonic() - began

    assert took_s < 3
    # The last acknowledgement may be on the line that stands still.
    assert set(given_back(channel, queue, 27)) >= set(range(3, 30))
    assert bodies(channel, f"{queue}.parked") == [0, 1, 2]


def test_a_step_whose_time_is_over_says_exactly_how_far_it_came(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    clock = JumpingClock()
    with line_to(rabbitmq, word=GET, nth=11, then=lambda: clock.jump(18.5)) as url:
        action = DrainQueue(described(url, queue), clock=clock)
        outcome = action.perform(attempt(action))

    assert (outcome.ok, outcome.effect) == (False, Effect.PRESENT)
    assert outcome.error_category == "time_over"
    assert "11 messages moved" in outcome.summary
    assert bodies(channel, f"{queue}.parked") == list(range(11))
    assert bodies(channel, queue) == list(range(11, 30))


def test_a_full_parking_queue_ends_it_half_way_and_loses_nothing(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    full = {"x-max-length": 10, "x-overflow": "reject-publish"}
    channel.queue_declare(f"{queue}.small", durable=True, arguments=full)
    action = drain(rabbitmq, queue, parking=f"{queue}.small")
    asked = attempt(action)

    outcome = action.perform(asked)
    probed = action.probe(asked)

    assert (outcome.ok, outcome.effect) == (False, Effect.PRESENT)
    assert "10 messages moved" in outcome.summary
    assert "is the queue full?" in outcome.summary
    assert bodies(channel, f"{queue}.small") == list(range(10))
    assert bodies(channel, queue) == list(range(10, 30))
    assert probed.effect is Effect.UNKNOWN


def test_a_parking_queue_that_goes_away_in_the_middle_takes_no_message_with_it(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    parking = f"{queue}.parked"
    with line_to(rabbitmq, word=GET, nth=4, then=lambda: channel.queue_delete(parking)) as url:
        action = DrainQueue(described(url, queue))
        try:
            told = action.perform(attempt(action)).summary
        except LostReplyError as error:  # one that was on its way may have been just before it
            told = error.message

    assert sorted(given_back(channel, queue, 27))[-27:] == list(range(3, 30))
    assert "the queue is not there any more" in told


def test_a_user_who_may_not_publish_is_refused_and_nothing_moves(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    action = DrainQueue(described(rabbitmq.url_of("reader"), queue))

    outcome = action.perform(attempt(action))

    assert (outcome.error_category, outcome.effect) == ("refused", Effect.ABSENT)
    assert "403" in outcome.summary
    assert bodies(channel, queue) == list(range(30))
    assert not bodies(channel, f"{queue}.parked")


def test_what_cannot_be_reached_is_said_without_the_password(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    seen = attempt(drain(rabbitmq, queue))
    wrong = {
        "ACCESS_REFUSED": rabbitmq.url_of("guest", "hunter2"),
        "refused": "amqp://guest:hunter2@127.0.0.1:1/%2f",
    }
    for why, url in wrong.items():
        action = DrainQueue(described(url, queue))
        looked = action.observe("shop", {})
        with pytest.raises(TargetUnreachableError) as unreachable:
            action.perform(seen)
        assert looked["reachable"] is False
        assert why in looked["why"]
        assert "hunter2" not in looked["why"] + unreachable.value.message
        assert action.probe(seen).effect is Effect.UNKNOWN

    channel.queue_declare(f"{queue}.mine", exclusive=True)
    for parking, why in {"nowhere": "no queue 'nowhere'", f"{queue}.mine": "405"}.items():
        absent = drain(rabbitmq, queue, parking=parking).observe("shop", {})
        assert absent["reachable"] is False
        assert why in absent["why"]


def test_a_broker_that_stands_still_is_unreachable_in_time(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    action = drain(rabbitmq, queue)
    asked = replace(attempt(action), timeout_s=0.3)
    children = Path(f"/proc/{rabbitmq.keeper.pid}/task/{rabbitmq.keeper.pid}/children").read_text()
    pid = int(children.split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TargetUnreachableError, match=r"no answer within 0\.3 s"):
            action.perform(asked)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert len(bodies(channel, queue)) == 30


def test_a_certificate_that_nobody_trusts_is_not_spoken_with(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    own = str(rabbitmq.certificate)
    stranger = DrainQueue(described(rabbitmq.tls_url, queue)).observe("shop", {})
    known = DrainQueue(described(rabbitmq.tls_url, queue, ca_file=own))

    assert "certificate verify failed" in stranger["why"]
    assert known.perform(attempt(known)).ok
    looked = QueueHealth(rabbitmq.tls_url, {queue: None}, ca_file=own)
    assert looked.run(context()).data["depth"] == 0


def test_an_empty_queue_is_drained_of_nothing(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    channel.queue_purge(queue)
    action = drain(rabbitmq, queue)
    asked = attempt(action)

    assert action.perform(asked).ok
    assert asked.pre_image["planes"] == []


def test_bad_input_is_refused_before_anything_is_sent(rabbitmq: RabbitMq, queue: str) -> None:
    action = drain(rabbitmq, queue)
    with pytest.raises(BadInputError) as refused:
        action.observe("shop", {"queue": f"{queue}.parked"})

    assert refused.value.field == "params.queue"
    unseen = request("drain_queue", "shop")
    assert action.perform(unseen).error_category == "no_pre_image"
    assert action.undo(unseen).error_category == "changed_since"
    assert action.probe(unseen).effect is Effect.UNKNOWN


def test_queue_health_reads_depths_and_takes_nothing_out(
    rabbitmq: RabbitMq, channel: BlockingChannel, queue: str
) -> None:
    limits = QueueLimits(depth_max=20)

    result = QueueHealth(rabbitmq.url, {queue: None, "gone": "eu"}, limits=limits).run(context())

    assert result.status is Health.DEGRADED
    assert result.data["lists"][queue] == {
        "depth": 30, "age_s": None, "region": None, "consumers": 0,
    }  # fmt: skip
    assert result.data["lists"]["gone"]["region"] == "eu"
    assert "gone: NOT_FOUND" in result.summary
    method, _, _ = channel.basic_get(queue)
    assert method is not None
    assert not method.redelivered
    with pytest.raises(RabbitmqUnreachableError, match="can't be asked"):
        QueueHealth(rabbitmq.url_of("guest", "hunter2"), {queue: None}).run(context())


def test_the_doctor_finds_a_parking_queue_that_is_not_there(
    rabbitmq: RabbitMq, queue: str, tmp_path: Path
) -> None:
    site = installed(tmp_path / "site")
    site.write(
        "services.yaml",
        f"services:\n  - name: shop\n    control:\n      queue: {{url: '{rabbitmq.url}',"
        f" lists: [{queue}], parking: nowhere}}\n",
    )

    report = examine(load_installation(site.directory), timeout_s=3.0)
    told = [each for found in report.findings.values() for each in found]
    about = [f"{each.value} {each.next_step}" for each in told if each.what == "queue of shop"]

    assert any("nowhere: NOT_FOUND" in text for text in about)
    assert "guest:guest" not in str(told)
