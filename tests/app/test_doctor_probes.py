"""The doctor, over an installation whose every connection is a real one."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.app.doctor import examine
from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Report,
    RoleFacts,
    judge_clock,
    judge_owner,
    judge_place_rights,
    judge_role,
    judge_secret_rights,
)
from holdfast.app.doctor_keeping import judge_tokens
from holdfast.app.doctor_reach import judge_range
from holdfast.app.installation import load_installation
from holdfast.incident.system import SystemState, TokenFact
from holdfast.kernel.clock import ManualClock
from tests.prometheus_parts import knowing
from tests.real_parts import Database, Valkey
from tests.supervisord_parts import Orchestrator
from tests.surface import CONFIG, Installed, installed, target
from tests.systemd_parts import PROGRAM, started_systemd

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CONTACTS = "contacts: {dana: {name: Dana}}\n"
Looked = Callable[..., Report]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    for name in ("HOLDFAST_DATABASE_URL", "HOLDFAST_HEADS_KEY_FILE", "HOLDFAST_AUDIT_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    return installed(tmp_path / "site")


@pytest.fixture
def looked(site: Installed) -> Looked:
    """Describe the installation anew, and look it over."""

    def look(more: str = "", services: str = "services: []\n", mode: str = "observe") -> Report:
        site.write("holdfast.yaml", CONFIG.format(mode=mode, more=more))
        site.write("services.yaml", services)
        return examine(load_installation(site.directory), timeout_s=3.0)

    return look


def of(report: Report, what: str) -> list[Finding]:
    return [each for found in report.findings.values() for each in found if each.what == what]


def only(report: Report, what: str) -> Finding:
    (finding,) = of(report, what)
    return finding


def test_a_fresh_installation_is_fit_and_told_what_it_lacks(looked: Looked) -> None:
    report = looked()

    assert report.ok, report.as_data()
    assert only(report, "ledger").value.endswith("is whole")
    assert only(report, "heads.key").level is Level.OK
    assert only(report, "services").level is Level.WARNING
    assert only(report, "pager").next_step == "set notify.webhook"
    assert report.counts["error"] == report.counts["unsafe"] == 0


def test_what_answers_is_fine_and_what_reads_nothing_is_named(looked: Looked) -> None:
    with target() as told:
        report = looked(
            services=f"""
services:
  - name: shop
    on_call: dana
    scrape: {{here: "{told.url}"}}
    health: {{here: "{told.url}"}}
    metrics: {{saturation: {{gauge: in_flight}}, errors: {{rate: nobody_total}}}}
  - name: books
    on_call: dana
{CONTACTS}"""
        )

    found = of(report, "metrics of shop in here")
    assert [each.level for each in found] == [Level.OK, Level.WARNING]
    assert "errors reads nobody_total, and no sample there fits" in found[1].value
    assert only(report, "health of shop in here").level is Level.OK
    assert only(report, "books").level is Level.INFO
    assert only(report, "on call").value == "somebody for 2 services"


def test_what_does_not_answer_is_an_error_with_its_reason(looked: Looked) -> None:
    report = looked(
        more='notify: {webhook: "http://127.0.0.1:1/x"}\n'
        'prometheus: {url: "http://127.0.0.1:1", token: hush}\n'
        'checks: {cache: {url: "redis://127.0.0.1:1/0"}, '
        'database: {dsn: "host=127.0.0.1 port=1 dbname=x user=u password=hush"}}',
        services=f"""
services:
  - name: shop
    scrape: {{here: "http://127.0.0.1:1/metrics"}}
    control:
      supervisord: {{socket: /nowhere/s}}
      release: {{directory: /nowhere/r}}
      flags: {{file: /nowhere/f, allowed: [x]}}
{CONTACTS}""",
    )

    assert not report.ok
    for what in (
        "notify.webhook",
        "Prometheus",
        "checks.cache",
        "checks.database",
        "metrics of shop in here",
        "supervisord of shop",
        "release of shop",
        "flags of shop",
    ):
        finding = only(report, what)
        assert finding.level is Level.ERROR, finding
        assert finding.value, what
        assert finding.next_step, finding
    assert only(report, "on call").value == "nobody for shop"
    assert only(report, "secrets").level is Level.UNSAFE
    assert only(report, "secrets").value == (
        "written out in holdfast.yaml, which others can read: prometheus.token, checks.database.dsn"
    )
    assert only(report, "supervisord of shop").value == "/nowhere/s: No such file or directory"
    shown = json.dumps(report.as_data())
    assert "hush" not in shown
    assert "Errno" not in shown


def test_logins_are_asked_what_they_may_do_and_what_time_it_is(
    looked: Looked, database: Database, valkey_server: Valkey, supervisord: Orchestrator
) -> None:
    report = looked(
        more=f"""
