"""Moves messages of a RabbitMQ queue, the oldest first, to a parking queue; undo brings them back.

At least once: a message is in one of the two queues at any moment, and in both when the line goes
between a confirm and an acknowledgement. RabbitMQ remembers no key and no fence, so each copy
carries the key, which is how a probe and an undo find it; a step in doubt is never repeated.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pika.spec import BasicProperties

from holdfast.actions.places import done, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.rabbitmq_target import Broker, Message, StoppedError
from holdfast.kernel.clock import Clock
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

LOOK_S = 5.0
# Time in which no new message is taken, so that the last ones can be confirmed.
CONFIRM_S, CONFIRM_SHARE = 2.0, 0.2
MARK = "x-holdfast-"
KEY = f"{MARK}key"
# By these the broker would let a parked message expire, send it elsewhere as well or refuse it.
_SET_ASIDE = ("expiration", "user_id")
_COPIES_GO_TO = "CC"
_OF_A_DELIVERY = "x-delivery-count"  # of a quorum queue, not of the message

Change = Callable[[Message], BasicProperties | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking:
    """From which queue to which, on which broker."""

    url: str
    queue: str
    parking: str
    ca_file: str | None = None

    def broker(self, clock: Clock, timeout_s: float) -> Broker:
        return Broker(self.url, clock, timeout_s, self.ca_file)


def observe(place: Parking, clock: Clock, most: int) -> Mapping[str, Any]:
    """Read both queues. Changes nothing."""
    seen: dict[str, Any] = {"queue": place.queue, "parking": place.parking}
    try:
        with place.broker(clock, LOOK_S) as broker:
            source = broker.depth(place.queue)
            parked = broker.depth(place.parking).waiting
    except (TargetUnreachableError, StoppedError) as error:
        no = "no: the queues can't be read"
        return {**seen, "reachable": False, "reversible": no, "why": error.message}
    wanted = min(source.waiting, most)
    return {
        **seen,
        "reachable": True,
        "reversible": "the messages that are still parked go back, to the end of the queue",
        "waiting": source.waiting,
        "consumers": source.consumers,
        "parked": parked,
        "wanted": wanted,
        "planes": _planes(place, source.waiting, parked, wanted),
        "repeatability": Repeatability.PROBEABLE.value,
        "why": "a repeat can't be refused there: RabbitMQ remembers no key",
    }


def perform(place: Parking, clock: Clock, request: ActionRequest, most: int) -> ActionOutcome:
    """Park as many as were meant when it was looked at, or say exactly how many were."""
    seen = request.pre_image
    if not _is_of(place, seen):
        return refused("no_pre_image", f"{request.target} was not looked at before")
    wanted = min(int(seen["wanted"]), most)
    key = request.idempotency_key
    with place.broker(clock, request.timeout_s) as broker:
        try:
            # Compared before it is set: this key may have been here, in a worker that was paused.
            before = broker.depth(place.parking).waiting
            known = _marked(broker, place.parking, key, before) if before > seen["parked"] else 0
        except StoppedError as error:
            return refused(error.category, f"{request.target}: nothing was moved: {error.message}")
        if known:
            text = f"{known} of {wanted} messages with the key of this step are parked already"
            return done(f"already done, not repeated: {text}") if known >= wanted else _part(text)
        way = _Way(
            place.queue,
            place.parking,
            lambda message: _parked(message, place.queue, key),
            keeps=True,
        )
        return _moved(broker, request, way, wanted, before)


def probe(place: Parking, clock: Clock, request: ActionRequest) -> ProbeResult:
    """Count the messages that carry the key. They go back to their places, seen once more."""
    if not _is_of(place, request.pre_image):
        text = f"{request.target} was not looked at before, or its queues are others now"
        return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
    wanted = int(request.pre_image.get("wanted") or 0)
    try:
        with place.broker(clock, LOOK_S) as broker:
            waiting = broker.depth(place.queue).waiting
            parked = broker.depth(place.parking).waiting
            found = _marked(broker, place.parking, request.idempotency_key, parked)
    except (TargetUnreachableError, StoppedError) as error:
        return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
    text = f"{found} of {wanted} messages of {place.queue!r} are in {place.parking!r}"
    effect = Effect.PRESENT if 0 < wanted <= found else Effect.UNKNOWN
    effect = effect if found else Effect.ABSENT
    reached = effect is Effect.PRESENT
    planes = [
        # It fills again, and whoever reads the parking queue takes away what is counted here.
        compared(
            str(each["plane"]),
            now=now,
            intended=str(each["intended"]),
            reached=reached,
            lasting=False,
        )
        for each, now in zip(
            request.pre_image.get("planes", ()),
            (f"{waiting} wait", f"{parked} parked, {found} of them by this step"),
            strict=False,
        )
    ]
    data = {"count": found, "parked": parked, "waiting": waiting, "planes": planes}
    return ProbeResult(effect=effect, evidence=text, data=data)


def undo(place: Parking, clock: Clock, request: ActionRequest) -> ActionOutcome:
    """Bring back what carries the key and is still parked. Other steps' messages stay."""
    key = request.idempotency_key
    if not _is_of(place, request.pre_image):
        text = f"{request.target}: its queues are others than those that this step moved between"
        return refused("changed_since", text)
    with place.broker(clock, request.timeout_s) as broker:
        try:
            before = broker.depth(place.queue).waiting
        except StoppedError as error:
            return refused(error.category, f"{request.target}: nothing was moved: {error.message}")
        user = broker.user
        way = _Way(place.parking, place.queue, lambda message: _unparked(message, key, user))
        # To the end: messages of other steps are held meanwhile, so none is met twice.
        outcome = _moved(broker, request, way, sys.maxsize, before)
        if outcome.ok and not broker.moved:
            text = f"{request.target}: no message with the key of this step is parked"
            return refused("nothing_to_undo", text)
        return outcome


