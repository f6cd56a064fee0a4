"""Modes and overrides, as people set them: records on the `_system` chain.

Both are decided here and judged by the guard, which reads them before each step. An intent's
transaction compares the number of the chain, so nothing that is set here comes a moment too late.
"""

import os
from datetime import timedelta
from pathlib import Path

from holdfast.app.advice import nearest
from holdfast.app.asking import KEY_CHARACTERS_MAX, request_id
from holdfast.app.config import load_config
from holdfast.app.desk import Desk
from holdfast.app.installation import load_runbooks
from holdfast.app.scopes import check_freeze_scope, check_target
from holdfast.app.tokens import Caller
from holdfast.incident.system import MODE_CLEARED, MODE_SET, OVERRIDE_GRANTED, OverrideFact
from holdfast.kernel.clock import format_at
from holdfast.kernel.errors import BadInputError, RefusedError
from holdfast.policy import RAISABLE, VALID_S, Mode, Scope
from holdfast.response.asked import NEEDED_SCOPE
from holdfast.response.store import Request

CONFIGURED = "configured"


def mode_scope(scope: str, directory: Path) -> str:
    """Read `all`, `service:NAME`, a service's bare name or `runbook:NAME`.

    Raises BadInputError for another.
    """
    if scope == "all":
        return scope
    kind, found, name = scope.partition(":")
    if kind == "runbook" and name:
        _check_runbook(name, directory)
        return scope
    service = name if found and kind == "service" else scope
    if not service or (found and kind != "service"):
        raise BadInputError(
            f"scope {scope!r} is unknown; write all, the name of a service or runbook:NAME, or "
            "name an incident before the mode",
            field="scope",
        )
    check_freeze_scope(f"service:{service}", directory)
    return f"service:{service}"


def _check_runbook(name: str, directory: Path) -> None:
    known = [each.name for each in load_runbooks(directory / load_config(directory).runbooks)]
    if name not in known:
        raise BadInputError(
            f"scope 'runbook:{name}' names no runbook here; {nearest(name, known)}", field="scope"
        )


def set_mode(desk: Desk, word: str, scope: str, because: str, key: str | None = None) -> None:
    """Lower the mode of a scope, or take that back with `configured`. Both need `direct`."""
    if word not in {CONFIGURED, *Mode}:
        known = ", ".join([*Mode, CONFIGURED])
        raise BadInputError(f"the mode {word!r} is unknown; choose {known}", field="mode")
    caller = desk.allow(Scope.DIRECT, f"`mode {word}`")
    kind, data = MODE_CLEARED, {"scope": scope, "because": because}
    if word != CONFIGURED:
        kind, data = MODE_SET, {**data, "mode": word}
    if desk.told(kind, data, caller, key) is not None:
        return
    modes = desk.system.state().modes
    if kind == MODE_CLEARED and scope not in modes:
        names = ", ".join(sorted(modes)) or "none"
        raise RefusedError(f"no mode is set for {scope!r}; scopes with one: {names}")
    desk.tell(kind, data, caller, key)


def grant_override(
    desk: Desk,
    incident_id: str,
    limit: str,
    because: str,
    target: str | None = None,
    key: str | None = None,
) -> OverrideFact:
    """Raise one named limit once for an incident, and tell the incident of it."""
    if limit not in RAISABLE:
        raise BadInputError(
            f"limit {limit!r} can't be raised by an override; {nearest(limit, RAISABLE)}",
            field="limit",
        )
    caller = desk.allow(NEEDED_SCOPE["override"], f"`override` on {incident_id}")
    asked = {"incident_id": incident_id, "limit": limit, "target": target, "because": because}
    if (before := desk.told(OVERRIDE_GRANTED, asked, caller, key)) is not None:
        return desk.system.state().overrides[before.data["override_id"]]
    state, _ = desk.state(incident_id)
    if state.ended:
        raise RefusedError(f"{incident_id} is {state.phase.value}; no step is left for an override")
    if target is not None:
        check_target(target, desk.directory)
    now = desk.clock.now()
    fact = OverrideFact(
        override_id=_override_id(caller, incident_id, key),
        incident_id=incident_id,
        limit=limit,
        target=target,
        by=caller.actor.id,
        why=because,
        expires_at=now + timedelta(seconds=VALID_S),
    )
    more = {"override_id": fact.override_id, "expires_at": format_at(fact.expires_at)}
    desk.tell(OVERRIDE_GRANTED, {**asked, **more}, caller, key)
    # The override holds from here on. This puts it into the incident's timeline and wakes whoever
    # has the incident in hand, to judge a waiting step anew.
    desk.ledger.submit(
        Request(
            id=f"override/{fact.override_id}",
            n=0,
            incident_id=incident_id,
            kind="override",
            actor=caller.actor,
            data={"text": words(fact)},
            at=now,
        )
    )
    return fact


def _override_id(caller: Caller, incident_id: str, key: str | None) -> str:
    """Name an override. One key names one, also where it is sent twice at once."""
    if key is None:
        return os.urandom(4).hex()
    named = request_id(caller.actor.token_id, incident_id, f"override {key}"[:KEY_CHARACTERS_MAX])
    return named.removeprefix("key-")[:8]


def words(fact: OverrideFact) -> str:
    """Say in one line what an override allows."""
    where = f" on {fact.target}" if fact.target else ""
    return (
        f"override {fact.override_id} raises {fact.limit}{where} once, until "
        f"{format_at(fact.expires_at)}: {fact.why}"
    )
