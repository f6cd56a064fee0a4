"""Under command from the command line: a charter, a handoff, an acceptance, and back again."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Holdfast
from tests.surface import Installed, Said, Serving, installed, refused, target

PEOPLE = "  dba: {name: Databases, role: dba, members: [erin]}\n  empty: {name: Nobody}\n"
BOUNDARY = (
    "boundaries: [{action: restart_service, target: my-api, authority: dba, why: theirs}]\n"
    "escalation: {handoff_timeout_s: 600}"
)


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    directory = Path(tempfile.mkdtemp(prefix="hfcm", dir="/tmp"))
    yield installed(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def outage(site: Installed) -> Iterator[Serving]:
    """`serve` runs in mode guided and waits for a person; the service is the database team's."""
    with ExitStack() as stack:
        told = stack.enter_context(target())
        told.status = 503
        site.describe(told.url, mode="guided", more=BOUNDARY)
        services = site.directory / "services.yaml"
        services.write_text(services.read_text() + PEOPLE)
        serving = stack.enter_context(site.serving())
        serving.event("record", kind="paged")
        yield serving
        assert serving.stop() == 0


class Person:
    """Runs commands with a token of their own."""

    def __init__(self, holdfast: Holdfast, patch: pytest.MonkeyPatch, token: str) -> None:
        self._holdfast, self._patch, self._token = holdfast, patch, token

    def __call__(self, *words: str) -> Said:
        self._patch.setenv("HOLDFAST_TOKEN", self._token)
        return self._holdfast(*words)


@pytest.fixture
def people(
    outage: Serving, site: Installed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Person]:
    assert outage.process.poll() is None
    monkeypatch.setenv("HOLDFAST_DIR", str(site.directory))
    monkeypatch.setenv("HOLDFAST_TOKEN", site.token or "")
    made: dict[str, Any] = {}
    for name in ("ann", "erin"):
        token = holdfast("token", "create", name, "--scope", "direct", "--json").document["token"]
        made[name] = Person(holdfast, monkeypatch, token)
    return made


def test_a_run_goes_from_charter_to_handoff_to_acceptance(people: dict[str, Person]) -> None:
    ann, erin = people["ann"], people["erin"]
    why = ("--because", "step by step, password=hunter2")
    words = ("charter", "set", "INC-1", "--objective", "it \x1b[2J answers", *why)
    allow = ("--allow", "restart_service:my-api")
    refused(ann(*words, *allow, "--commander", "an"), 2, "did you mean 'ann'?")
    refused(ann(*words, *allow, "--commander", "empty"), 2, "nobody speaks for 'empty'")
    refused(ann(*words, "--allow", "restart", "--commander", "ann"), 2, "names no action")
    refused(ann(*words, *allow, "--commander", "ann", "--expires", "soon"), 2, "neither a duration")
    refused(ann(*words, *allow, "--commander", "ann", "--protect", "x"), 2, "can't be read")
    refused(ann(*words, "--allow", "fly:my-api", "--commander", "ann"), 1, "'fly' is unknown")
    said = ann(*words, *allow, "--commander", "ann")
    assert "ann commands until" in said.out
    assert "noted" in ann("note", "INC-1", "whoever may direct may also say so").out

    shown = ann("charter", "show", "INC-1").out
    assert "allowed    restart_service on my-api" in shown
    assert "left       2 restarts of my-api" in shown
    assert "it  [2J answers" in shown
    assert "password=[redacted]" in shown
    assert "\x1b" not in ann("incident", "show", "INC-1").out
    assert "protected  restart_service on my-api is dba (erin)'s: theirs" in shown
    direct = ("direct", "INC-1", "restart_service", "my-api@eu", "--because", "it hangs")
    ann(*direct, "--expect", "up == 1 for 1s in each region")

    refused(ann("handoff", "INC-1", "--to", "db", "--because", "theirs"), 2, "did you mean 'dba'?")
    handed = ann("handoff", "INC-1", "--to", "dba", "--because", "theirs", "--json").document
    assert handed["digest"]
    refused(ann(*direct, "--json"), 1, "nobody acts")
    refused(ann("accept", "INC-1"), 1, "it is for dba")
    packet = erin("incident", "packet", "INC-1", "--json").document
    assert packet["version"] == 2
    assert packet["next_safe_step"]["command"] == "holdfast accept INC-1"
    assert packet["command"]["boundaries"][0]["people"] == ["erin"]
    assert "## The next safe step" in erin("incident", "packet", "INC-1").out
    assert "erin has INC-1" in erin("accept", "INC-1").out
    assert erin("charter", "show", "INC-1", "--json").document["commander"] == "erin"
    assert (
        "holdfast has it again"
        in erin("handoff", "INC-1", "--to", "holdfast", "--because", "done").out
    )
