"""Says how much waits in the queues, and for how long the oldest message has waited.

Depth alone can't tell a busy queue from a stuck one; age can. A message that does not say
when it was sent has no age, and that is said rather than guessed; RabbitMQ tells none at all. What
a step has parked in Redis or Valkey is listed, so that nobody forgets it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from holdfast.checks.rabbitmq_depths import SCHEMES, queue_depths
from holdfast.checks.valkey_client import valkey_client
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import parse_at
from holdfast.response.ports import CheckContext, CheckResult, Health

if TYPE_CHECKING:
    import valkey

REGION = "{region}"
PARKED = "*:holdfast-parked:*"
_SCAN_PAGE, _SCAN_PAGES_MAX = 1000, 100
_PARKED_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """Above the first pair a queue is degraded, above the second it is down."""

    age_max_s: float = 30.0
    depth_max: int = 1000
    age_down_s: float | None = None
    depth_down: int | None = None


class QueueHealth:
    """Degraded or down by the depth of its lists and the age of their oldest messages."""

    name = "queue_health"

    def __init__(
        self,
        url: str,
        lists: Mapping[str, str | None],
        *,
        limits: QueueLimits | None = None,
        oldest: str = "right",
        age_field: str = "at",
        timeout_s: float = 3.0,
        ca_file: str | None = None,
    ) -> None:
        self._url = url
        self._ca_file = ca_file
        self._lists = dict(lists)
        self._limits = limits or QueueLimits()
        self._end = -1 if oldest == "right" else 0
        self._age_field = age_field
        self._timeout_s = timeout_s

    def run(self, context: CheckContext) -> CheckResult:
        lists, parked, whole = self._looked(context.now)
        status, summary = self._verdict(lists)
        waiting = f"; {sum(parked.values())} messages lie parked" if parked else ""
        return CheckResult(
            name=self.name,
            status=status,
            summary=summary + waiting,
            at=context.now,
            data={
                "lists": lists,
                "depth": sum(facts["depth"] or 0 for facts in lists.values()),
                "age_s": max((f["age_s"] for f in lists.values() if f["age_s"]), default=None),
                "parked": parked,
                "parked_whole": whole,
            },
        )

    def _looked(self, now: datetime) -> tuple[dict[str, dict[str, Any]], dict[str, int], bool]:
        """Read every list, what is parked, and whether all that is parked was found."""
        named = {"check": self.name, "field": "checks.queue.url"}
        if self._url.startswith(SCHEMES):
            depths = queue_depths(
                self._url, self._lists, self._timeout_s, ca_file=self._ca_file, **named
            )
            found = {
                name: {"age_s": None, "region": self._lists[name], **depth}
                for name, depth in depths.items()
            }
            return found, {}, False
        with valkey_client(self._url, self._timeout_s, **named) as client:
            lists = {name: self._read(client, name, now) for name in self._lists}
            return lists, *_parked(client)

    def _read(self, client: "valkey.Valkey", name: str, now: datetime) -> dict[str, Any]:
        import valkey  # noqa: PLC0415 - an extra

        region = self._lists[name]
        try:
            depth = cast("int", client.llen(name))
            oldest = cast("bytes | None", client.lindex(name, self._end)) if depth else None
        except valkey.ResponseError as error:
            return {"depth": None, "age_s": None, "region": region, "error": str(error)}
        age_s = _age_s(oldest, self._age_field, now)
        return {"depth": depth, "age_s": age_s, "region": region}

    def _verdict(self, lists: Mapping[str, Mapping[str, Any]]) -> tuple[Health, str]:
        limits = self._limits
        down = _over(lists, limits.age_down_s, limits.depth_down)
        over = _over(lists, limits.age_max_s, limits.depth_max)
        unread = [f"{name}: {f['error']}" for name, f in lists.items() if f.get("error")]
        if down:
            status = Health.DOWN
        elif over:
            status = Health.DEGRADED
        else:
            status = Health.UNKNOWN if unread else Health.HEALTHY
        told = [f"{name}: {text}" for name, text in (over | down).items()]
        return status, "; ".join([*told, *unread]) or _calm(lists)


def expanded(
    names: Sequence[str], service: str | None, catalogue: Catalogue
) -> dict[str, str | None]:
    """Write out `{region}` in the names of lists, and say of which region each list is."""
    found: dict[str, str | None] = {}
    known = catalogue.services.get(service) if service else None
    for name in names:
        if REGION not in name or known is None:
            found[name] = None
            continue
        found |= {name.replace(REGION, region): region for region in known.regions}
    return found


def _over(
    lists: Mapping[str, Mapping[str, Any]], age_s: float | None, depth: int | None
) -> dict[str, str]:
    told = {}
    for name, facts in lists.items():
        words = []
        if age_s is not None and (facts["age_s"] or 0.0) > age_s:
            words.append(f"the oldest waits for {facts['age_s']:.0f} s (threshold {age_s:g} s)")
        if depth is not None and (facts["depth"] or 0) > depth:
            words.append(f"{facts['depth']} messages (threshold {depth})")
        if words:
            told[name] = ", ".join(words)
    return told


def _age_s(message: bytes | None, field: str, now: datetime) -> float | None:
    if message is None:
        return None
    try:
        at = json.loads(message)[field]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None
    if isinstance(at, int | float) and not isinstance(at, bool):
        age_s = now.timestamp() - at
    elif isinstance(at, str):
        try:
            age_s = (now - parse_at(at)).total_seconds()
        except ValueError:
            return None
    else:
        return None
    return round(max(age_s, 0.0), 3)


def _parked(client: "valkey.Valkey") -> tuple[dict[str, int], bool]:
    """List what steps have parked here, and say whether the whole server was looked through."""
    cursor, found = 0, list[str]()
    for _ in range(_SCAN_PAGES_MAX):
        cursor, keys = cast("Any", client.scan(cursor, match=PARKED, count=_SCAN_PAGE))
        found += [bytes(key).decode(errors="replace") for key in keys]
        if cursor == 0 or len(found) >= _PARKED_MAX:
            break
    named = sorted(set(found))[:_PARKED_MAX]
    depths = {name: cast("int", client.llen(name)) for name in named}
    return depths, cursor == 0


def _calm(lists: Mapping[str, Mapping[str, Any]]) -> str:
    told = []
    for name, facts in lists.items():
        age = "" if facts["age_s"] is None else f", the oldest for {facts['age_s']:.0f} s"
        told.append(f"{name}: {facts['depth']} wait{age}")
    return "; ".join(told)
