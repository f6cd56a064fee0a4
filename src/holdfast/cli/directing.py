"""direct, undo, propose: a person chooses a step, on what is there right now."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli import output
from holdfast.cli.incidents import ask
from holdfast.cli.options import HERE, Because, Dir, Incident, Json, Key, add

Action = Annotated[
    str, typer.Argument(metavar="ACTION", help="Such as restart_service or rollback_deploy.")
]
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="A service, or one region of it: my-api@eu-west.")
]
Step = Annotated[str, typer.Argument(metavar="STEP", help="The step's id, such as S1.")]
Params = Annotated[
    list[str] | None,
    typer.Option("-p", "--param", metavar="KEY=VALUE", help="A parameter of the action."),
]
Expect = Annotated[
    list[str] | None,
    typer.Option(metavar="CRITERION", help="What recovered means. Without one, nothing runs."),
]
When = Annotated[
    list[str] | None,
    typer.Option(metavar="CEL", help="What must be so on fresh readings, as in a runbook."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Read and judge everything, and do nothing.")
]
Wait = Annotated[
    str | None,
    typer.Option(metavar="60s", help="Wait so long for the step before it to be verified."),
]
OwnWords = Annotated[
    str | None,
    typer.Option("--because", metavar="TEXT", help="Why, in your own words. It is recorded."),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (direct, undo, propose):
        add(app, command)


def direct(
    incident_id: Incident,
    action: Action,
    target: Target,
    *,
    because: OwnWords = None,
    param: Params = None,
    expect: Expect = None,
    when: When = None,
    seen: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Only if the target is as that dry run saw it."),
    ] = None,
    dry_run: DryRun = False,
    wait: Wait = None,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Direct one step; the guard judges it first.

    The live state is read, the guard judges, and only then anything happens.

    For example:
      holdfast direct INC-1 restart_service my-api@eu-west --because "stuck since 02:10" \
        --expect 'up{service="my-api"} == 1 for 60s in each region'
    """
    data: dict[str, Any] = {
        "action": action,
        "target": target,
        "params": params_of(param),
        "expect": list(expect or ()),
    }
    data |= {"when": list(when)} if when else {}
    data |= {"seen": seen} if seen else {}
    _order(directory, incident_id, "direct", data, because, dry_run, wait, key, as_json=as_json)


