"""One fault, one incident: where an opening belongs."""

from datetime import timedelta

from holdfast.incident import Phase, State
from holdfast.incident.grouping import last_ended_on, place
from tests.scene import START


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


def ended(number: int, *services: str, after_s: float, phase: Phase = Phase.RESOLVED) -> State:
    at = START + timedelta(seconds=after_s)
    merged = "INC-9" if phase is Phase.MERGED else None
    return State(
        incident_id=f"INC-{number}",
        services=services,
        phase=phase,
        ended_at=at,
        merged_into=merged,
    )


def last(*states: State, after_s: float = 0.0) -> str | None:
    now = START + timedelta(seconds=after_s)
    found = last_ended_on(("shop", "stock"), states, now=now, window_s=600)
    return found.incident_id if found else None


def test_what_comes_back_belongs_to_the_incident_that_ended_last_on_its_services() -> None:
    states = [
        ended(1, "shop", after_s=-50),
        ended(2, "shop", "mail", after_s=-20, phase=Phase.DISMISSED),
        ended(3, "mail", after_s=-5),
    ]

    assert last(*states) == "INC-2"


def test_after_the_window_a_trouble_is_a_new_one() -> None:
    assert last(ended(1, "shop", after_s=-599)) == "INC-1"
    assert last(ended(1, "shop", after_s=-600)) is None


def test_nothing_comes_back_to_what_is_live_or_was_merged() -> None:
    assert last(incident(1, "shop"), ended(2, "shop", after_s=-5, phase=Phase.MERGED)) is None
