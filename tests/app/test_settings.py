"""Bad input in the two files: each error names the file, the line, the field and what to write."""

from pathlib import Path

import pytest

from holdfast.app.installation import load_installation
from holdfast.kernel.errors import BadInputError
from tests.surface import CONFIG, SERVICES, Installed

SECRET = "hunter2-and-more"


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    (tmp_path / "runbooks").mkdir()
    made = Installed(directory=tmp_path)
    made.describe()
    return made


def problem(site: Installed) -> BadInputError:
    with pytest.raises(BadInputError) as found:
        load_installation(site.directory)
    assert found.value.exit_code == 2
    assert "\n" not in found.value.message
    return found.value


def test_the_described_installation_loads(site: Installed) -> None:
    made = load_installation(site.directory)

    assert made.config.sampling_interval_s == 0.2
    assert made.catalogue.services["my-api"].regions == ("eu",)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("mode: [observe\nlisten: x\n", ":2:7", "YAML"),
        ("mode: observe\n\tlisten: x\n", ":2:1", "tab"),
        ("a: *b\n", ":1:4", "alias *b is not allowed"),
        ("mode: observe\nmode: guided\n", ":2:1", "'mode' is there twice"),
        ("checks: {disk: {paths: [/]}, disk: {paths: [/]}}\n", ":1:30", "'disk' is there twice"),
        ("1: x\n", ":1:1", "the key 1 is no text"),
        ("a: !!python/object:os.system x\n", ":1:4", "tags are not allowed"),
        ("a: " + "[" * 30 + "]" * 30, ":1:", "nested deeper"),
        ("a: {b: 2026-13-45}\n", ":1", "a is no setting"),  # a plain word, not a broken date
        ("mode: observe\n---\nmode: guided\n", ":2:1", "document"),
        ("- a\n- b\n", "", "the whole file"),
        ("just words\n", "", "the whole file"),
    ],
    ids=range(12),
)
def test_broken_yaml_names_line_and_column(
    text: str, place: str, words: str, site: Installed
) -> None:
    path = site.write("holdfast.yaml", text)
    message = problem(site).message

    assert message.startswith(f"{path}{place}")
    assert words in message


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        ("mode: observe\nlisten_on: x\n", 2, "listen_on", "is no setting; did you mean 'listen'?"),
        ("detection:\n  windw: 60\n", 2, "detection.windw", "did you mean 'window'?"),
        ("zzz: 1\n", 1, "zzz", "known are actions, approval_ttl_s, audit"),
        ("checks: {database: {dns: x}}", 1, "checks.database.dsn", "is missing"),
        ("mode: watch\n", 1, "mode", "is 'watch'; write 'observe', 'guided'"),
        ("detection: {window: 'x'}\n", 1, "detection.window", "is 'x'; write a whole number"),
        ("detection: {window: 2}\n", 1, "detection.window", "is 2; write at least 10"),
        ("detection: {window: 2.5}\n", 1, "detection.window", "is 2.5; write a whole number"),
        ("lease_s: .nan\n", 1, "lease_s", "is '.nan'; write a number"),
        ("lease_s: yes\n", 1, "lease_s", "is 'yes'; write a number"),
        ("detection: 7\n", 1, "detection", "is 7; write `key: value` lines"),
        ("autonomy: {a: b}\n", 1, "autonomy", "write a list"),
        ("runbooks: 7\n", 1, "runbooks", "is 7; write text"),
        ("listen: nowhere\n", 1, "listen", "write HOST:PORT"),
        ("notify: {webhook: 'ftp://x'}\n", 1, "notify.webhook", "http://"),
        ("detection: {min_samples: 90}\n", 1, "detection", "min_samples is 90 and the window 60"),
        ("detection: {anomaly_sigma: 5}\n", 1, "detection", "set critical_sigma above"),
        ("autonomy:\n  - {runbook: nope, service: my-api, granted_by: d, because: x}\n",
         2, "autonomy.0.runbook", "refers to 'nope', which is no runbook here"),
        ("checks:\n  cache: {url: 'redis://x', service: my-appi}\n",
         2, "checks.cache.service", "did you mean 'my-api'?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_names_line_field_and_what_to_write(
    text: str, line: int, field: str, words: str, site: Installed
) -> None:
    path = site.write("holdfast.yaml", text)
    error = problem(site)

    assert error.message.startswith(f"{path}:{line}: {field} ")
    assert words in error.message
    assert error.field == field


