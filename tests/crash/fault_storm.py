"""Everything at once on PostgreSQL: four workers, random SIGSTOP and SIGKILL, for half an hour."""

from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.storm import Weather, storm


def run(case: Case) -> Outcome:
    """Pause and kill, for so many seconds."""
    return storm(case, Weather(seconds=case.seconds or 5.0))


FAULT = Fault(
    name="storm",
    how="four workers on PostgreSQL, random SIGSTOP and SIGKILL, all kinds of action",
    stores=("postgres",),
    default=2,
    full=1800,
    unit="seconds",
    run=run,
    alone=True,
)
