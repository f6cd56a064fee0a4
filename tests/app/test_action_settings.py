"""What may stand under `actions` and `control`: the allow-lists are read strictly, before anything."""

from pathlib import Path

import pytest

from holdfast.actions import build_actions
from holdfast.app.installation import load_installation
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Repeatability
from tests.surface import Installed

SECRET = "hunter2-and-more"
UNLEASH = "flags: {{allowed: [a], unleash: {{url: '{}', token: " + SECRET + ", environment: p}}}}"


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    (tmp_path / "runbooks").mkdir()
    made = Installed(directory=tmp_path)
    made.describe()
    return made


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    return tool


def refused(site: Installed) -> BadInputError:
    with pytest.raises(BadInputError) as found:
        load_installation(site.directory)
    assert SECRET not in found.value.message
    return found.value


def test_calls_and_commands_reach_the_actions_with_their_defaults(
    site: Installed, tool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDN_TOKEN", SECRET)
    site.describe(
        more=f"""actions:
  http:
    purge:
      url: https://cdn.example.com/zones/${{service}}/purge
      headers: {{Authorization: "Bearer ${{CDN_TOKEN}}"}}
      idempotency_header: Idempotency-Key
  commands:
    look: {{argv: [{tool}, "${{region}}"]}}
    act: {{argv: [{tool}, --now], probe: look}}
"""
    )

    made = load_installation(site.directory)
    settings = made.config.actions.model_dump(exclude_none=True)
    actions = build_actions(made.catalogue, settings=settings)
    seen = actions["http"].observe("my-api", {"call": "purge"})

    assert settings["http"]["purge"]["headers"] == {"Authorization": f"Bearer {SECRET}"}
    assert (seen["method"], seen["host"]) == ("POST", "cdn.example.com")
    assert actions["http"].repeatability is Repeatability.IDEMPOTENT
    assert actions["command"].repeatability is Repeatability.PROBEABLE
    assert SECRET not in str(seen)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("url: 'http://cdn.example.com/x'", "not encrypted"),
        ("url: 'http://127.example.com/x'", "not encrypted"),
        ('url: "https://cdn.example.com/x y"', "no address has"),
        (r"url: 'http://127.0.0.1\.example.com/x'", "no address has"),
        ("url: https://a/, headers: {A: 'b '}", "no space around it"),
        ("url: https://a/, idempotency_header: Host", "can't carry the key"),
        ("url: https://a/, headers: {a: b}, idempotency_header: A", "can't carry the key"),
        ("url: 'ftp://cdn.example.com/x'", "no http:// or https://"),
        (f"url: 'https://me:{SECRET}@cdn.example.com/x'", "without a user"),
        (f"url: 'https://cdn.example.com/{SECRET}#x'", "without a user, a password or a #"),
        ("url: 'https://${region}.example.com/x'", "host must be written out"),
        ("url: 'https://cdn.example.com/${host}'", "can't be filled in"),
        ("url: 'https://cdn.example.com/${service'", "can't be filled in"),
        ("url: 'https://x', method: GET", "'POST', 'PUT', 'PATCH' or 'DELETE'"),
        ("url: 'https://x', headers: {Host: elsewhere}", "no header that can be set"),
        ("url: 'https://x', headers: {'X-A b': x}", "no header that can be set"),
        (f"url: 'https://x', headers: {{X-A: '{SECRET}${{service}}'}}", "nothing to fill in"),
        (f"url: 'https://x', headers: {{X-A: \"{SECRET}\\r\\nX-B: x\"}}", "nothing to fill in"),
        ("url: 'https://x', body: {a: ['${nobody}']}", "can't be filled in"),
        ("url: 'https://x', expect_status: []", "at least 1"),
        ("url: 'https://x', expect_status: [99]", "at least 100"),
        ("url: 'https://x', undo: other", "no other call of http"),
        ("url: 'https://x', undo: it", "no other call of http"),
        ("url: 'https://x', probe: {url: 'https://x', holds: {status: 1}}", "JSON pointer"),
        ("url: 'https://x', follow_redirects: true", "is no setting"),
    ],
)
def test_a_call_that_could_lead_elsewhere_is_refused(site: Installed, call: str, why: str) -> None:
    site.describe(more=f"actions: {{http: {{it: {{{call}}}}}}}\n")

    assert why in refused(site).message


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("argv: []", "at least 1"),
        ("argv: [tool]", "no plain absolute path"),
        ("argv: [/bin/sh, -c, 'rm -rf /']", "whose arguments would be the program"),
        ("argv: [/usr/bin/env, TOOL]", "whose arguments would be the program"),
        ("argv: [/nonexistent/tool]", "can't be read"),
        ("argv: [TOOL, '${HOME_OF}']", "needs ${HOME_OF}"),
        ("argv: [TOOL, '${path}']", "can't be filled in"),
        ("argv: [TOOL], env: {HOLDFAST_TOKEN: x}", "can't be set for a command"),
        ("argv: [TOOL], env: {LD_PRELOAD: /tmp/x.so}", "can't be set for a command"),
        ("argv: [TOOL], cwd: here", "no absolute path"),
        ("argv: [TOOL], probe: nobody", "no other call of commands"),
        ("argv: [TOOL], refuses: [0]", "at least 1"),
        ("argv: [TOOL], timeout_s: 0", "at least 0.1"),
        ("argv: [TOOL], shell: true", "is no setting"),
    ],
)
def test_a_command_that_could_be_another_one_is_refused(
    site: Installed, tool: Path, command: str, why: str
) -> None:
    text = command.replace("TOOL", str(tool))
    site.describe(more=f"actions: {{commands: {{it: {{{text}}}}}}}\n")

    assert why in refused(site).message