def _is_of(place: Parking, seen: Mapping[str, Any]) -> bool:
    return seen.get("queue") == place.queue and seen.get("parking") == place.parking


@dataclass(frozen=True, slots=True)
class _Way:
    source: str
    goal: str
    change: Change
    keeps: bool = False

    def __str__(self) -> str:
        return f"from {self.source!r} to {self.goal!r}"


def _moved(
    broker: Broker, request: ActionRequest, way: _Way, most: int, before: int
) -> ActionOutcome:
    """Move up to `most` messages, and account for every one of them."""
    why, category, left = None, "", None
    reserve_s = min(CONFIRM_S, request.timeout_s * CONFIRM_SHARE)
    try:
        why, category = _copied(broker, way, most, reserve_s)
        broker.confirmed()
        # Answered after the acknowledgements, in the order of the channel.
        left = broker.depth(way.goal).waiting
    except StoppedError as error:
        why, category = error.message, error.category
    if broker.said_no:
        why, category = broker.said_no, "refused"
    text = f"{request.target}: {broker.moved} messages moved {way}"
    if unsure := broker.uncertain:
        raise LostReplyError(f"{text}; then: {why}; {unsure} messages may be in both queues")
    if why is not None and not broker.moved:
        return refused(category, f"{request.target}: nothing was moved: {why}")
    if way.keeps and left is not None and left < before + broker.moved:
        text += f"; {way.goal!r} holds {left} now: something consumes it, or lets messages go"
    return done(text) if why is None else _part(f"{text}, then it ended: {why}", category)


def _copied(broker: Broker, way: _Way, most: int, reserve_s: float) -> tuple[str | None, str]:
    """Copy message after message. Returns why it ended before all were looked at, or None."""
    for _ in range(most):
        if broker.said_no:
            break
        if broker.left_s() < reserve_s:
            return "its time was over", "time_over"
        message = broker.take(way.source)
        if message is None:
            break
        properties = way.change(message)
        if properties is not None:
            broker.copy(message, way.goal, properties)
    return None, ""


def _marked(broker: Broker, queue: str, key: str, most: int) -> int:
    """Count the messages with a key; they are held until the connection ends, or given back."""
    found, last = 0, 0
    for _ in range(most):
        message = broker.take(queue)
        if message is None:
            break
        last = message.tag
        found += (message.properties.headers or {}).get(KEY) == key
    if last:
        broker.give_back(last)
        broker.depth(queue)  # answered once they are back, where the next one finds them
    return found


def _parked(message: Message, queue: str, key: str) -> BasicProperties:
    """Keep every property and header, but those by which the broker would let it go."""
    properties = message.properties
    headers = dict(properties.headers or {})
    headers |= {
        KEY: key,
        f"{MARK}queue": queue,
        f"{MARK}exchange": message.exchange,
        f"{MARK}routing-key": message.routing_key,
    }
    for name in _SET_ASIDE:
        if (value := getattr(properties, name)) is not None:
            headers[f"{MARK}{name}"] = value
            setattr(properties, name, None)
    headers.pop(_OF_A_DELIVERY, None)
    if _COPIES_GO_TO in headers:
        headers[f"{MARK}{_COPIES_GO_TO}"] = headers.pop(_COPIES_GO_TO)
    properties.headers = headers
    return properties


def _unparked(message: Message, key: str, user: str) -> BasicProperties | None:
    """Take our marks off again. None for a message that is not this step's."""
    properties = message.properties
    headers = dict(properties.headers or {})
    if headers.pop(KEY, None) != key:
        return None
    headers.pop(_OF_A_DELIVERY, None)
    properties.expiration = headers.get(f"{MARK}expiration")
    # The broker refuses another user's name.
    properties.user_id = user if headers.get(f"{MARK}user_id") == user else None
    properties.headers = {
        name: value
        for name, value in headers.items()
        if not name.startswith(MARK) or name == f"{MARK}{_COPIES_GO_TO}"
    } or None
    return properties


def _part(text: str, category: str = "partly_done") -> ActionOutcome:
    """Answer that a part was done, and which."""
    return ActionOutcome(
        ok=False, effect=Effect.PRESENT, summary=text, return_code=1, error_category=category
    )


def _planes(place: Parking, waiting: int, parked: int, wanted: int) -> list[dict[str, Any]]:
    if not wanted:
        return []
    left, more = f"{waiting - wanted} wait", f"{wanted} more parked"
    return [
        predicted(f"rabbitmq {place.queue}", now=f"{waiting} wait", intended=left),
        predicted(f"rabbitmq {place.parking}", now=f"{parked} parked", intended=more),
    ]
