"""An installation with the tokens of everybody who might ask, for situations that end at the door.

Whoever asks goes through the same door as the command line: `Desk` finds out who stands behind the
token, and refuses on the record. What is refused there is put into the inbox all the same, as a
broken surface would, and the worker refuses it again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.app.desk import Desk
from holdfast.app.tokens import VARIABLE, create_token, revoke_token
from holdfast.incident.system import FROZEN
from holdfast.kernel import SYSTEM, Actor, ActorKind, HoldfastError, ManualClock
from holdfast.ledger import SqliteLedger
from holdfast.policy import TokenKind
from holdfast.response.asked import NEEDED_SCOPE
from holdfast.response.store import Batch
from tests.scene import START, Scene, opened
from tests.surface import Installed
from tests.unsafe.situation import Met
from tests.unsafe.stage import Stage

DAY = 1.0
LEASE_S = 30.0


@dataclass(slots=True, kw_only=True)
class Office:
    """One installation in which nothing runs, and its clock."""

    directory: Path
    desk: Desk
    clock: ManualClock

    def token(self, kind: str, *scopes: str, name: str = "sam", days: float = DAY) -> str:
        """Make a token and give its secret."""
        secret, _ = self.made(kind, *scopes, name=name, days=days)
        return secret

    def made(
        self, kind: str, *scopes: str, name: str = "sam", days: float = DAY
    ) -> tuple[str, str]:
        """Make a token; give its secret and its id."""
        secret, fact = create_token(
            self.desk.ledger,
            name=name,
            kind=kind,
            scopes=scopes,
            days=days,
            by=SYSTEM,
            now=self.clock.now(),
            on_behalf_of="dana" if kind == TokenKind.AGENT else None,
        )
        return secret, fact.token_id

    def revoke(self, token_id: str) -> None:
        self.token("person", "admin", name="kim")
        revoke_token(
            self.desk.ledger, token_id, by=SYSTEM, now=self.clock.now(), because="it was lost"
        )

    def freeze(self) -> None:
        data = {"scope": "all", "because": "data may be lost"}
        kim = Actor(kind=ActorKind.HUMAN, id="kim")
        self.desk.ledger.append_system(FROZEN, data, kim, self.clock.now())

    def incident(self) -> None:
        """Open an incident, which nobody has in hand."""
        scene = Scene(now=self.clock.now())
        opened(scene)
        ledger = self.desk.ledger
        claim = ledger.open_incident("w-1", LEASE_S)
        at = self.clock.now()
        ledger.append(Batch(claim=claim, records=scene.records, at=at, lease_s=LEASE_S))

    def refuses(self, secret: str | None, act: Callable[[Desk], object]) -> str:
        """Act with a token and give the words of the refusal."""
        with _environment(secret):
            try:
                act(self.desk)
            except HoldfastError as error:
                return error.message
        return "it was done"

    def asks(self, secret: str, kind: str, stage: Stage, **data: object) -> Met:
        """Ask for something of an incident: at the door, and past it in the inbox."""
        said = self.refuses(
            secret, lambda desk: desk.allow(NEEDED_SCOPE[kind], f"`{kind}` on INC-1")
        )
        token_id = secret.split("_")[2]
        token = self.desk.system.state().tokens[token_id]
        actor_kind = TokenKind(token.kind).actor_kind
        refusal = self.desk.system.refusal(kind, token_id, actor_kind.value)
        assert refusal is not None, "the worker would carry it out"
        actor = Actor(kind=actor_kind, id=token.name, token_id=token_id)
        written = len(stage.records)
        met = stage.meets(lambda: stage.ask(kind, actor=actor, refusal=refusal, **data))
        assert len(stage.records) == written, "a refused request leaves nothing in the incident"
        return Met(said=said, done=met.done)


@contextmanager
def office(directory: Path) -> Iterator[Office]:
    """Open an installation in which nothing runs."""
    site = Installed(directory=directory)
    site.describe()
    (directory / "runbooks").mkdir()
    clock = ManualClock(START)
    SqliteLedger(directory / "holdfast.db", clock).close()
    with Desk(directory, clock) as desk:
        yield Office(directory=directory, desk=desk, clock=clock)


@contextmanager
def _environment(secret: str | None) -> Iterator[None]:
    before = os.environ.pop(VARIABLE, None)
    if secret is not None:
        os.environ[VARIABLE] = secret
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before