checks:
  database: {{dsn: "{database.dsn}"}}
  cache: {{url: "{valkey_server.url}"}}
deployments: {{dsn: "{database.reader_dsn}"}}
""",
        services=f"""
services:
  - name: api
    regions: [north, south]
    control: {{supervisord: {{socket: "{supervisord.socket}", process: "api-{{region}}"}}}}
  - name: books
    control: {{supervisord: {{socket: "{supervisord.socket}"}}}}
""",
    )

    unsafe = only(report, "role of checks.database")
    assert unsafe.level is Level.UNSAFE
    assert "is a superuser" in unsafe.value
    roles = of(report, "role of deployments")
    assert roles[0].value == "hf_reader can only read"
    for what in ("checks.database", "deployments", "checks.cache"):
        assert only(report, f"clock of {what}").level is Level.OK
    assert only(report, "supervisord of api").value == "answers and knows api-north, api-south"
    assert "knows no process 'books'" in only(report, "supervisord of books").value


def test_units_of_systemd_are_looked_at(looked: Looked) -> None:
    with started_systemd({"api": PROGRAM}) as own:
        place = f'scope: user, runtime_dir: "{own.runtime_dir}"'
        report = looked(
            services=f"""
services:
  - name: api
    control: {{systemd: {{{place}}}}}
  - name: books
    control: {{systemd: {{{place}, unit: nobody.service}}}}
  - name: shop
    control: {{systemd: {{scope: user, runtime_dir: /nowhere}}}}
"""
        )

    assert only(report, "systemd of api").value == "api.service is inactive (dead)"
    assert "Unit nobody.service not found." in only(report, "systemd of books").value
    assert "can't be asked" in only(report, "systemd of shop").value


def test_prometheus_is_asked_every_query(looked: Looked, tmp_path: Path) -> None:
    with knowing(tmp_path, {"n": float}, past=range(60, -60, -1)) as (server, _):
        report = looked(
            more=f'prometheus: {{url: "{server.url}", lookback_s: 3}}',
            services="""
services:
  - name: shop
    metrics: {load: {query: 'avg_over_time(n[5s])'}, errors: {query: 'sum(rate(m[5m]))'}}
""",
        )

    assert only(report, "Prometheus").value.startswith("answers, version ")
    assert only(report, "clock of Prometheus").level is Level.OK
    assert only(report, "errors of shop in global").level is Level.WARNING
    values = [each.value for each in of(report, "queries")]
    assert values[0] == "1 of 2 answer one number"
    assert "looks 5s back, and recovery is watched for 0.5 s" in values[1]
    assert "looks 5m back" in values[2]


def test_an_installation_that_others_can_change_is_unsafe(site: Installed, looked: Looked) -> None:
    site.directory.chmod(0o777)
    (site.directory / "heads.key").chmod(0o644)
    (site.directory / "runbooks" / "high-latency.md").chmod(0o666)

    report = looked()

    for what in ("directory", "heads.key", "runbooks/high-latency.md"):
        assert only(report, what).level is Level.UNSAFE


def test_what_acts_by_itself_and_tells_nobody_is_unsafe(looked: Looked) -> None:
    report = looked(
        mode="autonomous",
        more="autonomy: [{runbook: high-latency, service: shop, granted_by: ann, because: good}]",
        services="services: [{name: shop}]\n",
    )

    levels = [each.level for each in of(report, "autonomy")]
    assert levels == [Level.INFO, Level.UNSAFE]
    assert only(report, "approvals").level is Level.WARNING
    assert only(report, "limits").level is Level.WARNING


def test_a_page_by_a_webhook_that_is_not_set_is_an_error(looked: Looked) -> None:
    contacts = "contacts: {dana: {name: Dana, page: [webhook]}}\n"
    report = looked(services=f"services: [{{name: shop, on_call: dana}}]\n{contacts}")

    assert only(report, "pager").level is Level.ERROR


def test_what_would_be_run_and_called_is_looked_at(looked: Looked) -> None:
    report = looked(
        more="""
actions:
  commands: {tidy: {argv: [/usr/bin/id, -u], cwd: /nowhere}}
  http: {call: {url: "http://127.0.0.1:1/x"}}
