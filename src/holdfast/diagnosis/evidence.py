"""What was read, as a list of facts with source and time.

Each signal and each check result becomes one or more pieces of evidence on an
entity. Nothing is concluded here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from holdfast.kernel.catalogue import ALERT, UP, split_instance

_HEALTHY = "healthy"
# These checks name a suspect or a way back; what they find is no trouble by itself.
_NOT_ABOUT_HEALTH = frozenset({"recent_changes", "recent_deployments", "rollback_ready"})
# Something that runs out. A limit passed here says what is wrong, where a slow answer only says
# that something is.
RESOURCES = frozenset({"connections", "disk", "memory"})
# A check of how much waits: work piles up because of something else.
_SYMPTOM_CHECKS = frozenset({"queue_health"})


# The source of a change that somebody told, and that no check of ours has seen.
TOLD = "told"


class EvidenceClass(StrEnum):
    """What a piece of evidence can tell."""

    SYMPTOM = "symptom"
    LOCAL_CAUSE = "local_cause"
    CHANGE = "change"
    EXTERNAL = "external"
    ABSENCE = "absence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One fact. `cls` is written `class` in the answers."""

    id: str
    kind: str
    entity: str
    region: str | None
    cls: EvidenceClass
    text: str
    source: str
    at: str | None = None
    value: Any = None
    baseline: Any = None
    change_id: str | None = None

    def as_data(self) -> dict[str, Any]:
        data = asdict(self)
        data["class"] = data.pop("cls").value
        return data


def gather(
    signals: Iterable[Mapping[str, Any]],
    checks: Mapping[str, Mapping[str, Any]],
    check_entities: Mapping[str, str],
    changes: Iterable[Mapping[str, Any]] = (),
) -> tuple[Evidence, ...]:
    """List the evidence in signals and checks.

    `check_entities` says which service a check of a store looks at
    (`{"database_connections": "my-database"}`). `changes` are those that were known when the
    incident opened; they count where the check that looks for them gave no reading.
    """
    pieces = [_from_signal(signal) for signal in signals if signal.get("state") == "bad"]
    for name, result in checks.items():
        read = _READERS.get(name, _plain)
        entity = check_entities.get(name, name)
        pieces += [
            {**piece, "source": f"check {name}", "at": result.get("at")}
            for piece in read(name, result, entity)
        ]
    pieces += [
        _known_change(change) for change in changes if _no_reading(checks.get(_check_of(change)))
    ]
    return tuple(Evidence(id=f"E{n}", **piece) for n, piece in enumerate(pieces, start=1))


def _no_reading(result: Mapping[str, Any] | None) -> bool:
    return result is None or result["status"] == "unknown" or bool(result.get("error"))


def _check_of(change: Mapping[str, Any]) -> str:
    return "recent_deployments" if change["kind"] == "deploy" else "recent_changes"


def _known_change(change: Mapping[str, Any]) -> dict[str, Any]:
    told = change.get("source") == TOLD
    since = "as was told" if told else "this was known before, now deployments can't be read"
    by = f"by {change['author'] or 'nobody named'}"
    what = f"{change['service']}: {change['summary']} ({change['kind']}) at {change['at']} {by}"
    if change["kind"] == "deploy" and change.get("version"):
        what = (
            f"{change['service']} {change['version']} was deployed at {change['at']} {by}, in "
            f"place of {change.get('previous') or 'nothing'}"
        )
    piece = _piece(
        change["kind"],
        change["service"],
        change.get("region"),
        EvidenceClass.CHANGE,
        f"{what}; {since}",
    )
    return {
        **piece,
        "value": change.get("version") or change["summary"],
        "change_id": change["id"],
        "source": "change intake" if told else "deployments",
        "at": change["at"],
    }


