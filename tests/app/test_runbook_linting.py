"""What an installation knows beside a runbook: targets, allow-lists, incidents, alerts, the web."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from holdfast.app.linting import CHECKS, lint_folder, lint_installation
from holdfast.kernel.errors import BadInputError
from tests.surface import Installed

SERVICES = """\
services:
  - name: shop
    regions: [east, west]
    scrape: {east: "http://127.0.0.1:1/metrics"}
    metrics: {latency: {gauge: latency}, odd: {gauge: odd}}
    limits: {odd: {above: 3}}
    control:
      flags: {file: /etc/flags.json, allowed: [new-prices, new-cart]}
      supervisord: {socket: /run/supervisor.sock}
  - name: stock
"""
RUNBOOK = """\
---
name: {name}
owner: team
match: {{{match}}}
---
## Meaning

{text}

## Impact

x

## Diagnosis

x

## Mitigation

### Do it

```yaml step
action: {action}
target: {target}
params: {{{params}}}
when: ["checks.http_health.status == 'down'"]
expect: ['up{{service="${{entity}}"}} == 1 for 60s']
undo: {undo}
```
"""
RULES = """\
groups:
  - name: shop
    rules:
      - record: job:errors
        expr: x
      - alert: ShopDown
        expr: up == 0
        labels: {team: shop}
      - alert: ShopSlow
        expr: x
        annotations: {runbook_url: "https://wiki/runbooks/known.md#now"}
      - alert: DiskFull
        expr: x
      - alert: Odd
        expr: x
        labels: {team: other}
        annotations: {runbook_url: "https://wiki/elsewhere"}
