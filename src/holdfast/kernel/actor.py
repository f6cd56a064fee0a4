"""Who acts. A kind is a fact of the token and can never be borrowed."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
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
        return _actor(data["kind"], data["id"], data.get("on_behalf_of"), data.get("token_id"))


# A chain names a handful of actors, thousands of times.
@lru_cache(maxsize=256)
def _actor(kind: str, name: str, on_behalf_of: str | None, token_id: str | None) -> Actor:
    return Actor(kind=ActorKind(kind), id=name, on_behalf_of=on_behalf_of, token_id=token_id)


SYSTEM = Actor(kind=ActorKind.SYSTEM, id="holdfast")
