"""How the world of a Play answers what decide() asks for: from the attributes that a test sets."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from holdfast.response.commands import (
    Command,
    Confirm,
    Intend,
    Look,
    LookAgain,
    MakePacket,
    Observe,
    Prepare,
    Probe,
    ReadSamples,
    ReadSymptom,
    Redo,
    Rehearse,
    RunChecks,
    SendPage,
)
from holdfast.response.events import (
    ActionReturned,
    ChecksDone,
    Confirmed,
    Event,
    Looked,
    Observed,
    PacketMade,
    PageSent,
    Prepared,
    Probed,
    Rehearsed,
    SamplesRead,
    SeenAgain,
    SymptomRead,
)
from holdfast.response.ports import CheckResult, Health, ProbeResult
from holdfast.verification import Sample
from tests.response.response_world import SUCCEEDED
from tests.scene import START

if TYPE_CHECKING:
    from tests.response.response_parts import Play


def result(name: str, status: Health, at: datetime, **data: object) -> CheckResult:
    return CheckResult(name=name, status=status, summary=f"{name} says so", at=at, data=data)


def answered(  # noqa: C901, PLR0911, PLR0912 - one row per command
    play: "Play", command: Command
) -> Event | None:
    match command:
        case RunChecks():
            return ChecksDone(results=results(play), symptom=play.symptom(command.series))
        case ReadSymptom():
            windows = (play.window,) if play.window else ()
            seen = play.symptom(command.series)
            return SymptomRead(symptom=seen, modes=play.modes, windows=windows)
        case Prepare():
            return play.prepared(command)
        case Rehearse():
            return Rehearsed(request=command.request, prepared=play.prepared(command.prepare))
        case Look():
            return looked(play, command)
        case Intend() | Redo():
            if play.dies_after_intent or not play.same_as(command):
                return None
            return returned(play, command.step_id, redone=isinstance(command, Redo))
        case Probe():
            return probed(play, command)
        case ReadSamples():
            return samples_read(play, command)
        case Confirm():
            found = ProbeResult(effect=play.probe, evidence="looked", data={"planes": play.planes})
            return Confirmed(step_id=command.step_id, verdict=command.verdict, result=found)
        case SendPage():
            return paged(play, command)
        case MakePacket():
            return packet(play, command)
        case LookAgain():
            looks = {each.target: look(play, each.target) for each in command.touched}
            return SeenAgain(request=command.request, targets=looks)
        case Observe():
            observed = {"problem": play.problem} if play.problem else {"current": "2.3.9"}
            return Observed(request=command.request, observed=observed)
        case _:
            return None


def look(play: "Play", target: str) -> dict[str, Any]:
    fine = {"text": "as it was left", "reachable": True, "planes": [], "partly": False}
    return {**fine, **play.looks.get(target, {})}


def results(play: "Play") -> dict[str, CheckResult]:
    return {
        name: result(name, status, play.now, **found(play, name))
        for name, status in {**play.checks, "recent_deployments": Health.DEGRADED}.items()
    }


def found(play: "Play", name: str) -> dict[str, Any]:
    if name != "recent_deployments":
        return {"error": "hung"} if name in play.failing else {}
    row = {
        "id": 17,
        "service": "shop-api",
        "version": "2.4.0",
        "previous_version": "2.3.9",
        "deployed_by": "lee",
        "deployed_at": START.isoformat(),
        "age_s": 60.0,
    }
    return {"deployments": [row], "suspect": row}


def prepared(play: "Play", command: Prepare, **more: Any) -> Prepared:  # noqa: ANN401 - any field
    fields: dict[str, Any] = {
        "step_id": command.step_id,
        "pre_image": {"reachable": True, "reversible": "put it back", **play.observed},
        "problem": play.problem,
        "checks": results(play),
        "symptom": play.symptom(command.series),
        "log": [entry for entry in play.log.values() if entry.target == command.target],
        "acting": (),
        "freeze": play.freeze,
        "maintenance": play.window,
        "system_seq": play.system_seq,
        "modes": play.modes,
        "overrides": play.overrides,
        "live": {key: play.samples(key) for key in command.live},
    }
    return Prepared(**fields | more)


def probed(play: "Play", command: Probe) -> Probed:
    found = ProbeResult(effect=play.probe, evidence=f"it is {play.probe.value}")
    return Probed(
        step_id=command.step_id,
        result=found,
        freeze=play.freeze,
        maintenance=play.window,
        system_seq=play.system_seq,
        newer_token=play.newer_token,
        modes=play.modes,
    )


def packet(play: "Play", command: MakePacket) -> PacketMade:
    return PacketMade(
        request=command.request,
        handoff=command.handoff,
        packet={"version": 2},
        digest="ab" * 32,
        markdown="#",
    )


def looked(play: "Play", command: Look) -> Looked:
    seen = {"reachable": True, "reversible": "put it back", **play.observed}
    return Looked(
        request=command.request,
        results=results(play),
        symptom=play.symptom(command.checks.series),
        live={key: play.samples(key) for key in command.live},
        targets=dict.fromkeys(command.targets, (seen, play.problem)),
    )


def returned(play: "Play", step_id: str, *, redone: bool = False) -> ActionReturned:
    said = play.outcomes.popleft() if play.outcomes else SUCCEEDED
    lost = said if isinstance(said, str) else None
    outcome = None if isinstance(said, str) else said
    return ActionReturned(
        step_id=step_id,
        started_at=play.now,
        ended_at=play.now,
        outcome=outcome,
        lost=lost,
        redone=redone,
    )


def samples_read(play: "Play", command: ReadSamples) -> SamplesRead:
    samples = [
        Sample(at=at, service=key.service, region=key.region, signal=key.signal, value=value)
        for key in dict.fromkeys(command.series)
        for at, value in play.samples(key, 60)
        if at >= command.since
    ]
    return SamplesRead(step_id=command.step_id, samples=samples)


def paged(play: "Play", command: SendPage) -> PageSent:
    delivery = {"channel": "webhook", "delivered": play.delivered, "detail": "-"}
    sent = tuple(
        {
            "to": {"id": c.id},
            "level": command.level,
            "why": command.why,
            "deliveries": [delivery],
        }
        for c in command.contacts
    )
    return PageSent(level=command.level, sent=sent, packet_digest="ab", packet_markdown="#")
