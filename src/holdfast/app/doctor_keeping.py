"""Looks at what is kept: the ledger, the tokens, and where signed heads go.

Only looks: no record is written, and a ledger that is not there is not made.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import apsw

from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Look,
    Probe,
    counted,
    failed,
    fine,
    found,
    told,
)
from holdfast.app.doctor_reach import reached
from holdfast.app.ledger_place import database_address
from holdfast.app.models import ExportModel
from holdfast.incident.system import SystemState, TokenFact, fold_system
from holdfast.kernel.clock import Clock, format_at
from holdfast.ledger import open_ledger
from holdfast.ledger.address import Address, is_there
from holdfast.policy import Scope, TokenKind
from holdfast.response.store import SYSTEM_CHAIN

_AREA = "ledger"
_BUSY_MS = 2000
_SOON = timedelta(days=14)


def keeping_probes(look: Look) -> Iterator[Probe]:
    """List what there is to look at around the ledger."""
    address = database_address(look.installation.directory)
    yield Probe(area=_AREA, what="ledger", look=lambda: _ledger(address, look))
    yield Probe(area=_AREA, what="tokens", look=lambda: _tokens(address, look))
    exports = look.installation.config.heads.export
    if not exports:
        yield Probe(area=_AREA, what="signed heads", look=lambda: [_kept_here()])
    for number, export in enumerate(exports):
        what = f"heads.export.{number}"
        yield Probe(
            area=_AREA,
            what=what,
            look=lambda w=what, e=export: [_export(w, e, look)],  # type: ignore[misc]
        )


def _ledger(address: Address, look: Look) -> Iterator[Finding]:
    if not is_there(address):
        yield failed("ledger", f"there is none at {address.shown}; run `holdfast init`")
        return
    if address.path is not None:
        yield from _file(address.path, look)
        return
    yield fine("ledger", f"{address.shown} answers")


def _file(path: Path, look: Look) -> Iterator[Finding]:
    rights = path.stat().st_mode & 0o777
    if not os.access(path, os.W_OK):
        yield failed("ledger", f"{path} can't be written by us; run Holdfast as its owner")
    elif rights & 0o077:
        yield found(
            "ledger", Level.WARNING, f"rights {rights:03o}: others can read it", "run `chmod 600`"
        )
    ends = look.clock.monotonic() + look.timeout_s
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        database.set_busy_timeout(_BUSY_MS)
        database.set_progress_handler(lambda: look.clock.monotonic() > ends, 10_000)
        answer = database.pragma("quick_check", 1)
    except apsw.InterruptError:
        yield told("ledger", f"{path.name} is too large to check within {look.timeout_s:g} s")
        return
    except apsw.BusyError:
        yield told(
            "ledger", f"{path.name} is busy and was not checked; see `holdfast ledger verify`"
        )
        return
    except apsw.Error as error:
        answer = str(error)
    finally:
        database.close()
    if answer == "ok":
        yield fine("ledger", f"{path.name}, {path.stat().st_size / 1e6:.1f} MB, is whole")
    else:
        yield failed("ledger", f"{path} is damaged ({answer}); restore the last backup beside it")


def _tokens(address: Address, look: Look) -> Iterator[Finding]:
    if not is_there(address):
        return
    ledger = open_ledger(address, look.clock)
    try:
        system = fold_system(ledger.records(SYSTEM_CHAIN))
    finally:
        ledger.close()
    intake = "intake" in look.installation.config.model_fields_set
    yield from judge_tokens(system, look.clock, intake=intake)
    for scope, freeze in system.freezes.items():
        yield told("freeze", f"{scope} is frozen by {freeze.by} since {format_at(freeze.since)}")


def judge_tokens(system: SystemState, clock: Clock, *, intake: bool = False) -> Iterator[Finding]:
    """Judge the tokens that are good now: is there an admin, does one end soon, whose are they.

    With `intake`, alerts are to come in, and whoever sends them needs a token.
    """
    now = clock.now()
    good = [t for t in system.tokens.values() if not t.revoked and t.expires_at > now]
    if not any(Scope.ADMIN in t.scopes for t in good):
        yield found(
            "tokens",
            Level.ERROR,
            "no token with the scope admin is valid, so nobody can make one",
            "run `holdfast init` on a fresh ledger, or restore a backup that has one",
        )
    people = {t.name for t in good if t.kind == TokenKind.PERSON}
    yield fine("tokens", f"{len(good)} valid, of {counted(len(people), 'person', 'people')}")
    for token in good:
        if token.expires_at - now < _SOON:
            yield _ends_soon(token)
    if intake and not any(t.kind == TokenKind.SERVICE and Scope.PROPOSE in t.scopes for t in good):
        yield found(
            "tokens",
            Level.WARNING,
            "none for the intake, so no alert can come in but with a person's",
            "run `holdfast token create alertmanager --kind service --scope propose`",
        )
    agents = sorted(t.name for t in good if t.kind == TokenKind.AGENT)
    if agents:
        yield told("agents", f"{', '.join(agents)}: may read, diagnose and propose, nothing else")


def _ends_soon(token: TokenFact) -> Finding:
    return found(
        "tokens",
        Level.WARNING,
        f"token {token.token_id} of {token.name} ends at {format_at(token.expires_at)[:16]}Z",
        "make its successor with `holdfast token create`",
    )


def _kept_here() -> Finding:
    return found(
        "signed heads",
        Level.WARNING,
        "stay on this host, so whoever owns the host could rewrite the ledger unseen",
        "add a place under `heads.export`",
    )


def _export(what: str, export: ExportModel, look: Look) -> Finding:
    if export.file is None:
        return reached(what, str(export.webhook or export.object_store), look.timeout_s)
    path = look.installation.directory / export.file
    place = path if path.exists() else path.parent
    if os.access(place, os.W_OK):
        return fine(what, f"{path} can be written")
    return failed(what, f"{path} can't be written by us; make its folder, or mend its rights")
