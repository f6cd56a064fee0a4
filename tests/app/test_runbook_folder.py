"""A runbook that could never be performed or judged is found when `serve` starts, in daylight."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.app.installation import load_installation
from holdfast.app.linting import lint_folder, refuse_broken_runbooks
from holdfast.kernel.errors import BadInputError
from tests.surface import Installed

RUNBOOK = """\
---
name: {name}
match: {{incident_type: service_down}}
owner: team
---
## Mitigation

### Start it again
```yaml step
action: {action}
target: ${{instance}}
when: ["signal_ok"]
expect: ['{expect}']
```
"""
UP = 'up{service="${entity}"} == 1 for 60s'


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    (tmp_path / "runbooks").mkdir()
    made = Installed(directory=tmp_path)
    made.describe()
    return made


def add(
    site: Installed, *, name: str = "again", action: str = "restart_service", expect: str = UP
) -> Path:
    text = RUNBOOK.format(name=name, action=action, expect=expect)
    return site.write(f"runbooks/{name}.md", text.replace('when: ["signal_ok"]\n', ""))


def refusal(site: Installed) -> str:
    with pytest.raises(BadInputError) as found:
        refuse_broken_runbooks(load_installation(site.directory))
    assert found.value.exit_code == 2
    return found.value.message


def findings(site: Installed) -> list[dict[str, Any]]:
    made = load_installation(site.directory)
    return lint_folder(site.directory / "runbooks", made.catalogue)


def test_a_good_runbook_starts(site: Installed) -> None:
    add(site)
    add(site, name="other", expect='queue_age{service="my-api"} < 10 for 60s')

    refuse_broken_runbooks(load_installation(site.directory))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"action": "restart_servce"}, "unknown action 'restart_servce'; did you mean"),
        (
            {"action": "rm_rf"},
            "unknown action 'rm_rf'; known are clear_cache, command, cordon_node",
        ),
        ({"expect": "is it better?"}, "column"),
        ({"expect": 'queue_ag{service="${entity}"} < 1 for 1s'}, "did you mean 'queue_age'?"),
        ({"expect": 'up{service="my-ap"} == 1 for 1s'}, "no service 'my-ap'; did you mean"),
        ({"expect": 'latency{service="my-api"} < 1 for 1s'}, "no signal of my-api"),
        ({"expect": 'up{service="${entty}"} == 1 for 1s'}, "unknown variable ${entty}"),
    ],
)
def test_a_runbook_that_can_never_work_stops_serve_with_its_line(
    wrong: dict[str, str], words: str, site: Installed
) -> None:
    path = add(site, **wrong)
    message = refusal(site)

    assert message.startswith(f"{path}:9: ")
    assert words in message
    assert "nothing was started" in message


def test_a_golden_signal_that_nobody_measures_yet_is_a_warning(site: Installed) -> None:
    add(site, expect='latency{service="${entity}"} < 1 for 60s')

    refuse_broken_runbooks(load_installation(site.directory))
    texts = [f["text"] for f in findings(site) if f["severity"] == "warning"]
    assert any("no service has the signal 'latency' yet" in text for text in texts)


def test_an_empty_catalogue_judges_no_signal(site: Installed) -> None:
    add(site, expect='queue_ag{service="${entity}"} < 1 for 60s')
    site.write("services.yaml", "services: []\n")

    refuse_broken_runbooks(load_installation(site.directory))


def test_a_runbook_without_steps_loads_and_is_no_error(site: Installed) -> None:
    site.write(
        "runbooks/words.md",
        "---\nname: words\nmatch: {incident_type: service_down}\n---\n\n## Mitigation\n\nCall the vendor.\n",
    )

    refuse_broken_runbooks(load_installation(site.directory))
    [runbook] = load_installation(site.directory).runbooks
    assert not runbook.executable


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no front matter", ":1: no front matter"),
        (b"---\nname: [x\n---\n", ":"),
        (b"---\nname: x\nname: y\n---\n", ":3: front matter: the key 'name' is there twice"),
        (b"---\nnam: x\n---\n", "'nam'"),
        (b"\xff\xfe---", ":1: byte 0xff is not UTF-8"),
        (b"---\nname: x\n---\n" + b"x" * 1_000_001, "split the runbook"),
        (b"---\nname: x\n---\n\x00", "is no text"),
    ],
    ids=range(7),
)
def test_a_runbook_that_cannot_be_read_names_file_and_line(
    content: bytes, words: str, site: Installed
) -> None:
    path = site.directory / "runbooks" / "odd.md"
    path.write_bytes(content)

    with pytest.raises(BadInputError) as found:
        load_installation(site.directory)
    assert found.value.message.startswith(f"{path}:")
    assert words in found.value.message


def test_two_runbooks_of_one_name_are_refused(site: Installed) -> None:
    add(site)
    site.write("runbooks/copy.md", (site.directory / "runbooks" / "again.md").read_text())

    with pytest.raises(BadInputError, match="exists already in"):
        load_installation(site.directory)


def test_a_runbook_that_vanished_behind_its_link_is_not_read(site: Installed) -> None:
    (site.directory / "runbooks" / "gone.md").symlink_to("nowhere.md")

    assert load_installation(site.directory).runbooks == ()