@pytest.mark.parametrize(
    ("control", "why"),
    [
        ("temp: {paths: []}", "at least 1"),
        ("temp: {paths: [/]}", "top-level"),
        ("temp: {paths: [/tmp]}", "top-level"),
        ("temp: {paths: ['/var/tmp/*']}", "wildcard"),
        ("temp: {paths: [/var/tmp/x], older_than_s: -1}", "at least 0"),
        ("scale: {supervisord: {socket: /s, process: extra}, extra: 3}", "write {n}"),
        ("scale: {supervisord: {socket: /s, process: 'x-{n}'}, extra: 0}", "at least 1"),
        ("pool: {haproxy: {socket: '10.0.0.1:9999', backend: b}}", "nor loopback"),
        ("pool: {haproxy: {socket: /s, backend: 'b;disable'}}", "backend"),
        ("pool: {haproxy: {socket: /s, backend: b, server: 'x;y'}}", "server"),
        ("systemd: {unit: '*.service'}", "no plain name of a service unit"),
        ("systemd: {unit: '-{service}.service'}", "no plain name of a service unit"),
        ("systemd: {unit: 'api.timer'}", "no plain name of a service unit"),
        ("systemd: {scope: global}", "'system' or 'user'"),
        ("systemd: {systemctl: systemctl}", "no absolute path"),
        ("queue: {url: 'amqps://h', lists: [a]}", "RabbitMQ needs `parking`"),
        ("queue: {url: 'amqps://h', lists: [a, b], parking: b}", "may be drained"),
        ("queue: {url: 'redis://h', lists: [a], parking: b}", "are RabbitMQ's"),
        ("flags: {allowed: [a]}", "either `file` or `unleash`"),
        (UNLEASH.format("http://10.0.0.1"), "not encrypted"),
        (UNLEASH.format(f"https://me:{SECRET}@u"), "without a user"),
        (UNLEASH.format("https://u/?a=1"), "without /api, a query"),
        ("failover: {primary: {dsn: h=1}, standby: {dsn: h=1}, fence: x}", "PostgreSQL address"),
        (
            "failover: {primary: {dsn: host=a}, standby: {dsn: host=b}, fence: cut}",
            "no command of holdfast.yaml",
        ),
    ],
)
def test_a_control_that_reaches_too_far_is_refused(site: Installed, control: str, why: str) -> None:
    path = site.directory / "services.yaml"
    path.write_text(f"services:\n  - name: my-api\n    control:\n      {control}\n")

    assert why in refused(site).message
