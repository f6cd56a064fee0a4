"""`boundaries` in holdfast.yaml and `members` in services.yaml: read strictly, and looked at."""

from pathlib import Path

import pytest

from holdfast.app.build import world
from holdfast.app.doctor_boundaries import judge_boundaries
from holdfast.app.installation import Installation, load_installation
from holdfast.kernel import BadInputError
from tests.surface import installed

PEOPLE = "  dba: {name: Databases, members: [erin, kim]}\n"


def protected(directory: Path, entry: str, people: str = PEOPLE, more: str = "") -> Installation:
    made = installed(directory / "site")
    made.describe(more=f"boundaries: [{{{entry}}}]\n{more}")
    services = made.directory / "services.yaml"
    services.write_text(services.read_text() + people)
    return load_installation(made.directory)


def test_a_boundary_and_its_people_reach_every_decision(tmp_path: Path) -> None:
    entry = "action: failover_db, target: my-api, authority: dba, why: theirs"
    more = "escalation: {ack_timeout_s: 60, commander_silent_s: 90}\n"
    here = world(protected(tmp_path, entry, more=more), {})

    (found,) = here.boundaries
    assert (found.action, found.authority, found.why) == ("failover_db", "dba", "theirs")
    assert here.holders == {"dba": frozenset({"erin", "kim"})}
    assert (here.timing.handoff_timeout_s, here.timing.commander_silent_s) == (60.0, 90.0)


def test_no_contact_is_called_what_the_system_is_called(tmp_path: Path) -> None:
    people = "  holdfast: {name: Us, members: [erin]}\n"
    with pytest.raises(BadInputError, match="own name"):
        protected(tmp_path, "action: '*', target: '*', authority: holdfast", people)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("action: failover, target: my-api, authority: dba", "did you mean 'failover_db'?"),
        ("action: '*', target: my-ap, authority: dba", "did you mean 'my-api'?"),
        ("action: '*', target: my-api@us, authority: dba", "boundaries.0.target"),
        ("action: '*', target: '*', authority: dbas", "no contact of services.yaml"),
        ("action: '*', target: '*', authority: '*'", "no contact of services.yaml"),
        ("action: '*', target: '*'", "boundaries.0.authority is missing"),
    ],
)
def test_a_boundary_that_would_protect_nothing_is_refused(
    entry: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=r"boundaries\.0") as error:
        protected(tmp_path, entry)
    assert said in error.value.message


@pytest.mark.parametrize(
    ("people", "level", "said"),
    [
        (PEOPLE, "ok", "(erin, kim)"),
        ("  dba: {name: Databases}\n", "warning", "nobody speaks for dba"),
        ("  dba: {name: D, page: [webhook], members: [erin]}\n", "warning", "set notify.webhook"),
    ],
)
def test_the_doctor_names_boundaries_that_nobody_answers_for(
    people: str, level: str, said: str, tmp_path: Path
) -> None:
    entry = "action: failover_db, target: my-api, authority: dba"
    (finding,) = judge_boundaries(protected(tmp_path, entry, people))

    assert finding.level.value == level
    assert said in f"{finding.value} {finding.next_step}"
