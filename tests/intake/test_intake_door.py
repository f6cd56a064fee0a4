"""The way in over HTTP: who may, what is refused and how, and when to come back."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast.api import ApiServer, Sources, Taken, build_api
from holdfast.api.intake import BODY_MAX, IN_FLIGHT_MAX
from holdfast.incident.system import REFUSED
from holdfast.kernel.clock import format_at
from holdfast.response.store import SYSTEM_CHAIN
from tests.intake.intake_parts import ALERTS, CHANGES, HTTP, Running, alert, door, intake, webhook
from tests.monitoring_parts import eventually


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with intake(tmp_path_factory.mktemp("door"), working=False) as made, door(made):
        yield made


def refusals(running: Running) -> list[str]:
    records = running.site.ledger.records(SYSTEM_CHAIN)
    return [record.data["why"] for record in records if record.kind == REFUSED]


def incidents(running: Running) -> int:
    return len(running.site.ledger.incident_ids())


def test_alertmanagers_body_with_grafanas_fields_is_taken(running: Running) -> None:
    grafana = {"values": {"A": 1}, "valueString": "[ A=1 ]", "silenceURL": "http://g/s", "orgId": 1}
    body = webhook([alert("FromGrafana") | grafana], orgId=1, title="[FIRING:1]", state="alerting")
    told = running.post(ALERTS, body)

    assert (told.status, told.results[0][0]) == (200, "opened")
    assert running.post(ALERTS, webhook([])).body == {"alerts": []}


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (b"{", ""),
        (b'{"alerts": [NaN]}', ""),
        (b"[" * 100_000, ""),
        ([], "the body"),
        ({}, "alerts"),
        ({"alerts": {}}, "alerts"),
        ({"alerts": [alert(), 7]}, "alerts[1]"),
        ({"alerts": [alert(), alert() | {"status": "maybe"}]}, "alerts[1].status"),
        ({"alerts": [alert(), alert() | {"labels": {"a": 1}}]}, "alerts[1].labels.a"),
        ({"alerts": [alert(), alert() | {"annotations": []}]}, "alerts[1].annotations"),
        ({"alerts": [alert(), alert(starts="yesterday")]}, "alerts[1].startsAt"),
        ({"alerts": [alert(), alert() | {"startsAt": 12}]}, "alerts[1].startsAt"),
    ],
)
def test_a_wrong_body_is_refused_with_its_field_before_anything_is_written(
    document: object, field: str, running: Running
) -> None:
    before = incidents(running), len(running.site.ledger.waiting())
    told = running.post(ALERTS, document)

    assert (told.status, told.field) == (400, field)
    assert "; send " in told.body["error"]["text"] or "no JSON" in told.body["error"]["text"]
    assert (incidents(running), len(running.site.ledger.waiting())) == before


def test_a_body_that_is_too_large_is_refused(running: Running) -> None:
    large = b" " * (BODY_MAX + 1)
    assert running.post(ALERTS, large).status == 413
    headers = {"Authorization": f"Bearer {running.token}"}
    in_parts = HTTP.post(running.url + ALERTS, content=iter([large]), headers=headers)
    assert in_parts.status_code == 413


def test_without_a_good_token_nobody_is_let_in(running: Running) -> None:
    wrong = "hf_service_00000000_" + "x" * 43
    none = HTTP.post(running.url + ALERTS, json=webhook([alert("Uninvited")]))
    told = running.post(ALERTS, webhook([alert("Uninvited")]), token=wrong)

    assert (none.status_code, told.status) == (401, 401)
    assert none.headers["WWW-Authenticate"] == "Bearer"
    assert "token create NAME --kind service --scope propose" in told.body["error"]["text"]
    assert wrong not in json.dumps(told.body)


def test_a_token_without_the_scope_is_refused_by_its_name_and_recorded_once(
    running: Running,
) -> None:
    reader = running.token_of("service", "read")
    told = [running.post(ALERTS, webhook([alert("Uninvited")]), token=reader) for _ in range(3)]

    assert [each.status for each in told] == [403] * 3
    assert "lacks the scope 'propose'" in told[0].body["error"]["text"]
    assert sum("'propose'" in why for why in refusals(running)) == 1


def test_an_agent_raises_no_alert_and_a_person_does(running: Running) -> None:
    agent, person = running.token_of("agent", "propose"), running.token_of("person", "propose")

    refused = running.post(ALERTS, webhook([alert("Drill")]), token=agent)
    assert (refused.status, refused.body["error"]["field"]) == (403, None)
    assert "an agent's token opens no incident" in refused.body["error"]["text"]
    assert running.post(ALERTS, webhook([alert("Drill")]), token=person).status == 200


def test_a_token_that_has_ended_says_so_and_is_recorded(running: Running) -> None:
    ended = running.token_of("service", "propose", days=1e-9)
    told = running.post(ALERTS, webhook([alert()]), token=ended)

    assert told.status == 401
    assert "expired at" in told.body["error"]["text"]
    assert any("expired at" in why for why in refusals(running))


def test_while_the_store_is_away_the_sender_is_told_to_come_back(running: Running) -> None:
    body, before = webhook([alert("NotYet")]), incidents(running)
    running.store.away.set()
    try:
        told = running.post(ALERTS, body)
        changed = running.post(CHANGES, change())
    finally:
        running.store.away.clear()

    assert (told.status, changed.status) == (503, 503)
    assert int(told.headers["Retry-After"]) > 0
    assert incidents(running) == before
    assert running.post(ALERTS, body).status == 200


def test_the_pages_need_no_token(running: Running) -> None:
    assert HTTP.get(running.url + "/metrics").status_code == 200
    assert HTTP.get(running.url + ALERTS).status_code == 405


def test_only_so_many_are_let_in_at_once_and_the_pages_stay_quick() -> None:
    class Slow:
        """Keeps whoever was let in until it is told to go on."""

        def __init__(self) -> None:
            self.inside, self.go_on = threading.Semaphore(0), threading.Event()
            self.rejections: list[str] = []

        def admit(self, token: str | None, what: str) -> None: ...

        def alerts(self, _document: object) -> Taken:
            self.inside.release()
            self.go_on.wait(10)
            return Taken(body={"alerts": []})

        def changes(self, _document: object) -> Taken:
            raise ZeroDivisionError("a bug of ours, with token=abcdefgh in it")

        def rejected(self, why: str, *, ours: bool) -> None:
            self.rejections.append(f"{ours}: {why}")

    slow, server = Slow(), ApiServer("127.0.0.1:0")
    pages = Sources(health=lambda: {"status": "ok"}, metrics=bytes, intake=slow)
    server.start(build_api(pages))
    try:
        with ThreadPoolExecutor(IN_FLIGHT_MAX) as senders:
            posts = [
                senders.submit(HTTP.post, server.url + ALERTS, json={})
                for _ in range(IN_FLIGHT_MAX)
            ]
            for _ in posts:
                assert slow.inside.acquire(timeout=10)
            refused = HTTP.post(server.url + ALERTS, json={})
            assert HTTP.get(server.url + "/healthz").status_code == 200
            slow.go_on.set()
            assert [post.result(10).status_code for post in posts] == [200] * IN_FLIGHT_MAX
        failed = HTTP.post(server.url + CHANGES, json={})
    finally:
        slow.go_on.set()
        server.stop()

    assert (refused.status_code, failed.status_code) == (503, 500)
    assert "no room" in refused.json()["error"]["text"]
    assert "abcdefgh" not in failed.text + str(slow.rejections)
    assert slow.rejections[-1].startswith("True: ZeroDivisionError")


# --- changes ------------------------------------------------------------------


def change(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    return {
        "kind": "flag",
        "service": "shop",
        "summary": "new-prices is on for everybody",
        "author": "ann",
        **more,
    }


def test_a_change_is_created_once_and_known_after_that(running: Running) -> None:
    one = change(
        id="c-1", version="2", region="east", files=["flags.json"], diff="-a\n+\x1b\0b", odd=1
    )
    first, again = running.post(CHANGES, one), running.post(CHANGES, one)

    assert (first.status, first.body) == (201, {"changes": [{"id": "c-1", "result": "new"}]})
    assert (again.status, again.body) == (200, {"changes": [{"id": "c-1", "result": "known"}]})
    (kept,) = [c for c in running.desk.changes_known() if c["id"] == "c-1"]
    assert kept["summary"] == "new-prices is on for everybody"
    assert (kept["version"], kept["region"], kept["files"]) == ("2", "east", ["flags.json"])
    assert kept["diff"] == "-a\n+  b"
    assert "odd" not in kept


def test_a_change_without_a_name_is_known_by_what_it_says(running: Running) -> None:
    now = format_at(running.site.clock.now())
    both = running.post(CHANGES, [change(at=now), change(at=now, service="who-knows")])
    again = running.post(CHANGES, [change(at=now)])

    assert (both.status, [c["result"] for c in both.body["changes"]]) == (201, ["new", "new"])
    assert (again.status, [c["result"] for c in again.body["changes"]]) == (200, ["known"])


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ("x", "the body"),
        ([], "the body"),
        ([change()] * 101, "the body"),
        (change(kind="party"), "kind"),
        ([change(), change(service="")], "[1].service"),
        ([change(), change(service=7)], "[1].service"),
        (change(summary=None), "summary"),
        (change(summary="x" * 2001), "summary"),
        (change(at="soon"), "at"),
        (change(at="2999-01-01T00:00:00Z"), "at"),
        (change(files=["a", 1]), "files[1]"),
        (change(author="\u202e"), "author"),
    ],
)
def test_a_wrong_change_is_refused_with_its_field_and_nothing_is_kept(
    document: object, field: str, running: Running
) -> None:
    before = len(list(running.desk.changes_known()))
    told = running.post(CHANGES, document)

    assert (told.status, told.field) == (400, field)
    assert len(list(running.desk.changes_known())) == before


def test_an_incident_that_opens_afterwards_is_told_of_the_change(running: Running) -> None:
    running.post(CHANGES, change(id="c-9", service="mail", kind="deploy", version="9.1"))
    (told,) = running.post(ALERTS, webhook([alert("Late", service="mail")])).results
    state = running.site.state(told[1] or "")

    assert [(c["id"], c["version"]) for c in state.changes] == [("c-9", "9.1")]


def test_rejected_requests_are_counted(running: Running) -> None:
    def count() -> float:
        return running.counts.registry.get_sample_value("holdfast_intake_rejected_total") or 0.0

    before = count()
    running.post(ALERTS, b"{")
    eventually(lambda: count() == before + 1, "the refusal is counted")
