"""One fault, one incident: where an opening belongs."""

from holdfast.incident import Phase, State
from holdfast.incident.grouping import place


def incident(number: int, *services: str, phase: Phase = Phase.OPEN) -> State:
    return State(incident_id=f"INC-{number}", services=services, phase=phase)


def test_an_opening_of_connected_services_belongs_to_the_open_incident() -> None:
    assert place(("shop", "shop-db"), [incident(1, "mail"), incident(2, "shop-db")]) == "INC-2"


def test_an_opening_elsewhere_is_a_new_incident() -> None:
    assert place(("shop",), [incident(1, "mail")]) is None
    assert place(("shop",), []) is None


def test_an_incident_that_has_ended_takes_nothing_in() -> None:
    ended = [
        incident(n, "shop", phase=phase)
        for n, phase in enumerate((Phase.RESOLVED, Phase.CLOSED, Phase.DISMISSED, Phase.MERGED), 1)
    ]

    assert place(("shop",), ended) is None
    assert place(("shop",), [*ended, incident(9, "shop", phase=Phase.REOPENED)]) == "INC-9"
