"""A running intake: a real ledger, engine and HTTP server in this process, and how to speak to it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import httpx2

from holdfast.api import ApiServer, Sources, build_api
from holdfast.app.changes import Changes
from holdfast.app.intake import IntakeDesk
from holdfast.app.intake_models import IntakeModel
from holdfast.app.tokens import create_token
from holdfast.app.watch import Counts, StdoutWatcher
from holdfast.incident import Record
from holdfast.kernel import SYSTEM, Catalogue, Service
from holdfast.kernel.catalogue import SignalForm, SignalSpec
from tests.engine.counted_ledger import Counted
from tests.engine.engine_parts import Site, make_site, with_world

# Made once: each has certificates to read. Thread-safe.
HTTP = httpx2.Client()
ALERTS, CHANGES = "/v1/intake/alertmanager", "/v1/intake/changes"
STARTED = "2026-01-05T10:00:00.123456789Z"
ERRORS = SignalSpec(form=SignalForm.GAUGE, metrics=("errors",))
CATALOGUE = Catalogue(
    services={
        "shop": Service(name="shop", regions=("east", "west"), depends_on=("stock",)),
        "stock": Service(name="stock", regions=("east",)),
        "mail": Service(
            name="mail", regions=("east",), scrape={"east": "x"}, signals={"errors": ERRORS}
        ),
    }
)


@dataclass(slots=True, kw_only=True)
class Told:
    """What the door answered."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def results(self) -> list[tuple[str, str | None]]:
        return [(each["result"], each.get("incident")) for each in self.body["alerts"]]

    @property
    def field(self) -> str | None:
        return cast("str | None", self.body["error"]["field"])


@dataclass(slots=True, kw_only=True)
class Running:
    """The parts, and a client with the token of a service."""

    site: Site
    store: Counted
    counts: Counts
    desk: IntakeDesk
    url: str = ""
    token: str = ""

    def token_of(self, kind: str, *scopes: str, days: float = 1) -> str:
        now, on_behalf_of = self.site.clock.now(), "dana" if kind == "agent" else None
        token, _ = create_token(
            self.site.ledger, name=f"a-{kind}", kind=kind, scopes=scopes, days=days, by=SYSTEM,
            now=now, on_behalf_of=on_behalf_of,
        )  # fmt: skip
        return token

    def post(self, path: str, document: object, token: str | None = None) -> Told:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        if isinstance(document, bytes):
            answer = HTTP.post(self.url + path, content=document, headers=headers)
        else:
            answer = HTTP.post(self.url + path, json=document, headers=headers)
        return Told(status=answer.status_code, body=answer.json(), headers=answer.headers)

    def fire(self, *alerts: Mapping[str, Any]) -> Told:
        """Take these alerts in, without the way over HTTP."""
        taken = self.desk.alerts(webhook(alerts))
        return Told(status=201 if taken.created else 200, body=taken.body, headers={})

    def records(self, kind: str, incident_id: str = "INC-1") -> Sequence[Record]:
        return [r for r in self.site.ledger.records(incident_id) if r.kind == kind]


def alert(
    name: str = "QueueStuck", status: str = "firing", starts: str = STARTED, **labels: str
) -> dict[str, Any]:
    """Make an alert as Alertmanager sends it."""
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "critical", "service": "shop", "region": "east"}
        | labels,
        "annotations": {"summary": f"{name} is so"},
        "startsAt": starts,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
        "fingerprint": "0123456789abcdef",
    }


def webhook(alerts: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make the whole body, version 4."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="QueueStuck"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "holdfast",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
        **more,
    }


@contextmanager
def intake(
    directory: Path, *, working: bool = True, rules: IntakeModel | None = None, **world: object
) -> Iterator[Running]:
    """Run the intake; with `working`, the engine too."""
    made = make_site(directory)
    store = Counted(made.ledger)
    with_world(made, catalogue=CATALOGUE, **world)
    carrier = made.engine.carrier
    made.engine.use(
        replace(
            carrier, ledger=store.promised, journal=replace(carrier.journal, ledger=store.promised)
        )
    )
    counts = Counts()
    watcher = StdoutWatcher(counts, as_json=True)
    desk = IntakeDesk(
        engine=made.engine,
        rules=rules or IntakeModel(),
        changes_known=Changes(store.promised, made.clock).recent,
        watcher=watcher,
        counts=counts,
    )
    running = Running(site=made, store=store, counts=counts, desk=desk)
    if working:
        made.start()
    else:
        desk.taken_in_within_s = 0.02  # nobody will take it in
    try:
        yield running
    finally:
        made.close()


@contextmanager
def door(running: Running) -> Iterator[Running]:
    """Open the way over HTTP."""
    server = ApiServer("127.0.0.1:0")
    metrics = running.counts.exposition
    server.start(build_api(Sources(health=dict, metrics=metrics, intake=running.desk)))
    running.url, running.token = server.url, running.token_of("service", "propose")
    try:
        yield running
    finally:
        server.stop()
