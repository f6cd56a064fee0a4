"""What `serve` shows and counts of itself: lines on stdout, figures on /metrics.

Structured text only. Nothing here is read back to decide anything.
"""

import json
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from holdfast.engine import Tick
from holdfast.engine.maintenance import Suppressed
from holdfast.incident import Kind, Record, line
from holdfast.incident.timeline import one_line
from holdfast.kernel.clock import format_at
from holdfast.kernel.redact import redact

_CALM_TICKS = 2


class Counts:
    """Holdfast's own figures, in the Prometheus text format."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ticks = self._counter("ticks", "Sampling ticks judged")
        self.bare_rule = self._counter(
            "bare_rule_fired", "Ticks on which the bare composite rule over all series held"
        )
        self.anomalies = self._counter("anomalies", "Anomalous readings")
        self.incidents = self._counter("incidents_opened", "Incidents opened")
        self.records = self._counter("records", "Ledger records appended")
        self.pages = self._counter("pages", "Pages delivered to at least one channel")
        self.trouble = self._counter("trouble", "Errors of the engine itself")
        self.suppressed = self._counter(
            "openings_suppressed", "Openings that a maintenance window kept quiet"
        )
        self.live = Gauge(
            "holdfast_incidents_live", "Incidents that have not ended", registry=self.registry
        )
        self.warm = Gauge(
            "holdfast_series_warm", "Series with enough samples", registry=self.registry
        )
        self.target_up = Gauge(
            "holdfast_target_up",
            "Whether the last scrape of a target worked; a target that never failed has no sample",
            ["service", "region"],
            registry=self.registry,
        )

        self.intake_alerts = Counter(
            "holdfast_intake_alerts",
            "Alerts that were sent here, by what became of them",
            ["result"],
            registry=self.registry,
        )
        self.intake_rejected = self._counter(
            "intake_rejected", "Requests to the intake that nothing was taken of"
        )
        self.prometheus_failures = self._counter(
            "prometheus_failures", "Times that Prometheus stopped answering our queries"
        )
        self.query_gaps = Gauge(
            "holdfast_query_gaps",
            "Queries that gave no number at the last tick although Prometheus answered",
            registry=self.registry,
        )

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"holdfast_{name}", text, registry=self.registry)

    def exposition(self) -> bytes:
        """Write all figures as text."""
        return generate_latest(self.registry)


class StdoutWatcher:
    """Writes one line per happening; JSON Lines with `as_json`. Fulfils `engine.ports.Watcher`."""

    def __init__(self, counts: Counts, *, as_json: bool, stream: TextIO | None = None) -> None:
        self._counts = counts
        self._json = as_json
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._trouble: str | None = None
        self._ticks = 0
        self._troubled_at = -_CALM_TICKS

    @property
    def last_trouble(self) -> str | None:
        """Give the last trouble of the engine itself."""
        return self._trouble

    @property
    def troubled(self) -> bool:
        """Whether there was trouble within the last ticks: a full disk, a tick that failed."""
        return self._ticks - self._troubled_at < _CALM_TICKS

    def listening(self, url: str, pid: int) -> None:
        self._say({"event": "listening", "url": url, "pid": pid}, f"listening on {url} (pid {pid})")

    def working(self, worker: str, pid: int) -> None:
        """Tell that a worker has begun."""
        text = f"working as {worker} (pid {pid}); incidents are opened by `holdfast serve`"
        self._say({"event": "working", "worker": worker, "pid": pid}, text)

    def notice(self, text: str) -> None:
        self._say({"event": "notice", "text": redact(text)}, redact(text))

    def on_suppressed(self, kept: Suppressed) -> None:
        """Tell of what a maintenance window keeps quiet, once for each series and window."""
        self._counts.suppressed.inc()
        self.notice(kept.sentence())

    def on_target(self, service: str, region: str, *, up: bool, reason: str | None) -> None:
        """Tell that a target stopped answering, with the reason, or answers again."""
        self._counts.target_up.labels(service, region).set(float(up))
        clean = redact(reason) if reason else None
        data = {
            "event": "target",
            "service": service,
            "region": region,
            "up": up,
            "reason": clean,
        }
        self._say(
            data, f"{service} in {region} " + ("answers again" if up else f"is down: {clean}")
        )

    def on_prometheus(self, reason: str | None) -> None:
        """Tell that Prometheus gives no answers, with the reason, or answers again."""
        if reason is None:
            self.notice("Prometheus answers again")
            return
        self._counts.prometheus_failures.inc()
        self.on_trouble(f"Prometheus {reason}; until it answers, its series are gaps")

    def on_gaps(self, count: int) -> None:
        """Count the queries that have no number now."""
        self._counts.query_gaps.set(count)

    def on_change(self, change: Mapping[str, Any]) -> None:
        """Tell of a change that was made on purpose: a deployment, a flag, a setting."""
        when, what = change["at"][11:19], change.get("version")
        if change.get("kind", "deploy") == "deploy":
            text = f"{change['service']} {what or 'a release'} was deployed at {when}"
        else:
            text = f"{change['kind']} of {change['service']} changed at {when}: {change['summary']}"
        self._say({"event": "change", **change}, redact(text))

    def on_tick(self, tick: Tick) -> None:
        self._ticks += 1
        self._counts.ticks.inc()
        self._counts.warm.set(tick.warm)
        self._counts.anomalies.inc(len(tick.anomalies))
        if tick.bare_rule:
            self._counts.bare_rule.inc()
        if self._json:
            self._say({"event": "tick", **tick.as_data()}, "")
        else:
            for anomaly in tick.anomalies:
                self._say({}, f"anomaly ({anomaly.severity}): {anomaly.reason}")

    def on_record(self, record: Record) -> None:
        self._counts.records.inc()
        if record.kind == Kind.INCIDENT_OPENED:
            self._counts.incidents.inc()
        if record.kind == Kind.PAGED and any(d["delivered"] for d in record.data["deliveries"]):
            self._counts.pages.inc()
        text = line(record)
        data = {
            "event": "record",
            "incident_id": record.incident_id,
            "seq": record.seq,
            "kind": record.kind,
            "at": format_at(record.at),
            "actor": record.actor.id,
            "text": text,
        }
        self._say(data, f"{record.incident_id} #{record.seq} {text}")

    def on_trouble(self, text: str) -> None:
        self._counts.trouble.inc()
        self._trouble = redact(text)
        self._troubled_at = self._ticks
        self._say({"event": "trouble", "text": self._trouble}, f"trouble: {self._trouble}")

    def _say(self, data: Mapping[str, Any], text: str) -> None:
        out = json.dumps(_finite(data), ensure_ascii=False) if self._json else _shown(text)
        with self._lock:
            try:
                self._stream.write(out + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # Nobody reads any more, or the log's disk is full. The ledger has it all.
                return


def _shown(text: str) -> str:
    """Give the lines of a text without what steers a terminal: some of it is others' words."""
    return "\n".join(each if each.isprintable() else one_line(each) for each in text.split("\n"))


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON-like value
    if isinstance(value, float) and value - value != 0.0:
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