def unhealthy(checks: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Name the checks that found trouble, or that failed instead of answering."""
    return tuple(
        name
        for name, result in checks.items()
        if result.get("error")
        or (result["status"] in {"degraded", "down"} and name not in _NOT_ABOUT_HEALTH)
    )


def _from_signal(signal: Mapping[str, Any]) -> dict[str, Any]:
    name = signal["signal"]
    local = name == UP or name in RESOURCES
    return {
        "kind": _SIGNAL_KINDS.get(name, name if local else "signal"),
        "entity": signal["service"],
        "region": signal["region"],
        "cls": EvidenceClass.LOCAL_CAUSE if local else EvidenceClass.SYMPTOM,
        "text": signal["reason"],
        "source": "alert" if name == ALERT else "detection",
        "at": signal.get("at"),
        "value": signal.get("value"),
        "baseline": signal.get("expected"),
    }


_SIGNAL_KINDS: Mapping[str, str] = {
    UP: "target_down",
    "queue_age": "queue_age",
    ALERT: "alert",
}


def _plain(name: str, result: Mapping[str, Any], entity: str) -> Iterator[dict[str, Any]]:
    """A check of one thing: trouble is a local cause there, health speaks against it."""
    status = result["status"]
    if status == "unknown" or result.get("error"):
        return
    trouble = EvidenceClass.SYMPTOM if name in _SYMPTOM_CHECKS else EvidenceClass.LOCAL_CAUSE
    cls = EvidenceClass.ABSENCE if status == _HEALTHY else trouble
    yield _piece(name, entity, None, cls, result["summary"], value=status)


def _changes(_name: str, result: Mapping[str, Any], _entity: str) -> Iterator[dict[str, Any]]:
    """A change of a flag, the configuration, the schema or the machines."""
    suspect = result.get("suspect")
    if not suspect:
        return
    by = f" by {suspect['author']}" if suspect.get("author") else ""
    text = (
        f"{suspect['summary']} ({suspect['kind']} of {suspect['service']}, changed "
        f"{_ago(suspect.get('age_s'))} before the check{by})"
    )
    piece = _piece(
        str(suspect["kind"]), suspect["service"], suspect.get("region"), EvidenceClass.CHANGE, text
    )
    yield {**piece, "value": suspect["summary"], "change_id": str(suspect["id"])}


def _deployments(_name: str, result: Mapping[str, Any], _entity: str) -> Iterator[dict[str, Any]]:
    suspect = result.get("suspect")
    if not suspect:
        return
    text = (
        f"{suspect['service']} {suspect['version']} was deployed {_ago(suspect.get('age_s'))} "
        f"before the check by {suspect.get('deployed_by')}, in place of "
        f"{suspect.get('previous_version')}"
    )
    piece = _piece("deploy", suspect["service"], None, EvidenceClass.CHANGE, text)
    yield {**piece, "value": suspect["version"], "change_id": str(suspect.get("id"))}


def _ago(age_s: float | None) -> str:
    seconds = float(age_s or 0.0)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"  # noqa: PLR2004


def _instances(name: str, result: Mapping[str, Any], _entity: str) -> Iterator[dict[str, Any]]:
    for instance, facts in result.get("instances", {}).items():
        service, region = split_instance(instance)
        trouble = _instance_trouble(name, facts)
        cls = EvidenceClass.LOCAL_CAUSE if trouble else EvidenceClass.ABSENCE
        if trouble and name == "http_health":
            cls = EvidenceClass.SYMPTOM
        text = f"{instance}: {trouble}" if trouble else f"{instance} is well by {name}"
        yield _piece(name, service, region, cls, text, value=dict(facts))


def _instance_trouble(name: str, facts: Mapping[str, Any]) -> str | None:
    if name == "process_resources":
        return "; ".join(facts.get("problems") or ()) or None
    if name == "service_status":
        state = facts.get("state")
        if state == "RUNNING":
            return None
        return f"its process is {state} (exit status {facts.get('exit_status')})"
    code = facts.get("code")
    if code is not None and code < 400:  # noqa: PLR2004 - the first error status of HTTP
        return None
    return f"its health page answers {code or facts.get('error') or 'nothing'}"


def _nothing(_name: str, _result: Mapping[str, Any], _entity: str) -> Iterator[dict[str, Any]]:
    return iter(())


def _piece(
    kind: str,
    entity: str,
    region: str | None,
    cls: EvidenceClass,
    text: str,
    *,
    value: object = None,
) -> dict[str, Any]:
    return {
        "kind": kind,
        "entity": entity,
        "region": region,
        "cls": cls,
        "text": text,
        "value": value,
    }


_READERS: Mapping[str, Callable[[str, Mapping[str, Any], str], Iterator[dict[str, Any]]]] = {
    "recent_deployments": _deployments,
    "service_status": _instances,
    "http_health": _instances,
    "recent_changes": _changes,
    "rollback_ready": _nothing,
    "process_resources": _instances,
}
