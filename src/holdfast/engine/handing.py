"""What a handoff needs of the world: the packet, and a second look at what was touched.

The packet is read from the ledger, and the readings at that moment. A look changes nothing; what
can't be read is said to be so, never left out.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from holdfast.diagnosis import SymptomReading
from holdfast.engine.case import Case
from holdfast.engine.hands import request_of
from holdfast.engine.standing import stops_on
from holdfast.escalation import packet, packet_markdown
from holdfast.incident import State
from holdfast.response.commands import LookAgain, MakePacket, SendPage, Touched
from holdfast.response.events import PacketMade, PageSent, SeenAgain
from holdfast.response.ports import Effect
from holdfast.response.viewing import health_series, packet_view, places_of

if TYPE_CHECKING:
    from holdfast.engine.carry import Carrier

_TOLD_RECORDS = 50
_SEEN_MOST = 12

Plane = Mapping[str, Any]


def make_packet(carrier: "Carrier", case: Case, command: MakePacket) -> PacketMade:
    """Make the packet of a handoff, as it will stand: handed over and not accepted."""
    document, markdown = document_of(carrier, case, handoff=command.handoff)
    return PacketMade(
        request=command.request,
        handoff=command.handoff,
        packet=document,
        digest=_digest(markdown),
        markdown=markdown,
    )


def send_page(carrier: "Carrier", case: Case, command: SendPage) -> PageSent:
    """Page each contact with the packet; nobody to page is told as such."""
    document, markdown = document_of(carrier, case)
    nobody: Mapping[str, Any] = {
        "to": None,
        "level": command.level,
        "why": command.why,
        "deliveries": [],
    }
    sent = tuple(
        carrier.pager.send(
            case.state,
            contact,
            level=command.level,
            why=command.why,
            packet=document,
            markdown=markdown,
        )
        for contact in command.contacts
    )
    return PageSent(
        level=command.level,
        sent=sent or (nobody,),
        packet_digest=_digest(markdown),
        packet_markdown=markdown,
    )


def document_of(
    carrier: "Carrier", case: Case, *, handoff: Mapping[str, Any] | None = None
) -> tuple[Mapping[str, Any], str]:
    """Give the packet as data and as Markdown."""
    state = case.state
    # A packet tells the end of the timeline; the rest need not pass through memory.
    tail = carrier.ledger.records(case.incident_id, after=max(0, state.seq - _TOLD_RECORDS))
    view = packet_view(
        state,
        case.claim.head,
        tail,
        now=carrier.clock.now(),
        world=carrier.world,
        readings=_readings(carrier, case),
        handoff=handoff,
        stops=tuple(_stops(carrier, state)),
    )
    document = packet(view)
    return document, packet_markdown(document)


def _stops(carrier: "Carrier", state: State) -> Iterable[Mapping[str, Any]]:
    world = carrier.world
    system = carrier.system.state()
    return stops_on(system, world, places_of(state, world), carrier.clock.now())


def _readings(carrier: "Carrier", case: Case) -> list[SymptomReading] | None:
    """Read the series of every service concerned; None where they can't be read."""
    try:
        return carrier.symptom(health_series(case.state, carrier.world))
    except Exception:  # noqa: BLE001 - a page must go out, whatever is broken; it tells what was recorded
        return None


def _digest(markdown: str) -> str:
    return hashlib.sha256(markdown.encode()).hexdigest()


# --- looking again -------------------------------------------------------


def look_again(carrier: "Carrier", case: Case, command: LookAgain) -> SeenAgain:
    """Look at each target; what was done to a plane last is what it is held against."""
    looks = [_look(carrier, case, each) for each in command.touched]
    last: dict[str, int] = {}
    for index, look in enumerate(looks):
        last.update({plane["plane"]: index for plane in look["planes"]})
    found: dict[str, dict[str, Any]] = {}
    for index, (deed, look) in enumerate(zip(command.touched, looks, strict=True)):
        own = [plane for plane in look["planes"] if last[plane["plane"]] == index]
        now = {**look, "planes": own, "partly": _in_part(own)}
        found[deed.target] = _joined(found[deed.target], now) if deed.target in found else now
    return SeenAgain(request=command.request, targets=found)


def _look(carrier: "Carrier", case: Case, deed: Touched) -> dict[str, Any]:
    if deed.action not in carrier.world.actions:
        # Done by hand with means of one's own: there is no control plane that we could read.
        text = f"nobody can look at what {deed.action!r} did: it is no action here"
        return {"text": text, "reachable": None, "planes": [], "seen": {}}
    seen, problem = carrier.hands.observe(deed.action, deed.target, deed.params)
    step = case.state.step(deed.step_id) if deed.step_id else None
    planes: list[Plane] = []
    told = problem or _short(seen)
    shown = False
    if step is not None:
        result = carrier.hands.probe(request_of(step, fence=case.claim.fence))
        planes = [dict(plane) for plane in result.data.get("planes", ())]
        # What an action would need to act again may be gone for good, as the old primary is after
        # a failover; what it did can be seen all the same.
        shown = result.effect is Effect.PRESENT
        told = result.evidence if shown or problem is None else told
    return {
        "text": f"{deed.action}: {told}",
        "reachable": problem is None or shown,
        "planes": planes,
        "seen": _plain(seen),
    }


def _in_part(planes: Iterable[Plane]) -> bool:
    reached = {bool(plane.get("reached")) for plane in planes if plane.get("lasting", True)}
    return len(reached) > 1


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    can_read = [each["reachable"] for each in (one, other)]
    return {
        "text": f"{one['text']}; {other['text']}",
        "reachable": False if False in can_read else (True if True in can_read else None),
        "planes": [*one["planes"], *other["planes"]],
        "partly": one["partly"] or other["partly"],
        "seen": {**one["seen"], **other["seen"]},
    }


def _plain(seen: Mapping[str, Any]) -> dict[str, Any]:
    shown = {k: v for k, v in seen.items() if isinstance(v, str | int | float | bool)}
    return dict(list(shown.items())[:_SEEN_MOST])


def _short(seen: Mapping[str, Any]) -> str:
    told = {k: v for k, v in _plain(seen).items() if k not in {"reachable", "reversible"}}
    return ", ".join(f"{key}={value}" for key, value in told.items()) or "it answers"
