"""Finds what `holdfast runbook test` needs: the runbook, the installation, and where to begin.

Nothing is performed and no target is asked: checks, samples and outcomes are those of the state
file, or of the incident's records.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from holdfast.actions import build_actions
from holdfast.app.build import HISTORY_NAME, world
from holdfast.app.desk import Desk
from holdfast.app.installation import Installation, load_installation, load_runbooks
from holdfast.app.rehearsal import Rehearsal, Rehearsed
from holdfast.app.rehearsal_incident import from_records, recorded_verdicts, sampled_then
from holdfast.app.rehearsal_state import read_state
from holdfast.engine.standing import set_modes
from holdfast.incident import Record
from holdfast.kernel.catalogue import instance_name
from holdfast.kernel.errors import BadInputError, NotFoundError
from holdfast.ledger.encode import record_of
from holdfast.ledger.export import read_export
from holdfast.response import World
from holdfast.response.store import LoggedAction
from holdfast.runbooks import Runbook

STATE_SUFFIX = ".state.yaml"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def rehearsed(
    directory: Path,
    name: str,
    *,
    incident: str | None = None,
    state: Path | None = None,
    service: str | None = None,
    region: str | None = None,
    folder: Path | None = None,
) -> Rehearsed:
    """Rehearse one runbook. Without incident and state: on the `.state.yaml` beside the runbook.

    Raises NotFoundError for a runbook or an incident that is not there, BadInputError for a file
    that can't be read.
    """
    installation = load_installation(directory)
    if folder is not None:
        installation = replace(installation, runbooks=load_runbooks(folder))
    runbook = _runbook(installation, name)
    if incident is not None and state is not None:
        raise BadInputError("give --incident or --state, not both", field="state")
    settings = installation.config.actions.model_dump(exclude_none=True)
    here = world(installation, build_actions(installation.catalogue, settings=settings))
    if incident is not None:
        if service or region:
            raise BadInputError(
                "--service and --region fill in a state file; an incident names its own",
                field="service",
            )
        return _on_incident(installation, here, runbook, incident)
    path = state or _beside(runbook)
    records = _exported(path)
    if records is not None:
        known = from_records(
            records, f"exported file {path}", interval_s=_interval_s(here), history={}
        )
        return Rehearsal(
            runbook=runbook, world=here, known=known, recorded=recorded_verdicts(records)
        ).run()
    known = read_state(
        path,
        installation.catalogue,
        interval_s=_interval_s(here),
        mode=here.mode,
        service=service,
        region=region,
    )
    return Rehearsal(runbook=runbook, world=here, known=known).run()


def _runbook(installation: Installation, name: str) -> Runbook:
    found = {runbook.name: runbook for runbook in installation.runbooks}
    if name not in found:
        known = ", ".join(found) or "none"
        raise NotFoundError(f"runbook {name!r} is not known; known are {known}")
    return found[name]


def _beside(runbook: Runbook) -> Path:
    path = Path(runbook.path).with_suffix(STATE_SUFFIX)
    if not path.is_file():
        raise BadInputError(
            f"there is nothing to rehearse {runbook.name} on: no {path}; write one, or give "
            "--state FILE or --incident INCIDENT",
            field="state",
        )
    return path


def _interval_s(here: World) -> float:
    return here.timing.sampling_interval_s


def _exported(path: Path) -> list[Record] | None:
    """Read an exported incident; None for any other file."""
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None  # the reader of state files says why
    if not rows or not rows[0].startswith("{"):
        return None
    exported = read_export(rows)
    if exported is None or not exported.links:
        return None
    if exported.problem is not None:
        bad = len(exported.links) + 1
        raise BadInputError(f"{path}: record {bad} {exported.problem}; export it again")
    return [record_of(each.incident_id, each.seq, each.body) for each in exported.links]


def _on_incident(
    installation: Installation, here: World, runbook: Runbook, incident: str
) -> Rehearsed:
    with Desk(installation.directory) as desk:
        state, _ = desk.state(incident)
        records = desk.ledger.records(incident)
        history = sampled_then(
            installation.directory / HISTORY_NAME,
            installation.catalogue,
            state.services,
            interval_s=_interval_s(here),
        )
        known = from_records(
            records,
            f"incident {incident}",
            interval_s=_interval_s(here),
            history=history,
            log=_log(desk, here),
            modes=set_modes(desk.system.state()),
        )
    return Rehearsal(
        runbook=runbook, world=here, known=known, recorded=recorded_verdicts(records)
    ).run()


def _log(desk: Desk, here: World) -> list[LoggedAction]:
    """Read what was done on every target of the catalogue: limits and cooldowns count it."""
    targets = [
        target
        for service in here.catalogue.services.values()
        for target in (service.name, *(instance_name(service.name, r) for r in service.regions))
    ]
    on = desk.ledger.actions_on
    return list({each.key: each for target in targets for each in on(target, _LONG_AGO)}.values())
