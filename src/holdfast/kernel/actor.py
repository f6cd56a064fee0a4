"""Who acts. A kind is a fact of the token and can never be borrowed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ActorKind(StrEnum):
    """The three kinds of caller."""

    HUMAN = "human"
    AGENT = "agent"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever wrote a record."""

    kind: ActorKind
    id: str
    on_behalf_of: str | None = None
    token_id: str | None = None

    def as_data(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "id": self.id,
            "on_behalf_of": self.on_behalf_of,
            "token_id": self.token_id,
        }

    @staticmethod
    def from_data(data: dict[str, Any]) -> "Actor":
        return Actor(
            kind=ActorKind(data["kind"]),
            id=data["id"],
            on_behalf_of=data.get("on_behalf_of"),
            token_id=data.get("token_id"),
        )


SYSTEM = Actor(kind=ActorKind.SYSTEM, id="holdfast")
