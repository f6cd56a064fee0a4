"""The same storm, with the database stopped hard again and again and the lines to the targets cut."""

from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.storm import Weather, storm


def run(case: Case) -> Outcome:
    """Pause, kill, stop the database and cut the lines, for so many seconds."""
    every_s = 20.0 if (case.seconds or 0) > 60 else 2.0
    weather = Weather(seconds=case.seconds or 5.0, pg_stop_every_s=every_s, cut_links=True)
    return storm(case, weather)


FAULT = Fault(
    name="storm_db_down",
    how="the storm with PostgreSQL stopped hard every 20 s and lines cut after the request",
    stores=("postgres",),
    default=3,
    full=1800,
    unit="seconds",
    run=run,
    alone=True,
)
