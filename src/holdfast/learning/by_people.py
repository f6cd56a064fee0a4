"""What people did during an incident: as they reported it, directed it, or deployed it.

Only what a record or a change says. A deployment that puts an earlier version back is a rollback,
whoever calls it what; when something reported was really done, nobody wrote down.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from holdfast.incident import Kind
from holdfast.kernel.actor import ActorKind
from holdfast.kernel.catalogue import split_instance
from holdfast.kernel.clock import format_at, parse_at
from holdfast.learning.account import Account

ROLLBACK = "rollback_deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByPerson:
    """One thing that a person did. `done_at` None: only when it was reported is known."""

    action: str
    target: str
    by: str
    told_at: datetime
    done_at: datetime | None
    source: str
    because: str | None = None
    seq: int | None = None

    @property
    def what(self) -> str:
        return f"{self.action} on {self.target}"

    def as_data(self) -> dict[str, Any]:
        data = asdict(self)
        for name in ("told_at", "done_at"):
            data[name] = format_at(data[name]) if data[name] else None
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenChange:
    """A change that was seen during an incident and is no rollback: a remedy, or not."""

    id: str
    kind: str
    service: str
    at: datetime
    summary: str

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "at": format_at(self.at)}


def by_people(
    account: Account, changes: Sequence[Mapping[str, Any]]
) -> tuple[tuple[ByPerson, ...], tuple[SeenChange, ...]]:
    """Say what people did, earliest first, and what else was changed on these services.

    `changes` may reach back before the incident: without what was there before, nobody can tell
    a rollback from a new release.
    """
    rollbacks, others = _deployed(account, changes)
    found = [*_reported(account), *_directed(account), *rollbacks]
    return tuple(sorted(found, key=lambda each: each.told_at)), tuple(others)


def _reported(account: Account) -> Iterable[ByPerson]:
    for record in account.all(Kind.MANUAL_ACTION_REPORTED):
        yield ByPerson(
            action=str(record.data["action"]),
            target=str(record.data["target"]),
            by=record.actor.id,
            told_at=record.at,
            done_at=None,
            source="reported with `did`",
            because=record.data.get("because"),
            seq=record.seq,
        )


def _directed(account: Account) -> Iterable[ByPerson]:
    for attempt in account.attempts:
        intended = attempt.last(Kind.STEP_INTENDED)
        data, actor = attempt.proposed.data, attempt.proposed.actor
        if intended is None or actor.kind is not ActorKind.HUMAN:
            continue
        yield ByPerson(
            action=str(data["action"]),
            target=str(data["target"]),
            by=actor.id,
            told_at=intended.at,
            done_at=intended.at,
            source="directed in Holdfast",
            because=data.get("because"),
            seq=intended.seq,
        )


def _deployed(
    account: Account, changes: Sequence[Mapping[str, Any]]
) -> tuple[list[ByPerson], list[SeenChange]]:
    state = account.state
    start, end = state.started_at or state.opened_at, account.records[-1].at
    services = concerned(account)
    rollbacks: list[ByPerson] = []
    others: list[SeenChange] = []
    ordered = sorted(changes, key=lambda change: parse_at(change["at"]))
    for number, change in enumerate(ordered):
        at = parse_at(change["at"])
        over = state.ended and at > end
        if change["service"] not in services or start is None or at <= start or over:
            continue
        before = [c for c in ordered[:number] if _same_place(c, change)]
        if is_rollback(change, before):
            rollbacks.append(_rollback(change, at))
        else:
            others.append(
                SeenChange(
                    id=str(change["id"]),
                    kind=str(change["kind"]),
                    service=str(change["service"]),
                    at=at,
                    summary=str(change.get("summary") or change.get("version") or change["kind"]),
                )
            )
    return rollbacks, others


def _same_place(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Each region has its own history: a release that goes from one to the next is no rollback."""
    regions = {one.get("region"), other.get("region")} - {None}
    return one["service"] == other["service"] and len(regions) <= 1


def concerned(account: Account) -> frozenset[str]:
    """Name the services that an incident is about, and those that a step was meant for."""
    opened = account.opened
    group = opened.data.get("group", ()) if opened else ()
    targets = [split_instance(str(a.proposed.data["target"]))[0] for a in account.attempts]
    return frozenset([*account.state.services, *group, *targets])


def is_rollback(change: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a deployment put back a version that was there before. `before`: oldest first."""
    version = change.get("version")
    deploys = [c for c in before if c.get("kind") == "deploy" and c.get("version")]
    if change.get("kind") != "deploy" or not version or not deploys:
        return False
    last = deploys[-1]
    earlier = {c.get("version") for c in deploys[:-1]} | {c.get("previous") for c in deploys}
    return bool(last["version"] != version and version in earlier)


def _rollback(change: Mapping[str, Any], at: datetime) -> ByPerson:
    region = change.get("region")
    service = str(change["service"])
    return ByPerson(
        action=ROLLBACK,
        target=f"{service}@{region}" if region else service,
        by=str(change.get("author") or "not recorded"),
        told_at=at,
        done_at=at,
        source=f"deployment {change['id']} put {change['version']} back",
        because=change.get("summary"),
    )
