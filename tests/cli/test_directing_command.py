"""A directed run from the command line: suggest, rehearse, direct, wait, undo, look. Nothing twice."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.conftest import Holdfast
from tests.surface import Installed, Serving, Target, installed, refused, target

FLAG = {
    "flags": {
        "new-cart": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "on",
        }
    }
}
STILL_DOWN = 'up{service="my-api"} == 0 for 400ms'
DIRECT = (
    "direct",
    "INC-1",
    "disable_flag",
    "my-api",
    "-p",
    "flag=new-cart",
    "--expect",
    STILL_DOWN,
)
CONTROL = """    control: {{flags: {{file: "{file}", allowed: [new-cart]}}}}
contacts:
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    directory = Path(tempfile.mkdtemp(prefix="hfdr", dir="/tmp"))
    yield installed(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def outage(site: Installed) -> Iterator[Serving]:
    """`serve` runs, its one target is down, the incident waits for a person."""
    with ExitStack() as stack:
        told: Target = stack.enter_context(target())
        told.status = 503
        site.describe(told.url, mode="supervised", more="cooldown_s: 0.1")
        file = site.write("flags.json", json.dumps(FLAG))
        services = (site.directory / "services.yaml").read_text()
        control = CONTROL.format(file=file)
        site.write("services.yaml", services.replace("contacts:\n", control))
        serving = stack.enter_context(site.serving())
        serving.event("record", kind="paged")
        yield serving
        assert serving.stop() == 0


@pytest.fixture
def there(
    outage: Serving, site: Installed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> Holdfast:
    assert outage.process.poll() is None
    monkeypatch.setenv("HOLDFAST_DIR", str(site.directory))
    monkeypatch.setenv("HOLDFAST_TOKEN", site.token or "")
    return holdfast


def flag(site: Installed) -> str:
    found = json.loads((site.directory / "flags.json").read_text())
    return str(found["flags"]["new-cart"]["state"])


def test_an_agent_suggests_and_its_words_are_no_reason_of_a_persons(
    there: Holdfast, site: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = there("token", "create", "bot", "--kind", "agent", "--scope", "propose", "--json")
    monkeypatch.setenv("HOLDFAST_TOKEN", made.document["token"])
    why = "the flag went up at noon"
    said = there("propose", *DIRECT[1:], "--because", why, "--json").document

    assert said["directive"] == (
        "holdfast direct INC-1 disable_flag my-api -p flag=new-cart --expect "
        "'up{service=\"my-api\"} == 0 for 400ms' --because"
    )
    refused(there(*DIRECT, "--because", "x"), 1, "an agent's token can never")
    monkeypatch.setenv("HOLDFAST_TOKEN", site.token or "")
    refused(there(*DIRECT, "--because", f"{why.title()}!"), 1, "that is a suggestion's text")


def test_a_dry_run_reads_well_and_does_nothing(there: Holdfast, site: Installed) -> None:
    told = there(*DIRECT, "--dry-run")

    assert told.code == 0
    for words in (
        "INC-1: dry run of disable_flag on my-api: it would be performed; nothing done",
        "Verdict: allow (mode supervised)",
        "  up of my-api in eu: 0",
        "What would change at my-api",
        "Undo: set the flag back to ENABLED if nobody changed it since",
        f"Recovered means: {STILL_DOWN}",
    ):
        assert words in told.out, words
    assert flag(site) == "ENABLED"


def test_a_directive_sent_twice_at_once_is_one_step_and_undone_once_its_turn_has_come(
    there: Holdfast, site: Installed
) -> None:
    seen = there(*DIRECT, "--dry-run", "--json").document["seen"]
    keyed = (
        *DIRECT, "--because", "errors began with it", "--seen", seen, "--json",
        "--idempotency-key", "k1",
    )  # fmt: skip
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: site.run(*keyed), range(2))
    step, message = (first.document[name] for name in ("step_id", "message"))
    assert (step, message) == (second.document["step_id"], second.document["message"])

    undo = ("undo", "INC-1", step, "--because", "it was not the flag")
    undone = there(*undo, "--wait", "15s", "--expect", STILL_DOWN, "--json").document
    assert int(undone["step_id"][1:]) == int(step[1:]) + 1, "one directive made one step"
    refused(there("skip", "INC-1", step, "--because", "x"), 1, "only a step that is proposed")
    again = there(*keyed).document
    # How the step stands is told as of now; the answer is the one of then.
    assert (again["step_id"], again["message"]) == (step, message), "whatever happened since"
    other = ("hold", "INC-1", "--because", "x", "--idempotency-key", "k1")
    refused(there(*other), 1, "was used for another request")


def test_a_look_and_a_refused_dry_run_read_well(there: Holdfast, site: Installed) -> None:
    there("did", "INC-1", "disable_flag", "my-api", "--because", "by hand", "-p", "flag=new-cart")
    look = there("incident", "look", "INC-1").out
    assert "  my-api: queue_age no value, saturation no value, up 0" in look
    assert "INC-1: looked: " in look
    refused(there(*DIRECT), 2, "--because is missing")
    late = ("did", "INC-1", "disable_flag", "my-api", "--because", "x", "--at", "2099-01-01T00:00Z")
    refused(there(*late), 1, "is in the future")

    there("freeze", "--because", "storage maintenance")
    told = there(*DIRECT, "--dry-run", "--when", 'readings["up of my-api in eu"] == 1.0')
    there("thaw", "--because", "done")
    assert told.code == 1
    assert "Verdict: refuse" in told.out
    assert "  freeze: " in told.out
    assert "  precondition: precondition does not hold" in told.out
    assert flag(site) in {"ENABLED", "DISABLED"}
