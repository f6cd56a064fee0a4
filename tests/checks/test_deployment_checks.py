from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from holdfast.checks import CheckRunner, DeploymentHistory, RecentDeployments, RollbackReady
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Health
from tests.io_parts import NOW, catalogue, context, point, releases
from tests.real_parts import Database


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def deploy(
    database: Database, service: str, version: str, previous: str | None, at: datetime
) -> None:
    with psycopg.connect(database.dsn) as connection:
        connection.execute(
            "INSERT INTO deployments (service, version, previous_version, deployed_at,"
            " deployed_by, summary) VALUES (%s, %s, %s, %s, 'dana', 'new price rules')",
            (service, version, previous, at),
        )


@pytest.fixture
def history(database: Database) -> DeploymentHistory:
    return DeploymentHistory(database.reader_dsn)


def platform(directory: Path | None = None) -> Catalogue:
    """Describe `api`, which depends on `store`; `batch` is on its own."""
    release = {"release": {"directory": str(directory), "history": "deployments"}}
    return catalogue(
        Service(name="api", depends_on=("store",), control=release if directory else {}),
        Service(name="store"),
        Service(name="batch"),
    )


def test_a_deployment_shortly_before_the_trouble_is_the_suspect(
    database: Database, history: DeploymentHistory
) -> None:
    deploy(database, "api", "v1", None, ago(90))
    deploy(database, "api", "v2", "v1", ago(5))

    result = RecentDeployments(history, platform()).run(context("api"))

    assert result.status is Health.DEGRADED
    assert result.data["suspect"] == {
        "id": 2,
        "service": "api",
        "version": "v2",
        "previous_version": "v1",
        "deployed_at": "2026-11-20T11:55:00.000000Z",
        "deployed_by": "dana",
        "summary": "new price rules",
        "age_s": 300.0,
    }
    assert [d["version"] for d in result.data["deployments"]] == ["v2", "v1"]
    assert "api v2 was deployed 300 s before the trouble began by dana" in result.summary


def test_nothing_deployed_lately_is_healthy_and_leaves_no_suspect(
    database: Database, history: DeploymentHistory
) -> None:
    deploy(database, "api", "v1", None, ago(180))

    result = RecentDeployments(history, platform()).run(context("api"))

    assert result.status is Health.HEALTHY
    assert result.data == {"deployments": [], "suspect": None}


def test_a_deployment_of_a_service_that_it_depends_on_is_a_suspect_too(
    database: Database, history: DeploymentHistory
) -> None:
    deploy(database, "store", "s7", "s6", ago(10))

    result = RecentDeployments(history, platform()).run(context("api"))

    assert result.data["suspect"]["service"] == "store"


def test_a_deployment_elsewhere_or_long_before_or_after_is_listed_but_no_suspect(
    database: Database, history: DeploymentHistory
) -> None:
    deploy(database, "batch", "b2", "b1", ago(5))
    deploy(database, "api", "v1", None, ago(61))
    deploy(database, "api", "v2", "v1", ago(-2))

    result = RecentDeployments(history, platform()).run(context("api", now=ago(-3)))

    assert len(result.data["deployments"]) == 3
    assert result.data["suspect"] is None
    assert result.status is Health.HEALTHY


def test_a_deployment_a_few_seconds_after_the_first_bad_reading_is_still_a_suspect(
    database: Database, history: DeploymentHistory
) -> None:
    deploy(database, "api", "v2", "v1", ago(-0.5))

    result = RecentDeployments(history, platform()).run(context("api", now=ago(-1)))

    assert "30 s after the trouble began" in result.summary


def test_a_history_that_is_not_there_is_down_with_the_reason(database: Database) -> None:
    history = DeploymentHistory(database.reader_dsn, table="no_such_table")

    result = CheckRunner([RecentDeployments(history, platform())]).run(context())

    assert result["recent_deployments"].status is Health.DOWN
    assert "no_such_table" in result["recent_deployments"].summary


