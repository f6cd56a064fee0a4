"""Moves messages of a queue, the oldest first, to where they are parked; undo puts them back.

In Valkey and Redis a page is moved and remembered in one breath, with the count, so a repeat goes
on where the first try ended and never moves more than was meant. Nothing is deleted: each attempt
has a parking list of its own, which a person can read, replay or throw away. What RabbitMQ can
promise is less, and is said in `rabbitmq_parking`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from holdfast.actions.places import before_acting, chosen, controlled, done, only, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.valkey_target import (
    MEMORY,
    SaidNoError,
    ValkeyTarget,
    probe,
    require_driver,
    tokens,
)
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

if TYPE_CHECKING:
    from holdfast.actions.rabbitmq_parking import Parking

LOOK_S = 5.0
_OTHER = {"right": "left", "left": "right"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """From one list to another, under a key of its own."""

    source: str
    goal: str
    ends: tuple[str, str]
    key: str
    wanted: int
    run_id: str


class DrainQueue:
    """Park messages of a `queue` of `service`, from its allow-list. `max` bounds how many."""

    name = "drain_queue"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        control, queue, most = self._place(target, params)
        seen: dict[str, Any] = {"service": target, "queue": queue}
        if _is_rabbitmq(control):
            look = _rabbitmq().observe(_parking_place(control, queue), self._clock, most)
            return {**seen, **look}
        try:
            with ValkeyTarget(str(control["url"]), self._clock, LOOK_S) as server:
                kind = cast("bytes", server.read(lambda client: client.type(queue))).decode()
                waiting = int(server.read(lambda c: c.llen(queue))) if kind == "list" else 0
                forgets, run_id = server.forgets(), server.run_id
        except TargetUnreachableError as error:
            no = "no: the queue can't be read"
            return {**seen, "reachable": False, "reversible": no, "why": error.message}
        if kind not in {"list", "none"}:
            no = "no: it is no queue"
            why = f"{queue!r} is a {kind} there, not a list; correct control.queue.lists"
            return {**seen, "reachable": False, "reversible": no, "why": why}
        kept = Repeatability.NONE if forgets else self.repeatability
        wanted = min(waiting, most)
        plane = predicted(
            f"valkey {queue}",
            now=f"{waiting} wait",
            intended=f"{waiting - wanted} wait, {wanted} parked",
        )
        return {
            **seen,
            "reachable": True,
            "reversible": "the messages go back from the parking list, in their order",
            "run_id": run_id,
            "waiting": waiting,
            "wanted": wanted,
            "planes": [plane] if wanted else [],
            "repeatability": kept.value,
            "why": f"a repeat can't be refused there: {forgets}" if forgets else "",
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            control, queue, most = self._place(request.target, request.params)
        if _is_rabbitmq(control):
            place = _parking_place(control, queue)
            return cast("ActionOutcome", _rabbitmq().perform(place, self._clock, request, most))
        if not request.pre_image.get("run_id") or request.pre_image.get("queue") != queue:
            return refused("no_pre_image", f"{request.target} was not looked at before")
        out = str(control.get("oldest", "right")).upper()
        way = _Way(
            source=queue,
            goal=_parking(queue, request),
            ends=(out, _OTHER[out.lower()].upper()),
            key=request.idempotency_key,
            wanted=min(int(request.pre_image["wanted"]), most),
            run_id=str(request.pre_image["run_id"]),
        )
        with ValkeyTarget(str(control["url"]), self._clock, request.timeout_s) as server:
            return self._move(server, request, way, int(control.get("page", 500)))

    def probe(self, request: ActionRequest) -> ProbeResult:
        control, queue, _ = self._place(request.target, request.params)
        if _is_rabbitmq(control):
            place = _parking_place(control, queue)
            return cast("ProbeResult", _rabbitmq().probe(place, self._clock, request))
        what = f"messages of {queue!r} were moved to {_parking(queue, request)!r}"
        found = probe(str(control["url"]), self._clock, request, what, LOOK_S)
        if found.effect is Effect.UNKNOWN:
            return found
        now, reached = (
            f"{found.data.get('count', 0)} parked by this step",
            found.effect is Effect.PRESENT,
        )
        planes = [
            # It fills again, and a person may replay or throw away what is parked.
            compared(
                str(each["plane"]),
                now=now,
                intended=str(each["intended"]),
                reached=reached,
                lasting=False,
            )
            for each in request.pre_image.get("planes", ())
        ]
        data = {**found.data, **self._undone(control, request), "planes": planes}
        return replace(found, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        control, queue, _ = self._place(request.target, request.params)
        if _is_rabbitmq(control):
            place = _parking_place(control, queue)
            return cast("ActionOutcome", _rabbitmq().undo(place, self._clock, request))
        into = str(control.get("oldest", "right")).upper()
        with ValkeyTarget(str(control["url"]), self._clock, request.timeout_s) as server:
            known = server.remembered(request.idempotency_key)
            if known is None or not known[1]:
                return refused("nothing_to_undo", f"{request.target}: this step moved nothing")
            way = _Way(
                source=_parking(queue, request),
                goal=queue,
                ends=(_OTHER[into.lower()].upper(), into),
                key=f"{request.idempotency_key}/undo",
                wanted=known[1],
                # The list is this attempt's own, so a restart in between takes nothing away.
                run_id=server.run_id,
            )
            outcome = self._move(server, request, way, int(control.get("page", 500)))
        if outcome.error_category == "changed_meanwhile":
            return replace(outcome, error_category="changed_since")
        return outcome

    def _undone(self, control: Mapping[str, Any], request: ActionRequest) -> dict[str, bool]:
        """Read whether the messages went back, where the server can be asked that."""
        try:
            with ValkeyTarget(str(control["url"]), self._clock, LOOK_S) as server:
                known = server.remembered(f"{request.idempotency_key}/undo")
        except TargetUnreachableError:
            return {}
        return {"undone": known is not None and known[0] == "done"}

    def _move(
        self, server: ValkeyTarget, request: ActionRequest, way: _Way, page: int
    ) -> ActionOutcome:
        total, what = 0, f"from {way.source!r} to {way.goal!r}"
        while True:
            try:
                state, newest, now = server.run(
                    "drain_queue",
                    [MEMORY, way.source, way.goal],
                    [
                        way.run_id,
                        *tokens(request.target, request, way.key),
                        way.wanted,
                        page,
                        *way.ends,
                    ],
                )
            except SaidNoError as error:
                return _stopped(request, error.message, total, "refused")
            if state in _CATEGORY:
                return _stopped(request, _WHY[state].format(newest), total, _CATEGORY[state])
            total = int(now)
            if state == "known":
                return done(f"already done, not repeated: {total} messages moved {what}")
            if state == "done":
                return done(f"{total} messages moved {what}")

    def _place(self, target: str, params: Mapping[str, Any]) -> tuple[Mapping[str, Any], str, int]:
        only(self.name, params, ("queue", "max"))
        _, control = controlled(self._catalogue, self.name, target, "queue")
        queue = chosen(self.name, "queue", params, list(control["lists"]))
        limit = int(control.get("max", 100_000))
        most = params.get("max", limit)
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= limit:
            raise BadInputError(
                f"drain_queue: max is {most!r}; write a whole number from 1 to {limit}",
                field="params.max",
            )
        if _is_rabbitmq(control):
            _rabbitmq()
        else:
            require_driver(self.name, "control.queue.url")
        return control, queue, most


_CATEGORY = {"stale": "stale_token", "restarted": "changed_meanwhile", "kind": "changed_meanwhile"}
_WHY = {
    "stale": "its fence is older than {}, which was there already",
    "restarted": "the server was restarted since it was looked at, and may have forgotten",
    "kind": "what has the queue's name is no list any more",
}


def _is_rabbitmq(control: Mapping[str, Any]) -> bool:
    return str(control["url"]).startswith(("amqp://", "amqps://"))


def _rabbitmq() -> ModuleType:
    """Load what speaks with RabbitMQ. Raises BadInputError where its driver is missing."""
    try:
        from holdfast.actions import rabbitmq_parking  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadInputError(
            "drain_queue: control.queue.url is RabbitMQ's, but pika is not installed;"
            " install it with: pip install 'holdfast[rabbitmq]'",
            field="control.queue.url",
        ) from error
    return rabbitmq_parking


def _parking_place(control: Mapping[str, Any], queue: str) -> "Parking":
    from holdfast.actions.rabbitmq_parking import Parking  # noqa: PLC0415 - an extra

    return Parking(
        url=str(control["url"]),
        queue=queue,
        parking=str(control["parking"]).replace("{queue}", queue),
        ca_file=control.get("ca_file"),
    )


def _parking(queue: str, request: ActionRequest) -> str:
    return f"{queue}:holdfast-parked:{request.idempotency_key}"


def _stopped(request: ActionRequest, why: str, total: int, category: str) -> ActionOutcome:
    """Answer for one that stopped: before the first message nothing was done, later a part was."""
    if total:
        raise LostReplyError(f"{request.target}: {total} messages were moved, then it ended: {why}")
    return refused(category, f"{request.target}: nothing was moved: {why}")
