"""A runbook rehearsed on what was written down or recorded, by the engine's own decisions."""

import json
import math
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.app.desk import Desk
from holdfast.app.exports import export_lines, write_lines
from holdfast.app.installation import load_installation
from holdfast.app.rehearsal_incident import sampled_then
from holdfast.app.rehearsing import rehearsed
from holdfast.incident import Record
from holdfast.kernel.errors import BadInputError, NotFoundError
from holdfast.ledger import SqliteLedger
from holdfast.response.store import Batch
from holdfast.sources import HistoryFile
from tests.scene import START, Scene, opened
from tests.scenes import bad_deploy
from tests.surface import Installed

CONFIG = """\
mode: {mode}
sampling_interval_s: 1
verification: {{sustain_s: 3}}
cooldown_s: 5
autonomy:
  - {{runbook: again, service: shop, granted_by: dana, because: it is safe}}
"""
SERVICES = """\
services:
  - name: shop
    on_call: dana
    regions: [east, west]
    scrape: {east: "http://127.0.0.1:1/metrics", west: "http://127.0.0.1:2/metrics"}
contacts:
  dana: {name: Dana}
"""
RUNBOOK = """\
---
name: {name}
owner: team
match: {{incident_type: [{type}]}}
---
## Mitigation

### Start it again

```yaml step
action: {action}
target: {target}
when: ["checks.service_status.status == 'down'"]
expect: ['up{{service="${{entity}}"}} == 1 for 3s in each region']
retries: {retries}
impact: {impact}
```
"""
STATE = """\
signals: {{"up in east": {{expected: 1}}}}
checks: {{service_status: {{status: {status}}}}}
samples: {{up: 1, up in east: 0}}
{more}
"""
RESTARTED = "{action: restart_service, target: shop@east, ago_s: "
AFTER = "after: [{samples: {up in east: 1}}]"


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    made = Installed(directory=tmp_path)
    made.write("holdfast.yaml", CONFIG.format(mode="autonomous"))
    made.write("services.yaml", SERVICES)
    add(made)
    return made


def add(site: Installed, name: str = "again", **given: object) -> None:
    fields: dict[str, object] = {
        "name": name,
        "type": "service_down",
        "action": "restart_service",
        "target": "${instance}",
        "retries": 0,
        "impact": "low",
    }
    site.write(f"runbooks/{name}.md", RUNBOOK.format(**fields | given))


def play(
    site: Installed,
    more: str = AFTER,
    *,
    status: str = "down",
    name: str = "again",
    **options: Any,  # noqa: ANN401
) -> tuple[bool, Mapping[str, Any]]:
    path = site.write("state.yaml", STATE.format(status=status, more=more))
    found = rehearsed(site.directory, name, state=path, **options)
    assert found.passed == found.data["passed"]
    json.dumps(found.data)
    return found.passed, found.data


def test_a_runbook_is_matched_rendered_judged_and_proven_without_anything_being_done(
    site: Installed,
) -> None:
    before = sorted(site.directory.rglob("*"))
    passed, data = play(site)
    (step,) = data["steps"]

    assert passed
    assert data["match"]["chosen"]
    assert data["match"]["incident_type"] == "service_down"
    assert step["rendered"]["target"] == "shop@east"
    assert [reason["ok"] for reason in step["preconditions"]] == [True]
    assert step["guard"]["decision"] == "allow"
    assert step["criteria"] == ['up{service="shop"} == 1 for 3s in each region']
    assert step["verification"]["status"] == "met"
    assert data["end"]["phase"] == "resolved"
    assert {path.name for path in set(site.directory.rglob("*")) - set(before)} == {"state.yaml"}


@pytest.mark.parametrize(
    ("after", "status", "words"),
    [
        ("after: [{samples: {up in east: 0}}]", "contradiction", "recovery is not proven"),
        ("after: [{samples: {up: 0}}]", "not_met", "recovery is not proven"),
        ("after: [{samples: {up in east: []}}]", "no_data", "nobody can tell"),
        ("after: [{samples: {up in east: [1, 1]}}]", "stale", "nobody can tell"),
    ],
)
def test_the_verdict_of_the_verifier_is_the_one_that_it_would_give(
    after: str, status: str, words: str, site: Installed
) -> None:
    passed, data = play(site, after)

    assert not passed
    assert data["steps"][0]["verification"]["status"] == status
    assert data["end"]["phase"] == "verifying"
    assert words in data["end"]["held"]
    assert data["pages"][0]["to"]["name"] == "Dana"


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ("", "healthy", "precondition does not hold"),
        ("freeze: the fair is on\n", "down", "the fair is on"),
        (
            f"actions: [{RESTARTED}60}}, {RESTARTED}90}}]\n",
            "down",
            "shop@east was restarted often enough",
        ),
        (
            "actions: [{action: restart_service, target: shop@east, ago_s: 9, settled: false}]\n",
            "down",
            "shop@east",
        ),
    ],
)
def test_what_the_guard_refuses_is_said_with_every_reason(
    more: str, status: str, words: str, site: Installed
) -> None:
    passed, data = play(site, more + AFTER, status=status)
    (step,) = data["steps"]

    assert not passed
    assert step["guard"]["decision"] == "refuse"
    assert len(step["guard"]["reasons"]) > 8
    assert any(words in reason["text"] for reason in step["refused"])
    assert step["outcome"] is None
    assert data["end"]["held"]


