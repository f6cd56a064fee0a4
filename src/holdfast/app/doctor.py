"""`holdfast doctor`: what is configured, reachable, missing, unsafe.

Every probe looks at one thing; all run side by side, each with a time limit, and none changes
anything. To have a new section of the configuration looked at, write a function that yields its
probes and add it to AREAS.
"""

from collections.abc import Sequence

from holdfast.app.doctor_acting import acting_probes
from holdfast.app.doctor_files import file_probes
from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Look,
    Probe,
    Probes,
    Report,
    failed,
    found,
)
from holdfast.app.doctor_keeping import keeping_probes
from holdfast.app.doctor_reach import reach_probes
from holdfast.app.doctor_rules import rule_probes
from holdfast.app.doctor_stores import store_probes
from holdfast.app.installation import Installation
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import HoldfastError
from holdfast.sources.crew import Crew, Round

AREAS: tuple[Probes, ...] = (
    file_probes,
    keeping_probes,
    rule_probes,
    reach_probes,
    store_probes,
    acting_probes,
)
_WORKERS = 16
_TIMEOUT_S = 5.0
_ALL_S = 15.0


def examine(
    installation: Installation, *, clock: Clock | None = None, timeout_s: float = _TIMEOUT_S
) -> Report:
    """Look at everything, for a quarter of a minute at most."""
    clock = clock or SystemClock()
    look = Look(installation=installation, clock=clock, timeout_s=timeout_s)
    probes = [probe for area in AREAS for probe in area(look)]

    def ask(index: int, _: Round[Sequence[Finding]]) -> Sequence[Finding]:
        return _looked(probes[index])

    crew = Crew(
        ask,
        size=len(probes),
        workers=_WORKERS,
        timeout_s=min(3 * timeout_s, _ALL_S),
        name="doctor",
        clock=clock,
    )
    answers = crew.finish(crew.start(clock.now()))
    crew.close(wait_s=0.0)
    by_area: dict[str, list[Finding]] = {probe.area: [] for probe in probes}
    for number, probe in enumerate(probes):
        by_area[probe.area] += answers.get(number, [_late(probe)])
    return Report(findings={area: tuple(each) for area, each in by_area.items()})


def _looked(probe: Probe) -> Sequence[Finding]:
    try:
        return tuple(probe.look())
    except HoldfastError as error:
        return [failed(probe.what, error.message)]
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or error
        return [failed(probe.what, f"{where}{reason}; check the place and its rights")]
    except Exception as error:  # noqa: BLE001 - one odd answer must not hide the other findings
        return [failed(probe.what, f"can't be looked at ({type(error).__name__}: {error})")]


def _late(probe: Probe) -> Finding:
    return found(
        probe.what, Level.ERROR, "gave no answer in time", "check that it runs and is not stuck"
    )
