"""What the next release might bring: a migration more, while workers of this release are at work.

It adds a column that may be empty, fills it, and adds a table: what `docs/how-to/keep-the-ledger.md`
lets a release do. This release has to go on, and to start, on the schema that it leaves.
"""

from collections.abc import Callable, Iterator

from holdfast.ledger import migrate, postgres_migrate
from holdfast.ledger.migrate import Dialect

NUMBER = 9001
UNKNOWN_KIND = "weather_noted"
_SQL = """
alter table incident add column weather text;
update incident set weather = 'fair';
create table forecast (number integer primary key, words text);
insert into forecast values (1, 'rain');
"""

Migrations = Callable[[Dialect], Iterator[tuple[int, str, str]]]


def become_next_release() -> None:
    """Make this process one of the next release. Only ever in a worker of its own."""
    ours = migrate.migrations

    def with_one_more(dialect: Dialect) -> Iterator[tuple[int, str, str]]:
        yield from ours(dialect)
        yield NUMBER, f"{NUMBER}_next_release.sql", _SQL

    for module in (migrate, postgres_migrate):
        vars(module)["migrations"] = with_one_more


def was_applied(url: str) -> bool:
    """Look into the store with nothing of Holdfast's in between."""
    query = f"select count(*) from migration where number = {NUMBER}"  # noqa: S608 - a constant
    if url.startswith("sqlite"):
        import apsw

        with apsw.Connection(url.removeprefix("sqlite:///")) as file:
            return (1,) in file.execute(query)
    import psycopg

    with psycopg.connect(url) as server:
        return (1,) in server.execute(query.encode())