def test_what_the_file_does_not_say_is_unknown_to_the_guard(site: Installed) -> None:
    path = site.write("s.yaml", "signals: {up in east: {}}\nsamples: {up: 1, up in east: 0}\n")
    data = rehearsed(site.directory, "again", state=path).data

    assert "can't be told" in data["steps"][0]["preconditions"][0]["text"]


def test_a_cooldown_is_waited_for_as_it_would_be(site: Installed) -> None:
    done = "actions: [{action: drain_pool, target: shop@east, ago_s: 1}]\n"
    passed, data = play(site, done + AFTER)

    assert passed
    assert data["end"]["took_s"] >= play(site)[1]["end"]["took_s"] + 4


def test_what_a_step_leads_to_is_never_made_up(site: Installed) -> None:
    passed, data = play(site, "")

    assert not passed
    assert data["end"]["phase"] == "responding"
    assert "what restart_service on shop@east would lead to is not known" in data["end"]["stopped"]


@pytest.mark.parametrize(("probe", "phase"), [("present", "resolved"), ("absent", "responding")])
def test_a_lost_answer_is_settled_by_a_probe_or_held(
    probe: str, phase: str, site: Installed
) -> None:
    after = f"after: [{{outcome: lost, probe: {probe}, samples: {{up in east: 1}}}}]"
    _, data = play(site, after)

    assert data["end"]["phase"] == phase
    assert bool(data["end"]["held"]) == (probe == "absent")


def test_a_failed_step_is_tried_again_with_what_comes_after(site: Installed) -> None:
    add(site, retries=1)
    passed, data = play(site, "after: [{outcome: failed}, {samples: {up in east: 1}}]")

    assert passed
    assert data["steps"][0]["step_id"] == "S1"


def test_in_mode_observe_the_guard_says_so_and_the_rest_is_shown_as_if_it_were_allowed(
    site: Installed,
) -> None:
    site.write("holdfast.yaml", CONFIG.format(mode="observe"))
    passed, data = play(site)

    assert passed
    assert data["mode"]["mode"] == "observe"
    assert data["steps"][0]["guard"]["would_have"]
    assert data["end"] | {"phase": "planned", "only_shown": True} == data["end"]
    assert data["if_allowed"]["phase"] == "resolved"


def test_a_step_that_needs_an_approval_waits_and_is_shown_as_if_it_were_approved(
    site: Installed,
) -> None:
    add(site, impact="high")
    passed, data = play(site)

    assert passed
    assert data["steps"][0]["guard"]["decision"] == "needs_approval"
    assert data["end"]["waiting_for"] == ["approval"]
    assert data["if_allowed"]["phase"] == "resolved"


def test_one_that_does_not_fit_says_why_and_is_shown_as_if_it_did(site: Installed) -> None:
    add(site, "other", type="high_latency", retries=0)
    passed, data = play(site, name="other")

    assert not passed
    assert data["match"]["chosen"] is False
    assert data["match"]["best"] == "again"
    assert data["match"]["why"] == ["none of its criteria is met"]
    assert data["steps"][0]["verification"]["status"] == "met"


def test_two_that_fit_equally_well_are_neither_chosen(site: Installed) -> None:
    add(site, "twin")
    passed, data = play(site)

    assert not passed
    assert "again and twin fit equally well" in data["match"]["why"][0]


def test_a_type_without_signals_is_what_an_alert_says(site: Installed) -> None:
    add(site, type="cert_expiry", target="shop@east")
    path = site.write(
        "s.yaml",
        "incident_type: cert_expiry\nchecks: {service_status: {status: down}}\n"
        "samples: {up: 1}\nafter: [{samples: {up: 1}}]\n",
    )
    data = rehearsed(site.directory, "again", state=path).data

    assert data["match"]["incident_type"] == "cert_expiry"
    assert data["match"]["chosen"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("service: shpo\n", "did you mean 'shop'?"),
        ("signals: {up in north: {}}\n", "known are east, west"),
        ("signls: {}\n", "signls"),
        ("checks: {x: {status: fine}}\nincident_type: a\n", "is 'fine'; choose one of"),
        ("{}\n", "says nothing of any trouble"),
        ("samples: {up: yes}\n", "samples.up"),
    ],
)
def test_a_state_file_that_makes_no_sense_is_refused_with_its_place(
    text: str, words: str, site: Installed
) -> None:
    path = site.write("s.yaml", text)
    with pytest.raises(BadInputError) as refused:
        rehearsed(site.directory, "again", state=path)

    assert str(path) in refused.value.message
    assert words in refused.value.message


