"""What people and surfaces do with an installation that runs: read it, and ask of it.

Reading goes straight to the ledger. Asking goes through the durable inbox: the
worker that holds the incident answers, so there is one writer and no request is
lost.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from holdfast.app.asking import (
    check_same,
    check_text,
    request_id,
    said_before,
    wait_for_turn,
    without_secrets,
)
from holdfast.app.ledger_place import database_address
from holdfast.app.lock import somebody_works
from holdfast.app.tokens import VARIABLE, Caller, SystemView, authenticate, require
from holdfast.incident import Record, State, fold, full, summary, timeline
from holdfast.incident.system import FROZEN, REFUSED, THAWED
from holdfast.kernel.actor import Actor
from holdfast.kernel.clock import Clock, SystemClock, format_at
from holdfast.kernel.errors import NotFoundError, RefusedError
from holdfast.ledger import ChainVerdict, Link, open_ledger
from holdfast.ledger.address import is_there
from holdfast.policy import Scope, freeze_applies, mode_applies
from holdfast.response.asked import NEEDED_SCOPE
from holdfast.response.ordering import CURRENT_S
from holdfast.response.store import SYSTEM_CHAIN, Answer, Request

_POLL_S = 0.05
_ANSWER_S, _LOOKED_S = 15.0, 45.0
_NOBODY_S = 0.2
_LOOKS = frozenset({"look", "handoff", "resume", "did"})


class Desk:
    """One open installation. Use as a context manager."""

    def __init__(self, directory: Path, clock: Clock | None = None) -> None:
        address = database_address(directory)
        if not is_there(address):
            raise NotFoundError(
                f"there is no ledger at {address.shown}; "
                f"run `holdfast init {directory}` or give --dir"
            )
        self.clock = clock or SystemClock()
        self.ledger = open_ledger(address, self.clock)
        self.directory = directory
        self.system = SystemView(self.ledger, self.clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.ledger.close()

    # --- who --------------------------------------------------------------

    def caller(self) -> Caller:
        """Say who stands behind HOLDFAST_TOKEN."""
        now = self.clock.now()

        def record(actor: Actor, why: str) -> None:
            data = {"what": "a token", "scope": None, "token_id": actor.token_id, "why": why}
            self.ledger.append_system(REFUSED, data, actor, now)

        return authenticate(os.environ.get(VARIABLE), self.system.state(), now, record)

    def allow(self, needed: Scope, what: str) -> Caller:
        """Give the caller if the token allows this; refuse on the record if not."""
        caller = self.caller()
        require(caller, needed, what, self.ledger, self.clock.now())
        return caller

    # --- reading ----------------------------------------------------------

    def state(self, incident_id: str) -> tuple[State, bytes]:
        """Fold one incident. Raises NotFoundError with what there is."""
        records = self.ledger.records(incident_id)
        if not records or incident_id == SYSTEM_CHAIN:
            known = ", ".join(self.ledger.incident_ids()[-5:]) or "none yet"
            raise NotFoundError(f"incident {incident_id!r} is not known; the last ones are {known}")
        return fold(records, incident_id), self._head(incident_id)

    def _head(self, incident_id: str) -> bytes:
        mark = self.ledger.chain(incident_id)[1]
        return mark.head if mark else b""

    def summaries(self) -> list[dict[str, Any]]:
        """List every incident in its short form, newest first."""
        return [
            summary(*self.state(incident_id))
            for incident_id in reversed(self.ledger.incident_ids())
        ]

    def show(self, incident_id: str) -> dict[str, Any]:
        """Give one incident in its long form."""
        from holdfast.app.maintenance import windows_on  # reads the settings: dear, and rare

        state, head = self.state(incident_id)
        view = full(state, head, self.ledger.records(incident_id))
        return {
            **view,
            "frozen": self._frozen(state),
            "modes_set": self._modes_set(state),
            "maintenance": windows_on(self, state.services, state.regions),
        }

    def _frozen(self, state: State) -> list[dict[str, Any]]:
        """List the freezes that stop anything in this incident: nobody should wonder why."""
        places = [(service, region) for service in state.services for region in state.regions]
        return [
            {"scope": f.scope, "by": f.by, "why": f.why, "since": format_at(f.since)}
            for f in self.system.state().freezes.values()
            if any(freeze_applies(f.scope, service=s, region=r) for s, r in places)
        ]

    def _modes_set(self, state: State) -> list[dict[str, Any]]:
        """List the modes that people set and that lower what may be done in this incident."""
        name = state.incident_id
        runbook = state.plan.runbook if state.plan else None
        return [
            {
                "scope": m.scope,
                "mode": m.mode,
                "by": m.by,
                "why": m.why,
                "since": format_at(m.since),
            }
            for m in self.system.state().modes.values()
            if any(
                mode_applies(m.scope, service=s, incident_id=name, runbook=runbook)
                for s in state.services
            )
        ]

    def timeline(self, incident_id: str) -> list[dict[str, Any]]:
        """Give the timeline of one incident."""
        self.state(incident_id)
        return timeline(self.ledger.records(incident_id))

    def links(self, incident_id: str) -> Sequence[Link]:
        """Give the stored chain of one incident, or of `_system`."""
        links, _ = self.ledger.chain(incident_id)
        if not links:
            self.state(incident_id)
        return links

    def verify(self, incident_id: str) -> ChainVerdict:
        """Check the chain of one incident against its hashes and its signatures."""
        from holdfast.app.verifying import Proof, verify_here

        self.links(incident_id)
        return verify_here(self.ledger, incident_id, Proof(self.directory))

    # --- asking -----------------------------------------------------------

    def ask(
        self, incident_id: str, kind: str, data: Mapping[str, Any], *, key: str | None = None
    ) -> Answer:
        """Ask for something and wait for the answer. Raises RefusedError when it is refused.

        The same `key` again gives the same answer, and has no second effect.
        """
        caller = self.allow(NEEDED_SCOPE[kind], f"`{kind}` on {incident_id}")
        check_text(data)
        self.state(incident_id)
        asked = Request(
            id=request_id(caller.actor.token_id, incident_id, key),
            n=0,
            incident_id=incident_id,
            kind=kind,
            actor=caller.actor,
            data=without_secrets(data),
            at=self.clock.now(),
        )
        request = self.ledger.submit(asked)
        check_same(asked, request, key)
        serving = somebody_works(self.directory, self.ledger)
        # What reads everything first takes as long as the slowest check may.
        answer_s = _LOOKED_S if kind in _LOOKS or data.get("dry_run") else _ANSWER_S
        answer = self._wait(request.id, answer_s if serving else _NOBODY_S)
        if answer is None:
            why = (
                f"nobody answered within {answer_s:.0f} s"
                if serving
                else f"no `holdfast serve` runs on {self.directory.resolve()}"
            )
            soon = f" within {CURRENT_S / 60:.0f} minutes" if kind in {"direct", "undo"} else ""
            raise RefusedError(
                f"`{kind}` on {incident_id} is recorded as request {request.n}, but {why}; it is "
                f"judged and carried out once `holdfast serve` runs{soon}: see `holdfast incident "
                f"show {incident_id}` then"
            )
        if not answer.ok:
            raise RefusedError(answer.message)
        return answer

    def wait_for_turn(self, incident_id: str, wait_s: float) -> None:
        """Wait until the step under way is verified. Raises RefusedError when it takes longer."""
        wait_for_turn(lambda: self.state(incident_id)[0], self.clock, wait_s)

    def _wait(self, name: str, wait_s: float) -> Answer | None:
        never = threading.Event()
        until = self.clock.monotonic() + wait_s
        while self.clock.monotonic() < until:
            answer = self.ledger.answer_of(name)
            if answer is not None:
                return answer
            self.clock.wait(never, _POLL_S)
        return None

    def told(
        self, kind: str, data: Mapping[str, Any], caller: Caller, key: str | None
    ) -> Record | None:
        """Give the `_system` record that this key already made; None where it made none yet."""
        check_text(data)
        if key is None:
            return None
        asked_id = request_id(caller.actor.token_id, SYSTEM_CHAIN, key)
        return said_before(self.ledger.records(SYSTEM_CHAIN), asked_id, kind, data)

    def tell(self, kind: str, data: Mapping[str, Any], caller: Caller, key: str | None) -> None:
        """Write into the `_system` chain, under its key if there is one."""
        keyed = {"request_id": request_id(caller.actor.token_id, SYSTEM_CHAIN, key)} if key else {}
        self.ledger.append_system(kind, {**data, **keyed}, caller.actor, self.clock.now())

    def freeze(self, scope: str, because: str, key: str | None = None) -> None:
        """Stop every mutating action in a scope."""
        from holdfast.app.scopes import check_freeze_scope  # as above

        caller = self.allow(Scope.PROPOSE, "`freeze`")
        check_freeze_scope(scope, self.directory)
        data = {"scope": scope, "because": because}
        if self.told(FROZEN, data, caller, key) is None:
            self.tell(FROZEN, data, caller, key)

    def thaw(self, scope: str, because: str, key: str | None = None) -> None:
        """End a freeze."""
        caller = self.allow(Scope.DIRECT, "`thaw`")
        data = {"scope": scope, "because": because}
        if self.told(THAWED, data, caller, key) is not None:
            return
        frozen = self.system.state().freezes
        if scope not in frozen:
            known = ", ".join(sorted(frozen)) or "none"
            raise RefusedError(f"nothing is frozen under {scope!r}; frozen scopes: {known}")
        self.tell(THAWED, data, caller, key)
