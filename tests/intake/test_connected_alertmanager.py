"""A real Prometheus fires on a real exporter, a real Alertmanager posts, a real `serve` answers."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.app.tokens import create_token
from holdfast.incident import State, StepStatus, fold
from holdfast.kernel import SYSTEM, SystemClock
from holdfast.ledger import SqliteLedger
from tests.monitoring_parts import (
    Monitor,
    eventually,
    say,
    started_alertmanager,
    started_node_exporter,
    started_prometheus,
)
from tests.surface import Installed, Serving, installed

CALM = "queue_stuck 0\nin_flight 3\n"
STUCK = "queue_stuck 1\nin_flight 3\n"
RULES = """
groups:
  - name: queue
    interval: 200ms
    rules:
      - alert: QueueStuck
        expr: queue_stuck > 0
        labels: {severity: critical, service: my-queue, region: eu}
        annotations: {summary: 'nothing is taken from the queue of {{ $labels.instance }}'}
"""
PROMETHEUS = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
rule_files: [rules.yaml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["{exporter}"]}}]
"""
NOWHERE = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
ALERTMANAGER = """
route: {{receiver: holdfast, group_by: [alertname], group_wait: 0s, group_interval: 200ms}}
receivers:
  - name: holdfast
    webhook_configs:
      - url: {url}/v1/intake/alertmanager
        http_config: {{authorization: {{credentials_file: {token}}}}}
"""
SERVICES = """
services:
  - name: my-queue
    scrape: {{eu: "{exporter}/metrics"}}
    metrics: {{saturation: {{gauge: in_flight}}}}
    control: {{flags: {{file: {flags}, allowed: [new-consumer]}}}}
contacts: {{}}
"""
FLAGS = '{"flags": {"new-consumer": {"state": "ENABLED", "variants": {"on": true}}}}'
RUNBOOK = """---
name: stuck-queue
title: Nothing is taken from the queue
match: {labels: {alertname: QueueStuck, severity: critical}}
owner: team
---

# Nothing is taken from the queue

## Mitigation

### Turn the new consumer off

```yaml step
action: disable_flag
target: ${entity}
params: {flag: new-consumer}
expect: ["saturation <= 10 for 1s in each region"]
```
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """Everything that runs, and what Holdfast says."""

    exporter: Monitor
    prometheus: Monitor
    made: Installed
    serving: Serving

    def record(self, kind: str) -> dict[str, Any]:
        return self.serving.event("record", kind=kind)

    def state(self) -> State:
        with closing(SqliteLedger(self.made.directory / "holdfast.db")) as ledger:
            return fold(ledger.records("INC-1"), "INC-1")


@pytest.fixture(scope="module")
def connected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    folder = tmp_path_factory.mktemp("monitored")
    with (
        started_node_exporter(folder) as exporter,
        started_alertmanager(folder, NOWHERE) as alertmanager,
    ):
        say(exporter, CALM)
        (folder / "prometheus").mkdir()
        (folder / "prometheus" / "rules.yaml").write_text(RULES)
        targets = {"exporter": exporter.address, "alertmanager": alertmanager.address}
        with started_prometheus(folder, PROMETHEUS.format(**targets)) as prometheus:
            made = described(folder, exporter)
            token = folder / "token"
            token.write_text(service_token(made))
            with made.serving() as serving:
                receiver = ALERTMANAGER.format(url=serving.url, token=token)
                (alertmanager.directory / "alertmanager.yaml").write_text(receiver)
                alertmanager.post("/-/reload")
                yield Connected(
                    exporter=exporter, prometheus=prometheus, made=made, serving=serving
                )


def described(folder: Path, exporter: Monitor) -> Installed:
    made = installed(folder / "site")
    made.describe(more="checks: {disk: {paths: [/]}}")
    flags = made.write("flags.json", FLAGS)
    made.write("services.yaml", SERVICES.format(exporter=exporter.url, flags=flags))
    made.write("runbooks/stuck-queue.md", RUNBOOK)
    return made


def service_token(made: Installed) -> str:
    """Make the token of `holdfast token create NAME --kind service --scope propose`, in here."""
    with closing(SqliteLedger(made.directory / "holdfast.db")) as ledger:
        token, _ = create_token(
            ledger,
            name="alertmanager",
            kind="service",
            scopes=["propose"],
            days=1,
            by=SYSTEM,
            now=SystemClock().now(),
        )
    return token


def test_a_rule_that_fires_opens_an_incident_and_observe_shows_what_it_would_have_done(
    connected: Connected,
) -> None:
    scraped = b'"__name__":"queue_stuck"'
    query = "/api/v1/query?query=queue_stuck"
    eventually(lambda: scraped in connected.prometheus.get(query), "a scrape")
    say(connected.exporter, STUCK)

    connected.record("step_blocked")
    state = connected.state()
    (alert,) = (signal for signal in state.signals.values() if signal["signal"] == "alert")
    assert (state.opened_by, state.services, state.severity) == (
        "alert",
        ("my-queue",),
        "critical",
    )
    assert alert["labels"]["instance"] == connected.exporter.address
    assert "nothing is taken from the queue of" in alert["reason"]
    assert set(state.baselines) == {"saturation of my-queue in eu", "up of my-queue in eu"}
    assert "disk_usage" in state.checks
    assert state.symptom is not None
    assert state.symptom["series"][alert["series"]]["status"] == "present"
    assert state.plan is not None
    assert (state.plan.runbook, state.plan.mode) == ("stuck-queue", "observe")
    (step,) = state.steps
    assert (step.status, step.action) == (StepStatus.BLOCKED, "disable_flag")
    assert step.verdict["would_have"] is True
    assert "ENABLED" in (connected.made.directory / "flags.json").read_text()


def test_resolved_is_noted_as_evidence_and_the_metrics_decide(connected: Connected) -> None:
    say(connected.exporter, CALM)

    noted = connected.serving.event("record", kind="signal_attached")
    assert "recovery evidence: alert QueueStuck" in noted["text"]
    assert "is said to be resolved" in noted["text"]
    resolved = connected.record("resolved")
    assert resolved["seq"] > noted["seq"]
    assert "every series is back in its normal range" in resolved["text"]
    shown = connected.made.run("incident", "show", resolved["incident_id"])
    assert (shown.code, "nobody could be paged" in shown.out) == (0, True)


def test_what_came_in_is_counted(connected: Connected) -> None:
    noted = 'holdfast_intake_alerts_total{result="resolved_noted"} 1.0'
    # The records are written before the sender has its answer.
    eventually(lambda: noted in connected.serving.page("/metrics")[1], "an answer")
    _, page = connected.serving.page("/metrics")
    assert 'holdfast_intake_alerts_total{result="opened"} 1.0' in page
    assert "holdfast_intake_rejected_total 0.0" in page