"""


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    (tmp_path / "runbooks").mkdir()
    made = Installed(directory=tmp_path)
    made.write("holdfast.yaml", "mode: observe\n")
    made.write("services.yaml", SERVICES)
    return made


def add(site: Installed, name: str = "known", **given: str) -> Path:
    fields = {
        "name": name,
        "match": "incident_type: [service_down, high_latency, unknown]",
        "text": "x",
        "action": "restart_service",
        "target": "${instance}",
        "params": "",
        "undo": "none",
    }
    return site.write(f"runbooks/{name}.md", RUNBOOK.format(**fields | given))


def found(site: Installed, rule: str | None = None, **more: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    findings = lint_installation(site.directory, **more)
    return [each for each in findings if rule in {None, each["rule"]}]


def test_a_step_that_asks_for_a_trend_and_nothing_else_is_found(site: Installed) -> None:
    path = add(site)
    level, text = 'up{service="${entity}"} == 1 for 60s', path.read_text()
    trend = level.replace("== 1", "not falling")
    path.write_text(text.replace(level, trend))
    (finding,) = found(site, "signals")

    assert finding["severity"] == "warning"
    assert "it gets better and not that it is well" in finding["text"]
    path.write_text(text.replace(f"['{level}']", f"['{trend}', '{level}']"))
    assert found(site, "signals") == []
    path.write_text(text.replace("== 1", "is falling"))
    assert "or a trend, `falling` or `rising`" in found(site, "criteria")[0]["text"]


def test_a_runbook_that_fits_its_installation_has_no_finding(site: Installed) -> None:
    add(site)
    site.write(
        "services.yaml",
        SERVICES.replace("    scrape:", '    health: {east: "http://127.0.0.1:1/"}\n    scrape:'),
    )

    assert found(site) == []


@pytest.mark.parametrize(
    ("given", "severity", "words"),
    [
        ({"target": "shpo@east"}, "error", "no service 'shpo'; did you mean 'shop'?"),
        ({"target": "shop@north"}, "error", "shop does not run in 'north'"),
        (
            {"target": "stock"},
            "warning",
            "restart_service needs control.supervisord or control.systemd or",
        ),
        ({"action": "drain_pool"}, "warning", "needs control.pool, which none of shop, stock has"),
        ({"action": "disable_flag", "params": "flag: new-prices"}, "warning", "acts on a whole"),
        ({"params": "hard: true"}, "error", "has no parameter 'hard'; it takes none"),
        ({"action": "disable_flag", "target": "shop"}, "error", "more than one to choose from"),
        (
            {"action": "disable_flag", "target": "shop", "params": "flag: new-price"},
            "error",
            "flag 'new-price' is in no `control.flags.allowed`; did you mean 'new-prices'?",
        ),
        ({"action": "http", "target": "shop"}, "error", "http needs the parameter 'call'"),
        (
            {"action": "command", "target": "shop", "params": "call: purge"},
            "error",
            "there is no call 'purge' under actions.commands",
        ),
    ],
)
def test_a_step_that_reaches_no_target_or_is_refused_there_is_found(
    given: dict[str, str], severity: str, words: str, site: Installed
) -> None:
    path = add(site, **given)
    (finding,) = found(site, "target")

    assert (finding["severity"], finding["path"]) == (severity, str(path))
    assert words in finding["text"]
    assert finding["line"] == 22


def test_a_release_of_one_region_can_be_rolled_back_where_each_has_its_own(
    site: Installed,
) -> None:
    path = add(site, action="rollback_deploy", target="shop@east", undo="automatic")
    release = SERVICES.replace(
        "      flags:", "      release: {directory: /srv/shop}\n      flags:"
    )
    site.write("services.yaml", release)
    (finding,) = found(site, "target")
    assert (finding["path"], "acts on a whole" in finding["text"]) == (str(path), True)

    cluster = "kubernetes: {deployment: 'shop-{region}'}"
    site.write("services.yaml", SERVICES.replace("      flags:", f"      {cluster}\n      flags:"))

    assert found(site, "target") == []


def test_an_allowed_call_is_none(site: Installed) -> None:
    add(site, action="command", target="shop", params="call: purge")
    site.write("holdfast.yaml", "actions: {commands: {purge: {argv: [/usr/bin/true]}}}\n")

    assert found(site, "target") == []


def test_scaling_up_by_no_number_is_an_error(site: Installed) -> None:
    add(site, action="scale_up", target="shop", params="by: many")
    findings = found(site, "target")

    assert "`by` is 'many'; write a whole number" in findings[0]["text"]


def test_incidents_without_a_runbook_are_named_with_what_opens_them(site: Installed) -> None:
    add(site, match="incident_type: [service_down]")
    texts = [finding["text"] for finding in found(site, "no runbook")]

    assert texts == [
        "no runbook fits an incident of type high_latency (latency of shop); write one",
        "no runbook fits an incident of type unknown (odd of shop); write one",
    ]


def test_the_types_that_alerts_have_by_the_configuration_are_known_and_wanted(
    site: Installed,
) -> None:
    site.write("holdfast.yaml", "intake: {alertmanager: {types: {CertSoon: cert_expiry}}}\n")
    add(site)
    assert "type cert_expiry (alert CertSoon)" in found(site, "no runbook")[0]["text"]

    add(site, "certs", match="incident_type: [cert_expiry]")
    assert found(site, "no runbook") == []
    assert found(site, "match") == []


def test_an_alert_of_prometheus_without_a_runbook_is_found_at_its_line(site: Installed) -> None:
    add(site, match="incident_type: [service_down, high_latency, unknown], labels: {team: shop}")
    add(site, "disk", match="labels: {alertname: DiskFull}")
    rules = site.write("rules.yaml", RULES)

    alerts = [f for f in found(site, "no runbook", rules=[rules]) if f["path"] == str(rules)]

    assert [(f["line"], f["text"].split(": ")[0]) for f in alerts] == [(14, "alert Odd")]
    assert "runbook_url https://wiki/elsewhere names none here" in alerts[0]["text"]


def test_a_file_without_rules_is_no_good_answer(site: Installed) -> None:
    add(site)
    other = site.write("other.yaml", "rules: []\n")

    with pytest.raises(BadInputError, match="no list `groups`"):
        lint_installation(site.directory, rules=[other])


def test_a_link_is_followed_to_its_anchor(site: Installed) -> None:
    site.write("runbooks/notes/plain.txt", "x")
    links = "[a](other.md#by-hand) [b](other.md#by-hnd) [c](#impact) [d](#impct) [e](notes/plain.txt#L3)"
    add(site, text=links)
    add(site, "other", text="## By hand", match="incident_type: [disk_full]")

    texts = [finding["text"] for finding in found(site, "links")]

    assert texts == [
        "the link 'other.md#by-hnd' leads nowhere; correct it",
        "the link '#impct' leads nowhere; correct it",
    ]


@pytest.fixture
def web() -> Iterator[str]:
    """Serve pages: `/gone` is not there, `/shy` answers no HEAD."""

    class Pages(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._say(405 if self.path == "/shy" else 404 if self.path == "/gone" else 200)

        def do_GET(self) -> None:
            self._say(404 if self.path == "/gone" else 200)

        def _say(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_web_is_asked_only_on_request(site: Installed, web: str) -> None:
    text = f"[a]({web}/there) [b]({web}/gone) [c]({web}/shy) [d](http://127.0.0.1:1/secret)"
    add(site, text=text)

    assert found(site, "links") == []
    texts = [finding["text"] for finding in found(site, "links", online=True)]

    assert texts[0] == "a link leads nowhere: 127.0.0.1 answers 404"
    assert texts[1].startswith("a link leads nowhere: 127.0.0.1 can't be asked: ")
    assert "secret" not in texts[1]
    assert len(texts) == 2


def test_a_folder_by_itself_is_linted_without_an_installation(site: Installed) -> None:
    add(site, target="anything", params="hard: true")
    findings = lint_folder(site.directory / "runbooks")

    assert [finding["rule"] for finding in findings] == ["target"]


def test_the_known_checks_are_those_that_there_are() -> None:
    from importlib import import_module
    from pkgutil import iter_modules

    import holdfast.checks

    names = {
        vars(item)["name"]
        for module in iter_modules(holdfast.checks.__path__, "holdfast.checks.")
        for item in vars(import_module(module.name)).values()
        if isinstance(item, type)
        and isinstance(vars(item).get("name"), str)
        and hasattr(item, "run")
    }
    assert names == CHECKS
