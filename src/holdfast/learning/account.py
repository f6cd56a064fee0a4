"""The records of one incident, ready to be told from.

Attempts are taken from the records and not from the State, because a State keeps
only the newest attempt of a step and a postmortem needs every one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from holdfast.incident import Kind, Record, State, fold
from holdfast.kernel.errors import BadInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of one step: its records, from the proposal on."""

    step_id: str
    number: int
    records: tuple[Record, ...]

    @property
    def proposed(self) -> Record:
        return self.records[0]

    def last(self, *kinds: Kind) -> Record | None:
        """Give the newest record of these kinds; None where there is none."""
        return next((r for r in reversed(self.records) if r.kind in kinds), None)

    def all(self, *kinds: Kind) -> list[Record]:
        return [r for r in self.records if r.kind in kinds]

    @property
    def what(self) -> str:
        data = self.proposed.data
        return f"{data['action']} on {data['target']}"


@dataclass(frozen=True, kw_only=True)
class Account:
    """Records, the State they fold into, and the verdict over their chain."""

    records: Sequence[Record]
    chain: Mapping[str, Any]

    @cached_property
    def state(self) -> State:
        return fold(self.records, self.records[0].incident_id)

    @property
    def opened(self) -> Record | None:
        return self.first(Kind.INCIDENT_OPENED)

    def all(self, *kinds: Kind) -> list[Record]:
        """List the records of these kinds, in order."""
        return [record for record in self.records if record.kind in kinds]

    def first(self, *kinds: Kind) -> Record | None:
        return next(iter(self.all(*kinds)), None)

    def last(self, *kinds: Kind) -> Record | None:
        return next(iter(reversed(self.all(*kinds))), None)

    @cached_property
    def attempts(self) -> tuple[Attempt, ...]:
        """Group the records of each step by attempt; each proposal begins one."""
        groups: list[list[Record]] = []
        open_group: dict[str, list[Record]] = {}
        for record in self.records:
            step_id = record.data.get("step_id")
            if record.kind == Kind.STEP_PROPOSED:
                open_group[record.data["step_id"]] = [record]
                groups.append(open_group[record.data["step_id"]])
            elif isinstance(step_id, str) and step_id in open_group:
                open_group[step_id].append(record)
        return tuple(_attempt(group) for group in groups)

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """Name who owns the services, as the opening record says; empty where it doesn't."""
        recorded = self.opened.data.get("owners") if self.opened else None
        if isinstance(recorded, Mapping):
            recorded = [name for names in recorded.values() for name in names]
        return tuple(dict.fromkeys(map(str, recorded or ())))


def _attempt(group: list[Record]) -> Attempt:
    data = group[0].data
    return Attempt(step_id=data["step_id"], number=data["attempt"], records=tuple(group))


def account_of(records: Sequence[Record], chain: Mapping[str, Any]) -> Account:
    """Check that there is something to tell. Raises BadInputError for no records or a mixture."""
    ids = sorted({record.incident_id for record in records})
    if len(ids) != 1:
        raise BadInputError(
            f"a postmortem needs the records of one incident, and these are of {ids or 'none'}; "
            "see `holdfast incident list`"
        )
    return Account(records=records, chain=chain)