def undo(
    incident_id: Incident,
    step: Step,
    *,
    because: OwnWords = None,
    expect: Expect = None,
    dry_run: DryRun = False,
    wait: Wait = None,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Undo a step: a step of its own, guarded like any other.

    Without --expect the criteria of the undone step count. What somebody changed since is left.

    For example:
      holdfast undo INC-1 S1 --because "the pool is needed after all"
    """
    data: dict[str, Any] = {"step_id": step}
    data |= {"expect": list(expect)} if expect else {}
    _order(directory, incident_id, "undo", data, because, dry_run, wait, key, as_json=as_json)


def _order(
    directory: Path,
    incident_id: str,
    kind: str,
    data: dict[str, Any],
    because: str | None,
    dry_run: bool,
    wait: str | None,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    from holdfast.kernel.errors import BadInputError

    if because is not None:
        data["because"] = because
    elif not dry_run:
        raise BadInputError("--because is missing; say in your own words why", field="because")
    if dry_run:
        _rehearse(directory, incident_id, kind, data | {"dry_run": True}, key, as_json=as_json)
        return
    if wait is not None:
        _wait(directory, incident_id, wait)
    _judged(directory, incident_id, kind, data, key, as_json=as_json)


def _judged(
    directory: Path,
    incident_id: str,
    kind: str,
    data: dict[str, Any],
    key: str | None,
    *,
    as_json: bool,
) -> None:
    """Ask, and tell what the guard made of it; a refusal is a negative answer."""
    from holdfast.app.desk import Desk
    from holdfast.app.judged import judged, refused, told

    with Desk(directory) as desk:
        answer = desk.ask(incident_id, kind, data, key=key)
        step_id = str(answer.data["step_id"])
        step = judged(lambda: desk.state(incident_id)[0], step_id, desk.clock)
    became = told(incident_id, step)
    if as_json:
        said = {"incident_id": incident_id, "ok": not refused(step), "message": answer.message}
        output.document({**said, **answer.data, **became})
    else:
        output.line(f"{incident_id}: {answer.message}")
        output.line(f"{incident_id}: {became['became']}")
    if refused(step):
        raise typer.Exit(1)


def _wait(directory: Path, incident_id: str, wait: str) -> None:
    from holdfast.app.desk import Desk
    from holdfast.runbooks.durations import parse_duration

    wait_s = parse_duration(wait)
    with Desk(directory) as desk:
        desk.wait_for_turn(incident_id, wait_s)


def _rehearse(
    directory: Path,
    incident_id: str,
    kind: str,
    data: dict[str, Any],
    key: str | None,
    *,
    as_json: bool,
) -> None:
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        answer = desk.ask(incident_id, kind, data, key=key)
    refused = answer.data["verdict"]["decision"] == "refuse"
    if as_json:
        told = {"incident_id": incident_id, "ok": not refused, "message": answer.message}
        output.document({**told, **answer.data})
    else:
        output.fitted(rehearsal_text(incident_id, answer.message, answer.data))
    if refused:
        raise typer.Exit(1)


def rehearsal_text(incident_id: str, message: str, told: Mapping[str, Any]) -> Iterator[str]:
    """Write a dry run: the verdict first, then what it was judged on."""
    yield f"{incident_id}: {message}"
    yield ""
    yield f"Verdict: {told['verdict']['decision']} (mode {told['verdict']['mode']})"
    for reason in told["in_the_way"]:
        yield f"  {reason['rule']}: {_reason(reason)}"
    if not told["in_the_way"]:
        yield f"  {told['verdict']['sentence']}"
    yield ""
    yield "Live state"
    for name, reading in told["live"]["series"].items():
        value = "no value" if reading["value"] is None else f"{reading['value']:g}"
        at = reading["at"][11:19] if reading["at"] else "never sampled"
        yield f"  {at}  {name}: {value}"
    for name, check in told["live"]["checks"].items():
        yield f"  {check['at'][11:19]}  check {name}: {check['status']}, {check['summary']}"
    yield ""
    yield f"What would change at {told['target']}"
    for plane in told["predicted"]:
        yield f"  {plane['plane']}: {plane['now']} -> {plane['intended']}"
    if not told["predicted"]:
        facts = ", ".join(f"{k}={v}" for k, v in told["pre_image"].items() if _is_plain(v))
        now = f"the action names no control plane; it is now: {facts}"
        yield f"  {now if facts else 'that can not be told: the target could not be read'}"
    yield ""
    yield f"Undo: {told['undo']}"
    for criterion in told["criteria"]:
        yield f"Recovered means: {criterion}"
    yield f"Hash of the step: {told['hash']}"
    if told["seen"]:
        yield f"Seen: {told['seen']}; with --seen it is only done if the target is still so"


def _reason(reason: Mapping[str, Any]) -> str:
    facts = [
        f"{name} {reason[name]}"
        for name in ("reading", "threshold", "source", "at")
        if reason.get(name)
    ]
    return f"{reason['text']} ({', '.join(facts)})" if facts else str(reason["text"])


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def propose(
    incident_id: Incident,
    action: Action,
    target: Target,
    *,
    because: Because,
    param: Params = None,
    expect: Expect = None,
    when: When = None,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Suggest a step. Nothing is done until a person directs it.

    The answer holds the directive that a person would give; why they give it is theirs to say.

    For example:
      holdfast propose INC-1 restart_service my-api@eu-west --because "its queue stands still"
    """
    data = {
        "action": action,
        "target": target,
        "because": because,
        "params": params_of(param),
        "expect": list(expect or ()),
        "when": list(when or ()),
    }
    ask(directory, incident_id, "propose", data, key=key, as_json=as_json)


def params_of(texts: Iterable[str] | None) -> dict[str, Any]:
    """Read every `-p key=value`. Raises BadInputError, also where one is given twice."""
    from holdfast.kernel.errors import BadInputError

    found: dict[str, Any] = {}
    for text in texts or ():
        key, value = _pair(text)
        if key in found:
            raise BadInputError(f"-p {key} is given twice; say once what it is", field="param")
        found[key] = value
    return found


def _pair(text: str) -> tuple[str, Any]:
    from holdfast.kernel.errors import BadInputError

    key, found, value = text.partition("=")
    if not found or not key:
        raise BadInputError(f"-p {text!r} has no `=`; write -p key=value", field="param")
    return key, _value(value)


def _value(text: str) -> Any:  # noqa: ANN401 - whatever a parameter may be
    """Read `3` and `true` as what they are; everything else is text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int) else text
