"""Who is called, when the next one is, and when nobody is."""

from holdfast.incident import Kind
from holdfast.response.commands import SendPage
from tests.response.response_parts import Play
from tests.response.response_world import GOOD, runbook, world


def held(*, delivered: bool = True) -> Play:
    fits_not = runbook("${entity}", incident_type="service_down")
    return Play(world=world(fits_not), delivered=delivered).open().run().wait(3)


def levels(play: Play) -> list[int]:
    return [command.level for command in play.told if isinstance(command, SendPage)]


def test_a_hold_pages_the_person_on_call_with_the_packet() -> None:
    play = held()
    (page,) = [command for command in play.told if isinstance(command, SendPage)]

    assert [contact.id for contact in page.contacts] == ["dana"]
    assert "no runbook fits" in page.why
    assert play.count(Kind.TAKEOVER_PACKET_ISSUED) == 1


def test_silence_pages_the_next_level_and_then_nobody_twice() -> None:
    play = held()
    play.wait(59)
    assert levels(play) == [1]
    play.wait(2)
    assert levels(play) == [1, 2]
    play.wait(600)
    assert levels(play) == [1, 2]


def test_a_page_that_is_not_delivered_goes_to_the_next_level_at_once() -> None:
    assert levels(held(delivered=False)) == [1, 2]


def test_an_acknowledgement_stops_paging() -> None:
    play = held()
    play.ask("ack")
    play.wait(600)

    assert levels(play) == [1]
    assert play.state.owner == "dana"


def test_whoever_acts_on_the_incident_has_acknowledged_it() -> None:
    play = held()
    play.ask("did", action="rollback_deploy", target="shop-api", because="at it")
    play.wait(600)

    assert levels(play) == [1]
    assert play.state.acknowledged is not None


def test_a_note_is_no_acknowledgement() -> None:
    play = held()
    play.ask("note", text="a passer-by")
    play.wait(61)

    assert levels(play) == [1, 2]


def test_a_hold_after_a_resume_calls_again_from_the_first_level() -> None:
    play = held()
    play.wait(61)
    play.ask("resume", because="look again")

    assert play.held()
    assert levels(play) == [1, 2, 1]
    play.wait(61)
    assert levels(play) == [1, 2, 1, 2]


def test_nobody_is_called_once_it_is_over() -> None:
    play = held()
    play.level(GOOD)
    play.wait(10)
    play.ask("resume", because="repaired")
    play.wait(600)

    assert play.state.ended
    assert levels(play) == [1]