@pytest.mark.parametrize("limits", ["{restarts_per_target: -1}", "{nope: 1}", "{four_eyes: 3}"])
def test_a_limit_that_makes_no_sense_is_refused(limits: str, site: Installed) -> None:
    site.write("holdfast.yaml", f"limits: {limits}\n")

    assert "holdfast.yaml: limits." in problem(site).message


@pytest.mark.parametrize(
    ("before", "after", "field", "words"),
    [
        ("on_call: dana", "on_call: dan", "services.0.on_call", "did you mean 'dana'?"),
        ("owners: [team]", "owners: [taem]", "services.0.owners", "did you mean 'team'?"),
        ("owners: [team]", "depends_on: [db]", "services.0.depends_on", "no service here"),
        ("owners: [team]", "runbooks: [nope]", "services.0.runbooks", "no runbook here"),
        ("owners: [team]", "regions: [us]", "services.0.scrape.eu", "known are us"),
        ("owners: [team]", "mode: off", "services.0.mode", "is 'off'; write 'observe'"),
        ("name: my-api", "name: my api", "services.0.name", "letters, digits"),
        ("name: my-api", "nam: my-api", "services.0.name", "is missing"),
        ("queue_age: {above", "quue_age: {above", "services.0.limits.quue_age", "'queue_age'"),
        ("above: 30", "abov: 30", "services.0.limits.queue_age.abov", "did you mean 'above'?"),
        ("above: 30", "above: 30, below: 2", "services.0.limits.queue_age", "has 2 bounds"),
        ("gauge: in_flight", "gaug: in_flight", "services.0.metrics.saturation.gaug", "'gauge'"),
        ("gauge: in_flight", "gauge: 'a{b'", "services.0.metrics.saturation.gauge", "not a metric"),
        ("{gauge: in_flight}", "{}", "services.0.metrics.saturation", "names 0 ways"),
        ("{gauge: in_flight}", "{ratio: [a]}", "services.0.metrics.saturation.ratio", "2"),
        ("metrics: {sat", "metrics: {up: {gauge: x}, sat", "services.0.metrics.up", "another name"),
        ('scrape: {eu: "http', 'scrape: {eu: "file', "services.0.scrape.eu", "http://"),
        ("owners: [team]", "control: {supervisord: {}}",
         "services.0.control.supervisord.socket", "is missing"),
        ("owners: [team]", "control: {supervsord: {socket: x}}",
         "services.0.control.supervsord", "did you mean 'supervisord'?"),
        ("owners: [team]", "control: {cache: {url: 'redis://x', prefixes: ['a*']}}",
         "services.0.control.cache.prefixes.0", "empty, wild or our own"),
        ("owners: [team]", "control: {cache: {url: 'redis://x', prefixes: []}}",
         "services.0.control.cache.prefixes", "at least 1"),
        ("owners: [team]", "control: {queue: {url: 'redis://x', list: [a]}}",
         "services.0.control.queue.lists", "is missing"),
        ("owners: [team]", "control: {queue: {url: 'redis://x', lists: [a], oldest: top}}",
         "services.0.control.queue.oldest", "'right' or 'left'"),
        ("owners: [team]", "control: {flags: {file: f, alowed: [a], allowed: [a]}}",
         "services.0.control.flags.alowed", "did you mean 'allowed'?"),
        ("owners: [team]", "control: {failover: {primary: {dsn: 'host=a'}}}",
         "services.0.control.failover.standby", "is missing"),
        ("owners: [team]", "control: {failover: {primary: {dsn: 'pass word'}, standby: {dsn: 'host=b'}}}",
         "services.0.control.failover.primary.dsn", "not shown"),
        ("role: on-call", "page: [sms]", "contacts.dana.page.0", "'console' or 'webhook'"),
        ("contacts:", "  - {name: my-api}\ncontacts:", "services.1.name", "there already"),
    ],
)  # fmt: skip
def test_a_catalogue_that_contradicts_itself_names_line_field_and_the_nearest_name(
    before: str, after: str, field: str, words: str, site: Installed
) -> None:
    text = SERVICES.format(url="http://x/")
    assert before in text
    path = site.write("services.yaml", text.replace(before, after))
    error = problem(site)

    assert error.message.startswith(f"{path}:")
    assert error.field == field
    assert words in error.message


