"""Every fault of the crash matrix, on every store, in the size that a test run affords."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.crash.matrix import Fault, faults

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 280
ROWS = [
    pytest.param(fault, store, id=f"{fault.name}-{store}")
    for fault in faults().values()
    for store in fault.stores
]


@pytest.mark.promise("L1", "L2", "L3", "L4", "L5", "L6", "L7", "L9", "L14", "L16", "L20")
@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("fault", "store"), ROWS)
def test_no_invariant_is_broken_by(fault: Fault, store: str) -> None:
    """In a process of its own: cases fork and kill, which a test runner's threads must not see."""
    argv = [sys.executable, "-m", "tests.crash.cases", fault.name, store, "0", str(fault.default)]
    if fault.unit == "seconds":
        argv.append(str(fault.default))
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as run:  # fmt: skip
        try:
            said, complaints = run.communicate(timeout=_PATIENCE_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    results = [json.loads(line) for line in said.splitlines()]
    broken = [f"seed {r['seed']}: {said}" for r in results for said in r["violations"]]

    assert not broken, "\n".join(broken)
    assert run.returncode == 0, complaints
    assert len(results) == (1 if fault.unit == "seconds" else fault.default)


def test_the_matrix_has_every_fault_that_the_design_names() -> None:
    named = {
        "power_loss", "crash_points", "kill", "pause", "full_disk", "sync_error",
        "postgres_stopped", "partition", "clock", "flood", "tampering", "versions",
    }  # fmt: skip

    assert named <= set(faults())


def test_sizes_are_those_of_the_design() -> None:
    sizes = {name: (fault.default, fault.full) for name, fault in faults().items()}

    assert sizes["power_loss"] == (2_000, 500_000)
    assert sizes["kill"] == (40, 5_000)
    assert sizes["full_disk"] == (2, 50)
    assert sizes["sync_error"] == (20, 1_000)
    assert sizes["tampering"] == (20, 500)
