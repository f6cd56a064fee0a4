"""What a fault of the crash matrix is, and what came of one case of it.

Each fault is one module `tests/crash/fault_*.py` with a `FAULT`. A case is small and replays from its
seed: the same seed on the same store does the same things as far as the fault allows (a kill lands
where the machine happens to be; everything that Holdfast is asked to do is the same).
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Literal


class Invariant(StrEnum):
    """What must hold after every case. The wording is the design's."""

    I1 = "I1"
    I2 = "I2"
    I3 = "I3"
    I4 = "I4"
    I5 = "I5"
    I6 = "I6"
    I7 = "I7"

    @property
    def promise(self) -> str:
        return PROMISES[self]


PROMISES: Mapping[Invariant, str] = {
    Invariant.I1: "at most one effect per step, unless earlier attempts are proven to have had none",
    Invariant.I2: "no acknowledged record is lost",
    Invariant.I3: "chains intact, seq gapless",
    Invariant.I4: "one writer per (incident, fence), fences never go back, no accepted request is lost",
    Invariant.I5: "every effect has an earlier durable intent",
    Invariant.I6: "every in-doubt step ends reconciled, settled or held, never blindly redone",
    Invariant.I7: "once faults stop, every incident is resolved, held or escalated",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken invariant: which, where, and what was seen."""

    invariant: Invariant
    incident_id: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant.value} {self.incident_id}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run of a fault.

    `directory` is empty and the case's own. `seconds` is for timed faults only: such a fault
    (`unit` "seconds") gets its whole time as one case. `store` is "sqlite" or "postgres"; whoever
    needs a database server starts one, or keeps one for the cases of its process.
    """

    seed: int
    store: str
    directory: Path
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one case came to. `counts` are figures worth summing (images torn, kills, effects)."""

    violations: Sequence[Violation] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row of the matrix.

    `default` and `full` are how much of it `make test` and `make crash` do, in `unit`s, for each of
    `stores`. `run` does one case and ends by asking the checker. `alone` is for a fault that
    needs both cores, or a server, for itself.
    """

    name: str
    how: str
    stores: tuple[str, ...]
    default: int
    full: int
    run: Callable[[Case], Outcome]
    unit: Literal["cases", "seconds"] = "cases"
    alone: bool = False


def faults() -> Mapping[str, Fault]:
    """Find every fault of the matrix, by name."""
    found: dict[str, Fault] = {}
    for module in _fault_modules():
        fault = module.FAULT
        if fault.name in found:
            raise ValueError(f"two faults are called {fault.name}; rename one of them")
        found[fault.name] = fault
    return found


def _fault_modules() -> Sequence[ModuleType]:
    folder = str(Path(__file__).parent)
    names = sorted(m.name for m in pkgutil.iter_modules([folder]) if m.name.startswith("fault_"))
    return [importlib.import_module(f"tests.crash.{name}") for name in names]