def test_what_the_environment_lacks_is_named_with_its_field(site: Installed) -> None:
    path = site.write("holdfast.yaml", 'mode: observe\nnotify: {webhook: "${NO_SUCH_NAME}"}\n')

    message = problem(site).message
    assert message.startswith(f"{path}:2: notify.webhook needs ${{NO_SUCH_NAME}}")
    assert "export NO_SUCH_NAME first" in message


def test_a_value_may_come_from_the_environment(
    site: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TEST_HOOK", "http://hook.example")
    site.write("holdfast.yaml", 'notify: {webhook: "${HF_TEST_HOOK}/page"}\n')

    assert load_installation(site.directory).config.notify.webhook == "http://hook.example/page"


@pytest.mark.parametrize(
    "text",
    [
        'listen: "${HF_TEST_SECRET}"\n',
        'mode: "${HF_TEST_SECRET}"\n',
        'checks: {database: "${HF_TEST_SECRET}"}\n',
        f"checks: {{database: {{dsn: [host=x, {SECRET}]}}}}\n",
        f"checks: {{database: {{dsn: {{password: {SECRET}}}}}}}\n",
        f"notify: {{webhook: 'smtp://me:{SECRET}@x'}}\n",
        f"notify: {{webhook: 'http://me:{SECRET}/x@h/x'}}\n",
        f"checks: {{database: {{dsn: 'host=x password=my {SECRET}'}}}}\n",
        f"checks: {{database: {{dsn: '{SECRET}'}}}}\n",
        f"deployments: {{dsn: 'postgresql://me:{SECRET} x@h/x'}}\n",
        f"deployments: {{dsn: 'postgresql://me:{SECRET}/x@h/x'}}\n",
        f"checks: {{cache: {{url: 'redis://me:{SECRET}/x@h:1/0'}}}}\n",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(
    text: str, site: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TEST_SECRET", SECRET)
    site.write("holdfast.yaml", text)

    assert SECRET not in problem(site).message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00m\x00o", "not UTF-8"),
        (b"\x7fELF\x00\x00\x01", "control characters"),
        (b"mode: observe\nlisten: \x00\n", "control characters"),
        (b"#" * 5_000_001, "5000001 bytes"),
    ],
    ids=["utf-16", "binary", "nul", "huge"],
)
@pytest.mark.parametrize("name", ["holdfast.yaml", "services.yaml"])
def test_a_file_that_is_no_text_is_named(
    content: bytes, words: str, name: str, site: Installed
) -> None:
    (site.directory / name).write_bytes(content)

    message = problem(site).message
    assert message.startswith(str(site.directory / name))
    assert words in message


@pytest.mark.parametrize(
    "dsn",
    [
        "host=/sock port=5432 dbname=orders user=reader",
        "host=a password=''my secret''",
        "postgresql://me:p%2Fw@a:5432,b:5433/orders?target_session_attrs=any",
        "postgresql:///orders?host=/sock",
        "postgresql://me@[::1]:5432/orders",
    ],
)
def test_every_good_form_of_a_dsn_is_taken(dsn: str, site: Installed) -> None:
    site.write("holdfast.yaml", f"checks: {{database: {{dsn: '{dsn}'}}}}\n")

    assert load_installation(site.directory).config.checks.database


def test_an_empty_file_means_the_defaults(site: Installed) -> None:
    site.write("holdfast.yaml", "# nothing yet\n")
    site.write("services.yaml", "")
    made = load_installation(site.directory)

    assert made.config.mode == "observe"
    assert made.catalogue.services == {}


def test_a_directory_where_a_file_is_meant_is_named(site: Installed) -> None:
    site.write("holdfast.yaml", CONFIG.format(mode="observe", more="catalogue: runbooks"))

    assert "runbooks: Is a directory" in problem(site).message


def test_a_missing_runbook_folder_is_named(site: Installed) -> None:
    (site.directory / "runbooks").rmdir()

    assert "is no directory; create it" in problem(site).message
