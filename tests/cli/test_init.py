"""A new installation: explained, harmless, and never on top of an old one."""

import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from holdfast.app.installation import load_installation
from holdfast.app.linting import lint_folder, refuse_broken_runbooks
from tests.cli.conftest import Holdfast
from tests.prometheus_parts import knowing
from tests.real_parts import short_directory
from tests.surface import Installed, refused


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may write everywhere, so it is nobody for a moment."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_new_installation_is_explained_and_performs_nothing(
    holdfast: Holdfast, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    said = holdfast("init", site)
    made = load_installation(site)

    assert said.code == 0
    assert made.config.mode == "observe"
    assert made.config.listen.startswith("127.0.0.1:")
    assert made.config.autonomy == []
    assert len(made.runbooks) >= 2
    assert not [
        f for f in lint_folder(site / "runbooks", made.catalogue) if f["severity"] == "error"
    ]
    refuse_broken_runbooks(made)
    for name in ("holdfast.yaml", "services.yaml"):
        text = (site / name).read_text()
        assert text.count("#") > 10, "commented"
        assert name in said.out
    assert f"holdfast serve --dir {site}" in said.out


def test_every_commented_example_in_the_files_loads(holdfast: Holdfast, tmp_path: Path) -> None:
    """Uncommenting what the files show must not be the first error somebody meets."""
    site = tmp_path / "site"
    holdfast("init", site)
    text = (site / "services.yaml").read_text()
    lines = [
        line.removeprefix("# ") for line in text.splitlines() if line.startswith(("# ", "#\n"))
    ]
    start = lines.index("services:")
    (site / "services.yaml").write_text("\n".join(lines[start:]))

    made = load_installation(site)

    assert set(made.catalogue.services) == {"my-api", "my-database"}
    refuse_broken_runbooks(made)


