"""What every test shares: a skip is an honest excuse on a laptop and a failure where everything is installed.

`.ci/run` sets HOLDFAST_NO_SKIPS=1, so that a test which quietly stopped running is noticed. Only what it
names in HOLDFAST_LEFT_OUT, after it said so aloud, may be skipped: a part that this machine can't run.
"""

import os
from collections.abc import Generator

import pytest

pytest_plugins = ["tests.real_parts", "tests.supervisord_parts"]

NO_SKIPS = os.environ.get("HOLDFAST_NO_SKIPS") == "1"
LEFT_OUT = os.environ.get("HOLDFAST_LEFT_OUT")


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that carries the skip's reason; an expected failure stays one."""
    if not NO_SKIPS or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else str(where)
    if LEFT_OUT and reason.startswith(f"Skipped: {LEFT_OUT}: "):
        return
    report.outcome = "failed"
    report.longrepr = (
        f"{report.nodeid} was skipped ({reason}) where HOLDFAST_NO_SKIPS=1 allows no skip;"
        " install what it asks for"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report
