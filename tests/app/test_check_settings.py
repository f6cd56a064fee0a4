"""What the `checks` section takes, refuses, and says of the services."""

from pathlib import Path

import pytest

from holdfast.app.installation import Installation, load_installation
from holdfast.kernel.errors import BadInputError
from tests.surface import Installed


def read(folder: Path, more: str) -> Installation:
    site = Installed(directory=folder)
    (folder / "runbooks").mkdir()
    site.describe(more=more)
    return load_installation(site.directory)


def test_a_disk_path_may_be_a_path_alone_or_say_more(tmp_path: Path) -> None:
    more = "checks: {disk: {paths: [/, {path: /tmp, limit_bytes: 10, service: my-api}]}}\n"
    disk = read(tmp_path, more).config.checks.disk

    assert disk is not None
    assert [(p.path, p.limit_bytes, p.service) for p in disk.paths] == [
        ("/", None, None),
        ("/tmp", 10, "my-api"),
    ]


def test_a_check_looks_at_the_one_service_that_it_names(
    tmp_path: Path,
) -> None:
    more = """checks:
  cache: {url: "redis://x", service: my-api}
  queue: {url: "redis://x", lists: ["q:{region}"], service: my-api}
  replication: {primary: {dsn: host=a}, standby: {dsn: host=b}, service: my-api}
  disk: {paths: [{path: /tmp, service: my-api}]}
  tls: [{host: a, service: my-api}, {host: b, service: my-api}]
  dns: [{name: a, service: my-api}, {name: b}]
  plugins: {of_mine: {service: my-api, more: 1}}
"""
    assert read(tmp_path, more).config.checks.entities() == {
        "redis_health": "my-api",
        "queue_health": "my-api",
        "replication_status": "my-api",
        "disk_usage": "my-api",
        "tls_expiry": "my-api",
        "dns": "my-api",
        "of_mine": "my-api",
    }


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("checks: {queue: {url: 'redis://x', lists: ['q:{region}']}}", "needs `service`"),
        ("checks: {dns: [{name: a, expect: [b]}]}", "'b', which is no IPv4 address"),
        ("checks: {dns: [{name: a, type: AAAA, expect: [10.0.0.1]}]}", "no IPv6 address"),
        ("checks: {tls: [{host: a, service: nobody}]}", "checks.tls.0.service refers to 'nobody'"),
        ("checks: {disk: {paths: [{path: /, service: nobody}]}}", "checks.disk.paths.0.service"),
        ("checks: {queue: {url: 'redis://x', lists: []}}", "checks.queue.lists"),
        ("changes: {files: [{path: x, service: my-api, kind: deploy}]}", "changes.files.0.kind"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(
    more: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=words.replace("[", r"\[")):
        read(tmp_path, more + "\n")


@pytest.mark.parametrize("form", ["postgresql://me:hunter2@h/db", "host=h password=hunter2"])
def test_a_dsn_in_the_wrong_place_is_not_shown_with_its_password(form: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"checks\.replication\.primary") as refused:
        read(tmp_path, f"checks: {{replication: {{primary: '{form}', standby: {{dsn: x}}}}}}\n")

    assert "hunter2" not in refused.value.message