@pytest.mark.parametrize("table", ["x; DROP TABLE orders", "a.b.c", "", 'x"', "deployments\n"])
def test_a_table_name_that_is_none_is_refused(table: str) -> None:
    with pytest.raises(BadInputError, match="no plain table name"):
        DeploymentHistory("dbname=x", table=table)


def test_the_release_before_is_the_one_that_the_newest_deployment_replaced(
    database: Database, history: DeploymentHistory
) -> None:
    deploy(database, "api", "v2", "v1", ago(500))
    deploy(database, "api", "v3", "v2", ago(5))

    assert history.previous_release("api", "v3")[0] == "v2"


def test_a_service_that_was_rolled_back_already_is_not_rolled_back_further(
    database: Database, history: DeploymentHistory
) -> None:
    deploy(database, "api", "v2", "v1", ago(500))
    deploy(database, "api", "v3", "v2", ago(5))

    version, why = history.previous_release("api", "v2")

    assert version is None
    assert "api runs v2, but its newest deployment is v3" in why


def test_a_rollback_is_ready_when_the_release_before_is_complete(
    database: Database, history: DeploymentHistory, tmp_path: Path
) -> None:
    deploy(database, "api", "v2", "v1", ago(5))
    directory = releases(tmp_path / "r", "v1", "v2", current="v2")

    result = RollbackReady(platform(directory), history).run(context("api"))

    assert result.status is Health.HEALTHY
    assert result.data["services"]["api"]["ready"] is True
    assert result.summary == "api can go from v2 to v1"


def test_a_rollback_is_not_ready_when_it_was_done_already(
    database: Database, history: DeploymentHistory, tmp_path: Path
) -> None:
    deploy(database, "api", "v2", "v1", ago(5))
    directory = releases(tmp_path / "r", "v0", "v1", "v2", current="v2")
    point(directory, "v1")

    result = RollbackReady(platform(directory), history).run(context("api"))

    assert result.status is Health.DEGRADED
    assert "it is rolled back already" in result.summary


@pytest.mark.parametrize("damage", ["missing", "empty", "link", "file"])
def test_a_rollback_is_not_ready_when_the_release_before_is_not_whole(
    damage: str, database: Database, history: DeploymentHistory, tmp_path: Path
) -> None:
    deploy(database, "api", "v2", "v1", ago(5))
    directory = releases(tmp_path / "r", "v2", current="v2")
    match damage:
        case "missing":
            pass
        case "empty":
            (directory / "v1").mkdir()
        case "link":
            (directory / "v1").symlink_to(tmp_path)
        case _:
            (directory / "v1").write_text("not a directory")

    result = RollbackReady(platform(directory), history).run(context("api"))

    assert result.data["services"]["api"]["ready"] is False
    assert result.status is Health.DEGRADED


@pytest.mark.parametrize("text", ["../v1", "/etc", "v1/..", ".", "a b"])
def test_a_link_that_leads_elsewhere_is_reported_and_not_followed(
    text: str, history: DeploymentHistory, tmp_path: Path
) -> None:
    directory = releases(tmp_path / "r", "v1", current="v1")
    point(directory, text)

    result = RollbackReady(platform(directory), history).run(context("api"))

    assert "no plain version name" in result.data["services"]["api"]["why"]


def test_without_a_history_the_directory_tells_what_came_before(tmp_path: Path) -> None:
    directory = releases(tmp_path / "r", "v1", "v2", "v3", current="v3")
    service = Service(name="api", control={"release": {"directory": str(directory)}})

    result = RollbackReady(catalogue(service)).run(context("api"))

    assert result.data["services"]["api"]["previous"] == "v2"


def test_a_history_that_is_declared_but_not_configured_is_named(tmp_path: Path) -> None:
    directory = releases(tmp_path / "r", "v1", "v2", current="v2")

    result = RollbackReady(platform(directory)).run(context("api"))

    assert "no `deployments` is configured" in result.summary


def test_services_without_release_control_are_unknown() -> None:
    assert RollbackReady(platform()).run(context("api")).status is Health.UNKNOWN