def test_without_a_file_the_one_beside_the_runbook_is_taken(site: Installed) -> None:
    with pytest.raises(BadInputError, match=r"no .*again\.state\.yaml; write one"):
        rehearsed(site.directory, "again")
    site.write("runbooks/again.state.yaml", STATE.format(status="down", more=AFTER))

    assert rehearsed(site.directory, "again").passed
    with pytest.raises(NotFoundError, match="known are again"):
        rehearsed(site.directory, "agian")


# --- recorded incidents


def recorded(site: Installed) -> None:
    """Keep an incident of a bad release whose rollback was verified."""
    site.write("services.yaml", SERVICES.replace("name: shop", "name: shop-api"))
    site.write("holdfast.yaml", "mode: observe\nsampling_interval_s: 1\n")
    (site.directory / "runbooks/again.md").unlink()
    site.write("runbooks/back.md", BACK)
    keep(site, bad_deploy())


def keep(site: Installed, records: list[Record]) -> None:
    ledger = SqliteLedger(site.directory / "holdfast.db")
    claim = ledger.open_incident("w-1", 30.0)
    ledger.append(Batch(claim=claim, records=records, at=START, lease_s=30.0))
    ledger.close()


BACK = """\
---
name: back
owner: team
match: {incident_type: [high_error_rate], checks: {recent_deployments: suspect}}
---
## Mitigation

### Back

```yaml step
action: rollback_deploy
target: ${entity}
when: [checks.recent_deployments.suspect.service == entity]
expect: ['errors{service="${entity}"} <= baseline * 1.2 + 0.02 for 3s in each region']
```
"""


def test_a_recorded_incident_is_rehearsed_from_its_diagnosis_on(site: Installed) -> None:
    recorded(site)
    data = rehearsed(site.directory, "back", incident="INC-1").data
    (step,) = data["steps"]

    assert data["source"].startswith("incident INC-1 as of 2030-01-01T12:")
    assert data["match"]["chosen"], data["match"]
    assert step["guard"]["decision"] == "refuse"
    assert any("deployed can't be told" in r["text"] for r in step["refused"])
    assert step["recorded"] == {"status": "met", "sentence": "recovery: met"}
    assert data["notes"] == [
        "where no sample of then is kept, the recorded reading stands for three"
    ]


def test_an_exported_incident_is_rehearsed_like_the_recorded_one(site: Installed) -> None:
    recorded(site)
    with Desk(site.directory) as desk:
        write_lines(site.directory / "INC-1.jsonl", export_lines(desk, "INC-1")[0])
    exported = rehearsed(site.directory, "back", state=site.directory / "INC-1.jsonl").data
    here = rehearsed(site.directory, "back", incident="INC-1").data

    assert {**exported, "source": "-"} == {**here, "source": "-"}


def test_an_incident_without_a_diagnosis_or_with_a_service_is_refused(site: Installed) -> None:
    recorded(site)
    scene = Scene(incident_id="INC-2")
    opened(scene)
    keep(site, scene.records)

    with pytest.raises(BadInputError, match="INC-2 has no diagnosis yet"):
        rehearsed(site.directory, "back", incident="INC-2")
    with pytest.raises(BadInputError, match="an incident names its own"):
        rehearsed(site.directory, "back", incident="INC-1", service="shop")


def test_samples_of_then_are_read_from_a_copy_of_the_history(site: Installed) -> None:
    catalogue = load_installation(site.directory).catalogue
    keys, path = catalogue.series(), site.directory / "history.bin"
    file = HistoryFile.open(path, keys, interval_s=1.0)
    for second in range(3):
        file.append(START + timedelta(seconds=second), np.array([second, math.nan], dtype=float))
    file.close()
    before = path.read_bytes()

    found = sampled_then(path, catalogue, ["shop"], interval_s=1.0)

    assert found[keys[0]] == [(START + timedelta(seconds=n), float(n)) for n in range(3)]
    assert all(math.isnan(value) for _, value in found[keys[1]])
    assert path.read_bytes() == before
    assert sampled_then(path, catalogue, ["other"], interval_s=1.0) == {}