changes: {files: [{path: /nowhere/flags, service: shop}]}
""",
        services="services: [{name: shop}]\n",
    )

    assert [each.level for each in of(report, "command tidy")] == [Level.OK, Level.ERROR]
    for what in ("http call", "changes.files.0"):
        assert only(report, what).level is Level.ERROR
    assert only(report, "recent_changes").level is Level.OK


def test_an_address_for_other_hosts_is_unsafe(site: Installed) -> None:
    site.write("holdfast.yaml", "listen: 0.0.0.0:8321\n")

    report = examine(load_installation(site.directory), timeout_s=3.0)

    assert only(report, "listen").level is Level.UNSAFE


# ------------------------------------------------------------------ judging alone
@pytest.mark.parametrize(
    ("skew_s", "doubt_s", "level"),
    [(1.9, 0.0, "ok"), (-2.1, 0.0, "warning"), (2.9, 1.0, "ok"), (40.0, 1.0, "warning")],
)
def test_a_clock_two_seconds_off_is_told(skew_s: float, doubt_s: float, level: str) -> None:
    assert judge_clock("x", skew_s, doubt_s).level == level


@pytest.mark.parametrize(
    ("mode", "secret", "place"),
    [
        (0o600, "ok", "ok"),
        (0o640, "warning", "ok"),
        (0o660, "unsafe", "warning"),
        (0o644, "unsafe", "ok"),
        (0o666, "unsafe", "unsafe"),
    ],
)
def test_rights_are_judged_by_what_they_allow(mode: int, secret: str, place: str) -> None:
    assert judge_secret_rights("x", mode).level == secret
    assert judge_place_rights("x", mode).level == place


@pytest.mark.parametrize(
    ("superuser", "writable", "may_create", "activity", "levels"),
    [
        (False, 0, False, True, ["ok"]),
        (True, 9, True, True, ["unsafe"]),
        (False, 1, False, True, ["unsafe"]),
        (False, 0, True, True, ["warning"]),
        (False, 0, False, False, ["ok", "warning"]),
    ],
)
def test_a_role_is_judged_by_what_it_may_do(
    superuser: bool,  # noqa: FBT001 - a fact
    writable: int,
    may_create: bool,  # noqa: FBT001 - a fact
    activity: bool,  # noqa: FBT001 - a fact
    levels: list[str],
) -> None:
    facts = RoleFacts(
        role="r",
        superuser=superuser,
        writable=writable,
        example="t",
        may_create=may_create,
        sees_activity=activity,
    )

    assert [each.level for each in judge_role("x", facts)] == levels


def tokens(*facts: tuple[str, str, int]) -> Iterator[Finding]:
    known = {
        str(n): TokenFact(
            token_id=str(n),
            name=f"name-{n}",
            kind=kind,
            scopes=(scope,),
            digest="",
            expires_at=NOW + timedelta(days=days),
        )
        for n, (kind, scope, days) in enumerate(facts)
    }
    return judge_tokens(SystemState(tokens=known), ManualClock(NOW))


def test_tokens_that_end_agents_and_a_missing_admin_are_told() -> None:
    assert [each.level for each in tokens(("person", "admin", 90))] == ["ok"]
    assert [each.level for each in tokens(("person", "admin", -1))] == ["error", "ok"]
    found = list(tokens(("person", "admin", 90), ("agent", "read", 3)))
    assert [each.level for each in found] == ["ok", "warning", "info"]
    assert "token 1 of name-1 ends at 2030-01-04" in found[1].value


def test_an_intake_that_nobody_has_a_token_for_is_told() -> None:
    clock = ManualClock(NOW)
    lacking = [each.value for each in judge_tokens(SystemState(), clock, intake=True)]

    assert lacking[-1].startswith("none for the intake")


def test_a_query_that_looks_back_longer_than_recovery_is_watched_is_told() -> None:
    assert not list(judge_range("rate(n[1m])", 60.0))
    (finding,) = judge_range("rate(n[5m]) / rate(m[1m])", 60.0)
    assert "looks 5m back, and recovery is watched for 1 min" in finding.value


def test_what_belongs_to_somebody_else_is_unsafe() -> None:
    theirs = judge_owner("services.yaml", 1234, {0, 1000})
    assert theirs is not None
    assert theirs.level is Level.UNSAFE
    assert theirs.value == "belongs to user 1234, who can change it"
    assert judge_owner("services.yaml", 1000, {0, 1000}) is None