def test_every_section_that_is_commented_out_loads_when_it_is_not(
    holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    holdfast("init", site)
    for name in ("PROMETHEUS_TOKEN", "DEAD_MAN_URL"):
        monkeypatch.setenv(name, "https://example.internal/x")
    for name in ("READONLY_DSN", "PRIMARY_DSN", "STANDBY_DSN"):
        monkeypatch.setenv(name, "dbname=x")
    (site / "services.yaml").write_text(
        "services: [{name: my-api}, {name: my-database}]\ncontacts: {team-api: {name: API team}}\n"
    )
    text = (site / "holdfast.yaml").read_text()

    (site / "holdfast.yaml").write_text(uncommented(text))
    config = load_installation(site).config

    assert config.model_fields_set == set(type(config).model_fields) - {"actions"}
    assert config.checks.model_fields_set >= {"database", "replication", "queue", "tls", "dns"}
    assert config.prometheus is not None
    assert len(config.autonomy) == 1


def uncommented(text: str) -> str:
    """Take the marks away from what is YAML: `# name:` and what is indented below a name."""
    lines, inside = [], False
    for line in text.splitlines():
        begins = re.match(r"(# )?[a-z_]+:", line) is not None
        inside = begins or (inside and line.startswith(("#   ", "  ")))
        lines.append(line.removeprefix("# ") if inside else line)
    return "\n".join(line for line in lines if line != "autonomy: []")


def test_the_token_is_shown_once_and_kept_nowhere(holdfast: Holdfast, tmp_path: Path) -> None:
    site = tmp_path / "site"
    first = holdfast("init", site, "--json").document
    again = holdfast("init", site, "--json").document

    token = first["token"]
    assert token.startswith("hf_person_")
    assert again["token"] is None
    assert again["files"] == []
    assert "holdfast.yaml" in again["kept"]
    secret = token.split("_", 3)[3]
    for path in [p for p in site.rglob("*") if p.is_file()]:
        assert secret.encode() not in path.read_bytes(), path


def test_the_ledger_is_for_its_owner_alone(here: Installed) -> None:
    mode = (here.directory / "holdfast.db").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_what_was_there_before_is_not_overwritten(holdfast: Holdfast, tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("services: []  # mine\n")

    said = holdfast("init", tmp_path)

    assert (tmp_path / "services.yaml").read_text() == "services: []  # mine\n"
    assert "kept   services.yaml" in said.out


def test_a_place_that_cannot_be_one_is_refused(holdfast: Holdfast, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    refused(holdfast("init", tmp_path / "file"), 2, "can't create", "choose a directory")
    refused(holdfast("init", tmp_path / "file" / "below"), 2, "can't create")


def test_a_directory_that_cannot_be_written_is_said_by_every_command(
    holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = short_directory("ro")
    holdfast("init", directory)
    monkeypatch.setenv("HOLDFAST_DIR", str(directory))
    (directory / "holdfast.db").chmod(0)
    directory.chmod(0o555)
    import_module("holdfast.app.serve")  # its files may be out of nobody's reach
    with without_rights():
        new, serve = holdfast("init", directory / "new"), holdfast("serve")
        unreadable = holdfast("incident", "list")
    directory.chmod(0o755)
    shutil.rmtree(directory)

    refused(new, 2, "Permission denied")
    refused(serve, 2, "serve.lock", "Permission denied")
    refused(unreadable, 1, "holdfast.db", "Permission denied")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_postgresql_that_does_not_answer_is_named_without_its_password_before_anything_is_written(
    scheme: str, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", f"{scheme}://me:s3cret-word@127.0.0.1:1/x")

    for words in (("init", tmp_path / "site"), ("incident", "list")):
        said = holdfast(*words)
        assert "s3cret-word" not in said.err + said.out
        refused(said, 1, "postgresql://127.0.0.1:1/x", "can't be reached", "HOLDFAST_DATABASE_URL")
    assert not (tmp_path / "site").exists()


def test_a_postgresql_url_that_cannot_be_read_is_refused_without_showing_it(
    holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "postgresql://me:s3cret%word@db/x?host=%zz")
    said = holdfast("init", tmp_path / "site")

    assert "s3cret" not in said.err + said.out
    refused(said, 2, "HOLDFAST_DATABASE_URL", "not shown", "%XX")
    assert not (tmp_path / "site").exists()


def test_a_database_url_of_another_kind_is_refused(
    holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "mysql://db/x")

    refused(holdfast("init", tmp_path / "site"), 2, "HOLDFAST_DATABASE_URL", "sqlite:///PATH")


def test_the_ledger_can_lie_elsewhere(
    holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", f"sqlite:///{tmp_path}/kept.db")
    holdfast("init", tmp_path / "site")

    assert not (tmp_path / "site" / "holdfast.db").exists()
    with closing(sqlite3.connect(tmp_path / "kept.db")) as db:
        assert db.execute("select count(*) from record").fetchone() == (1,)
    assert holdfast("incident", "list", "--dir", tmp_path / "site").out == "no incident so far\n"


def test_a_directory_without_an_installation_says_how_to_make_one(
    holdfast: Holdfast, tmp_path: Path
) -> None:
    for command in ("incident list", "token list", "kv get incident:INC-1:status"):
        refused(holdfast(*command.split()), 1, "no ledger", "holdfast init")
    for words in (("serve",), ("check", "list"), ("runbook", "list")):
        refused(holdfast(*words), 2, "holdfast.yaml", "holdfast init")


@pytest.mark.parametrize("garbage", [b"\0" * 4096, b"hello", b"\xff\xfe" * 3000])
def test_a_file_that_is_no_ledger_is_named_as_such(
    garbage: bytes, here: Installed, holdfast: Holdfast
) -> None:
    (here.directory / "holdfast.db").write_bytes(garbage)

    for words in ("incident list", f"init {here.directory}", "serve"):
        refused(holdfast(*words.split()), 1, "holdfast.db is no ledger", "backup")


def test_a_ledger_with_garbage_inside_is_named(here: Installed, holdfast: Holdfast) -> None:
    path = here.directory / "holdfast.db"
    data = bytearray(path.read_bytes())
    data[100:] = b"\xa5" * (len(data) - 100)
    path.write_bytes(data)

    refused(holdfast("incident", "list"), 1, "holdfast.db")
    refused(holdfast("serve"), 1, "holdfast.db")


def test_a_catalogue_begins_with_what_prometheus_scrapes(
    holdfast: Holdfast, tmp_path: Path
) -> None:
    series = {
        f'up{{job="{job}",region="{region}",instance="{n}"}}': lambda _age: 1.0
        for n, (job, region) in enumerate([("shop", "eu"), ("shop", "us"), ("team/books", "")])
    }
    site = tmp_path / "site"
    with knowing(tmp_path, series, past=range(30, -60, -1)) as (server, _):
        said = holdfast("init", site, "--from-prometheus", server.url)
        again = holdfast("init", site, "--from-prometheus", server.url)
        made = load_installation(site)
        checked = holdfast("doctor", "--dir", site, "--json").document

    assert said.code == 0
    services = made.catalogue.services
    assert services["shop"].regions == ("eu", "us")
    assert services["team-books"].regions == ("global",)
    assert [str(key) for key in made.catalogue.series()] == [
        "reachable of shop in eu",
        "reachable of shop in us",
        "reachable of team-books in global",
    ]
    assert made.config.prometheus is not None
    assert "3 of 3 answer one number" in [each["value"] for each in checked["findings"]]
    refused(again, 2, "is not overwritten")
    refused(holdfast("init", tmp_path / "b", "--from-prometheus", "http://127.0.0.1:1"), 2, "reach")
    assert not (tmp_path / "b" / "holdfast.yaml").exists()
