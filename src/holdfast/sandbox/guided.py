"""The guided scenarios as data: one fault each, and a script of what named people do about it.

Rule: a row here and a text below `scripts`, nothing else. Most may end as held as well: an incident
that was given back while a reading is out of its range again is a person's, and that is safe.
What is graded is the same as in any
scenario, and beside it what only a directed run can show: who covered each action, what was caught
before the next step, and whether a successor could go on from the packet alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.kernel import BadInputError
from holdfast.sandbox import faults
from holdfast.sandbox.scenario import HELD, OUTCOMES, RESOLVED, Scenario
from holdfast.sandbox.script import ScriptLine, breaks_itself, read_script

SCRIPTS = Path(__file__).with_name("scripts")
GUIDED_MODE = "guided"

_STALE_FLAG: Mapping[str, Any] = {
    "fault": faults.STALE_FLAG,
    "incident_types": frozenset({"high_error_rate", "queue_backlog"}),
    "on": {
        "restart_service": "worker",
        "drain_pool": "api",
        "undrain_pool": "api",
        "clear_cache": "cache",
    },
    "mode": GUIDED_MODE,
    "patient": True,
    "limit_s": 240.0,
}
_CHECKOUT = frozenset({"disable_flag", "drain_pool", "undrain_pool", "restart_service"})
_BY_PEOPLE = _CHECKOUT | {"clear_cache"}

GUIDED: tuple[Scenario, ...] = (
    Scenario(
        name="checkout",
        title="the stale flag, directed step by step: flag, pool, tier, and both regions verified",
        script="checkout.txt",
        allowed={"disable_flag": 1, "drain_pool": 1, "restart_service": 2, "undrain_pool": 1},
        needed=_CHECKOUT,
        approved=_BY_PEOPLE,
        ends={RESOLVED: True},
        **_STALE_FLAG,
    ),
    Scenario(
        name="failover",
        title="the primary dies; a failover is not the commander's, and is handed to its team",
        script="failover.txt",
        fault=faults.PRIMARY_DOWN,
        incident_types=frozenset({"service_down"}),
        allowed={"failover_db": 1},
        needed=frozenset({"failover_db"}),
        approved=frozenset({"failover_db"}),
        mode=GUIDED_MODE,
        patient=True,
        aftercare=True,
        ends={RESOLVED: True, HELD: True},
        limit_s=240.0,
    ),
    Scenario(
        name="contradicting-regions",
        title="after a step one region recovers and the other does not",
        script="contradicting-regions.txt",
        allowed={"disable_flag": 1, "restart_service": 1, "clear_cache": 1},
        needed=frozenset({"disable_flag", "restart_service", "clear_cache"}),
        approved=_BY_PEOPLE,
        ends={RESOLVED: True, HELD: True},
        **_STALE_FLAG,
    ),
    Scenario(
        name="stale-metrics",
        title="the workers' metric source falls silent while a step is directed",
        script="stale-metrics.txt",
        allowed={"disable_flag": 1},
        needed=frozenset({"disable_flag"}),
        approved=_BY_PEOPLE,
        ends={HELD: True},
        **_STALE_FLAG,
    ),
    Scenario(
        name="silent-commander",
        title="after the first step the commander says nothing any more",
        script="silent-commander.txt",
        allowed={"disable_flag": 1, "restart_service": 2},
        needed=frozenset({"disable_flag", "restart_service"}),
        approved=_BY_PEOPLE,
        ends={RESOLVED: True, HELD: True},
        **_STALE_FLAG,
    ),
    Scenario(
        name="by-hand",
        title="one step is done by hand in the middle, reported, and not done again",
        script="by-hand.txt",
        allowed={"disable_flag": 1, "restart_service": 1},
        needed=frozenset({"disable_flag", "restart_service"}),
        approved=_BY_PEOPLE,
        ends={RESOLVED: True, HELD: True},
        **_STALE_FLAG,
    ),
    Scenario(
        name="back-to-system",
        title="a person directs one step, then gives the incident back to the system",
        script="back-to-system.txt",
        fault=faults.BAD_DEPLOY,
        incident_types=frozenset({"high_error_rate"}),
        allowed={"clear_cache": 1, "rollback_deploy": 1},
        needed=frozenset({"clear_cache", "rollback_deploy"}),
        approved=frozenset({"clear_cache"}),
        on={"clear_cache": "cache"},
        patient=True,
        ends={RESOLVED: True},
        limit_s=240.0,
    ),
)
BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in GUIDED}


def by_script(scenario: Scenario, file: Path) -> Scenario:
    """Make a scenario whose people do what a script says. Raises BadInputError for none."""
    chosen = replace(
        scenario,
        script=str(file.absolute()),
        moves=(),
        crash_points=(),
        stop_traffic_at=None,
        watch_s=None,
        free=True,
        allowed={},
        needed=frozenset(),
        aftercare=False,
        also=(),
        patient=True,
        ends=dict.fromkeys(OUTCOMES, False),
    )
    # One that says when the platform breaks says before in which mode it is.
    own = breaks_itself(script_of(chosen))
    return chosen if own else replace(chosen, mode=GUIDED_MODE)


def script_of(scenario: Scenario) -> tuple[ScriptLine, ...]:
    """Read the script of a scenario; one without has no line. Raises BadInputError."""
    if scenario.script is None:
        return ()
    file = SCRIPTS / scenario.script  # a path of somebody's own stays what it is
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"the script {file} can't be read: {error}") from error
    return read_script(text, file.name)
