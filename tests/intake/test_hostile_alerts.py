"""What is sent by accident or on purpose to be too much, or to tell what must stay untold."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from holdfast.app.intake_alerts import STRANGERS, STRANGERS_MOST
from holdfast.app.watch import Counts, StdoutWatcher
from holdfast.incident import Kind
from tests.intake.intake_parts import Running, alert, intake

KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEhunter2" * 300 + "\n-----END RSA PRIVATE KEY-----"


@pytest.fixture
def resting(tmp_path: Path) -> Iterator[Running]:
    with intake(tmp_path, working=False) as made:
        yield made


def test_names_without_end_share_one_incident(resting: Running) -> None:
    """A label that holds another value each time, such as the name of a pod."""
    pods = [alert(service=f"pod-{n}", region="") for n in range(STRANGERS_MOST + 40)]
    first, again = resting.fire(*pods), resting.fire(*pods)
    resolved = resting.fire(alert(service="pod-60", region="", status="resolved"))
    known = resting.fire(alert(service="mail"))

    assert len(resting.site.ledger.incident_ids()) == STRANGERS_MOST + 2
    assert {result for result, _ in first.results} == {"opened"}
    assert {result for result, _ in again.results} == {"known"}
    shared = resting.site.state(f"INC-{STRANGERS_MOST + 1}")
    assert shared.services == (STRANGERS,)
    assert len(shared.signals) == 40
    assert any("service=pod-60" in series for series in shared.signals)
    assert resolved.results == [("resolved_noted", shared.incident_id)]
    assert known.results[0][0] == "opened"


def test_a_secret_is_hidden_whatever_is_cut_off_and_whatever_names_it(resting: Running) -> None:
    secret = "https://app:" + "hunter2" * 60 + "@db/x"
    nasty = alert("Leaky", db_password="hunter2", url=secret, hunter="x" * 250 + secret)
    nasty["annotations"] = {"summary": KEY, "api_key": "hunter2", "runbook": "y" * 990 + secret}
    nasty["generatorURL"] = "http://p/" + "g" * 280 + secret
    resting.fire(nasty)

    assert "hunter2" not in str(resting.site.ledger.records("INC-1")[0].data)


@pytest.mark.parametrize("starts", [None, "0001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_who_does_not_say_when_it_began_tells_of_it_once(
    starts: str | None, resting: Running
) -> None:
    resting.fire(alert() | {"startsAt": starts})
    told = resting.fire(alert() | {"startsAt": starts})
    state = resting.site.state()

    assert told.results == [("known", "INC-1")]
    assert not resting.records(Kind.SIGNAL_ATTACHED)
    assert state.started_at is not None
    assert abs((resting.site.clock.now() - state.started_at).total_seconds()) < 60
    resolved = resting.fire(alert(status="resolved") | {"startsAt": starts})
    assert resolved.results == [("resolved_noted", "INC-1")]


def test_what_serve_prints_steers_no_terminal() -> None:
    out = StringIO()
    StdoutWatcher(Counts(), as_json=False, stream=out).on_trouble("of\x1b[2J others\n\x9bwords\r!")

    assert out.getvalue() == "trouble: of [2J others\nwords !\n"


def test_long_names_are_cut_and_still_told_apart(resting: Running) -> None:
    long = "n" * 200
    resting.fire(*(alert(long, service=long + end, region=long) for end in ("a", "b")))
    state = resting.site.state()

    assert resting.site.ledger.incident_ids() == ["INC-1"]
    assert len(state.signals) == 2
    assert len(state.title) < 300
