"""HOLDFAST_DATABASE_URL is all that a user changes: the same commands, the ledger in PostgreSQL."""

import re
from functools import partial
from pathlib import Path

import pytest

from holdfast.incident import fold, projections
from holdfast.ledger import PostgresLedger
from tests.cli.conftest import Holdfast
from tests.ledger.ledger_parts import LEASE_S, batch
from tests.real_parts import Postgres
from tests.scenes import bad_deploy
from tests.surface import HEALTHY, Installed, target


def test_every_command_works_on_postgresql_as_on_a_file(
    holdfast: Holdfast,
    durable_postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    monkeypatch.setenv("HOLDFAST_DIR", str(site))
    with durable_postgres.ledger_url() as url:
        monkeypatch.setenv("HOLDFAST_DATABASE_URL", url)
        assert "no ledger at postgresql://" in holdfast("incident", "list").err
        made = holdfast("init", site)
        assert made.code == 0, made.err
        assert "postgresql://" in made.out
        assert not (site / "holdfast.db").exists()
        (token,) = re.findall(r"hf_\S+", made.out)
        monkeypatch.setenv("HOLDFAST_TOKEN", token)
        assert holdfast("incident", "list").out == "no incident so far\n"

        _write_incident(url)
        assert "INC-1" in holdfast("incident", "list").out
        assert holdfast("incident", "show", "INC-1").code == 0
        for chain in ("INC-1", "_system"):
            assert holdfast("incident", "verify", chain).code == 0
        exported = holdfast("incident", "export", "INC-1", "--out", tmp_path / "x")
        assert exported.code == 0, exported.err
        assert holdfast("incident", "verify", tmp_path / "x").code == 0
        assert holdfast("kv", "get", "incident:INC-1:status").document["incident_id"] == "INC-1"
        assert holdfast("freeze", "--because", "a test").code == 0
        assert holdfast("token", "list").code == 0
        assert "hf_" not in holdfast("init", site).out


@pytest.mark.acceptance
def test_serve_watches_opens_and_is_asked_on_postgresql(
    holdfast: Holdfast,
    durable_postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with durable_postgres.ledger_url() as url, target() as shop:
        monkeypatch.setenv("HOLDFAST_DATABASE_URL", url)
        monkeypatch.setenv("HOLDFAST_DIR", str(tmp_path))
        (token,) = re.findall(r"hf_\S+", holdfast("init", tmp_path).out)
        monkeypatch.setenv("HOLDFAST_TOKEN", token)
        here = Installed(directory=tmp_path, token=token)
        here.describe(shop.url)
        with here.serving(HOLDFAST_DATABASE_URL=url) as serve:
            serve.event("listening")
            shop.say(HEALTHY.replace("queue_age 0", "queue_age 100"))
            serve.until(lambda event: event.get("incident_id") == "INC-1")
            # Known to be served by the database, not by a file of this directory.
            assert holdfast("note", "INC-1", "seen from afar").code == 0
            assert serve.health()[0] == 200
            assert serve.stop() == 0
        assert holdfast("incident", "verify", "INC-1").code == 0
        assert "seen from afar" in holdfast("incident", "show", "INC-1", "--json").out


def _write_incident(url: str) -> None:
    ledger = PostgresLedger(url)
    records = bad_deploy("INC-1")
    project = partial(projections, fold(records, "INC-1"))
    claim = ledger.open_incident("w-1", LEASE_S)
    ledger.append(batch(claim, records=records, project=project, ended=True))
    ledger.close()
